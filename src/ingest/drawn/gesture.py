"""A sample in the form of handpose_x_gesture_v1, drawn instead of photographed (`src.ingest.drawn.hands`).

There is one folder per class. The file name has the person whose hand it shows, `hand<person>_<number>.jpg`, so that
the sample can be split by person as well as by image. The same seed gives the same bytes.
"""

from collections.abc import Iterator
from pathlib import Path

from src.files import room
from src.ingest.archives import write_tar
from src.ingest.drawn.hands import person, picture
from src.ingest.drawn.painting import jpeg
from src.ingest.drawn.poses import POSES

CLASSES = tuple(POSES)
OF_AN_IMAGE = 3000  # bytes; 2,740 were measured, as a mean of 2,800


def draw(path: Path, per_class: int, people: int, seed: int) -> None:
    """Write the sample as an uncompressed tar.

    Picture i of a class does not depend on how many are drawn. People take turns, so that each shows all gestures.

    Args:
        path: the tar; an existing file is replaced when the new one is complete.
        per_class: number of pictures per gesture.
        people: number of people whose hands are drawn.
        seed: seed of the people and pictures.
    """
    size = len(CLASSES) * per_class * OF_AN_IMAGE
    room.disk(path.parent, size, "the drawn hands", "lower data.gesture.sample.per_class")
    write_tar(path, _entries(per_class, people, seed))


def _entries(per_class: int, people: int, seed: int) -> Iterator[tuple[str, bytes]]:
    everyone = [person(seed, number) for number in range(1, people + 1)]
    for gesture in CLASSES:
        for number in range(1, per_class + 1):
            index = (number - 1) % people
            image = picture(seed, gesture, number, everyone[index])
            yield f"{gesture}/hand{index + 1}_{number:04d}.jpg", jpeg(image)
