"""The page, built from gradio's components. Sliders work on network outputs that the session keeps."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from src.demo.panels import ClassifierPanel, DensePanel, Panel, RcnnPanel
from src.demo.photo import MAX_BYTES, Example, Photo, handed_in
from src.demo.place import Place
from src.errors import InputError

TITLE = "R-CNN, SSD and RPN on a photo"
INTRODUCTION = (
    f"# {TITLE}\n"
    "Drop a photo or pick a test image. Sliders work on the stored outputs of the networks: no network runs again."
)
CSS = """
.boxes { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 270px), 1fr)); gap: 1em; }
.boxes figure { margin: 0; }
.boxes svg { display: block; width: 100%; height: auto; max-height: 75vh; }
.boxes rect { fill: none; }
.boxes text { fill: #000; stroke: #fff; paint-order: stroke; font-family: system-ui, sans-serif; }
.boxes figcaption, .times { margin: 0.4em 0; }
#examples .grid-container { grid-template-columns: repeat(auto-fill, minmax(92px, 1fr)) !important; }
.or, .min_value, .max_value { color: var(--body-text-color) !important; }  /* gradio's grey is too pale to read */
.message { margin: 0; padding: 0.6em; border-left: 4px solid #d55e00; }
"""
# Events are not part of a public API. Slider events skip the queue, and only the last of several is handled.
PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
LIVE: dict[str, Any] = {**PRIVATE, "queue": False, "trigger_mode": "always_last"}


class Shown(NamedTuple):
    """The components of a place."""

    place: Place
    column: gr.Column
    outputs: list[Any]  # components for the contents that `place.fill` returns
    sliders: list[gr.Slider]


def _shown(place: Place) -> Shown:
    """Lay out the components of a place."""
    sliders: list[gr.Slider] = []
    with gr.Column(min_width=340, elem_id=place.name) as column:
        gr.Markdown(f"## {place.title}")
        outputs: list[Any] = [gr.HTML(place.line(None))]
        if isinstance(place.panel, ClassifierPanel):
            outputs.append(gr.Label(show_label=False, num_top_classes=5))
        elif not isinstance(place.panel, str):
            with gr.Row():
                sliders = [
                    gr.Slider(item.least, item.most, item.value, step=item.step, label=item.label, min_width=200)
                    for item in place.panel.controls
                ]
    return Shown(place, column, outputs, sliders)


def build(panels: Mapping[str, Panel | str], examples: Sequence[Example], note: str) -> gr.Blocks:
    """Build the page.

    Args:
        panels: panel of each method, or a sentence that says why it has none.
        examples: test images to pick from; may be empty.
        note: text about the methods for the visitor; may be empty.
    """
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(60, 60)) as page:
        gr.Markdown(f"{INTRODUCTION} {note}")
        with gr.Row():
            label = f"Your photo, {MAX_BYTES // 1_000_000} MB at most"
            file = gr.File(label=label, type="filepath", file_types=["image"], height=300, min_width=300, scale=1)
            gallery = gr.Gallery(
                [(example.image, example.image_id) for example in examples],
                label="Test images",
                columns=6,
                height=300,
                scale=2,
                allow_preview=False,
                object_fit="contain",
                interactive=False,
                visible=bool(examples),
                buttons=[],
                elem_id="examples",
            )
        message = gr.HTML("", elem_id="message")
        places = [Place(name, panel) for name, panel in panels.items()]
        choices = [(place.title, place.name) for place in places]
        chosen = gr.CheckboxGroup(choices, value=list(panels), label="Methods")
        _connect(_rows(places), examples, file, gallery, chosen, message)
    return page


def _rows(places: Sequence[Place]) -> list[Shown]:
    """Lay out three rows: methods with several pictures, methods with one picture, and all others."""
    methods: list[Shown] = []
    for panel_type in (RcnnPanel, DensePanel, ClassifierPanel | str):
        with gr.Row():
            methods += [_shown(place) for place in places if isinstance(place.panel, panel_type)]
    return methods


def _connect(
    methods: list[Shown],
    examples: Sequence[Example],
    file: gr.File,
    gallery: gr.Gallery,
    chosen: gr.CheckboxGroup,
    message: gr.HTML,
) -> None:
    photo = gr.State(None)
    sliders = [slider for method in methods for slider in method.sliders]
    outputs = [output for method in methods for output in method.outputs]

    def uploaded(path: str) -> tuple[Photo | None, str, None]:
        try:
            upload = handed_in(Path(path))
        except InputError as error:
            return None, f'<p class="message" role="alert">{escape(f"{Path(path).name}: {error}")}</p>', None
        return upload, _status(upload), None  # None empties the drop zone for the next photo

    def picked(event: gr.SelectData) -> tuple[Photo, str]:
        example = examples[event.index]
        choice = Photo(example.image, example.image_id, example.data)
        return choice, _status(choice)

    def choose(names: list[str]) -> list[Any]:
        return [gr.update(visible=method.place.name in names) for method in methods]

    events = [
        file.upload(uploaded, file, [photo, message, file], **PRIVATE),
        gallery.select(picked, None, [photo, message], **PRIVATE),
        chosen.change(choose, chosen, [method.column for method in methods], **LIVE),
    ]
    for event in events:
        event.then(partial(_run, methods), [photo, chosen, *sliders], outputs, **PRIVATE)
    for method in methods:
        for slider in method.sliders:
            slider.change(method.place.fill, [photo, *method.sliders], method.outputs, **LIVE)


def _status(photo: Photo) -> str:
    height, width = photo.size
    return f'<p role="status">{escape(photo.image_id)}, processed at {width} x {height} pixels</p>'


def _run(methods: list[Shown], photo: Photo | None, chosen: list[str], *values: float) -> Iterator[list[Any]]:
    """Run the chosen methods one after the other, and show the result of each as soon as it is ready."""

    def contents() -> list[Any]:
        remaining, filled = iter(values), []
        for method in methods:
            content = method.place.fill(photo, *(next(remaining) for _ in method.sliders))
            filled += content if isinstance(content, list) else [content]
        return filled

    yield contents()
    for method in methods:
        if photo and method.place.name in chosen:
            method.place.look(photo)
            yield contents()
