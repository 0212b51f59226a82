"""Where a chapter reads and writes, and what its banner says."""

import re
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from biosignals import caching
from biosignals.data.sources import Source
from biosignals.reporting.workspace import describe_run, hardware, open_chapter, read_list


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("place", [".", "notebooks"])
def test_a_chapter_finds_its_places_from_the_root_and_from_notebooks(project, monkeypatch, place):
    monkeypatch.chdir(place)
    workspace = open_chapter("01_eda", "quick", "data")
    assert workspace.folder == project / "runs/quick" and workspace.folder.is_dir()
    assert workspace.cache == project / "cache" and workspace.cache.is_dir()
    assert workspace.data == str(project / "data")


def test_what_takes_long_is_kept_in_the_cache_once_a_chapter_is_open(project):
    workspace = open_chapter("01_eda", "quick")
    caching.array(lambda: ("a forest",), lambda: np.ones(3))
    assert len(list((workspace.cache / "answers").iterdir())) == 1


def test_no_data_folder_stays_none(project):
    assert open_chapter("01_eda", "quick").data == ""


def test_an_absolute_data_folder_is_kept(project, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("recordings")
    assert open_chapter("01_eda", "full", str(elsewhere)).data == str(elsewhere)


def test_a_run_elsewhere_keeps_its_caches_to_itself(project, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("run")
    workspace = open_chapter("01_eda", "tiny", folder=str(elsewhere))
    assert workspace.folder == elsewhere
    assert workspace.cache == elsewhere / "cache"


def test_a_list_of_records_is_found_from_notebooks_too(project, monkeypatch):
    (project / "records.txt").write_text("3\n14\n")
    monkeypatch.chdir("notebooks")
    workspace = open_chapter("01_eda", "reference")
    assert read_list(workspace, "records.txt") == ["3", "14"]
    assert read_list(workspace, "") is None


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
    assert "reference run" in text and str(date.today().year) in text and hardware() in text
    assert "PTB-XL: excerpt, n = 2,630" in text
    assert "CinC 2017: real, n = 8,528" in text
    assert "nothing clinical" not in text


def test_the_banner_warns_of_simulated_recordings(project):
    text = describe_run(open_chapter("01_eda", "quick"), (Source("ptb-xl", Path("x"), "simulated"), 1000))
    assert "reference run" not in text
    assert "PTB-XL: simulated, n = 1,000" in text
    assert "means nothing clinical" in text


def test_hardware_is_named_by_kind():
    assert re.match(r"[1-9]\d* (x86-64|arm64|aarch64) cores", hardware())
