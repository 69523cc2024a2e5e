"""The four classes of objects in the drawn sample, made of parts.

A shape is a list of parts, painted in order. A part is a polygon in the shape's units (x right, y down, standing on
y = 0) and a colour. Sizes, colours and the layout of the parts vary from drawing to drawing. Paint can have any colour,
and the clutter (`src.ingest.drawn.clutter`) has the same materials, so that no colour reveals a class.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from src.ingest.drawn.painting import Colour, Rng, colour, disc, pick, shade


class Part(NamedTuple):
    """One polygon of a shape."""

    points: np.ndarray  # [K, 2]
    colour: Colour


# The colours of each material, in objects and clutter; paint can have any colour.
RUBBER: tuple[Colour, ...] = ((40, 40, 42), (60, 58, 55))
METAL: tuple[Colour, ...] = ((190, 192, 196), (120, 122, 126))
GLASS: tuple[Colour, ...] = ((60, 75, 95), (150, 185, 205), (35, 40, 45), (225, 215, 150))
WOOD: tuple[Colour, ...] = ((105, 75, 50), (80, 65, 55), (150, 120, 85))
LEAVES: tuple[Colour, ...] = ((70, 120, 50), (40, 90, 60), (120, 150, 60), (190, 120, 40))
TILES: tuple[Colour, ...] = ((165, 75, 55), (95, 60, 50), (85, 90, 100), (190, 130, 80), (60, 95, 85))
ANTIFOULING: tuple[Colour, ...] = ((135, 50, 42), (45, 50, 65))
CLOTH: tuple[Colour, ...] = ((240, 238, 228), (225, 205, 165), (185, 60, 50), (70, 100, 160), (215, 150, 60))

Shape = Callable[[Rng], list[Part]]
# The usual paint of each class, as in real scenes. The colours of the classes overlap, so paint alone does not decide.
PAINT = ((190, 30, 35), (30, 70, 170), (195, 198, 202), (225, 185, 40))  # of cars
HULLS = ((235, 236, 232), (30, 50, 100), (150, 60, 40))
WALLS = ((222, 205, 170), (165, 85, 65), (238, 232, 222), (205, 160, 110))


def rect(x1: float, y1: float, x2: float, y2: float) -> np.ndarray:
    """Return the corners of an upright rectangle, [4, 2]."""
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])


def bands(x1: float, y1: float, x2: float, y2: float, count: int, tone: Colour) -> list[Part]:
    """Draw thin horizontal lines over a rectangle: planks, courses of brick, slats."""
    step = (y2 - y1) / (count + 1)
    return [Part(rect(x1, y1 + k * step, x2, y1 + (k + 0.3) * step), tone) for k in range(1, count + 1)]


def car(rng: Rng) -> list[Part]:
    """Draw a car from the side, facing right: saloon, hatchback, van or pick-up."""
    body, glass, tyre, hub = pick(rng, PAINT), pick(rng, GLASS), pick(rng, RUBBER), pick(rng, METAL)
    low, belt, top = -rng.uniform(0.06, 0.09), -rng.uniform(0.24, 0.31), -rng.uniform(0.42, 0.54)
    # x of the cabin's four corners: rear foot, rear roof, front roof, front foot
    feet = [(-0.42, -0.26, 0.08, 0.24), (-0.49, -0.44, 0.06, 0.24), (-0.5, -0.48, 0.3, 0.4), (-0.08, -0.04, 0.14, 0.26)]
    a, b, c, d = np.array(feet[rng.integers(4)]) + rng.uniform(-0.02, 0.02, 4)
    nose = belt + rng.uniform(0.02, 0.08)
    hull = [[-0.5, low], [-0.5, belt], [d, belt], [0.46, nose], [0.5, nose + 0.04], [0.5, low]]
    parts = [Part(np.array([[a, belt], [b, top], [c, top], [d, belt]]), shade(body, rng.uniform(0.85, 1.0)))]
    parts += [Part(np.array(hull), body)]
    pillar = b + rng.uniform(0.4, 0.6) * (c - b)
    roof, sill = top + 0.035, belt - 0.01
    parts += [
        Part(np.array([[a + 0.05, sill], [b + 0.03, roof], [pillar - 0.015, roof], [pillar - 0.015, sill]]), glass)
    ]
    parts += [
        Part(np.array([[pillar + 0.015, sill], [pillar + 0.015, roof], [c - 0.02, roof], [d - 0.05, sill]]), glass)
    ]
    parts += [Part(rect(pillar - 0.008, belt, pillar + 0.008, low - 0.03), shade(body, 0.7))]
    if rng.random() < 0.4:
        parts += [Part(rect(-0.49, belt + 0.06, 0.48, belt + 0.09), colour(rng))]
    parts += [
        Part(rect(0.44, nose + 0.05, 0.5, nose + 0.09), (245, 235, 190)),
        Part(rect(-0.5, belt + 0.03, -0.46, belt + 0.09), (190, 40, 30)),
    ]
    parts += [Part(rect(-0.5, low - 0.04, 0.5, low), shade(body, 0.6))]
    radius = rng.uniform(0.085, 0.115)
    for x in (-rng.uniform(0.27, 0.33), rng.uniform(0.27, 0.33)):
        parts += [Part(disc(x, -radius, radius), tyre), Part(disc(x, -radius, 0.5 * radius), hub)]
    return parts


def boat(rng: Rng) -> list[Part]:
    """Draw a sailing boat from the side, with its bow to the right; some have a cabin."""
    hull, trim, cloth = pick(rng, HULLS), colour(rng), pick(rng, CLOTH)
    depth, sheer = rng.uniform(0.15, 0.24), rng.uniform(0.02, 0.08)
    stern, keel = -0.5 + rng.uniform(0.0, 0.08), rng.uniform(0.25, 0.4)
    share = rng.uniform(0.25, 0.4)  # of the hull, below the waterline
    parts: list[Part] = []
    if rng.random() < 0.4:
        parts += _cabin(rng, -depth, 0.09, shade(trim, 1.1))
    parts += _rig(rng, -depth, cloth)
    rail = [[-0.5, -depth], [0.1, -depth], [0.5, -depth - sheer]]
    parts += [Part(np.array([*rail, [keel, 0.0], [stern, 0.0]]), hull)]
    under = [[0.47, 0.05 - depth - sheer], [0.1, 0.04 - depth], [-0.49, 0.04 - depth]]
    parts += [Part(np.array(rail + under), trim)]
    if rng.random() < 0.5:
        parts += [
            Part(disc(x, -0.65 * depth, 0.02), shade(hull, 0.5)) for x in np.linspace(-0.3, 0.2, rng.integers(3, 6))
        ]
    aft, fore = stern - share * (0.5 + stern), keel + share * (0.5 - keel)
    bottom = [[aft, -share * depth], [fore, -share * (depth + sheer)], [keel, 0.0], [stern, 0.0]]
    parts += [Part(np.array(bottom), pick(rng, ANTIFOULING))]
    return parts


def _cabin(rng: Rng, deck: float, height: float, paint: Colour) -> list[Part]:
    rear, front = rng.uniform(-0.42, -0.3), rng.uniform(0.0, 0.18)
    top = deck - height
    parts = [Part(np.array([[rear, deck + 0.02], [rear, top], [front - 0.08, top], [front, deck + 0.02]]), paint)]
    parts += [Part(rect(rear - 0.03, top - 0.03, front - 0.04, top), shade(paint, 0.7))]
    pane = pick(rng, GLASS)
    for x in np.linspace(rear + 0.04, front - 0.16, int(rng.integers(2, 4))):
        parts += [Part(rect(x, top + 0.25 * height, x + 0.08, top + 0.65 * height), pane)]
    return parts


def _rig(rng: Rng, deck: float, cloth: Colour) -> list[Part]:
    mast, top = rng.uniform(-0.1, 0.12), deck - rng.uniform(0.55, 0.95)
    foot = deck - rng.uniform(0.04, 0.08)
    parts = [Part(rect(mast - 0.015, top, mast + 0.015, deck + 0.02), pick(rng, WOOD))]
    leech = rng.uniform(-0.46, -0.36)
    parts += [Part(np.array([[mast - 0.02, top + 0.02], [mast - 0.02, foot], [leech, foot]]), cloth)]
    if rng.random() < 0.4:  # a broad band across the main sail
        near, far = 0.55, 0.75
        edge = [[mast - 0.02 + share * (leech - mast), top + 0.02 + share * (foot - top)] for share in (near, far)]
        parts += [Part(np.array([[mast - 0.02, edge[0][1]], edge[0], edge[1], [mast - 0.02, edge[1][1]]]), colour(rng))]
    if rng.random() < 0.75:
        parts += [
            Part(
                np.array([[mast + 0.02, top + 0.1], [mast + 0.02, foot], [rng.uniform(0.36, 0.46), foot]]),
                shade(cloth, 0.88),
            )
        ]
    return parts


def house(rng: Rng) -> list[Part]:
    """Draw a house from the front: gable or hipped roof, one or two storeys, some with a chimney or a lower wing."""
    wall, roof, frame = pick(rng, WALLS), pick(rng, TILES), colour(rng, (0.7, 1.0))
    half, storeys = rng.uniform(0.36, 0.46), int(rng.integers(1, 3))
    eaves = -0.36 * storeys - rng.uniform(0.0, 0.1)
    ridge, over = eaves - rng.uniform(0.2, 0.42), rng.uniform(0.03, 0.07)
    inset = rng.uniform(0.15, 0.3) if rng.random() < 0.5 else half + over  # hipped, or a gable
    parts: list[Part] = []
    if rng.random() < 0.35:
        far, low = half + rng.uniform(0.25, 0.4), 0.55 * eaves
        parts += [Part(rect(half - 0.05, low, far, 0), shade(wall, 0.85))]
        parts += [
            Part(
                np.array([[half - 0.05, low - 0.15], [far - 0.1, low - 0.15], [far + 0.04, low], [half - 0.05, low]]),
                shade(roof, 0.85),
            )
        ]
        parts += [Part(rect(half + 0.06, 0.7 * low, far - 0.08, 0), frame)]
    if rng.random() < 0.6:
        x = rng.uniform(-0.25, 0.15)
        parts += [Part(rect(x, ridge - 0.06, x + 0.09, eaves), shade(roof, 0.6))]
    parts += [Part(rect(-half, eaves, half, 0), wall)]
    if rng.random() < 0.6:
        parts += bands(-half, eaves, half, 0, int(rng.integers(4, 9)), shade(wall, rng.uniform(0.8, 0.92)))
    tip = [[-half - over + inset, ridge], [half + over - inset, ridge]]
    parts += [Part(np.array([[-half - over, eaves], *tip, [half + over, eaves]]), roof)]
    if inset < half:
        parts += bands(-half - over + inset, ridge, half + over - inset, eaves, 4, shade(roof, 0.85))
    return parts + _openings(rng, half, eaves, storeys, frame)


def _openings(rng: Rng, half: float, eaves: float, storeys: int, frame: Colour) -> list[Part]:
    pane, leaf = pick(rng, GLASS), colour(rng)
    columns, door = int(rng.integers(2, 4)), int(rng.integers(0, 3))
    step, height, parts = 2 * half / columns, -eaves / storeys, []
    for row in range(storeys):
        for column in range(columns):
            x, y = -half + (column + 0.5) * step, eaves + (row + 0.25) * height
            if row == storeys - 1 and column == door % columns:
                parts += [
                    Part(rect(x - 0.075, y, x + 0.075, 0), frame),
                    Part(rect(x - 0.055, y + 0.02, x + 0.055, 0), leaf),
                ]
                continue
            parts += [Part(rect(x - 0.09, y, x + 0.09, y + 0.5 * height), frame)]
            parts += [Part(rect(x - 0.07, y + 0.02, x + 0.07, y + 0.5 * height - 0.02), pane)]
            parts += [Part(rect(x - 0.01, y, x + 0.01, y + 0.5 * height), frame)]
    return parts


def tree(rng: Rng) -> list[Part]:
    """Draw a tree: leafy, a conifer or a poplar."""
    leaf, bark = pick(rng, LEAVES), pick(rng, WOOD)
    kind, thick, foot = int(rng.integers(3)), rng.uniform(0.035, 0.07), rng.uniform(0.14, 0.27)
    trunk = np.array([[-1.5 * thick, 0], [-0.7 * thick, -foot - 0.25], [0.7 * thick, -foot - 0.25], [1.5 * thick, 0]])
    parts = [Part(trunk, bark)]
    if kind == 0:
        width, height = rng.uniform(0.26, 0.38), rng.uniform(0.25, 0.36)
        parts += crown(rng, leaf, -foot - height, width, height)
    elif kind == 1:
        tiers, width = int(rng.integers(3, 6)), rng.uniform(0.25, 0.36)
        for k in range(tiers):
            y, half = -foot - 0.75 * k / tiers, width * (1 - 0.8 * k / tiers)
            tip = [0.0, y - 1.5 * 0.75 / tiers]
            parts += [Part(np.array([[-half, y], [0, y + 0.03], [half, y], tip]), shade(leaf, rng.uniform(0.85, 1.1)))]
    else:
        parts += crown(rng, leaf, -foot - 0.38, rng.uniform(0.16, 0.22), 0.4)
    return parts


def crown(rng: Rng, leaf: Colour, y: float, rx: float, ry: float) -> list[Part]:
    """Draw foliage: uneven discs around (0, y), lit from above."""
    parts = [Part(disc(0, y, rx, ry, rng=rng), shade(leaf, 0.85))]
    for _ in range(int(rng.integers(10, 20))):
        angle, reach, size = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.8), rng.uniform(0.25, 0.4)
        dx, dy = reach * np.cos(angle), reach * np.sin(angle)
        parts += [
            Part(
                disc(rx * dx, y + ry * dy, size * rx, size * ry, rng=rng),
                shade(leaf, 1.0 - 0.18 * dy + rng.uniform(-0.08, 0.08)),
            )
        ]
    return parts


SHAPES: dict[str, Shape] = {"boat": boat, "car": car, "house": house, "tree": tree}
