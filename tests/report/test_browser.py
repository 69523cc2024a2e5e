"""The report in a browser: at two widths, in both colour schemes, by keyboard, and checked by axe."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import browser

WIDTHS = [1280, 390]
SCHEMES = ["light", "dark"]


@pytest.fixture(scope="module")
def chromium() -> Iterator:
    with browser() as found:
        yield found


@pytest.fixture
def opened(chromium, built: Path):
    """Open the page; `page.said` has its console messages and `page.asked` the URLs that it requests."""
    contexts = []

    def opened(width: int = 1280, scheme: str = "light", path: Path = built):
        context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.said, page.asked = [], []
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(path.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()


def test_it_opens_from_disk_and_asks_for_nothing_else(opened, built: Path) -> None:
    page = opened()
    assert page.said == []
    assert [url for url in page.asked if not url.startswith("data:")] == [built.as_uri()]
    assert page.title() == "Report of the pipeline: made up"


@pytest.mark.parametrize("width", WIDTHS)
def test_curves_and_pictures_are_there_and_nothing_is_wider_than_the_window(opened, width: int, tmp_path: Path) -> None:
    page = opened(width)
    pictures = page.evaluate("[...document.images].map(image => [image.naturalWidth, image.clientWidth])")
    assert len(pictures) > 30
    assert all(natural > 0 and 0 < shown <= width for natural, shown in pictures)
    lines = page.evaluate(
        "[...document.querySelectorAll('figure.chart:not(.wide) svg')].filter(svg => svg.checkVisibility())"
        ".map(svg => [svg.getBoundingClientRect().width, svg.querySelectorAll('path').length])"
    )
    assert len(lines) > 10
    assert all(200 < shown <= width and paths > 5 for shown, paths in lines)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.screenshot(path=tmp_path / f"{width}.png", full_page=True)
    assert (tmp_path / f"{width}.png").stat().st_size > 100_000


@pytest.mark.parametrize("scheme", SCHEMES)
def test_charts_take_their_colours_from_the_scheme(opened, scheme: str) -> None:
    def brightness(colour: str) -> float:
        return sum(map(float, colour[colour.index("(") + 1 : -1].split(",")[:3])) / 3

    page = opened(scheme=scheme)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    word = page.evaluate("getComputedStyle(document.querySelector('figure.chart:not(.wide) text')).fill")
    assert (brightness(ground) > 128) == (scheme == "light")
    assert abs(brightness(ground) - brightness(word)) > 150


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing(opened, width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()
    page = opened(width, scheme)
    page.evaluate("document.querySelectorAll('details').forEach(item => item.open = true)")
    found = axe.run(page).response["violations"]
    assert [(item["id"], item["impact"], item["nodes"][0]["html"][:200]) for item in found] == []


def test_the_keyboard_reaches_links_tables_that_scroll_and_what_is_folded(opened) -> None:
    page = opened(390)
    reached = []
    for _ in range(600):
        page.keyboard.press("Tab")
        name = page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
        if name.startswith("<body") or (reached and name == reached[0]):
            break
        reached.append(name)
    assert "Skip to the content" in reached[0]
    all_of_them = "nav a, .skip, summary, .word, figure .enlarge, .scroll"
    seen = f"[...document.querySelectorAll('{all_of_them}')].filter(item => item.checkVisibility())"
    wanted = page.evaluate(f"{seen}.length")  # what is in a folded part is not reached
    assert len(reached) == wanted


def test_what_is_folded_opens_and_the_drawing_scrolls_by_keyboard(opened) -> None:
    page = opened(390)
    page.locator("summary").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("details").first.evaluate("item => item.open")
    drawing = page.locator(".chart.wide .scroll")
    drawing.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.activeElement.scrollLeft > 0", timeout=5000)


@pytest.mark.parametrize("width", WIDTHS)
def test_tables_of_real_photos_begin_folded_on_a_narrow_window_alone(opened, width: int) -> None:
    page = opened(width)
    states = page.evaluate("[...document.querySelectorAll('details.wide')].map(item => item.open)")
    assert len(states) >= 3
    assert states == [width > 640] * len(states)


@pytest.mark.parametrize("width", WIDTHS)
def test_no_table_is_wider_than_its_place(opened, width: int) -> None:
    page = opened(width)
    page.evaluate("document.querySelectorAll('details').forEach(item => item.open = true)")
    widths = page.evaluate(
        "[...document.querySelectorAll('table')]"
        ".map(table => [table.caption.innerText, table.scrollWidth, table.parentNode.clientWidth])"
    )
    assert len(widths) > 15
    assert [(name, table, room) for name, table, room in widths if table > room] == []


def test_on_a_phone_each_cell_of_a_wide_table_has_its_columns_name(opened) -> None:
    page = opened(390)
    row = page.locator("#results ~ .columns .cards tbody tr").first
    assert row.inner_text().split("\n")[0] == "R-CNN"
    assert "VOC07, IoU 0.5: 0." in " ".join(row.inner_text().split())


def test_tables_of_results_take_both_halves_of_the_page(opened) -> None:
    places = opened(1280).evaluate(
        "[...document.querySelectorAll('#results ~ .columns > div')].map(half => half.getBoundingClientRect().toJSON())"
    )
    assert [place["left"] < 640 for place in places] == [True, False, True, False]
    assert all(place["width"] > 500 for place in places)
    assert max(abs(places[n]["height"] - places[n + 1]["height"]) for n in (0, 2)) < 400


def test_the_skip_link_shows_when_it_has_the_focus(opened) -> None:
    page = opened()
    page.keyboard.press("Tab")
    box = page.locator(".skip").bounding_box()
    assert box is not None
    assert box["x"] >= 0


def test_a_picture_enlarges_by_click_and_by_key_and_gives_the_focus_back(opened) -> None:
    page = opened()
    picture = page.locator(".enlarge").first
    small = picture.locator("img").bounding_box()["width"]
    picture.click()
    large = page.locator("dialog img")
    assert large.bounding_box()["width"] > 2 * small
    assert large.get_attribute("alt") == picture.locator("img").get_attribute("alt")
    assert page.locator("dialog figcaption").inner_text()
    page.keyboard.press("Escape")
    assert not page.locator("dialog").is_visible()
    assert page.evaluate("document.activeElement.className") == "enlarge"
    page.keyboard.press("Enter")
    assert large.is_visible()
    page.get_by_role("button", name="Close").press("Enter")
    assert not page.locator("dialog").is_visible()
    assert page.said == []


@pytest.mark.parametrize("width", WIDTHS)
def test_an_enlarged_picture_fits_the_window(opened, width: int) -> None:
    page = opened(width)
    page.locator(".enlarge").last.click()
    box = page.locator("dialog").bounding_box()
    assert 0 <= box["x"] <= box["x"] + box["width"] <= width
    assert 0 <= box["y"] <= box["y"] + box["height"] <= 900


@pytest.mark.parametrize("width", WIDTHS)
def test_the_verdict_and_its_chart_are_on_the_first_screen(opened, width: int) -> None:
    page = opened(width)
    for part in (".lead", "#verdict ~ .columns svg"):
        box = page.locator(part).first.bounding_box()
        assert box["y"] + box["height"] <= 900
    assert page.locator("nav").bounding_box()["height"] < 120, "the list of sections leaves room for the verdict"
