"""The contents of the page for one method and one photo, as HTML, without gradio."""

import re
from html import escape
from typing import Any

from src.demo.figures import figure
from src.demo.panels import ClassifierPanel, Panel
from src.demo.photo import SCENES, Photo


class Place:
    """A method's place on the page, with its panel or a sentence that says why it has none."""

    def __init__(self, name: str, panel: Panel | str) -> None:
        self.name, self.panel = name, panel
        self.title = name if isinstance(panel, str) else panel.title

    def look(self, photo: Photo) -> None:
        """Run the slow part of the method, once per photo."""
        if not isinstance(self.panel, str) and self.name not in photo.looks and self.fits(photo):
            photo.looks[self.name] = self.panel.look(photo.image, photo.image_id)

    def fits(self, photo: Photo) -> bool:
        """Tell whether the method may be run: on its own data set's images, and on every visitor's upload."""
        data = self.panel.data if isinstance(self.panel, ClassifierPanel) else SCENES
        return photo.data in (None, data)

    def fill(self, photo: Photo | None, *values: float) -> Any:
        """Return the place's contents for a photo at the sliders' values: a list, or a single content by itself."""
        look = photo.looks.get(self.name) if photo else None
        html = self.line(photo)
        if isinstance(self.panel, ClassifierPanel):
            return [html, look.raw if look else None]
        if photo and look and not isinstance(self.panel, str):
            views = self.panel.views(look, *values)
            figures = (figure(photo.url, photo.size, view.record, view.classes, view.caption) for view in views)
            html += f'<div class="boxes">{"".join(figures)}</div>'
        return html

    def line(self, photo: Photo | None) -> str:
        """Return a line of HTML: the seconds that the method took, or the reason why it shows nothing."""
        if isinstance(self.panel, str):
            text = re.sub("`(.+?)`", r"<code>\1</code>", escape(self.panel))
            return f'<p class="message">{text}</p>'
        look = photo.looks.get(self.name) if photo else None
        if photo is None:
            text = "no photo yet"
        elif not self.fits(photo):
            text = "not shown: this method was trained on images of another kind"
        else:
            text = look.times() if look else "not run yet"
        if isinstance(self.panel, ClassifierPanel):
            text += f"; trained on the set {self.panel.data}, always gives one of its classes, whatever the photo shows"
        return f'<p class="times">{escape(text)}</p>'
