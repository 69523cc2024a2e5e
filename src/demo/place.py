"""What the page shows of one method at one photo, as HTML; no part of it knows gradio."""

import re
from html import escape
from typing import Any

from src.demo.figures import figure
from src.demo.panels import ClassifierPanel, Panel
from src.demo.photo import SCENES, Photo


class Place:
    """A method's place on the page; in place of a panel may stand a sentence that says why there is none."""

    def __init__(self, name: str, panel: Panel | str) -> None:
        self.name, self.panel = name, panel
        self.title = name if isinstance(panel, str) else panel.title

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
