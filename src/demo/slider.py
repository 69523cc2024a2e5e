"""The slider of the page. Gradio writes the interface of such a class beside its file (`slider.pyi`, not in git)."""

import gradio as gr


class Threshold(gr.Slider):
    """A slider. A number typed beside it that is too large or too small counts as the nearest allowed one.

    Gradio's own fails, and says so in the console alone. It makes the component anew for a session that opens a link,
    so a method of the class survives where one of the instance does not.
    """

    is_template = True  # of gradio's slider, whose name the page knows

    def preprocess(self, payload: float | None) -> float:
        """Return the number within the limits; the number at the start for an empty field."""
        start = float(self.value)
        return start if payload is None else min(max(payload, self.minimum), self.maximum)
