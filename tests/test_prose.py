"""The prose of pages and chapters: nothing that the records of the reference run refute, and one spelling."""

import csv
import re
from collections.abc import Callable
from pathlib import Path

import nbformat
import pandas as pd
import pytest
import yaml

from biosignals.reporting import ledger, scoreboard
from biosignals.reporting import records as results
from conftest import CHAPTERS, ROOT

RESULTS = ROOT / "book/reference/results.json"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "book").glob("*.md"))]
PAGES += sorted((ROOT / "book/data").glob("*.md"))
PAGES += [ROOT / f"notebooks/{chapter}.ipynb" for chapter in CHAPTERS]
PAGES += [ROOT / "book/failures.csv", ROOT / "book/findings.yml"]


def prose(page: Path) -> str:
    """The text of a page without code, links and addresses."""
    if page.suffix == ".ipynb":
        cells = nbformat.read(page, as_version=4).cells
        text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    elif page.suffix == ".csv":
        rows = csv.DictReader(page.read_text().splitlines())
        text = "\n".join("; ".join((row["what"], row["why"], row["remedy"])) for row in rows)
    elif page.suffix == ".yml":
        parts = [part for parts in yaml.safe_load(page.read_text()).values() for part in parts]
        text = "\n".join(str(part[key]) for part in parts for key in part.keys() - {"records", "chapter"})
    else:
        text = page.read_text()
    return re.sub(r"```.*?```|`[^`\n]*`|\]\([^)]*\)|https?://\S+|<[^>]+>", " ", text, flags=re.DOTALL)


pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def scored_once(records: pd.DataFrame) -> bool:
    """Whether each test set was read once, by the ledger of the reference run and its records."""
    lines = ledger.read(RESULTS.with_name("ledger.csv"))
    return (scoreboard.uses_of_tests(records, lines[lines.chapter.isin(records.chapter)]).reads == 1).all()


def changes_helped(records: pd.DataFrame) -> bool:
    """Whether the failed ConvNeXt scores higher with all changes, by the interval of the difference."""
    together = records.condition.str.contains("training=all-")
    return (records[together & (records.metric == "macro_auroc")].delta_low > 0).all()


def ecg_teaches(records: pd.DataFrame) -> bool:
    """Whether any loss lifts the accuracy on PPG, by the interval of the difference."""
    taught = (records.task == "identification") & records.condition.str.contains("teacher=ecg")
    return (records[taught & (records.metric == "accuracy")].delta_low > 0).any()


CLAIMS: dict[str, Callable[[pd.DataFrame], bool]] = {
    r"\b(?:read|scored|used|opened|tested) (?:only )?once\b|^#+ .*, once$|\bfold 10, once\b": scored_once,
    r"\brepair": changes_helped,
    r"\bECG teaches\b|\bpulse wave from an ECG\b|teaches a pulse wave": ecg_teaches,
}


@pages
@pytest.mark.parametrize("claim", CLAIMS, ids=["scored once", "repaired", "an ECG teaches"])
def test_what_the_records_refute_is_not_claimed(page, claim):
    if not CLAIMS[claim](results.read(RESULTS)):
        assert not re.findall(claim, prose(page), re.IGNORECASE | re.MULTILINE)


def test_the_claims_are_checked_against_records():
    """Each check lets its claim stand where the records bear it out."""
    about = {"dataset": "ptb-xl", "kind": "excerpt", "split": "test", "metric": "macro_auroc", "model": "a"}
    rows = [{"chapter": "03_baseline", "task": "superclass", "condition": "", "delta_low": None}]
    rows += [{"chapter": "07_image_backbones", "condition": "training=all-changes", "delta_low": 0.01}]
    rows += [{"task": "identification", "condition": "teacher=ecg", "metric": "accuracy", "delta_low": 0.02}]
    records = pd.DataFrame([dict.fromkeys(results.KEYS) | about | row for row in rows])
    assert changes_helped(records) and ecg_teaches(records) and not scored_once(records)
    assert scored_once(records[:1])


AMERICAN = r"""\w*(?<!s)(?<!pr)(?<!se)iz(?:e|es|ed|er|ers|ing|ations?)\b | artifacts? | colors? | \w*centers? | behaviors?
    | \w*labeled | \w*labeling | \w*modeling | gray | judgments? | fibers? | favorites? | analyz\w+ | ischemi\w+
    | neighbor\w*"""


@pages
def test_spelling_is_british(page):
    found = re.findall(rf"\b(?:{AMERICAN})\b", prose(page), re.IGNORECASE | re.VERBOSE)
    assert not found


STUMBLES = (
    r"\b(?:models that leave|learns? again|by heart|the net says|says its favourite|speaks for each|dear to carry"
    r"|who is who|who it is|ask a model|(?:is|are|was) asked|without insisting|a pulse wave taught)"
)


@pages
def test_phrases_that_readers_stumbled_over_do_not_return(page):
    assert not re.findall(STUMBLES, prose(page), re.IGNORECASE)
