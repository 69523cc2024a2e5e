"""The clutter of the drawn sample: things of no class, made of the shapes and materials of the classes.

A crate has planks like a wall, the tyres are those of a car, a bush is the crown of a tree, and a tent looks like a
roof or a sail. A detector must distinguish such things from whole objects.
"""

import numpy as np

from src.ingest.drawn.painting import Rng, colour, disc, pick, shade
from src.ingest.drawn.shapes import CLOTH, LEAVES, METAL, RUBBER, TILES, WOOD, Part, Shape, bands, crown, rect


def bush(rng: Rng) -> list[Part]:
    """Draw foliage without a trunk."""
    return crown(rng, pick(rng, LEAVES), -0.25, 0.5, 0.27)


def rock(rng: Rng) -> list[Part]:
    """Draw a stone with a lit face."""
    grey = pick(rng, METAL + TILES)
    return [
        Part(disc(0, -0.25, 0.5, 0.27, rng=rng), shade(grey, 0.8)),
        Part(disc(-0.08, -0.32, 0.3, 0.15, rng=rng), grey),
    ]


def fence(rng: Rng) -> list[Part]:
    """Draw posts and rails."""
    paint, posts, width = colour(rng), int(rng.integers(4, 8)), rng.uniform(0.02, 0.05)
    parts = [Part(rect(-0.5, y, 0.5, y + 0.05), shade(paint, 0.85)) for y in (-0.3, -0.15)]
    return parts + [Part(rect(x - width, -0.4, x + width, 0), paint) for x in np.linspace(-0.48, 0.48, posts)]


def crate(rng: Rng) -> list[Part]:
    """Draw a striped box, similar to a wall."""
    paint, height = colour(rng), rng.uniform(0.4, 1.0)
    return [
        Part(rect(-0.5, -height, 0.5, 0), paint),
        *bands(-0.5, -height, 0.5, 0, int(rng.integers(2, 7)), shade(colour(rng), 0.8)),
    ]


def tent(rng: Rng) -> list[Part]:
    """Draw a triangle with an opening, similar to a roof or a sail."""
    cloth, tip = pick(rng, CLOTH + TILES), rng.uniform(-0.2, 0.2)
    top = -rng.uniform(0.5, 0.9)
    mouth = np.array([[tip, 0.7 * top], [tip - 0.12, 0], [tip + 0.12, 0]])
    return [Part(np.array([[tip, top], [-0.5, 0], [0.5, 0]]), cloth), Part(mouth, shade(cloth, 0.5))]


def sign(rng: Rng) -> list[Part]:
    """Draw a post with a plate, similar to a bare tree."""
    plate = disc(0, -0.8, 0.2) if rng.random() < 0.5 else rect(-0.25, -1.0, 0.25, -0.65)
    return [
        Part(rect(-0.03, -0.8, 0.03, 0), pick(rng, WOOD + METAL)),
        Part(plate, colour(rng)),
        Part(disc(0, -0.82, 0.1), colour(rng)),
    ]


def tyres(rng: Rng) -> list[Part]:
    """Draw wheels without a car."""
    rubber, hub = pick(rng, RUBBER), pick(rng, METAL)
    return [Part(disc(x, -0.2, r), tone) for x in (-0.25, 0.2) for r, tone in ((0.2, rubber), (0.1, hub))]


CLUTTER: tuple[Shape, ...] = (bush, rock, fence, crate, tent, sign, tyres)
