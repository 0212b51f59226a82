"""Where a chapter reads and writes, and what its banner says."""

import json
import re
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest

import tiny_sets
from biosignals import caching
from biosignals.caching import Cache
from biosignals.data.sources import Source
from biosignals.reporting.workspace import describe_run, open_chapter


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "notebooks/profiles").mkdir(parents=True)
    for profile in ("tiny", "quick", "small", "reference", "full", "mine"):
        (tmp_path / f"notebooks/profiles/{profile}.yml").write_text("{}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("place", [".", "notebooks"])
def test_a_chapter_finds_its_places_from_the_root_and_from_notebooks(project, monkeypatch, place):
    monkeypatch.chdir(place)
    workspace = open_chapter("01_eda", "quick", "data")
    assert workspace.folder == project / "runs/quick" and workspace.folder.is_dir()
    assert workspace.temporary == project / "cache" and workspace.temporary.is_dir()
    assert workspace.signals == project / "cache/signals"
    assert workspace.data == str(project / "data")


def test_only_the_reference_run_takes_and_leaves_what_travels_with_the_project(project, monkeypatch):
    monkeypatch.delenv("REFIT", raising=False)
    assert open_chapter("01_eda", "quick").cache == Cache(project / "cache/results")
    exported = project / "book/reference/predictions"
    assert open_chapter("01_eda", "reference").cache == Cache(project / "cache/results", exported)


@pytest.mark.parametrize(("value", "refit"), [("1", True), ("0", False), ("", False)])
def test_refit_fits_anew(project, monkeypatch, value, refit):
    monkeypatch.setenv("REFIT", value)
    assert open_chapter("01_eda", "reference").cache.refit is refit


def test_sets_are_simulated_and_loaded_with_their_kind(project):
    workspace = open_chapter("01_eda", "quick")
    recordings = workspace.load("ptb-xl", 12, sampling_rate=500, leads=["I"])
    assert (recordings.kind, recordings.sampling_rate, recordings.channels) == ("simulated", 500, ("I",))
    assert workspace.locate("ptb-xl", 12).root.is_relative_to(project / "cache/simulated")
    assert "PTB-XL: simulated, n = 12." in describe_run(workspace, recordings)
    with pytest.raises(ValueError, match="chb-mit has no loader of whole recordings"):
        workspace.load("chb-mit", 2, simulated={"minutes": 2, "files_per_subject": 1})


def test_records_lie_under_the_chapters_name(project):
    path = open_chapter("01_eda", "quick").write([])
    assert path == project / "runs/quick/results/01_eda.json" and path.read_text() == "[\n\n]\n"


def test_no_data_folder_stays_none(project):
    assert open_chapter("01_eda", "quick").data == ""


def test_an_absolute_data_folder_is_kept(project, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("recordings")
    assert open_chapter("01_eda", "full", str(elsewhere)).data == str(elsewhere)


def test_a_run_elsewhere_keeps_its_caches_to_itself(project, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("run")
    workspace = open_chapter("01_eda", "tiny", folder=str(elsewhere))
    assert workspace.folder == elsewhere
    assert (
        workspace.temporary == elsewhere / "cache" and workspace.cache.folder == elsewhere / "cache/results"
    )


def test_a_list_of_records_is_found_from_notebooks_too(project, monkeypatch):
    tiny_sets.write_ptbxl(project / "data/ptb-xl", records=2)
    (project / "records.txt").write_text("2\n")
    monkeypatch.chdir("notebooks")
    workspace = open_chapter("01_eda", "reference", "data")
    assert workspace.locate("ptb-xl", listed="records.txt").listed == ("2",)
    assert workspace.locate("ptb-xl").listed is None


@pytest.mark.parametrize(
    ("profile", "n"), [("tiny", 12), ("small", 12), ("mine", 12), ("reference", 40), ("full", 40)]
)
def test_small_profiles_take_as_many_real_recordings_as_they_would_simulate(project, profile, n):
    tiny_sets.write_ptbxl(project / "data/ptb-xl", records=40)
    workspace = open_chapter("01_eda", profile, "data")
    recordings = workspace.load("ptb-xl", 12)
    assert (len(recordings), recordings.kind) == (n, "excerpt")
    assert len(workspace.load("ptb-xl", 0)) == 40
    (project / "records.txt").write_text("2 5 7")
    assert list(workspace.load("ptb-xl", 2, "records.txt").table.index) == [2, 5, 7]


def test_recordings_to_test_with_are_kept_apart(project):
    (project / "data").mkdir()
    names = tiny_sets.write_cinc2017(project / "data/cinc2017", lengths=[3000] * 40, labels="NAO~" * 10)
    (project / "data/cinc2017/never-read.txt").write_text("\n".join(names[30:]))
    recordings, apart = open_chapter("05_cnn_lstm", "reference", "data").load_with_test("cinc2017")
    assert list(recordings.table.index) == names[:30] and list(apart.table.index) == names[30:]
    assert set(recordings.table.fold) == set(range(1, 10))
    recordings, apart = open_chapter("05_cnn_lstm", "quick", "data").load_with_test("cinc2017", 20)
    assert len(recordings) == 20 and not set(recordings.table.index) & set(names[30:])
    assert list(apart.table.index) == list(recordings.table.index[recordings.table.fold == 10])
    assert list(recordings.table.subject) == list(recordings.table.index)  # nobody is named


def test_outside_of_the_project_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="start Jupyter in the project's folder or in notebooks/"):
        open_chapter("01_eda", "quick")


def test_the_banner_says_run_date_machine_and_data(project):
    workspace = open_chapter("01_eda", "reference", "data")
    text = describe_run(
        workspace,
        (Source("ptb-xl", Path("x"), "excerpt"), 2630),
        (Source("cinc2017", Path("x"), "real"), 8528),
    )
    assert (
        "reference run" in text
        and str(date.today().year) in text
        and caching.provenance()["hardware"] in text
    )
    assert "PTB-XL: excerpt, n = 2,630" in text
    assert "CinC 2017: real, n = 8,528" in text
    assert "nothing clinical" not in text


CELLS = [
    {"cell_type": "markdown", "metadata": {}, "source": ["# Title"]},
    {
        "cell_type": "code",
        "metadata": {"tags": ["parameters"]},
        "source": [
            'profile = "quick"\n',
            'data = ""\n',
            "records = 400\n",
            "seeds = [0]\n",
            "trees = 2 * 25",
        ],
    },
]


@pytest.fixture
def notebook(project, monkeypatch):
    """A chapter in Jupyter: what its cells have defined."""
    (project / "notebooks/01_eda.ipynb").write_text(json.dumps({"cells": CELLS}))
    (project / "notebooks/profiles/reference.yml").write_text("01_eda: {seeds: [0, 1]}")
    values = {"records": 400, "seeds": [0]}
    monkeypatch.setattr("biosignals.reporting.workspace.get_ipython", lambda: SimpleNamespace(user_ns=values))
    return values


def test_parameters_that_were_changed_in_the_notebook_are_shown_beside_the_profiles(notebook):
    assert "Changed" not in describe_run(open_chapter("01_eda", "quick"))
    notebook["records"] = 100
    text = describe_run(open_chapter("01_eda", "quick"))
    assert "Run `quick`" in text and "`records = 100` (400)" in text and "seeds" not in text


def test_a_reference_run_with_other_values_is_none_and_leaves_no_predictions(notebook, project):
    notebook["seeds"] = [0, 1]
    as_published = open_chapter("01_eda", "reference")
    assert "The reference run" in describe_run(as_published) and as_published.cache.exported is not None
    notebook["seeds"] = [0]
    changed = open_chapter("01_eda", "reference")
    text = describe_run(changed)
    assert "The reference run" not in text and "`seeds = [0]` ([0, 1])" in text
    assert changed.cache.exported is None


def test_a_notebook_of_ones_own_has_no_profile_to_be_compared_with(notebook):
    assert open_chapter("my_analysis", "quick").changed == {}


def test_an_unknown_profile_is_refused_with_the_one_that_was_meant(project):
    with pytest.raises(
        ValueError, match="no profile 'qiuck', did you mean 'quick'.* holds full, mine, quick"
    ):
        open_chapter("01_eda", "qiuck")


def test_the_banner_warns_of_simulated_recordings(project):
    text = describe_run(open_chapter("01_eda", "quick"), (Source("ptb-xl", Path("x"), "simulated"), 1000))
    assert "reference run" not in text
    assert "PTB-XL: simulated, n = 1,000" in text
    assert "means nothing clinical" in text


def test_hardware_is_named_by_kind():
    assert re.match(r"[1-9]\d* (x86-64|arm64|aarch64) cores", caching.provenance()["hardware"])
