"""Sentences about results quote their records, and only what these bear out."""

import pandas as pd
import pytest
import yaml

from biosignals.reporting import findings, records
from conftest import CHAPTERS, ROOT


def record(**values) -> dict:
    plain = {"chapter": "03_x", "task": "af", "model": "net", "dataset": "ptb-xl", "kind": "excerpt",
             "split": "test", "metric": "auprc", "n_test": 400, "value": 0.9, "low": 0.85, "high": 0.95}  # fmt: skip
    return records.record(**(plain | values))


ROWS = pd.DataFrame(
    [
        record(positives=20, params=473_349),
        record(model="forest", metric="auroc", value=0.8, low=0.75, high=0.85, versus="net", delta=-0.1,
               delta_low=-0.12, delta_high=-0.0701),
        record(model="forest", metric="auroc", condition="window=5s"),
    ]
)  # fmt: skip
NET = {"model": "net", "metric": "auprc"}
FOREST = {"model": "forest", "metric": "auroc"}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{net}", ".900 [.850-.950], prevalence .050"),
        ("{net.score} {net.interval}", ".900 [.850-.950]"),
        ("{forest}, {forest.loss} less", ".800 [.750-.850], .100 [.070-.120] less"),
        ("{forest.difference}", "-.100 [-.120 to -.070]"),
        ("{net.n} ECGs, {net.parameters} parameters", "400 ECGs, 473,349 parameters"),
    ],
)
def test_fields_are_filled_from_the_records(text, filled):
    assert findings.fill_in(text, {"net": NET, "forest": FOREST}, ROWS) == filled


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ({"net": NET | {"model": "tree"}}, "no record"),
        ({"net": FOREST | {"split": "validation"}}, "no record"),
        ({"net": FOREST | {"claim": "above"}}, "not above net, but -.100"),
        ({"net": FOREST | {"claim": "unclear"}}, "not unclear"),
        ({"tree": NET}, "names none"),
    ],
)
def test_what_the_records_do_not_bear_out_is_refused(named, reason):
    with pytest.raises(ValueError, match=reason):
        findings.fill_in("{net}", named, ROWS)


def test_a_claim_that_holds_passes():
    assert findings.fill_in("{net.score}", {"net": FOREST | {"claim": "below"}}, ROWS) == ".800"


def test_the_front_page_speaks_of_every_chapter_and_of_five_findings():
    file = ROOT / "book/findings.yml"
    found = records.read(ROOT / "book/reference/results.json")
    content = yaml.safe_load(file.read_text())
    assert [chapter["chapter"] for chapter in content["chapters"]] == CHAPTERS
    assert findings.headlines_in_markdown(file, found).count("grid-item-card") == 5
    assert findings.chapters_in_markdown(file, found).count("\n: ") == len(CHAPTERS)
    for finding in (*content["headlines"], *content["chapters"]):
        for text in (finding.get("text", ""), finding.get("answer", ""), finding.get("number", "")):
            assert not any(part.strip(".,%")[-3:].isdigit() for part in text.split()), f"typed: {text}"
