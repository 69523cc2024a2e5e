"""Scenes of the drawn sample: a background, objects and clutter that cover one another, light, and a camera's faults.

Everything is painted at twice the size, in whole pixels, and averaged down once, so that edges are smooth and every
machine makes the same picture. Things are painted front to back, each on the pixels that the earlier ones left free:
these pixels are its visible part. H, W are the image's sides, the canvas is [2H, 2W].
"""

from typing import NamedTuple

import cv2
import numpy as np

from src.ingest.drawn.clutter import CLUTTER
from src.ingest.drawn.painting import SCALE, Colour, Rng, disc, gradient, lit, noise, photograph, pick, shade
from src.ingest.drawn.shapes import SHAPES, Part

NUM_OBJECTS = (0.05, 0.2, 0.35, 0.25, 0.15)  # probability of 0, 1, ... objects in an image
DROPPED, DIFFICULT = 0.25, 0.5  # visible share below which an object is left out, or marked difficult
TRUNCATED = 0.85  # area of the visible box / area of the whole box; below, VOC's guidelines call an object truncated
SMALL = 16  # pixels; an object with a shorter side is difficult
SKIES = ((150, 190, 230), (100, 150, 215), (190, 195, 205), (235, 200, 170), (60, 70, 110), (225, 225, 230))
GROUNDS = (  # grass, dry grass, sand, earth, asphalt, snow, water
    ((90, 140, 70), (160, 155, 90), (205, 185, 140), (125, 95, 70), (110, 110, 115), (220, 225, 235), (70, 110, 150))
)
TRIES = 8  # positions that are tried for a thing before it is left out


class Object(NamedTuple):
    """One object of a scene; `box` is x1, y1, x2, y2 of its visible part, half-open, in pixels."""

    name: str
    box: tuple[int, int, int, int]
    pose: str
    truncated: bool
    difficult: bool


class Canvas(NamedTuple):
    """The canvas of a scene, at `SCALE` times the image's size."""

    pixels: np.ndarray  # uint8 [2H, 2W, 3]
    taken: np.ndarray  # bool [2H, 2W], True where a thing is painted
    shadow: np.ndarray  # uint8 [2H, 2W], 1 where the ground is in shadow


class Patch(NamedTuple):
    """A thing that is drawn but not yet placed; its outermost pixels touch the patch's border."""

    pixels: np.ndarray  # uint8 [h, w, 3]
    mask: np.ndarray  # bool [h, w]


def scene(seed: int, index: int) -> tuple[np.ndarray, list[Object]]:
    """Draw image `index` of the sample; it depends only on `seed` and `index`.

    Returns:
        the image, RGB uint8 [H, W, 3] with sides of 160 to 260, and its objects, nearest first; there may be none.
    """
    rng = np.random.default_rng([seed, index])
    size = _size(rng)
    canvas, horizon = _background(rng, size)
    objects = []
    for name, long_side, base in _things(rng, index, size, horizon):
        mirror = rng.random() < 0.5
        parts = SHAPES[name](rng) if name else CLUTTER[rng.integers(len(CLUTTER))](rng)
        patch = _render(rng, parts, SCALE * long_side, mirror)
        visible = _place(rng, canvas, patch, SCALE * base)
        if visible is not None and name:
            objects.append(_object(name, visible, patch, mirror))
    dark = (canvas.shadow == 1) & ~canvas.taken
    canvas.pixels[dark] = canvas.pixels[dark] // 8 * 5
    return photograph(rng, canvas.pixels), objects


def _size(rng: Rng) -> tuple[int, int]:
    short, long = int(rng.integers(160, 201)), int(rng.integers(200, 261))
    return (long, short) if rng.random() < 0.25 else (short, long)


def _things(rng: Rng, index: int, size: tuple[int, int], horizon: float) -> list[tuple[str, float, float]]:
    """Choose the things of a scene, nearest first: (class or "" for clutter, longer side, y of the foot)."""
    height, width = size
    names = list(SHAPES)
    first = index % len(names)  # so that every class is in every split, however small
    count = int(rng.choice(len(NUM_OBJECTS), p=NUM_OBJECTS))
    chosen = [names[first if k == 0 else rng.integers(len(names))] for k in range(count)]
    things = []
    for name in chosen + [""] * int(rng.integers(2, 6)):
        limits = (52, 0.7 * max(size)) if name else (16, 0.4 * min(size))
        side = float(np.exp(rng.uniform(*np.log(limits))))
        depth = np.clip(side / (0.7 * min(size)) + rng.uniform(-0.25, 0.25), 0.05, 1.05)  # larger things are nearer
        things.append((name, side, horizon + depth * (height - horizon)))
    return sorted(things, key=lambda thing: -thing[2])


def _render(rng: Rng, parts: list[Part], long_side: float, mirror: bool) -> Patch:
    angle = rng.uniform(-0.12, 0.12)
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, sin], [-sin, cos]]) * [[-1.0 if mirror else 1.0], [1.0]]
    polygons = [part.points @ turn for part in parts]
    everything = np.concatenate(polygons)
    low, extent = everything.min(axis=0), np.ptp(everything, axis=0)
    scale = long_side / extent.max()
    width, height = np.ceil(extent * scale).astype(int) + 1
    pixels, mask = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8)
    for polygon, part in zip(polygons, parts, strict=True):
        corners = [np.round((polygon - low) * scale).astype(np.int32)]
        cv2.fillPoly(pixels, corners, part.colour)
        cv2.fillPoly(mask, corners, 1)
    light = noise(rng, (height, width), (3, 3), 24).astype(np.int16) + noise(rng, (height, width), (14, 14), 14)
    return Patch(lit(pixels, light), mask.astype(bool))


def _place(rng: Rng, canvas: Canvas, patch: Patch, base: float) -> np.ndarray | None:
    """Paint a patch on free pixels, and return its visible mask on the canvas; None if there is no room for it."""
    height, width = canvas.taken.shape
    h, w = patch.mask.shape
    for _ in range(TRIES):
        left = int(rng.integers(-w // 4, max(width - w + w // 4, 1)))
        top = round(base) - h + int(rng.integers(-8, 9))
        x1, y1, x2, y2 = max(left, 0), max(top, 0), min(left + w, width), min(top + h, height)
        window, cut = np.s_[y1:y2, x1:x2], np.s_[y1 - top : y2 - top, x1 - left : x2 - left]
        visible = patch.mask[cut] & ~canvas.taken[window]
        if visible.sum() >= DROPPED * patch.mask.sum():
            canvas.pixels[window][visible] = patch.pixels[cut][visible]
            canvas.taken[window] |= visible
            cv2.ellipse(canvas.shadow, (left + 5 * w // 8, top + h), (w // 2, max(w // 12, 2)), 0, 0, 360, 1, -1)
            mask = np.zeros_like(canvas.taken)
            mask[window] = visible
            return mask
    return None


def _object(name: str, visible: np.ndarray, patch: Patch, mirror: bool) -> Object:
    height, width = visible.shape[0] // SCALE, visible.shape[1] // SCALE
    share_of_255 = cv2.resize(visible.astype(np.uint8) * 255, (width, height), interpolation=cv2.INTER_AREA)
    covered = share_of_255 >= 127  # at least half of the pixel
    rows, columns = np.flatnonzero(covered.any(axis=1)), np.flatnonzero(covered.any(axis=0))
    box = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
    w, h = box[2] - box[0], box[3] - box[1]
    share = visible.sum() / patch.mask.sum()
    pose = ("Left" if mirror else "Right") if name in ("boat", "car") else "Unspecified"
    truncated = w * h * SCALE**2 < TRUNCATED * patch.mask.size
    return Object(name, box, pose, bool(truncated), bool(share < DIFFICULT or min(w, h) < SMALL))


def _background(rng: Rng, size: tuple[int, int]) -> tuple[Canvas, float]:
    """Paint sky and ground with hills, clouds and marks; also return the y of the horizon in image pixels."""
    height, width = SCALE * size[0], SCALE * size[1]
    horizon = int(height * rng.uniform(0.15, 0.55))
    pixels = np.empty((height, width, 3), np.uint8)
    sky, ground = pick(rng, SKIES), pick(rng, GROUNDS)
    pixels[:horizon] = gradient(sky, shade(sky, rng.uniform(0.8, 1.3)), horizon)
    pixels[horizon:] = gradient(ground, shade(ground, rng.uniform(0.7, 1.25)), height - horizon)
    _scenery(rng, pixels, horizon, sky, ground)
    light = noise(rng, (height, width), (4, 4), 16) + noise(rng, (height, width), (24, 32), 8)
    canvas = Canvas(lit(pixels, light), np.zeros((height, width), bool), np.zeros((height, width), np.uint8))
    return canvas, horizon / SCALE


def _scenery(rng: Rng, pixels: np.ndarray, horizon: int, sky: Colour, ground: Colour) -> None:
    height, width = pixels.shape[:2]
    for _ in range(int(rng.integers(0, 4))):  # clouds
        x, y, rx = rng.uniform(0, width), rng.uniform(0, horizon), rng.uniform(30, 90)
        cv2.fillPoly(pixels, [np.round(disc(x, y, rx, rx / 4, rng=rng)).astype(np.int32)], shade(sky, 1.15))
    if rng.random() < 0.6:  # hills, along the horizon
        tops = np.stack([np.linspace(0, width, 9), horizon - rng.uniform(0, 0.15 * height, 9)], axis=1)
        hills = np.concatenate([tops, [[width, horizon], [0, horizon]]])
        cv2.fillPoly(pixels, [np.round(hills).astype(np.int32)], shade(ground, rng.uniform(0.6, 1.2)))
    if rng.random() < 0.5:  # a road, or a stretch of water
        y, thick = rng.uniform(horizon, height), rng.uniform(0.05, 0.2) * height
        band = [[0, y], [width, y + rng.uniform(-40, 40)], [width, y + thick], [0, y + thick]]
        cv2.fillPoly(pixels, [np.round(band).astype(np.int32)], pick(rng, GROUNDS))
    for _ in range(int(rng.integers(5, 25))):  # marks on the ground
        start = int(rng.integers(0, width)), int(rng.integers(horizon, height))
        end = start[0] + int(rng.integers(-60, 61)), start[1] + int(rng.integers(-6, 7))
        cv2.line(pixels, start, end, shade(ground, rng.uniform(0.7, 1.3)), int(rng.integers(1, 6)))
