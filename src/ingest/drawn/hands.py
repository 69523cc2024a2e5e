"""Pictures of hands in front of a background, for the sample of gestures; the poses are in `src.ingest.drawn.poses`.

All pictures of a person share the skin and the proportions of the hand. The position and turn of the hand, the sleeve,
the background and the light differ from picture to picture. The person does not depend on the gesture.
"""

from typing import NamedTuple

import cv2
import numpy as np

from src.ingest.drawn.painting import SCALE, Colour, Rng, colour, disc, gradient, lit, noise, photograph, pick, shade
from src.ingest.drawn.poses import FINGERS, FOLDED, POSES, UP, Finger, Points

SIDE = 64  # pixels
SKINS: tuple[Colour, ...] = ((240, 205, 180), (225, 180, 145), (200, 150, 115), (165, 115, 80), (120, 80, 58))
PALM = ((-0.2, 0.02, 0.1), (0.2, 0.02, 0.1), (0.3, -0.42, 0.12), (0.28, -0.86, 0.12), (-0.29, -0.9, 0.12))
BALL = (-0.26, -0.36, 0.19)  # the ball of the thumb: x, y, radius
CIRCLE = disc(0, 0, 1)
MIDDLE = (-0.16, -0.83)  # of a stretched hand; it is put in the middle of the picture


class Person(NamedTuple):
    """The properties that all pictures of a person's hand share; the numbers multiply the sizes of the poses."""

    skin: Colour
    length: float
    thickness: float
    breadth: float


class Hand(NamedTuple):
    """A canvas, and the position of a hand on it."""

    pixels: np.ndarray  # uint8 [2H, 2W, 3]
    mask: np.ndarray  # uint8 [2H, 2W], 1 where a hand or sleeve is
    turn: np.ndarray  # [2, 2], from the hand's units to pixels
    shift: np.ndarray  # [2], pixels
    skin: Colour
    thickness: float


def person(seed: int, number: int) -> Person:
    """Make person `number` of the sample, counted from 1; people with consecutive numbers differ in skin."""
    rng = np.random.default_rng([seed, 1, number])
    skin = pick(rng, (SKINS[number % len(SKINS)],), spread=10)
    return Person(skin, rng.uniform(0.88, 1.12), rng.uniform(0.88, 1.15), rng.uniform(0.9, 1.1))


def picture(seed: int, gesture: str, number: int, who: Person) -> np.ndarray:
    """Draw picture `number` of a gesture, RGB uint8 [64, 64, 3]; it depends only on the arguments.

    Half of the hands are mirrored, like a left hand or a hand seen in a mirror.
    """
    rng = np.random.default_rng([seed, 2, list(POSES).index(gesture), number])
    canvas = _background(rng)
    hand = _held(rng, canvas, POSES[gesture].turn, who)
    _arm(rng, hand)
    _paint(rng, hand, gesture, who)
    size = (SIDE * SCALE, SIDE * SCALE)
    light = noise(rng, size, (3, 3), 26) + noise(rng, size, (16, 16), 7)
    covered = hand.mask.astype(bool)
    canvas[covered] = lit(canvas, light)[covered]
    return photograph(rng, canvas)


def _held(rng: Rng, canvas: np.ndarray, turn: float, who: Person) -> Hand:
    angle = np.deg2rad(turn + rng.uniform(-18, 18))
    unit = SCALE * SIDE * rng.uniform(0.37, 0.43)
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.array([[cos, sin], [-sin, cos]]) * [[who.breadth], [1.0]] * unit * [mirror, 1.0]
    middle = SCALE * SIDE * (0.5 + rng.uniform(-0.06, 0.06, 2))
    tone = shade(who.skin, rng.uniform(0.88, 1.1))
    mask = np.zeros(canvas.shape[:2], np.uint8)
    return Hand(canvas, mask, matrix, middle - np.array(MIDDLE) @ matrix, tone, who.thickness * unit)


def _paint(rng: Rng, hand: Hand, gesture: str, who: Person) -> None:
    """Paint stretched fingers, the palm over their bases, folded fingers over the palm, and the thumb over all."""
    pose, spread = POSES[gesture], rng.uniform(0.9, 1.6)
    stretched, folded = [], []
    for finger, state in zip(FINGERS, pose.fingers, strict=True):
        if state == FOLDED:
            folded.append(finger)
        else:
            points = _upright(rng, finger, spread) if state == UP else (finger.base, *state)
            stretched.append((_longer(points, who.length), finger.radius))
    palm = [*PALM, BALL]
    _hull(hand, palm, grow=1.5, tone=shade(hand.skin, 0.55))
    for points, radius in stretched:
        _limb(hand, points, radius)
    _hull(hand, palm, grow=0.0, tone=hand.skin)
    _lines(rng, hand)
    for finger in folded:
        (x, y), drop = finger.base, rng.uniform(0.3, 0.36)
        _limb(hand, ((x, y - 0.02), (x, y + drop)), 1.12 * finger.radius)
        _crease(hand, (x - 0.06, y + 0.1), (x + 0.06, y + 0.1))
    jitter = rng.uniform(-0.03, 0.03, 2)
    thumb = tuple((x + k * jitter[0], y + k * jitter[1]) for k, (x, y) in enumerate(pose.thumb))
    _limb(hand, thumb, 0.115)
    _hull(hand, [(*BALL[:2], 0.13), (*thumb[1], 0.08)], grow=0.0, tone=hand.skin)  # the thumb grows out of the palm


def _upright(rng: Rng, finger: Finger, spread: float) -> Points:
    angle = np.deg2rad(spread * finger.angle + rng.uniform(-3, 3))
    (x, y), reach = finger.base, finger.length * rng.uniform(0.95, 1.05)
    return finger.base, (x + reach * np.sin(angle), y - reach * np.cos(angle))


def _longer(points: Points, factor: float) -> Points:
    (x, y), *_ = points
    return tuple((x + factor * (px - x), y + factor * (py - y)) for px, py in points)


def _limb(hand: Hand, points: Points, radius: float) -> None:
    """Paint a finger along its points, a little thinner at the tip, with an edge that separates it from the rest."""
    radii = radius * np.linspace(1.06, 0.86, len(points))
    discs = [(x, y, r) for (x, y), r in zip(points, radii, strict=True)]
    for grow, tone in ((1.5, shade(hand.skin, 0.55)), (0.0, hand.skin)):
        for first, second in zip(discs, discs[1:], strict=False):
            _hull(hand, [first, second], grow, tone)
    shine = [(x, y, 0.3 * r) for x, y, r in discs]
    for first, second in zip(shine, shine[1:], strict=False):
        _hull(hand, [first, second], grow=0.0, tone=shade(hand.skin, 1.07))


def _hull(hand: Hand, discs: list[tuple[float, float, float]], grow: float, tone: Colour) -> None:
    """Paint the convex hull of discs (x, y, radius); `grow` pixels are added to each radius."""
    edges = []
    for x, y, radius in discs:
        edges.append((radius * hand.thickness + grow) * CIRCLE + np.array([x, y]) @ hand.turn + hand.shift)
    corners = cv2.convexHull(np.round(np.concatenate(edges)).astype(np.int32))
    cv2.fillConvexPoly(hand.pixels, corners, tone)
    cv2.fillConvexPoly(hand.mask, corners, 1)


def _crease(hand: Hand, start: tuple[float, float], end: tuple[float, float]) -> None:
    ends = np.round(np.array([start, end]) @ hand.turn + hand.shift).astype(int)
    cv2.line(hand.pixels, ends[0].tolist(), ends[1].tolist(), shade(hand.skin, 0.7), 1)


def _lines(rng: Rng, hand: Hand) -> None:
    """Paint the lines of the palm."""
    for y in (-0.72, -0.55):
        bend = y + rng.uniform(0.0, 0.12)
        _crease(hand, (-0.2, bend - 0.06), (0.05, bend))
        _crease(hand, (0.05, bend), (0.3, y - 0.02))


def _arm(rng: Rng, hand: Hand) -> None:
    """Paint the forearm, and in most pictures a sleeve."""
    for grow, tone in ((1.5, shade(hand.skin, 0.55)), (0.0, hand.skin)):
        _hull(hand, [(0.0, 0.0, 0.24), (0.0, 1.6, 0.3)], grow, tone)
    if rng.random() < 0.7:
        cuff, cloth = rng.uniform(0.12, 0.6), colour(rng)
        _hull(hand, [(-0.2, cuff, 0.14), (0.2, cuff, 0.14), (0.0, 1.8, 0.4)], grow=0.0, tone=cloth)
        _hull(hand, [(-0.2, cuff, 0.12), (0.2, cuff, 0.12)], grow=0.0, tone=shade(cloth, 0.75))


def _background(rng: Rng) -> np.ndarray:
    """Paint a wall, with or without things on it, uint8 [2H, 2W, 3]."""
    side = SCALE * SIDE
    wall = colour(rng, (0.15, 1.0))
    pixels = np.empty((side, side, 3), np.uint8)
    pixels[:] = gradient(wall, shade(wall, rng.uniform(0.6, 1.3)), side)
    for _ in range(int(rng.integers(0, 5))):
        x, y, reach = rng.uniform(0, side, 2).tolist() + [rng.uniform(4, 30)]
        tone = pick(rng, SKINS) if rng.random() < 0.1 else colour(rng)  # so that skin colours do not only show hands
        if rng.random() < 0.5:
            cv2.fillPoly(pixels, [np.round(disc(x, y, reach, rng=rng)).astype(np.int32)], tone)
        else:
            end = (round(x + rng.uniform(-40, 40)), round(y + rng.uniform(-40, 40)))
            cv2.line(pixels, (round(x), round(y)), end, tone, int(rng.integers(2, 12)))
    return lit(pixels, noise(rng, (side, side), (4, 4), 20))
