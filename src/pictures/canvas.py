"""Draw images with boxes and write them as PNG: small files, and the same bytes for the same input."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Normal, Stroke
from PIL import Image

DPI = 100
TITLE = 13  # points
FOUND, WRONG, OBJECT, CANDIDATE = "#56b4e9", "#ff8214", "#ffffff", "#f0e442"  # colours that are told apart by most eyes
COLOURS = 128  # of the PNG's palette
DASHES = (0, (3, 2))


def row(
    images: Sequence[np.ndarray], titles: Sequence[str], *, width: int, legend: str = ""
) -> tuple[Figure, list[Axes]]:
    """Show images side by side, each below its title.

    Args:
        images: RGB uint8 [H, W, 3], of one size.
        titles: one per image.
        width: pixels of the whole picture.
        legend: a line of text below the images; "" for none.
    """
    height, length = images[0].shape[:2]
    panel = width / len(images)
    above, below = 30, 28 if legend else 4  # pixels of the title and of the legend
    total = round(panel * height / length) + above + below
    figure = Figure(figsize=(width / DPI, total / DPI), dpi=DPI, facecolor="white")
    panels = []
    for number, (image, title) in enumerate(zip(images, titles, strict=True)):
        left, bottom = number / len(images) + 3 / width, below / total
        axes = figure.add_axes((left, bottom, (panel - 6) / width, 1 - (above + below) / total))
        axes.imshow(image, extent=(0, length, height, 0), interpolation="bilinear")
        axes.set(xlim=(0, length), ylim=(height, 0), xticks=[], yticks=[])
        axes.set_title(title, fontsize=TITLE, pad=7)
        panels.append(axes)
    if legend:
        figure.text(0.5, 7 / total, legend, ha="center", fontsize=TITLE - 2)
    return figure, panels


def draw_box(
    axes: Axes,
    box: Sequence[float] | np.ndarray,
    colour: str,
    *,
    dashed: bool = False,
    thin: bool = False,
    text: str = "",
) -> None:
    """Draw a box [4] in pixels of the image; `thin` boxes are half transparent, and the others have a dark edge."""
    x1, y1, x2, y2 = (float(value) for value in box)
    shape = Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=colour, clip_on=True)
    shape.set_linewidth(0.7 if thin else 2.2)
    shape.set_alpha(0.55 if thin else None)
    shape.set_linestyle(DASHES if dashed else "-")
    if not thin:
        shape.set_path_effects([Stroke(linewidth=4, foreground="black"), Normal()])
    axes.add_patch(shape)
    if text:
        above, right = y1 > 0.12 * axes.get_ylim()[0], x1 > 0.7 * axes.get_xlim()[1]  # so that the text stays inside
        place: Any = {"va": "bottom" if above else "top", "ha": "right" if right else "left", "clip_on": True}
        frame = {"facecolor": "black", "edgecolor": "none", "pad": 1.5}
        x, y = min(x2, axes.get_xlim()[1] - 1) if right else max(x1, 1), y1 - 1 if above else max(y1, 0) + 2
        axes.text(x, y, text, color=colour, fontsize=10, bbox=frame, **place)


def png(figure: Figure) -> bytes:
    """Return a figure as a PNG with a palette; nothing in it tells when or where it was drawn."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
    file = io.BytesIO()
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(file, "png", optimize=True)
    return file.getvalue()
