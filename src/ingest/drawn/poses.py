"""The fourteen gestures of the drawn sample: the position of each finger of a hand.

Points are in units of a palm's height (x right, y down). The wrist is at the origin, the fingers point up and the thumb
is on the left. Names and order are those of handpose_x_gesture_v1.
"""

from typing import NamedTuple

Points = tuple[tuple[float, float], ...]


class Finger(NamedTuple):
    """One of the four fingers, from the index finger to the little finger."""

    base: tuple[float, float]
    length: float
    radius: float
    angle: float  # degrees from upright, clockwise, if the finger is stretched


class Pose(NamedTuple):
    """A gesture: each finger is "up", "folded" or a list of points after its base; the thumb is a list of points."""

    fingers: tuple[str | Points, str | Points, str | Points, str | Points]
    thumb: Points
    turn: float = 0.0  # degrees from upright, clockwise, of the whole hand


FINGERS = (
    Finger((-0.31, -0.98), 0.82, 0.098, -9.0),
    Finger((-0.105, -1.03), 0.92, 0.102, -1.0),
    Finger((0.1, -1.0), 0.85, 0.097, 6.0),
    Finger((0.29, -0.92), 0.66, 0.084, 15.0),
)
UP, FOLDED = "up", "folded"
# The thumb: across folded fingers, across the palm, stretched sideways, and away from a stretched hand.
ACROSS: Points = ((-0.33, -0.35), (-0.4, -0.62), (-0.14, -0.74), (0.1, -0.68))
IN_PALM: Points = ((-0.33, -0.35), (-0.34, -0.62), (-0.1, -0.66), (0.08, -0.6))
ASIDE: Points = ((-0.3, -0.35), (-0.55, -0.56), (-0.82, -0.68), (-1.04, -0.76))
AWAY: Points = ((-0.3, -0.3), (-0.58, -0.56), (-0.74, -0.8), (-0.86, -1.04))

POSES: dict[str, Pose] = {
    "000-one": Pose((UP, FOLDED, FOLDED, FOLDED), ACROSS),
    "001-five": Pose((UP, UP, UP, UP), AWAY),
    "002-fist": Pose((FOLDED, FOLDED, FOLDED, FOLDED), ACROSS),
    "003-ok": Pose(
        (((-0.44, -1.32), (-0.7, -1.42), (-0.94, -1.18)), UP, UP, UP),
        ((-0.3, -0.3), (-0.6, -0.5), (-0.86, -0.74), (-0.96, -1.1)),
    ),
    "004-heartSingle": Pose(
        (((-0.26, -1.32), (-0.4, -1.52), (-0.6, -1.66)), FOLDED, FOLDED, FOLDED),
        ((-0.33, -0.35), (-0.52, -0.8), (-0.5, -1.26), (-0.28, -1.68)),
    ),
    "005-yearh": Pose((UP, UP, FOLDED, FOLDED), ACROSS),
    "006-three": Pose((UP, UP, UP, FOLDED), ((-0.33, -0.35), (-0.36, -0.6), (-0.04, -0.72), (0.2, -0.72))),
    "007-four": Pose((UP, UP, UP, UP), IN_PALM),
    "008-six": Pose((FOLDED, FOLDED, FOLDED, UP), ASIDE),
    "009-Iloveyou": Pose((UP, FOLDED, FOLDED, UP), ASIDE),
    "010-gun": Pose((UP, FOLDED, FOLDED, FOLDED), ASIDE, turn=80.0),
    "011-thumbUp": Pose((FOLDED, FOLDED, FOLDED, FOLDED), ASIDE, turn=65.0),
    "012-nine": Pose((((-0.36, -1.38), (-0.56, -1.56), (-0.74, -1.34)), FOLDED, FOLDED, FOLDED), ACROSS),
    "013-pink": Pose((FOLDED, FOLDED, FOLDED, UP), ACROSS),
}
