"""What the executed chapters show: captions, counts and labels that fit the records and can be read."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup

from biosignals.data import helsinki
from biosignals.reporting import ledger
from conftest import CHAPTERS, Run

chapters = pytest.mark.parametrize("chapter", CHAPTERS)


@dataclass(frozen=True)
class Table:
    """A table of a page: its caption, its labels (headings and names of rows), and the cells of each column."""

    caption: str
    labels: list[str]
    columns: dict[str, list[str]]


def read_table(text: str) -> Table:
    page = BeautifulSoup(text, "html.parser")
    caption = page.find(["caption", "figcaption"])
    rows = [[cell.text.strip() for cell in row.find_all("td")] for row in page.find_all("tr")]
    columns = list(zip(*filter(None, rows)))
    headings = [cell.text for cell in page.select("th.col_heading")][-len(columns) :]
    labels = [cell.text.strip() for cell in page.find_all("th")]
    return Table(caption.text if caption else "", labels, dict(zip(headings, columns)))


def outputs(notebook: Path, kind: str) -> list[str]:
    cells = nbformat.read(notebook, as_version=4).cells
    found = [output for cell in cells for output in cell.get("outputs", [])]
    if kind == "text":
        return [output.text for output in found if output.get("name") == "stdout"]
    return [output.data[kind] for output in found if kind in output.get("data", {})]


def tables(run: Run, chapter: str) -> list[Table]:
    texts = outputs(run.folder / f"{chapter}.ipynb", "text/html")
    return [read_table(text) for text in texts if "<table" in text]


def miscounted(captions: list[str], records: list[dict]) -> list[str]:
    """Captions of scores out of fold that count other rows than any such record was scored on."""
    counts = {f"{row['n_test']:,}" for row in records if row["split"] == "out-of-fold"}
    of_scores = [caption for caption in captions if re.search("out of fold", caption, re.IGNORECASE)]
    return [caption for caption in of_scores if set(re.findall(r"\bn = ([\d,]*\d)", caption)) - counts]


def test_a_caption_with_another_n_than_its_rows_is_found():
    records = [{"split": "out-of-fold", "n_test": 2357}, {"split": "test", "n_test": 2580}]
    right, wrong = (f"Macro AUROC out of fold, PTB-XL, excerpt, n = {n}" for n in ("2,357", "2,580"))
    assert miscounted([right, wrong, "PTB-XL, excerpt, n = 2,580"], records) == [wrong]


@chapters
def test_captions_count_the_rows_that_were_scored(chapter, tiny_run):
    path = tiny_run.folder / f"results/{chapter}.json"
    records = json.loads(path.read_text()) if path.exists() else []
    if chapter != CHAPTERS[-1]:  # which shows the records of all others
        assert not miscounted([table.caption for table in tables(tiny_run, chapter)], records)


@chapters
def test_counts_have_no_decimals(chapter, tiny_run):
    """No column of whole numbers above one is printed as 96.00; medians and percentages may happen to be whole."""
    for table in tables(tiny_run, chapter):
        for heading, cells in table.columns.items():
            filled = [cell.replace(",", "") for cell in cells if cell]
            whole = all(re.fullmatch(r"\d+\.0+", cell) for cell in filled)
            large = whole and any(float(cell) > 1 for cell in filled)
            assert not large or re.search("median|%", heading), f"{heading}: {filled} in {table.caption}"


@chapters
def test_labels_are_words_and_not_what_the_code_calls_them(chapter, tiny_run):
    for table in tables(tiny_run, chapter):
        cells = [cell for column in table.columns.values() for cell in column]
        code = r"^\(?['\"]|^\d+\.\d{6}$|^nan$|\b(?:None|NaN|nan%)\b|\b1 (?:seed|epoch|model|chapter)s"
        found = [text for text in (table.caption, *table.labels, *cells) if re.search(code, text)]
        assert not found, table.caption


def test_neonates_with_both_labels_are_counted_by_windows_and_by_seconds(tiny_run):
    """As on the data card, which says how far the two counts are apart."""
    votes = sum(helsinki.annotations(next(tiny_run.folder.glob("cache/simulated/helsinki-*"))).values())
    share = (votes >= 2).where(votes.notna()).mean()
    captions = [table.caption for table in tables(tiny_run, "05_cnn_lstm")]
    (found,) = filter(None, (re.search(r"(\d+) neonates .* of (\d+) with", text) for text in captions))
    assert int(found[1]) <= int(found[2]) == share.between(0, 1, inclusive="neither").sum()


def test_channels_and_windows_are_compared_on_all_patients_with_intervals(tiny_run):
    found = json.loads((tiny_run.folder / "results/05_cnn_lstm.json").read_text())
    compared = [record for record in found if record["condition"].startswith("channels=")]
    assert len({record["condition"] for record in compared}) == 3
    patients = {path.name[:5] for path in tiny_run.folder.glob("cache/simulated/chb-mit-*/chb*")}
    for record in compared:
        assert record["low"] <= record["value"] <= record["high"]
        assert record["subjects"] == len(patients)


def test_seizures_by_where_they_begin_add_up_to_all_seizures(tiny_run):
    found = json.loads((tiny_run.folder / "results/05_cnn_lstm.json").read_text())
    found = [record for record in found if "channels=" in record["condition"]]
    found = [record for record in found if record["metric"] == "event_sensitivity"]
    for montage in {record["condition"].rpartition("channels=")[2] for record in found}:
        own = [record for record in found if record["condition"].endswith(montage)]
        (everywhere,) = (record for record in own if "-onset" not in record["condition"])
        by_lobe = [record for record in own if record is not everywhere]
        assert sum(record["n_test"] for record in by_lobe) == everywhere["n_test"] > 0
        hits = [record["value"] * record["n_test"] for record in by_lobe]
        assert sum(hits) == pytest.approx(everywhere["value"] * everywhere["n_test"])


def test_a_page_shows_how_often_each_test_set_was_read(tiny_run):
    (table,) = (table for table in tables(tiny_run, "11_scoreboard") if "each test set" in table.caption)
    assert "PTB-XL, simulated" in table.labels and len(table.columns["models"]) > 3
    lines = ledger.read(tiny_run.folder / "ledger.csv")
    assert len(lines) and set(lines.chapter) < set(CHAPTERS)
