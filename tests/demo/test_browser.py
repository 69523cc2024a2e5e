"""Tests of the page in a headless browser, with the actions of a visitor."""

import base64
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from commands.write_deps import ROOT
from src.boxes.overlap import iou
from src.demo.photo import MAX_BYTES, MAX_UPLOAD
from tests.browser import browser
from tests.trained import encoded, scene

NEAR_MS = 300  # from the move of a slider to the changed picture
DROP = """([name, content]) => {
  const bytes = typeof content === "number"
    ? new Uint8Array(content) : Uint8Array.from(atob(content), letter => letter.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], name, {type: "image/png"}));
  return data;
}"""
# Set a slider, wait until the picture changes, and return the milliseconds between the two.
MOVE = """([place, number, value]) => new Promise((done, fail) => {
  const root = document.getElementById(place);
  const slider = root.querySelectorAll("input[type=range]")[number];
  const before = root.querySelector(".boxes").innerHTML;
  const start = performance.now();
  const watcher = new MutationObserver(() => {
    const now = root.querySelector(".boxes");
    if (now && now.innerHTML !== before) { watcher.disconnect(); done(performance.now() - start); }
  });
  watcher.observe(root, {childList: true, subtree: true, characterData: true});
  setTimeout(() => fail(new Error("nothing changed")), 10000);
  slider.value = value;
  slider.dispatchEvent(new Event("input", {bubbles: true}));
})"""


class Served:
    """The page's address, and the log of its process."""

    def __init__(self, address: str, log: Path) -> None:
        self.address, self.log = address, log

    def lines(self, kind: str) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if line.startswith(kind)]


@pytest.fixture(scope="module")
def served(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    if not find_spec("gradio"):
        pytest.skip("needs gradio, of requirements.txt")
    log = tmp_path_factory.mktemp("served") / "log"
    log.touch()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.demo.server", str(log)],
        cwd=made,
        env={**os.environ, "PYTHONPATH": str(ROOT), "DEVICE": "cpu", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    try:
        yield Served(process.stdout.readline().strip(), log)
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as found:
        yield found


@pytest.fixture
def page(served: Served, chromium: Any) -> Iterator[Any]:
    """Open the page; check after the test that its console has no error and that it contacted no other machine."""
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    wrong: list[str] = []
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: None if _near(request.url, served) else wrong.append(request.url))
    page.goto(served.address)
    page.wait_for_selector("#ssd300 svg")
    page.wrong = wrong
    yield page
    found = list(wrong)  # what the page says of its own connections while it is being closed is no fault of ours
    page.close()
    assert not found
    assert not served.lines("connect")


def _near(url: str, served: Served) -> bool:
    return url.startswith((served.address, "data:", "blob:"))


def drop(page: Any, name: str, content: bytes | int) -> None:
    """Drop a file on the drop zone, as from the desktop; `content` is its bytes or a number of zero bytes."""
    sent = content if isinstance(content, int) else base64.b64encode(content).decode()
    data = page.evaluate_handle(DROP, [name, sent])
    page.get_by_text("Drop File Here").dispatch_event("drop", {"dataTransfer": data})


def wait(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing came of it"
        time.sleep(0.05)


def boxes(page: Any, place: str) -> int:
    return page.locator(f"#{place} svg rect").count()


def marked(page: Any) -> list[int]:
    """Return the numbers of the test images that are marked as the one shown."""
    outlines = page.evaluate(
        "[...document.querySelectorAll('#examples button')].map(one => getComputedStyle(one).outlineColor)"
    )
    return [number for number, colour in enumerate(outlines) if colour == "rgb(213, 94, 0)"]


def looked(page: Any) -> None:
    """Wait until every method has run on the photo: the classifiers are the last."""
    wait(lambda: page.locator("#mobilenet_v3 meter").count() == 5)


def test_a_dropped_photo_shows_boxes_and_sliders_act_at_once_without_a_pass(page: Any, served: Served) -> None:
    drop(page, "boat.png", encoded(scene(180, 240)))
    looked(page)
    assert "boat, processed at 240 x 180 pixels" in page.inner_text("#message")
    assert boxes(page, "rcnn") >= 30, "proposals"
    assert "selective search" in page.inner_text("#rcnn")
    passes = len(served.lines("pass"))
    assert passes >= 4, "every network has looked"
    times = {
        "ssd300": [page.evaluate(MOVE, ["ssd300", 0, value]) for value in (0.1, 0.9, 0.2, 0.9, 0.1)],
        "rpn": [page.evaluate(MOVE, ["rpn", 0, value]) for value in (0.1, 0.9, 0.2, 0.9)],
        "rcnn": [page.evaluate(MOVE, ["rcnn", 1, value]) for value in (-2, 2, -1.5, 1.5)],
    }
    assert boxes(page, "ssd300") > 0
    assert len(served.lines("pass")) == passes
    busy = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))  # other tests may run at the same time
    assert max(min(some) for some in times.values()) < NEAR_MS * busy, times  # the best of four


def test_the_page_begins_with_a_scene_that_is_already_computed(page: Any, served: Served) -> None:
    passes = len(served.lines("pass"))
    assert boxes(page, "rcnn") > 0
    assert marked(page) == [0]
    assert "000001, processed at 120 x 90 pixels; not run: mobilenet_v3, trained on" in page.inner_text("#message")
    assert page.locator("#mobilenet_v3").count() == 0, "a classifier of digits is not for scenes"
    assert page.locator("#rcnn .truth path").first.is_visible()
    page.get_by_label("Draw the true objects").uncheck()
    page.wait_for_selector("#rcnn g.truth", state="hidden")
    assert len(served.lines("pass")) == passes


def test_a_test_image_is_picked_and_a_method_left_out(page: Any, served: Served) -> None:
    page.get_by_label("RPN", exact=True).uncheck()
    page.wait_for_selector("#rpn", state="hidden")
    page.locator("button.thumbnail-item").nth(1).click()
    wait(lambda: "000002, processed at 80 x 120 pixels" in page.inner_text("#message"))
    wait(lambda: boxes(page, "rcnn") > 0)
    page.get_by_label("RPN", exact=True).check()
    wait(lambda: page.locator("#rpn figure").count() == 1)


def test_a_method_that_is_unticked_during_a_run_stays_away_and_a_slider_keeps_its_picture(page: Any) -> None:
    drop(page, "boat.png", encoded(scene(480, 640)))
    wait(lambda: "boat, processed" in page.inner_text("#message"))
    page.get_by_label("RPN", exact=True).uncheck()
    page.wait_for_selector("#rpn", state="hidden", timeout=5000)
    assert page.locator("#mobilenet_v3 meter").count() == 0, "the run goes on"
    page.evaluate(
        """window.back = 0; new MutationObserver(() => { window.back += document.querySelectorAll("#rpn").length; })
        .observe(document.getElementById("found"), {childList: true, subtree: true, attributes: true})"""
    )
    wait(lambda: boxes(page, "rcnn") > 0)
    page.evaluate(MOVE, ["rcnn", 0, 10])
    looked(page)
    page.wait_for_timeout(1000)
    assert page.evaluate("window.back") == 0
    assert "proposals of selective search: 10 of" in page.inner_text("#rcnn")


def test_the_scene_chosen_last_is_the_one_shown(page: Any) -> None:
    for number in (1, 0, 1, 0, 1):
        page.locator("button.thumbnail-item").nth(number).click()
    wait(lambda: "000002" in page.inner_text("#message") and page.locator("#found figure").count() == 7)
    page.wait_for_timeout(1000)
    assert "000002" in page.inner_text("#message")
    views = page.evaluate("[...document.querySelectorAll('.boxes svg')].map(one => one.getAttribute('viewBox'))")
    assert set(views) == {"0 0 80 120"}


@pytest.mark.parametrize(
    ("name", "content"), [("broken.png", b"no photo"), ("letter.txt", b"Dear"), ("empty.png", b"")]
)
def test_what_is_no_photo_is_said_on_the_page_and_the_next_photo_is_welcome(
    page: Any, name: str, content: bytes
) -> None:
    page.locator("button.thumbnail-item").nth(1).click()
    wait(lambda: marked(page) == [1])
    drop(page, name, content)
    wait(lambda: f"{name}: this is not a readable image" in page.inner_text("#message"))
    wait(lambda: page.locator("#found figure").count() == 0)
    assert marked(page) == []
    assert "000002" not in page.inner_text("#message")
    drop(page, "boat.png", encoded(scene(60, 80)))
    looked(page)
    assert "not a readable image" not in page.inner_text("#message")
    assert page.locator(".toast-body").count() == 0


def test_an_upload_that_begins_late_is_no_error(page: Any) -> None:
    """The page asks for the progress before the upload arrives; the fixture fails if the console has an error."""
    page.route("**/upload?*", lambda route: (time.sleep(5), route.continue_()))
    drop(page, "empty.png", b"")
    wait(lambda: "empty.png: this is not a readable image" in page.inner_text("#message"))


def test_no_two_names_overlap_as_the_browser_writes_them(page: Any) -> None:
    page.evaluate(MOVE, ["ssd300", 0, 0.05])
    places = page.evaluate(
        """[...document.querySelectorAll('.boxes svg')].map(svg => [...svg.querySelectorAll('text')].map(one => {
          const box = one.getBBox(); return [box.x, box.y, box.x + box.width, box.y + box.height]; }))"""
    )
    assert sum(map(len, places)) > 3
    for names in map(np.array, places):
        if len(names):
            assert np.triu(iou(names, names), 1).max() < 0.02, "but for a font's line height"


def test_too_large_a_file_is_refused_with_a_message(page: Any) -> None:
    drop(page, "large.png", MAX_BYTES + 100_000)
    wait(lambda: "large.png: the file has 20.1 MB, more than the allowed 20 MB" in page.inner_text("#message"))


def test_a_file_that_the_server_does_not_accept_is_refused_in_place_and_the_photo_stays(page: Any) -> None:
    drop(page, "huge.png", MAX_UPLOAD + 1)
    wait(lambda: page.locator("#too-large").is_visible())
    assert page.inner_text("#too-large") == (
        "huge.png: the file has 100.0 MB, more than the allowed 20 MB. The photo before stays."
    )
    assert "000001" in page.inner_text("#message")
    assert page.locator(".toast-body").count() == 0
    drop(page, "boat.png", encoded(scene(60, 80)))
    looked(page)
    assert page.locator("#too-large").is_hidden()


def test_a_link_opens_the_same_image_with_the_same_settings(page: Any) -> None:
    page.locator("button.thumbnail-item").nth(1).click()
    wait(lambda: "000002" in (page.locator("#link a").get_attribute("href") or ""))  # all methods have run on it
    page.get_by_label("RPN", exact=True).uncheck()
    page.wait_for_selector("#rpn", state="hidden")
    page.wait_for_selector("#ssd300 .boxes svg")
    page.evaluate(MOVE, ["ssd300", 0, 0.05])
    page.get_by_label("Draw the true objects").uncheck()
    wait(lambda: "ssd300=0.05" in (link := page.locator("#link a").get_attribute("href")) and "truth=no" in link)
    before = page.locator("#ssd300 .boxes svg").inner_html()
    page.locator("#link a").click()
    wait(lambda: "000002" in page.inner_text("#message") and page.locator("#rpn").count() == 0)
    wait(lambda: page.locator("#ssd300 .boxes svg").count() == 1)
    assert page.locator("#ssd300 .boxes svg").inner_html() == before
    assert page.locator("#ssd300 input[type=number]").first.input_value() == "0.05"
    assert not page.get_by_label("RPN", exact=True).is_checked()
    assert not page.get_by_label("Draw the true objects").is_checked()
    assert page.locator("#ssd300 g.truth").is_hidden()
    assert marked(page) == [1]


def test_a_link_that_does_not_fit_is_said_until_the_next_photo(page: Any, served: Served) -> None:
    page.wait_for_timeout(2000)  # a page that is left while it still asks the server says so on its console
    page.goto(f"{served.address}?image=voc/999999&ssd300=7,0.5")
    wait(lambda: "the test image voc/999999, which is not among" in page.inner_text("#message"))
    assert "The link's numbers for SSD" in page.inner_text("#message")
    assert boxes(page, "rcnn") > 0, "the first scene is shown all the same"
    page.locator("button.thumbnail-item").nth(1).click()
    wait(lambda: "000002" in page.inner_text("#message"))
    assert "999999" not in page.inner_text("#message")


def test_the_page_says_what_the_methods_know_and_how_to_make_a_missing_one(page: Any) -> None:
    assert "The detectors know circle, square." in page.inner_text("body")
    assert page.inner_text("#resnet50 code") == "dvc repro train_classifier@resnet50"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(page: Any, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()
    page.emulate_media(color_scheme=scheme)
    page.reload()
    page.wait_for_selector("#ssd300")
    page.wrong.clear()  # the page that was left may have aborted its own connection
    drop(page, "boat.png", encoded(scene(180, 240)))
    looked(page)
    found = axe.run(page).response["violations"]
    assert not [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")]


def test_sliders_are_reached_by_keyboard(page: Any) -> None:
    drop(page, "boat.png", encoded(scene(180, 240)))
    looked(page)
    slider = page.locator("#rcnn input[type=range]").first
    slider.focus()
    page.keyboard.press("Home")
    wait(lambda: "proposals of selective search: 0" in page.inner_text("#rcnn"))


@pytest.mark.parametrize("typed", ["9", ""])
def test_a_number_beyond_the_slider_is_brought_within_and_no_error(page: Any, typed: str) -> None:
    number = page.locator("#ssd300 input[type=number]").first
    number.fill("0.1")
    wait(lambda: boxes(page, "ssd300") > 0)
    number.fill(typed)
    page.wait_for_timeout(300)
    number.press("Tab")
    wait(lambda: number.input_value() == {"9": "1", "": "0"}[typed])
    assert page.locator(".toast-body").count() == 0


@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_the_screen(page: Any, width: int, tmp_path: Path) -> None:
    """To look at the screenshots: `pytest tests/demo/test_browser.py --basetemp=/tmp/shots`."""
    page.set_viewport_size({"width": width, "height": 900})
    tops = page.evaluate("[...document.querySelectorAll('.boxes svg')].map(one => one.getBoundingClientRect().top)")
    assert min(tops) < 600, "results on the first screen"
    drop(page, "boat.png", encoded(scene(180, 240)))
    looked(page)
    page.evaluate(MOVE, ["ssd300", 0, 0.05])
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    widths = page.evaluate("[...document.querySelectorAll('.boxes svg')].map(one => one.getBoundingClientRect().width)")
    assert len(widths) == 7
    assert min(widths) > 200
    shot = cv2.imdecode(np.frombuffer(page.screenshot(path=tmp_path / "page.png", full_page=True), np.uint8), 1)
    assert shot.shape[1] == width
    assert shot.std() > 10
