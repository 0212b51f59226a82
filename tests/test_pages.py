"""The rendered pages in a real browser: on a desk and on a phone, light and dark, without a network."""

import functools
import gzip
import http.server
import json
import re
import shutil
import tempfile
import threading
import urllib.request
from base64 import b64encode
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import wfdb
import yaml

import test_readers_csv
from biosignals.data import readers
from biosignals.data.channel_names import DERIVED, LEADS
from biosignals.deployment import explain, predict
from conftest import EARLIER_PATTERN, ROOT, render

selenium = pytest.importorskip("selenium", reason="selenium is not installed; the extra `test` brings it")
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (BROWSER and DRIVER), reason="no Chromium with a chromedriver is installed"),
]

WIDTHS = {"desk": 1280, "phone": 390}


def listed() -> list[str]:
    """Every page of the table of contents."""
    toc = yaml.safe_load((ROOT / "book/_toc.yml").read_text())
    return [toc["root"], *(entry["file"] for part in toc["parts"] for entry in part["chapters"])]


@pytest.fixture(scope="session")
def pages(tmp_path_factory) -> Path:
    """The folder of the pages of the reference run."""
    return render(tmp_path_factory.mktemp("book"))


@pytest.fixture(scope="session")
def address(pages) -> Iterator[str]:
    """Where the book of the reference run is served on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(pages)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="session")
def browser() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": FAULTS})
    yield driver
    driver.quit()


FAULTS = (Path(__file__).parent / "page_faults.js").read_text()


def open_page(browser: webdriver.Chrome, address: str, width: str = "desk") -> None:
    metrics = {"width": WIDTHS[width], "height": 900, "deviceScaleFactor": 1, "mobile": width == "phone"}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(address)


def requests(browser: webdriver.Chrome) -> list[str]:
    """The addresses that pages have asked for since this was last called."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [message["params"] for message in messages if message["method"] == "Network.requestWillBeSent"]
    return [one["request"]["url"] for one in sent]


def test_links_to_the_repository_are_off_until_its_address_is_set(pages):
    assert yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"] == ""
    for page in pages.glob("book/**/*.html"):
        assert not re.search(r"mybinder|colab.research|github.com/[\w-]+/[\w-]+/blob", page.read_text())


@pytest.mark.parametrize("page", listed())
def test_a_page_is_whole_readable_and_stands_alone(page, browser, address):
    requests(browser), browser.get_log("browser")
    found = {}
    for width in WIDTHS:
        open_page(browser, f"{address}/{page}.html", width)
        for theme in ("light", "dark"):
            faults = browser.execute_script(
                "return pageFaults(arguments[0], arguments[1])", theme, width == "desk"
            )
            excused = ("alt", "code", "table") if Path(page).name in EARLIER_PATTERN else ()
            for kind in faults.keys() - set(excused):
                found |= {f"{width}, {theme}: {kind}": faults[kind][:5]} if faults[kind] else {}
    assert not found
    assert not [url for url in requests(browser) if not url.startswith((address, "data:", "blob:"))]
    assert not [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


@pytest.mark.parametrize("words", ["focal loss", "QRS", "int8", "심방세동"])
def test_search_finds(words, browser, address):
    open_page(browser, f"{address}/search.html?q={words}")
    results = WebDriverWait(browser, 20).until(lambda b: b.find_elements(By.CSS_SELECTOR, "ul.search li a"))
    assert results


@pytest.mark.parametrize("width", WIDTHS)
def test_a_closer_look_replaces_the_drawing_in_the_pages_colours(width, browser, address):
    open_page(browser, f"{address}/book/scores.html", width)
    requests(browser)
    browser.find_element(By.CSS_SELECTOR, "figure.plot > button").click()
    points = "figure.plot .js-plotly-plot .scatterlayer .point"
    assert len(WebDriverWait(browser, 30).until(lambda b: b.find_elements(By.CSS_SELECTOR, points))) > 10
    assert not browser.find_elements(By.CSS_SELECTOR, "figure.plot > svg, figure.plot > button")
    label = "return getComputedStyle(document.querySelector('.js-plotly-plot .xtick text')).fill"
    before = browser.execute_script(label)
    browser.execute_script("document.documentElement.dataset.theme = 'dark'")
    WebDriverWait(browser, 10).until(lambda b: b.execute_script(label) != before)
    assert not browser.execute_script("return pageFaults('dark', false)")["sideways"]
    assert all(url.startswith((address, "data:", "blob:")) for url in requests(browser))


def test_the_front_page_says_what_it_is_on_one_screen(browser, address):
    open_page(browser, f"{address}/book/intro.html")
    bottom = "return Math.max(...[...document.querySelectorAll(arguments[0])].map(e => e.getBoundingClientRect().bottom))"
    for what, count in {"figure.plot svg": 1, ".findings .sd-card": 5, ".doors a": 4}.items():
        assert len(browser.find_elements(By.CSS_SELECTOR, what)) == count
        assert browser.execute_script(bottom, what) <= 900, what


def test_marks_are_lighter_on_a_dark_page(browser, address):
    open_page(browser, f"{address}/book/scores.html")
    colour = """
        document.documentElement.dataset.theme = arguments[0];
        const mark = document.querySelector("figure.plot > svg use[style*='fill: #0c6ca8']");
        return getComputedStyle(mark).fill.match(/\\d+/g).map(Number);
    """
    light, dark = (browser.execute_script(colour, theme) for theme in ("light", "dark"))
    assert all(one < other for one, other in zip(light, dark))


def test_the_names_of_a_term_stand_side_by_side(browser, address):
    open_page(browser, f"{address}/book/glossary.html")
    gap = """
        const ends = [...document.querySelectorAll("dl.glossary dt + dt")].map(name => {
            const range = document.createRange();
            range.selectNode(name.previousElementSibling.firstChild);
            const [one, other] = [range.getBoundingClientRect(), name.getBoundingClientRect()];
            return Math.abs(one.top - other.top) < 12 ? other.left - one.right : 0;
        });
        return Math.max(...ends);
    """
    assert browser.execute_script(gap) < 8


def test_the_bibliography_is_found_by_author_and_year(browser, address):
    """As the text cites it, and not by keys that it does not show."""
    open_page(browser, f"{address}/book/references.html")
    entries = browser.find_elements(By.CSS_SELECTOR, "div.citation")
    assert len(entries) > 40 and not [entry for entry in entries[:5] if entry.text.startswith("[")]


def test_equations_are_drawn_by_the_browser_in_the_books_own_font(browser, address, tmp_path):
    """A fraction is set above its bar, whatever the page; here one that is put onto a page."""
    open_page(browser, f"{address}/book/predict.html")
    fraction = """
        const place = document.querySelector("article p");
        place.innerHTML = "<math display='block'><mfrac><mi>a</mi><mi>b</mi></mfrac></math>";
        await document.fonts.ready;
        const [a, b] = place.querySelectorAll("mi");
        return [a.getBoundingClientRect().bottom <= b.getBoundingClientRect().top + 1,
                document.fonts.check("16px 'STIX Two Math'", "a")];
    """
    assert browser.execute_script(fraction) == [True, True]


# The page that runs models in the browser

ENDED = ("answered", "done", "refused")
BYTES = "const bytes = content => Uint8Array.from(atob(content), c => c.charCodeAt());"
DROP = (
    BYTES
    + """
    const transfer = new DataTransfer();
    for (const [name, content] of Object.entries(arguments[0]))
        transfer.items.add(new File([typeof content === "string" ? bytes(content) : new Uint8Array(content)], name));
    demo.dataset.state = "dropped";
    document.dispatchEvent(new DragEvent("drop", {dataTransfer: transfer, cancelable: true}));
"""
)
SHOWN = """
    const values = answer => [...answer.querySelectorAll("data")].map(data => Number(data.value));
    return {
        state: demo.dataset.state, text: demo.querySelector("[role=status]").textContent,
        answers: Object.fromEntries([...demo.querySelectorAll(".answer")].map(a => [a.dataset.model, values(a)])),
    };
"""
READ = (
    BYTES
    + """
    const [root, cases, done] = arguments;
    import(`${root}/_static/demo/readers.js`).then(async ({read}) => {
        const found = [];
        for (const [name, content, rate] of cases)
            await read(new Map([[name, new Blob([bytes(content)])]]), {rate, unit: null}).then(
                ({parts: [part]}) => found.push({...part, values: part.values.map(row => Array.from(row))}),
                error => found.push(error.message));
        done(found);
    });
"""
)


@pytest.fixture
def demo(browser, address):
    """The page, opened anew, ready for a recording."""
    open_page(browser, f"{address}/book/try-it.html")
    if not browser.find_elements(By.ID, "demo"):
        pytest.skip("the book was built without ONNX Runtime for browsers: npm or its registry is missing")
    wait_for(browser, "ready")
    return browser


def wait_for(browser: webdriver.Chrome, *states: str) -> dict:
    """What the page shows once it is in one of the states."""
    state = "return document.getElementById('demo').dataset.state"
    WebDriverWait(browser, 60).until(lambda b: b.execute_script(state) in states)
    return browser.execute_script(SHOWN)


def drop(browser: webdriver.Chrome, files: dict[str, bytes | int]) -> dict:
    """What the page shows of files that are dropped on it, a number: so many zeros."""
    encoded = {
        name: content if isinstance(content, int) else b64encode(content).decode()
        for name, content in files.items()
    }
    browser.execute_script(DROP, encoded)
    return wait_for(browser, *ENDED)


def model(name: str) -> Path:
    return ROOT / f"book/reference/models/{name}.onnx"


def check_answers(shown: dict, path: Path) -> None:
    """The page shows what the library predicts, for the models whose channels are there."""
    assert shown["state"] != "refused", shown["text"]
    expected = {}
    for name in ("superclass", "af", "seizure"):
        try:
            expected[name] = predict.predict(path, model(name)).probabilities
        except predict.MissingChannels:
            continue
    assert shown["answers"].keys() == expected.keys()
    for name, probabilities in expected.items():
        np.testing.assert_allclose(shown["answers"][name], probabilities, atol=1e-3)


def ecg(seconds: float = 10, rate: int = 250, leads: int = 12) -> np.ndarray:
    """Beats (leads, samples), mV, of which III, aVR, aVL and aVF follow from I and II."""
    time = np.arange(round(seconds * rate)) / rate
    beats = np.exp(-(((time % 0.8 - 0.3) / 0.012) ** 2)) + 0.2 * np.exp(-(((time % 0.8 - 0.55) / 0.04) ** 2))
    noise = np.random.default_rng(0).normal(0, 0.01, (12, len(time)))
    x = np.linspace(0.5, 1.4, 12)[:, None] * beats + noise
    x[2:6] = np.array(list(DERIVED.values())) @ x[:2]
    return x[:leads]


def record(x: np.ndarray, names: Sequence[str] = LEADS, rate: int = 250, form: str = "16", unit: str = "mV",
           gain: float = 2000) -> dict[str, bytes]:  # fmt: skip
    """The files of a WFDB record of x (channels, samples)."""
    count = len(x)
    with tempfile.TemporaryDirectory() as folder:
        wfdb.wrsamp(
            "r", rate, [unit] * count, list(names)[:count], x.T, fmt=[form] * count, adc_gain=[gain] * count,
            baseline=[0] * count, write_dir=folder,
        )  # fmt: skip
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def lay(folder: Path, files: dict[str, bytes]) -> Path:
    """Writes files; the one to be read."""
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder / next(iter(sorted(files, key=lambda name: not name.endswith(".hea"))))


@pytest.mark.parametrize("number", range(5))
def test_samples_get_the_librarys_answers(number, demo, address, tmp_path):
    fetched = "const {default: known} = await import(arguments[0]); return known.samples"
    samples = demo.execute_script(fetched, f"{address}/_static/demo/constants.js")
    assert len(samples) == 5
    files = {}
    for name in samples[number]["files"]:
        with urllib.request.urlopen(f"{address}/_static/demo/samples/{name}") as file:
            files[name] = file.read()
    click = "demo.dataset.state = 'clicked'; demo.querySelectorAll('.samples button')[arguments[0]].click()"
    demo.execute_script(click, number)
    check_answers(wait_for(demo, *ENDED), lay(tmp_path, files))


def apple(x: np.ndarray, rate: int) -> str:
    """An ECG as Apple Health exports it, in German."""
    head = f'Name,"Muster, M."\nKlassifizierung,Sinusrhythmus\nAbtastrate,{rate} Hertz\n\nAbleitung,Ableitung I\nEinheit,µV\n\n'
    return head + "".join(f'"{value:.3f}"\n'.replace(".", ",") for value in 1000 * x[0])


DROPPED = {
    "format 16": record(ecg()),
    "format 212": record(ecg(leads=2), form="212", gain=500),
    "format 24, in volts": record(ecg(20, 360) / 1000, rate=360, form="24", unit="V", gain=1e6),
    "a minute": record(ecg(60, leads=1), names=["ECG"]),
    "six seconds": record(ecg(6, 500), rate=500),
    "CSV": {"r.csv": ("time," + ",".join(LEADS) + "\n" + "".join(
        ",".join(f"{value:.6g}" for value in (row / 250, *sample)) + "\n" for row, sample in enumerate(ecg().T)
    )).encode()},
    "Apple Health": {"ecg.csv": apple(ecg(30, 512), 512).encode()},
}  # fmt: skip


@pytest.mark.parametrize("files", DROPPED.values(), ids=DROPPED)
def test_dropped_recordings_get_the_librarys_answers(files, demo, tmp_path):
    check_answers(drop(demo, files), lay(tmp_path, files))


def with_values(x: np.ndarray, lead: int, start: int, stop: int, value: float) -> np.ndarray:
    x = x.copy()
    x[lead, start:stop] = value
    return x


REFUSED = {
    "millivolts that are microvolts": record(1000 * ecg(), gain=2),
    "too small": record(ecg() / 1000, gain=1e6),
    "no voltage": record(ecg(), unit="mmHg"),
    "too short": record(ecg(2)),
    "too slow": record(ecg(rate=50), rate=50),
    "a lead that never moves": record(with_values(ecg(), 0, 0, 2500, 0)),
    "a lead that stands still": record(with_values(ecg(), 0, 500, 900, 0.1)),
    "a name that stands twice": record(ecg(), names=["I", "Lead I", *LEADS[2:]]),
    "unknown names": record(ecg(), names=[f"X{number}" for number in range(12)]),
    "a single unknown name": record(ecg(leads=1), names=["chest"]),
    "an offset": record(ecg() + 9),
    "a damaged header": {"r.hea": b"r 12 250 2500\nnonsense\n"},
    "no header": {"r.dat": b"1234"},
    "no signal file": {"r.hea": record(ecg())["r.hea"]},
    "cut short": (files := record(ecg())) | {"r.dat": files["r.dat"][:-400]},
    "a changed byte": files | {"r.dat": files["r.dat"][:-1] + bytes([files["r.dat"][-1] ^ 1])},
    "a file elsewhere": files | {"r.hea": files["r.hea"].replace(b"r.dat", b"../r.dat")},
    "no rate": {"r.csv": b"I\n0.1\n0.2\n0.1\n"},
    "times with a jump": {"r.csv": b"time,I\n" + b"".join(b"%d,%d\n" % (t + 9 * (t > 50), t % 7) for t in range(100))},
    "words": {"r.csv": b"a text\nof words\n"},
    "a picture": {"r.png": b"\x89PNG"},
}  # fmt: skip


@pytest.mark.parametrize("files", REFUSED.values(), ids=REFUSED)
def test_refusals_are_those_of_the_library(files, demo, tmp_path):
    shown, path = drop(demo, files), lay(tmp_path, files)
    try:
        signal = readers.read(path)
    except readers.InvalidRecording as error:
        assert (shown["state"], shown["text"]) == ("refused", f"refused: {error}")
        return
    reasons = {}
    for name in ("af", "superclass", "seizure"):
        try:
            expected = predict.predict(signal, model(name)).probabilities
            np.testing.assert_allclose(shown["answers"][name], expected, atol=1e-3)
        except readers.InvalidRecording as error:
            reasons[name] = error
    page = demo.execute_script("return demo.textContent")
    assert reasons
    for name, error in reasons.items():
        assert name not in shown["answers"]
        if not isinstance(error, predict.MissingChannels) or len(reasons) == 3:
            assert str(error) in page


def test_tables_are_read_as_by_the_library(demo, address, tmp_path):
    cases = [(f"{number}.csv", text, None) for number, text in enumerate(test_readers_csv.DIALECTS.values())]
    cases += [("rate.csv", test_readers_csv.table(test_readers_csv.SINE), 250)]
    encoded = [[name, b64encode(text.encode()).decode(), rate] for name, text, rate in cases]
    for (name, text, rate), found in zip(
        cases, demo.execute_async_script(READ, address, encoded), strict=True
    ):
        (tmp_path / name).write_text(text, newline="")
        expected = readers.read(tmp_path / name, rate)
        assert not isinstance(found, str), f"{found} {text[:50]}"
        assert (tuple(found["channels"]), tuple(found["units"])) == (expected.channels, expected.units)
        assert found["rate"] == expected.sampling_rate
        np.testing.assert_allclose(found["values"], expected.values, atol=1e-5)


@pytest.mark.parametrize(
    "files",
    [
        {"r.csv": b""},
        {"r.hea": b""},
        {"r.csv": bytes(range(256)) * 400},
        {"r.hea": bytes(range(256)) * 40},
        {"r.csv": 1 << 20},
        {"r.csv": b"1\n" * 1_600_000},
        {"r.csv": (1 << 25) + 1},
        {"r.csv": b"a" + b" " * 200_000 + b"b\n1\n2\n"},
        {"r.hea": b"r 1 250\nr.dat 16 200/mV 16 0 0 0 0 I\n", "r.dat": 1 << 20},
        {"a\0b<img src=x>.csv": b"1\n2\n"},
        {"one.csv": b"1\n", "other.csv": b"1\n"},
        {"r.edf": b"0", "r": b"0"},
        {"__proto__.csv": b"__proto__,constructor\n1,2\n3,4\n"},
    ],
    ids=range(13),
)
def test_whatever_is_dropped_ends_with_a_sentence_and_the_next_file_with_an_answer(files, demo):
    shown = drop(demo, files)
    assert shown["state"] == "refused" and re.match(r"(refused: )?\S.* \S", shown["text"])
    assert not re.search(r"cannot be read|The page failed|[^\n\S ]|\0", shown["text"])
    assert not demo.execute_script("return demo.querySelector('img')")
    assert drop(demo, record(ecg(leads=1)))["answers"].keys() == {"af"}
    assert not [entry for entry in demo.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


@pytest.mark.parametrize("width", WIDTHS)
def test_an_answer_is_readable_light_and_dark_and_nothing_leaves_the_machine(width, browser, address, demo):
    requests(browser), browser.get_log("browser")
    open_page(browser, f"{address}/book/try-it.html", width)
    wait_for(browser, "ready")
    drop(browser, record(ecg(12, leads=1)))
    wait_for(browser, "done")
    assert browser.find_elements(By.CSS_SELECTOR, "#demo figure svg .coarse")
    assert browser.find_elements(By.CSS_SELECTOR, "#demo figure svg .dots[d^=M]")
    for theme in ("light", "dark"):
        faults = browser.execute_script(
            "return pageFaults(arguments[0], arguments[1])", theme, width == "desk"
        )
        assert not {kind: found for kind, found in faults.items() if found}, theme
    asked = requests(browser)
    assert any(url.endswith(".wasm") for url in asked)
    assert not [url for url in asked if not url.startswith((f"{address}/", "data:", "blob:"))]
    weight = 0
    for url in {url for url in asked if url.startswith(address)}:
        with urllib.request.urlopen(url) as file:
            weight += len(gzip.compress(file.read()))
    assert weight < 15e6
    assert not [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


def test_dots_stand_where_the_library_says_that_the_model_looked(demo, address, tmp_path):
    files = record(ecg(12, leads=1))
    signal = readers.read(lay(tmp_path, files))
    expected = explain.explain(signal, model("af"), predict.predict(signal, model("af")))
    drop(demo, files)
    wait_for(demo, "done")
    heaviest = """
        const paths = [...demo.querySelectorAll("figure svg .dots[d^=M]")];
        return paths.at(-1).getAttribute("d").match(/M[\\d.]+/g).map(x => Number(x.slice(1)));
    """
    second = int(expected.weights[0].argmax()) / 125
    width = demo.execute_script("return demo.querySelector('figure svg').viewBox.baseVal.width")
    assert min(abs(x / width * 10 - second) for x in demo.execute_script(heaviest)) < 0.05
