"""The book: it builds without a warning, its links lead somewhere, its results keep to the vocabulary."""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from biosignals import models
from biosignals.compression import export
from biosignals.data.channel_names import DERIVED
from biosignals.data.ptbxl import LEADS, SUPERCLASSES
from biosignals.deployment import card as cards
from biosignals.deployment import predict
from biosignals.reporting import ledger, scoreboard
from biosignals.reporting import records as results
from biosignals.simulate import ptbxl
from conftest import CHAPTERS, EARLIER_PATTERN, ROOT, render

REPOSITORY = "https://github.com/someone/biosignals"


@pytest.fixture(scope="session")
def pages(tiny_run, tmp_path_factory) -> Path:
    """The folder of the pages that `make book` renders from the tiny run, the repository's address being set."""

    def configure(project: Path) -> None:
        config = project / "_config.yml"
        config.write_text(config.read_text().replace('url: ""', f'url: "{REPOSITORY}"'))

    return render(tmp_path_factory.mktemp("project"), tiny_run.folder, configure)


class Links(HTMLParser):
    """Collects what a page points to and the anchors that it has."""

    def __init__(self, page: Path):
        super().__init__()
        self.targets, self.anchors = set(), set()
        self.feed(page.read_text())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors.add(attributes.get("id"))
        if tag in ("a", "img", "link", "script"):
            self.targets.add(attributes.get("href") or attributes.get("src") or "")


def test_every_link_of_every_page_leads_somewhere(pages):
    links = {page: Links(page) for page in pages.glob("book/**/*.html")}
    assert {f"{chapter}.html" for chapter in CHAPTERS} <= {page.name for page in links}
    broken = []
    for page, found in links.items():
        for target in found.targets:
            parts = urlsplit(target)
            other = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            if parts.scheme or parts.netloc:
                continue
            if not other.exists() or (
                other in links and parts.fragment and parts.fragment not in links[other].anchors
            ):
                broken.append((page.name, target))
    assert not broken


def test_each_chapters_page_says_which_run_it_shows(pages):
    for chapter in CHAPTERS:
        text = re.sub(r"<[^>]+>", "", (pages / f"book/chapters/{chapter}.html").read_text())
        assert re.search(
            r"Run tiny, \d+ \w+ \d{4}(, commit \w+\+?)?, on \d+ \S+ cores.*simulated, n = \d+", text
        )


def test_no_page_shows_an_error_or_calls_home(pages):
    for page in pages.glob("book/**/*.html"):
        text = page.read_text()
        assert "Traceback (most recent call last)" not in text
        assert not re.search(r"google-analytics|gtag\(|plausible\.io|matomo", text)


class Pictures(HTMLParser):
    """Collects what a page says its pictures show: alt texts of images, labels of drawings."""

    def __init__(self, page: str):
        super().__init__()
        self.alts = []
        self.feed(page.partition("<article")[2].partition("</article")[0])

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "img":
            self.alts.append(attributes.get("alt") or "")
        if tag == "svg" and attributes.get("role") == "img":
            self.alts.append(attributes.get("aria-label") or "")


def says_nothing(alt: str) -> bool:
    """Whether an alt text is no sentence, or the name of a file."""
    return len(re.findall(r"(?<!\S)[^\W\d_]{2,}", alt)) < 4 or bool(re.search(r"[0-9a-f]{16}", alt))


def test_an_alt_text_is_a_sentence():
    page = (
        '<article><img src="a.png" alt="../../_images/632339160d86fef4523b7e9e4de60cd4.png"><img src="b.png">'
        '<svg role="img" aria-label="The beats of one patient, lead by lead"></svg></article><img>'
    )
    assert [says_nothing(alt) for alt in Pictures(page).alts] == [True, True, False]


@pytest.mark.parametrize("chapter", [chapter for chapter in CHAPTERS if chapter not in EARLIER_PATTERN])
def test_pictures_say_what_they_show(chapter, pages):
    alts = Pictures((pages / f"book/chapters/{chapter}.html").read_text()).alts
    assert alts and not [alt for alt in alts if says_nothing(alt)]


def test_the_exceptions_are_chapters():
    assert set(EARLIER_PATTERN) <= set(CHAPTERS)


def test_no_page_names_a_place_on_this_machine_or_weighs_too_much(pages):
    for page in pages.glob("book/**/*.html"):
        text = page.read_text()
        for place in (ROOT, Path.home(), Path(sys.prefix)):
            assert f"{place}/" not in text, page.name
        static = re.sub(
            r'<script type="application/json" class="plotly">.*?</script>', "", text, flags=re.DOTALL
        )
        pictures = {match for match in re.findall(r'src="([^"]+_images/[^"]+)"', text)}
        weight = len(static.encode()) + sum((page.parent / picture).stat().st_size for picture in pictures)
        assert weight < 1.5e6 or page.stem in EARLIER_PATTERN, page.name


def test_every_package_has_its_page_in_the_reference():
    packages = {file.parent.name for file in (ROOT / "lib/biosignals").glob("*/__init__.py")}
    toc = yaml.safe_load((ROOT / "book/_toc.yml").read_text())
    listed = [entry["file"] for part in toc["parts"] for entry in part["chapters"]]
    described = {Path(file).name for file in listed if file.startswith("book/chapters/api/")}
    assert described == packages | {"library"}


@pytest.mark.parametrize(
    ("page", "thing"),
    [
        ("signals", "biosignals.signals.filters.bandpass"),
        ("data", "biosignals.data.recordings.Recordings"),
        ("models", "biosignals.models.create"),
        ("models", "biosignals.models.layers.masked.Masked"),
        ("training", "biosignals.training.fit.Fit.predict"),
        ("library", "biosignals.task.Task"),
    ],
)
def test_the_reference_describes_modules_packages_and_methods(page, thing, pages):
    assert f'id="{thing}"' in (pages / f"book/chapters/api/{page}.html").read_text()


def test_the_reference_links_code_to_what_it_describes(pages):
    text = (pages / "book/chapters/02_preprocessing.html").read_text()
    links = set(re.findall(r'<a class="code-link" href="api/(\w+)\.html#([\w.]+)"', text))
    assert ("library", "biosignals.task.Task") in links
    for room, name in links:
        assert f'id="{name}"' in (pages / f"book/chapters/api/{room}.html").read_text()


def test_the_first_use_of_a_term_links_to_the_glossary_and_shows_its_definition(pages):
    text = (pages / "book/predict.html").read_text()
    links = re.findall(r'<a class="term [^>]*href="glossary.html#term-([\w-]+)" title="([^"]+)"', text)
    assert len(links) == len(dict(links)) and "atria quiver" in dict(links)["atrial-fibrillation"]
    assert "심방세동" in (pages / "book/glossary.html").read_text()


def test_every_term_has_a_korean_one():
    entries = re.findall(r"^(?:\S.*\n)+(?=    )", (ROOT / "book/glossary.md").read_text(), re.MULTILINE)
    assert len(entries) > 40
    assert not [entry for entry in entries if not re.search("[가-힣]", entry)]


def test_with_an_address_chapters_open_elsewhere_and_functions_show_their_source(pages):
    chapter = (pages / "book/chapters/01_eda.html").read_text()
    for target in (
        "https://colab.research.google.com/github/someone/biosignals/blob/main/notebooks/01_eda.ipynb",
        "https://mybinder.org/v2/gh/someone/biosignals/main?labpath=notebooks/01_eda.ipynb",
        "https://raw.githubusercontent.com/someone/biosignals/main/notebooks/01_eda.ipynb",
        f"{REPOSITORY}/blob/main/notebooks/01_eda.ipynb",
    ):
        assert f'href="{target}"' in chapter
    reference = (pages / "book/chapters/api/signals.html").read_text()
    assert re.search(rf'{REPOSITORY}/blob/main/lib/biosignals/signals/filters.py#L\d+-L\d+"', reference)


def test_every_chapter_is_in_the_table_of_contents():
    toc = yaml.safe_load((ROOT / "book/_toc.yml").read_text())
    listed = [entry["file"] for part in toc["parts"] for entry in part["chapters"]]
    assert [f"book/chapters/{chapter}" for chapter in CHAPTERS] == [
        file for file in listed if re.search(r"/chapters/\d", file)
    ]
    assert all((ROOT / f"{file}.md").exists() for file in listed if "/chapters/" not in file)


def test_every_published_figure_says_where_it_is_from():
    """An address where one can look it up, or the earlier project, that it is unpublished, and what it was measured on."""
    anchors = pd.read_csv(ROOT / "book/anchors.csv", keep_default_na=False)
    assert set(anchors.who) == {"theirs", "field"}
    assert set(anchors.split) <= {"", "train", "validation", "test"} and anchors.data.ne("").all()
    published = anchors.source.str.contains(r"https://\S+\.\S+/\S+")
    assert list(published) == list(anchors.who == "field")
    projects = anchors.source[~published].str.extract("^project ([A-F]), unpublished; .{10}")[0]
    assert projects.notna().all()
    described = re.findall(r"^\| ([A-F]) \|", (ROOT / "book/references.md").read_text(), re.MULTILINE)
    assert set(projects) <= set(described) == set("ABCDEF")


def test_what_the_readme_and_the_contributors_page_link_to_is_there():
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        for target in re.findall(r"\]\(([^)#\s:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


ONE_RECORD = ("chapter", "task", "model", "condition", "dataset", "split", "seed", "metric")


def check_results(path: Path) -> None:
    found = json.loads(path.read_text())
    assert found
    for row in found:
        assert row["chapter"] in CHAPTERS
        assert list(results.record(**row).items()) == list(row.items())  # keys, their order and vocabulary
        assert row["low"] is None or row["low"] <= row["value"] <= row["high"]
    apart = Counter(tuple(row[key] for key in ONE_RECORD) for row in found)
    assert not [key for key, count in apart.items() if count > 1]


def test_results_keep_to_the_vocabulary(tiny_run):
    check_results(tiny_run.folder / "results.json")
    found = json.loads((tiny_run.folder / "results.json").read_text())
    assert {row["kind"] for row in found} <= {"simulated", "derived"}


reference = pytest.mark.skipif(
    not (ROOT / "book/reference/results.json").exists(), reason="there is no reference run yet"
)


@reference
def test_the_reference_run_is_whole_small_and_names_no_place():
    check_results(ROOT / "book/reference/results.json")
    sizes = {path: path.stat().st_size for path in (ROOT / "book/reference").rglob("*") if path.is_file()}
    exported = {path: size for path, size in sizes.items() if "predictions" in path.parts}
    assert sum(sizes.values()) - sum(exported.values()) < 15e6
    assert sum(exported.values()) < 30e6  # predictions 10 MB, weights 20 MB
    for chapter in CHAPTERS:
        executed = ROOT / f"book/reference/{chapter}.ipynb"
        assert sizes[executed] < 1.5e6
        assert not re.search(r"/home/|/Users/|/root/|(?<!\()\.\./", executed.read_text())


@reference
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_code_copied_from_a_page_knows_all_its_names(chapter, assembled, tmp_path):
    """Each name is defined further up on the page, in a cell that it shows or folds away."""
    notebook = nbformat.read(assembled / f"{chapter}.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    notebook.cells = [cell for cell in code if "remove-cell" not in cell.metadata.get("tags", [])]
    nbformat.write(notebook, tmp_path / "page.ipynb")
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F821", tmp_path / "page.ipynb"]
    found = subprocess.run(ruff, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


@pytest.fixture(scope="session")
def assembled(tmp_path_factory) -> Path:
    """The chapters of the reference run as `make book` renders them."""
    folder = tmp_path_factory.mktemp("chapters")
    command = [sys.executable, ROOT / "notebooks/assemble.py", ROOT / "book/reference", folder]
    subprocess.run(command, check=True)
    return folder


@reference
def test_the_readmes_scores_are_those_of_the_reference_run(tmp_path):
    readme = tmp_path / "README.md"
    shutil.copy(ROOT / "README.md", readme)
    anchors = pd.read_csv(ROOT / "book/anchors.csv")
    lines = ledger.read(ROOT / "book/reference/ledger.csv")
    scoreboard.update_readme(readme, results.read(ROOT / "book/reference/results.json"), anchors, lines)
    assert readme.read_text() == (ROOT / "README.md").read_text()


@reference
def test_every_failure_names_a_record_of_the_reference_run():
    records = results.read(ROOT / "book/reference/results.json")
    failures = pd.read_csv(ROOT / "book/failures.csv", keep_default_na=False)
    failures = failures[failures.chapter.isin(records.chapter)]
    assert list(scoreboard.find_records(failures, records).what) == list(failures.what)
    assert failures[["what", "why"]].ne("").all(axis=None)


SYSTEMS = {
    "A": 14, "B": 5, "C": 13, "D": 4, "E": 3, "F": 7,
}  # fmt: skip


def test_every_system_of_the_earlier_projects_has_a_row():
    systems = pd.read_csv(ROOT / "book/systems.csv", keep_default_na=False)
    assert systems.project.value_counts().to_dict() == SYSTEMS and not systems.system.duplicated().any()
    assert set(systems.chapter) <= set(CHAPTERS) and systems.drop(columns="condition").ne("").all(axis=None)
    for key in ("task", "dataset", "metric"):
        assert set(systems[key]) <= set(results.VOCABULARY[key])


@reference
def test_every_system_has_a_record_of_the_reference_run_where_its_chapter_is_current():
    """Chapters that were rewritten since they were executed have their records with their next execution."""
    systems = pd.read_csv(ROOT / "book/systems.csv")
    found = scoreboard.find_systems(systems, results.read(ROOT / "book/reference/results.json"))
    missing = found[found.value.isna() & found.chapter.map(is_current)]
    assert not list(missing.system)


def is_current(chapter: str) -> bool:
    """Whether the chapter's code is that of its executed reference."""
    stored, executed = (
        [cell.source for cell in nbformat.read(folder / f"{chapter}.ipynb", as_version=4).cells
         if cell.cell_type == "code" and "injected-parameters" not in cell.metadata.get("tags", [])]
        for folder in (ROOT / "notebooks", ROOT / "book/reference")
    )  # fmt: skip
    return stored == executed


def with_limb_leads(signal: np.ndarray) -> np.ndarray:
    """Twelve leads of which III to aVF follow from I and II."""
    signal[2:6] = np.array(list(DERIVED.values())) @ signal[:2]
    return signal


@pytest.mark.slow
@reference
def test_the_models_to_take_away_are_small_and_answer(monkeypatch):
    monkeypatch.chdir(ROOT)
    files = sorted(Path("book/reference/models").iterdir())
    assert [file.name for file in files] == [
        f"{name}.{end}" for name in ("af", "seizure", "superclass") for end in ("json", "onnx")
    ]
    assert sum(file.stat().st_size for file in files) < 3e6
    rng = np.random.default_rng(0)
    for model in files[1::2]:
        card = cards.read_card(model)
        seconds = 2 * card.samples / card.sampling_rate
        scale = {"mv": 0.1, "uv": 20}[card.unit.lower()]
        signal = rng.normal(scale=scale, size=(len(card.channels), round(200 * seconds)))
        if model.stem == "superclass":
            signal = with_limb_leads(signal)
        answer = predict.predict(signal, model, card.channels, 200, card.unit)
        assert answer.probabilities.shape == (len(card.classes),)
        assert card.bytes == model.stat().st_size
        # The exported superclass net is not scored on fold 10.
        split = "out-of-fold" if model.stem == "superclass" else "test"
        assert {row["split"] for row in card.scores} == {split}


@pytest.mark.slow
def test_the_twenty_lines_that_distil_run(tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "book/distil.md").read_text(), flags=re.DOTALL)
    assert len([line for line in code.splitlines() if line]) <= 20
    ptbxl.write(tmp_path / "data/ptb-xl", records=200, seed=1)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(code.replace("epochs=30", "epochs=1"), names)  # noqa: S102 our own page
    assert names["probabilities"].shape == (len(names["rows"]["test"]), 5)


@pytest.mark.slow
def test_the_lines_that_ask_a_model_run(tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "book/predict.md").read_text(), flags=re.DOTALL)
    ptbxl.write(tmp_path / "ptb-xl", records=12, seed=1)
    for file in (tmp_path / "ptb-xl/records100/00000").glob("00001_lr.*"):
        shutil.copy(file, tmp_path / (file.name if file.suffix == ".dat" else "recording.hea"))
    net = models.create("student-4k", 12, 5, 250).eval()
    export.export(net, torch.zeros(2, 12, 250), tmp_path / "superclass.onnx")
    card = cards.Card("student-4k", "superclass", LEADS, "mV", 100.0, 250, 1.25, "mean", SUPERCLASSES, False, (0.5,) * 5,
                         "nothing", (), 1, 1, 1.0, ())  # fmt: skip
    cards.write_card(card, tmp_path / "superclass.onnx")
    monkeypatch.chdir(tmp_path)
    array = with_limb_leads(np.random.default_rng(0).normal(size=(12, 5000)))
    names = {"array": array, "names": LEADS}
    exec(code, names)  # noqa: S102 our own page
    assert names["answer"].probabilities.shape == (5,)
