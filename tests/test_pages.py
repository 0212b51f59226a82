"""The rendered pages in a real browser: on a desk and on a phone, light and dark, without a network."""

import functools
import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

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
def address(tmp_path_factory) -> Iterator[str]:
    """Where the book of the reference run is served on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    folder = render(tmp_path_factory.mktemp("book"))
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))
    )
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
