"""The ten lines of the page "Your own recordings" run as they stand there."""

import re

import numpy as np
import pandas as pd
import pytest

from conftest import ROOT
from made_recordings import write_csv, write_edf

PAGE = (ROOT / "book/own-recordings.md").read_text()
CODE = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture
def recordings(tmp_path, monkeypatch):
    """Twenty recordings of ten people in recordings/, of which those with af beat irregularly."""
    rng, rows = np.random.default_rng(0), []
    for i in range(20):
        place = tmp_path / f"recordings/{i:02d}"
        place.mkdir(parents=True)
        signal = rng.normal(0, 0.1, (1, 200))
        signal[:, :: 20 + 15 * (i % 2)] += 1
        file = (write_csv, write_edf)[i % 2](place, signal, 100, ["I"])
        rows.append((file.relative_to(tmp_path / "recordings"), f"p{i // 2}", i % 2))
    pd.DataFrame(rows, columns=["file", "subject", "af"]).to_csv(
        tmp_path / "recordings/labels.csv", index=False
    )
    monkeypatch.chdir(tmp_path)


def test_ten_lines_give_scores_with_intervals(recordings, capsys):
    code, _ = CODE
    assert len([line for line in code.splitlines() if line]) <= 10
    code = code.replace("epochs=20", "epochs=1").replace("resnet1d-small", "student-4k")
    exec(code, {})  # noqa: S102 (the page's own)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == ["value", "low", "high", "delta", "delta_low", "delta_high"]
    numbers = {row.split()[0]: [float(word) for word in row.split()[1:]] for row in printed[2:]}
    assert numbers.keys() == {"tcn", "student-4k"}
    for value, low, high, delta, delta_low, delta_high in numbers.values():
        assert 0 <= low <= value <= high <= 1 and delta_low <= delta <= delta_high


def test_the_page_names_what_load_takes():
    from biosignals import load

    named = (
        set(re.findall(r"`load\(\.\.\., (\w+)=", PAGE)) | set(re.findall(r"table, (\w+)=", PAGE)) | {"unit"}
    )
    assert named == {*load.__kwdefaults__, "labels"}


def test_a_model_is_compared_with_the_books(monkeypatch, capsys):
    from biosignals.evaluation.predictions import Predictions
    from biosignals.reporting import compare

    _, code = CODE
    monkeypatch.chdir(ROOT)
    (named,) = re.findall(r"compare\.predictions\(.*\)", code)
    theirs = eval(named, {"compare": compare})
    truth = theirs.truth[::-1]
    mine = Predictions(0.2 + 0.6 * truth, truth, theirs.subjects[::-1], theirs.ids[::-1].astype(int))
    namespace = {"mine": mine}
    exec(code, namespace)  # noqa: S102 (the page's own)
    printed = capsys.readouterr().out
    assert "resnet1d-wang" in printed and "mine" in printed
    table = compare.compare({"mine": mine}, theirs, "resnet1d-wang").set_index(["model", "metric"])
    row = table.loc[("mine", "macro_auroc")]
    assert row.value == 1 and row.n_test == len(theirs.truth)
    found = compare.published("book/reference", model="resnet1d-wang", condition="filter=cosines-0.5Hz")
    assert table.value["resnet1d-wang", "macro_auroc"] == pytest.approx(found.value.iloc[0])
