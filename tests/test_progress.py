"""Progress bars in a notebook: seen while they run and gone afterwards; what a cell prints stays."""

import nbformat
import pytest
import tqdm
from nbclient import NotebookClient

from biosignals import progress
from biosignals.caching import Key

CELL = """
from biosignals.progress import tqdm

for i in tqdm(range(3), desc="outer"):
    print("line", i)
    for _ in tqdm(range(2), desc="inner", leave=False):
        pass
"""


def test_a_cell_keeps_what_it_prints_and_nothing_of_its_bars():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    NotebookClient(notebook, kernel_name="python3", coalesce_streams=True).execute()
    outputs = notebook.cells[0].outputs
    printed = [output for output in outputs if output.output_type == "stream"]
    assert [(output.name, output.text) for output in printed] == [("stdout", "line 0\nline 1\nline 2\n")]
    bars = [output.data for output in outputs if output.output_type == "display_data"]
    assert bars == [{"text/plain": "", "text/html": ""}] * 4


@pytest.fixture
def shown(monkeypatch):
    """What bars show, in the order in which they show it."""
    texts = []

    class Output:
        def update(self, data, raw):
            texts.append(data["text/plain"])

    monkeypatch.setattr(progress, "display", lambda *_, **__: Output())
    return texts


def test_a_bar_is_drawn_while_it_runs(shown):
    bar = progress.NotebookBar(total=2, desc="fits", mininterval=0)
    bar.update()
    assert "fits:  50%" in shown[-1] and "1/2" in shown[-1]
    bar.set_postfix({"auroc": "0.900"})
    assert "auroc=0.900" in shown[-1]
    bar.close()
    bar.close()
    assert shown.count("") == 1 and shown[-1] == ""


def test_outside_of_a_notebook_bars_are_tqdms_own():
    assert not progress.in_notebook()
    assert type(progress.tqdm(range(2), disable=True)) is tqdm.tqdm


def test_what_draws_a_bar_is_known_by_what_it_computes(monkeypatch, shown):
    def compute(x):
        return [y + 1 for y in progress.tqdm(x)]

    outside = Key.of(compute)
    monkeypatch.setattr(progress, "in_notebook", lambda: True)
    assert compute([1, 2]) == [2, 3] and shown
    assert Key.of(compute) == outside
