"""The page, built from gradio's components. Sliders work on network outputs that the session keeps."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from src.demo.link import IMAGE, METHODS, TRUTH, query, read
from src.demo.panels import ClassifierPanel, Control, DensePanel, Panel, RcnnPanel
from src.demo.photo import MAX_BYTES, MAX_UPLOAD, Example, Photo, Visit, handed_in
from src.demo.place import Place
from src.demo.slider import Threshold
from src.errors import InputError

TITLE = "Detectors and classifiers on a photo"
INTRODUCTION = f"# {TITLE}\nPick a test image or drop a photo. Sliders act at once: no network runs again."
STYLE = Path(__file__).with_name("page.css")
# Events are not part of a public API. Slider events skip the queue, and only the last of several is handled.
PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
LIVE: dict[str, Any] = {**PRIVATE, "queue": False, "trigger_mode": "always_last"}
# All runs have one queue: what an older one still sends arrives before the first word of the next one.
ONE_RUN: dict[str, Any] = {**PRIVATE, "trigger_mode": "multiple", "concurrency_id": "run", "concurrency_limit": 1}
SCRIPT = Path(__file__).with_name("page.js")
NONE = '<p role="status">no photo</p>'


class Shown(NamedTuple):
    """The components of a place."""

    place: Place
    column: gr.Column
    html: gr.HTML
    sliders: list[gr.Slider]


def _shown(place: Place, photo: Photo | None) -> Shown:
    """Lay out the components of a place, filled for the first photo."""
    controls = place.controls
    with gr.Column(min_width=300, elem_id=place.name, visible=place.fits(photo)) as column:
        gr.Markdown(f"## {place.title}")
        html = gr.HTML(place.fill(photo, *(item.value for item in controls)))
        with gr.Row(visible=bool(controls)):
            sliders = [_slider(item) for item in controls]
    return Shown(place, column, html, sliders)


def _slider(item: Control) -> gr.Slider:
    return Threshold(item.least, item.most, item.value, step=item.step, label=item.label, min_width=180)


def build(panels: Mapping[str, Panel | str], examples: Sequence[Example], note: str) -> gr.Blocks:
    """Build the page. It begins with the first example, on which the methods run here, once for all visitors.

    Args:
        panels: panel of each method, or a sentence that says why it has none.
        examples: test images to pick from; may be empty.
        note: text about the methods for the visitor; may be empty.
    """
    places = [Place(name, panel) for name, panel in panels.items()]
    first = examples[0].photo(0) if examples else None
    for place in places:
        if first:
            place.look(first)
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(60, 60)) as page:
        gr.Markdown(f"{INTRODUCTION} {note}", elem_id="introduction")
        with gr.Row(elem_id="desk"):
            with gr.Column(scale=1, min_width=260, elem_id="pick"):
                label = f"Your photo, {MAX_BYTES // 1_000_000} MB at most"
                file = gr.File(label=label, type="filepath", height=130, elem_id="drop")
                gallery = gr.Gallery(
                    [(example.image, example.image_id) for example in examples],
                    label="Test images",
                    columns=3,
                    allow_preview=False,
                    object_fit="contain",
                    interactive=False,
                    visible=bool(examples),
                    buttons=[],
                    elem_id="examples",
                )
                truth = gr.Checkbox(True, label="Draw the true objects, dashed", interactive=True, elem_id="truth")
                choices = [(place.title, place.name) for place in places]
                with gr.Column(elem_id="methods"):
                    chosen = gr.CheckboxGroup(choices, value=list(panels), label="Methods")
            with gr.Column(scale=4, min_width=300, elem_id="found"):
                limits = f'data-most="{MAX_UPLOAD}" data-allowed="{MAX_BYTES // 1_000_000}"'
                gr.HTML(f'<p id="too-large" {limits} class="message" role="alert" hidden></p>')
                message = gr.HTML(_status(first, places), elem_id="message")
                methods = _rows(places, first)
                sliders = [slider for method in methods for slider in method.sliders]
                start = Visit(first, list(panels), [slider.value for slider in sliders])
                link = gr.HTML(_link(start, [method.place for method in methods]), elem_id="link")
        visit = gr.State(start)  # gradio copies it for each session
        settings = [visit, truth, chosen, *sliders]
        results = [message, *(method.column for method in methods), *(method.html for method in methods), link]
        _connect(methods, examples, settings, results, file, gallery)
        _keep(methods, settings, results)
        _open(page, methods, examples, settings, results)
    return page


def _rows(places: Sequence[Place], photo: Photo | None) -> list[Shown]:
    """Lay out three rows: methods with several pictures, methods with one picture, and all others."""
    methods: list[Shown] = []
    for panel_type in (RcnnPanel, DensePanel, ClassifierPanel | str):
        with gr.Row():
            methods += [_shown(place, photo) for place in places if isinstance(place.panel, panel_type)]
    return methods


def _connect(
    methods: list[Shown],
    examples: Sequence[Example],
    settings: list[Any],
    results: list[Any],
    file: gr.File,
    gallery: gr.Gallery,
) -> None:
    """Run the methods on another photo.

    `settings` are visit, true objects, methods and sliders; `results` are the outputs of `_run`, the message first.
    """
    visit, message = settings[0], results[0]

    def uploaded(path: str, visit: Visit) -> tuple[Visit, str, None]:
        visit.photo, visit.refusal, visit.notice = None, NONE, ""
        try:
            visit.photo = handed_in(Path(path))
        except InputError as error:
            visit.refusal = _refusal(f"{Path(path).name}: {error}. Nothing is shown until you choose another photo.")
        said = _status(visit.photo, []) if visit.photo else visit.refusal
        return visit, said, None  # None empties the drop zone for the next photo

    def picked(visit: Visit, event: gr.SelectData) -> tuple[Visit, str]:
        visit.photo, visit.notice = examples[event.index].photo(event.index), ""
        return visit, _status(visit.photo, [])

    each: dict[str, Any] = {**PRIVATE, "trigger_mode": "multiple"}  # one after the other
    events = [
        file.upload(uploaded, [file, visit], [visit, message, file], **each),
        gallery.select(picked, visit, [visit, message], **each),
    ]
    for event in events:
        event.then(partial(_run, methods), visit, results, **ONE_RUN)


def _keep(methods: list[Shown], settings: list[Any], results: list[Any]) -> None:
    """Keep what the visitor sets, and show it at once, also while the methods run. The link follows.

    `settings` are visit, true objects, methods and sliders; `results` are the outputs of `_run`, the link last.
    """
    visit, truth, chosen, *sliders = settings
    columns, link = results[1 : 1 + len(methods)], results[-1]
    places = [method.place for method in methods]

    def dashed(visit: Visit, truth: bool) -> str:
        visit.truth = truth
        return _link(visit, places)

    def ticked(visit: Visit, chosen: list[str]) -> list[Any]:
        visit.methods = chosen
        return [*_columns(visit, places), _link(visit, places)]

    def moved(number: int, visit: Visit, *values: float) -> list[str]:
        visit.values = list(values)
        return [_fill(visit, places, number), _link(visit, places)]

    truth.change(dashed, [visit, truth], link, **LIVE)
    chosen.change(ticked, [visit, chosen], [*columns, link], **LIVE).then(
        partial(_run, methods), visit, results, **ONE_RUN
    )
    for number, method in enumerate(methods):
        for slider in method.sliders:
            slider.change(partial(moved, number), [visit, *sliders], [method.html, link], **LIVE)


def _open(
    page: gr.Blocks,
    methods: list[Shown],
    examples: Sequence[Example],
    settings: list[Any],
    results: list[Any],
) -> None:
    """Begin with the settings of a link that is opened; `settings` and `results` are those of `_keep`."""
    places = [method.place for method in methods]

    def opened(request: gr.Request, visit: Visit) -> Iterator[list[Any]]:
        words = dict(request.query_params)
        if not {IMAGE, METHODS, TRUTH, *(place.name for place in places)} & set(words):
            yield [gr.skip()] * (len(settings) + len(results))
            return
        found = read(words, places, examples)
        visit.notice = "".join(map(_refusal, found.problems))
        visit.methods, visit.values, visit.truth = found.methods, found.values, found.truth
        if found.number is not None and (visit.photo is None or visit.photo.number != found.number):
            visit.photo = examples[found.number].photo(found.number)
        begin = [visit, found.truth, found.methods, *found.values]
        for shown in _run(methods, visit):
            yield [*begin, *shown]
            begin = [gr.skip()] * len(settings)  # the visitor may have moved a slider since

    page.load(opened, settings[0], [*settings, *results], **ONE_RUN)


def _link(visit: Visit, places: Sequence[Place]) -> str:
    photo = visit.photo
    own = " (your photo is not part of it)" if photo and photo.data is None else ""
    target = query(photo, places, visit.methods, visit.values, visit.truth)
    return f'<p><a href="{escape(target)}">Link to these settings</a>{own}</p>'


def _refusal(text: str) -> str:
    return f'<p class="message" role="alert">{escape(text)}</p>'


def _status(photo: Photo | None, places: Sequence[Place]) -> str:
    """Name the photo, and the methods that are not for it."""
    if photo is None:
        return NONE
    height, width = photo.size
    text = f"{photo.image_id}, processed at {width} x {height} pixels"
    if others := [place.title for place in places if not place.fits(photo)]:
        text += f"; not run: {', '.join(others)}, trained on images of another kind"
    return f'<p role="status">{escape(text)}</p>{_mark(photo.number)}'


def _mark(number: int | None) -> str:
    """Mark the test image that is shown. The gallery's own mark stays where it was when another photo is dropped."""
    if number is None:
        return ""
    return f"<style>#examples .gallery-item:nth-child({number + 1}) button {{ outline: 4px solid #d55e00; }}</style>"


def _columns(visit: Visit, places: Sequence[Place]) -> list[Any]:
    return [gr.update(visible=place.name in visit.methods and place.fits(visit.photo)) for place in places]


def _fill(visit: Visit, places: Sequence[Place], number: int) -> str:
    """Return the HTML of a method's place at the sliders' values, also at those that were moved while it was made."""
    before = sum(len(place.controls) for place in places[:number])
    while True:
        values = visit.values
        html = places[number].fill(visit.photo, *values[before : before + len(places[number].controls)])
        if values is visit.values:
            return html


def _run(methods: list[Shown], visit: Visit) -> Iterator[list[Any]]:
    """Run the chosen methods one after the other, and show the result of each as soon as it is ready.

    It ends without another word when the visitor has chosen another photo: no result appears under a wrong name. What
    is shown already is not sent again, because a slider may have changed it.
    """
    photo, places = visit.photo, [method.place for method in methods]

    def contents(ready: Sequence[int]) -> list[Any]:
        line = visit.notice + ((visit.refusal or NONE) if photo is None else _status(photo, places))
        htmls = [_fill(visit, places, number) if number in ready else gr.skip() for number in range(len(places))]
        return [line, *_columns(visit, places), *htmls, _link(visit, places)]

    yield contents(range(len(places)))
    for number, place in enumerate(places):
        if photo and place.name in visit.methods and place.name not in photo.looks and place.fits(photo):
            place.look(photo)
            if visit.photo is not photo:
                return
            yield contents([number])
