"""The contents of the page for one method and one photo, as HTML, without gradio."""

import re
from html import escape

from src.demo.figures import figure
from src.demo.panels import ClassifierPanel, Control, Look, Panel
from src.demo.photo import SCENES, Photo

BEST = 5  # classes of a classifier that are listed
EXPECTS = {"mnist": "one digit, light on black", "gesture": "one hand in the middle"}  # by data set


class Place:
    """A method's place on the page, with its panel or a sentence that says why it has none."""

    def __init__(self, name: str, panel: Panel | str) -> None:
        self.name, self.panel = name, panel
        self.title = name if isinstance(panel, str) else panel.title
        self.controls: list[Control] = [] if isinstance(panel, ClassifierPanel | str) else panel.controls

    def look(self, photo: Photo) -> None:
        """Run the slow part of the method, once per photo."""
        if not isinstance(self.panel, str) and self.name not in photo.looks and self.fits(photo):
            photo.looks[self.name] = self.panel.look(photo.image, photo.image_id)

    def fits(self, photo: Photo | None) -> bool:
        """Tell whether the page shows the method: on its own data set's images, on uploads, and if it has no model."""
        if photo is None or isinstance(self.panel, str):
            return True
        data = self.panel.data if isinstance(self.panel, ClassifierPanel) else SCENES
        return photo.data in (None, data)

    def fill(self, photo: Photo | None, *values: float) -> str:
        """Return the HTML of the place for a photo at the sliders' values."""
        if isinstance(self.panel, str):
            text = re.sub("`(.+?)`", r"<code>\1</code>", escape(self.panel))
            return f'<p class="message">{text}</p>'
        if photo is None:
            return _line("no photo")
        look = photo.looks.get(self.name)
        if look is None:
            return _line(
                "is working on the photo" if self.fits(photo) else "not run: trained on images of another kind"
            )
        if isinstance(self.panel, ClassifierPanel):
            return _classes(look, self.panel.data, folded=photo.data is None)
        figures = (
            figure(
                photo.url,
                photo.size,
                view.record,
                view.classes,
                view.caption,
                total=view.total,
                objects=photo.objects,
            )
            for view in self.panel.views(look, *values)
        )
        return f'<div class="boxes">{"".join(figures)}</div>{_line(look.times())}'


def _classes(look: Look, data: str, *, folded: bool) -> str:
    """List the most probable classes; folded for a visitor's photo, which hardly shows what the classifier knows."""
    best = sorted(look.raw.items(), key=lambda item: -item[1])[:BEST]
    rows = "".join(
        f'<li><span>{escape(name)}</span><meter value="{share:.3f}" aria-label="{escape(name, quote=True)}"></meter>'
        f"<span>{share:.0%}</span></li>"
        for name, share in best
    )
    listed = f'<ol class="classes">{rows}</ol>{_line(look.times())}'
    known = f"Knows the set {data} alone" + (f" ({EXPECTS[data]})" if data in EXPECTS else "")
    text = f"{known}, and gives one of its classes whatever the photo shows."
    if folded:
        return f"<details><summary>{escape(text)}</summary>{listed}</details>"
    return f"{listed}{_line(text)}"


def _line(text: str) -> str:
    return f'<p class="times">{escape(text)}</p>'
