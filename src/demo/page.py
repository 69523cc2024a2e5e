"""The page, of gradio's components. What a slider changes is computed from outputs that the session keeps."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from src.demo.figures import figure
from src.demo.panels import ClassifierPanel, DensePanel, Panel, RcnnPanel
from src.demo.photo import MAX_BYTES, SCENES, Example, Photo, handed_in
from src.errors import InputError

TITLE = "R-CNN, SSD and RPN on a photo"
INTRODUCTION = (
    f"# {TITLE}\n"
    "Drop a photo or pick a test image. Sliders act on what the networks have said already: none of them runs again."
)
CSS = """
.boxes { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 270px), 1fr)); gap: 1em; }
.boxes figure { margin: 0; }
.boxes svg { display: block; width: 100%; height: auto; max-height: 75vh; }
.boxes rect { fill: none; }
.boxes text { fill: #000; stroke: #fff; paint-order: stroke; font-family: system-ui, sans-serif; }
.boxes figcaption, .times { margin: 0.4em 0; }
.message { margin: 0; padding: 0.6em; border-left: 4px solid #d55e00; }
"""
# Events are for the page alone, and sliders neither wait in the queue nor pile up behind one another.
PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
LIVE: dict[str, Any] = {**PRIVATE, "queue": False, "trigger_mode": "always_last"}


class Place:
    """Where the page shows one method: its components, and how they are filled."""

    def __init__(self, name: str, panel: Panel | str) -> None:
        """Lay the components out; in place of a panel may stand a sentence that says why there is none."""
        self.name, self.panel = name, panel
        self.title = name if isinstance(panel, str) else panel.title
        self.sliders: list[gr.Slider] = []
        with gr.Column(min_width=340, elem_id=name) as self.column:
            gr.Markdown(f"## {self.title}")
            self.shown: list[Any] = [gr.HTML(self.line(None))]
            if isinstance(panel, ClassifierPanel):
                self.shown.append(gr.Label(show_label=False, num_top_classes=5))
            elif not isinstance(panel, str):
                with gr.Row():
                    self.sliders = [
                        gr.Slider(one.least, one.most, one.value, step=one.step, label=one.label, min_width=200)
                        for one in panel.controls
                    ]

    def look(self, photo: Photo) -> None:
        """The slow part, once a photo."""
        if not isinstance(self.panel, str) and self.name not in photo.looks and self.fits(photo):
            photo.looks[self.name] = self.panel.look(photo.image, photo.image_id)

    def fits(self, photo: Photo) -> bool:
        """Whether the photo may be of the kind that the method knows: a visitor's own may always be."""
        knows = self.panel.data if isinstance(self.panel, ClassifierPanel) else SCENES
        return photo.data in (None, knows)

    def fill(self, photo: Photo | None, *values: float) -> Any:
        """What `shown` shows of a photo at the sliders' values: a list, or the one thing where it is one."""
        look = photo.looks.get(self.name) if photo else None
        html = self.line(photo)
        if isinstance(self.panel, ClassifierPanel):
            return [html, look.raw if look else None]
        if photo and look and not isinstance(self.panel, str):
            views = self.panel.views(look, *values)
            found = (figure(photo.url, photo.size, view.record, view.classes, view.caption) for view in views)
            html += f'<div class="boxes">{"".join(found)}</div>'
        return html

    def line(self, photo: Photo | None) -> str:
        """A line of HTML: the seconds that the method took, or why it shows nothing."""
        if isinstance(self.panel, str):
            text = re.sub("`(.+?)`", r"<code>\1</code>", escape(self.panel))
            return f'<p class="message">{text}</p>'
        look = photo.looks.get(self.name) if photo else None
        if photo is None:
            text = "no photo yet"
        elif not self.fits(photo):
            text = "not shown: this method knows images of another kind"
        else:
            text = look.times() if look else "not looked at yet"
        if isinstance(self.panel, ClassifierPanel):
            text += f"; learnt from the set {self.panel.data}, and says one of its classes whatever the photo shows"
        return f'<p class="times">{escape(text)}</p>'


def build(panels: Mapping[str, Panel | str], examples: Sequence[Example]) -> gr.Blocks:
    """The page.

    Args:
        panels: by method, what shows it, or a sentence that says why it cannot be shown.
        examples: test images to pick from; may be empty.
    """
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(60, 60)) as page:
        gr.Markdown(INTRODUCTION)
        with gr.Row():
            label = f"Your photo, {MAX_BYTES // 1_000_000} MB at most"
            file = gr.File(label=label, type="filepath", file_types=["image"], height=300, min_width=300, scale=1)
            gallery = gr.Gallery(
                [(one.image, one.image_id) for one in examples],
                label="Test images",
                columns=6,
                height=300,
                scale=2,
                allow_preview=False,
                object_fit="contain",
                interactive=False,
                visible=bool(examples),
                buttons=[],
            )
        message = gr.HTML("", elem_id="message")
        choices = [(name if isinstance(panel, str) else panel.title, name) for name, panel in panels.items()]
        chosen = gr.CheckboxGroup(choices, value=list(panels), label="Methods")
        places = _places(panels)
        _connect(places, examples, file, gallery, chosen, message)
    return page


def _places(panels: Mapping[str, Panel | str]) -> list[Place]:
    """A row for methods of several pictures, one for those of a single one, and one for all else."""
    made: dict[str, Place] = {}
    for kinds in (RcnnPanel, DensePanel, ClassifierPanel | str):
        with gr.Row():
            made |= {name: Place(name, panel) for name, panel in panels.items() if isinstance(panel, kinds)}
    return [made[name] for name in panels]


def _connect(
    places: list[Place],
    examples: Sequence[Example],
    file: gr.File,
    gallery: gr.Gallery,
    chosen: gr.CheckboxGroup,
    message: gr.HTML,
) -> None:
    photo = gr.State(None)
    sliders = [slider for place in places for slider in place.sliders]
    shown = [one for place in places for one in place.shown]

    def uploaded(path: str) -> tuple[Photo | None, str, None]:
        try:
            taken = handed_in(Path(path))
        except InputError as error:
            return None, f'<p class="message" role="alert">{escape(f"{Path(path).name}: {error}")}</p>', None
        return taken, _said(taken), None  # the last empties the drop zone for the next photo

    def picked(event: gr.SelectData) -> tuple[Photo, str]:
        one = examples[event.index]
        taken = Photo(one.image, one.image_id, one.data)
        return taken, _said(taken)

    def choose(names: list[str]) -> list[Any]:
        return [gr.update(visible=place.name in names) for place in places]

    events = [
        file.upload(uploaded, file, [photo, message, file], **PRIVATE),
        gallery.select(picked, None, [photo, message], **PRIVATE),
        chosen.change(choose, chosen, [place.column for place in places], **LIVE),
    ]
    for event in events:
        event.then(partial(_look, places), [photo, chosen, *sliders], shown, **PRIVATE)
    for place in places:
        for slider in place.sliders:
            slider.change(place.fill, [photo, *place.sliders], place.shown, **LIVE)


def _said(photo: Photo) -> str:
    height, width = photo.size
    return f'<p role="status">{escape(photo.image_id)}, looked at as {width} x {height} pixels</p>'


def _look(places: list[Place], photo: Photo | None, chosen: list[str], *values: float) -> Iterator[list[Any]]:
    """Look with one method after the other, and show each as soon as it is there."""

    def shown() -> list[Any]:
        left, found = iter(values), []
        for place in places:
            filled = place.fill(photo, *(next(left) for _ in place.sliders))
            found += filled if isinstance(filled, list) else [filled]
        return found

    yield shown()
    for place in places:
        if photo and place.name in chosen:
            place.look(photo)
            yield shown()
