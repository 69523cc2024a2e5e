"""A sample in the form of handpose_x_gesture_v1, drawn rather than photographed (`src.ingest.drawn.hands`).

One folder a class. A file is named by whose hand it shows, `hand<person>_<number>.jpg`, so that the sample can be split
by person as well as by image. The same seed gives the same bytes.
"""

from collections.abc import Iterator
from pathlib import Path

from src.ingest.archives import write_tar
from src.ingest.drawn.hands import person, picture
from src.ingest.drawn.painting import jpeg
from src.ingest.drawn.poses import POSES

CLASSES = tuple(POSES)


def draw(path: Path, per_class: int, people: int, seed: int) -> None:
    """Write the sample as an uncompressed tar.

    Picture i of a class is the same however many are drawn. People take turns, so that each shows all the gestures.

    Args:
        path: of the tar; a file that is there is replaced once the new one is complete.
        per_class: pictures of each gesture.
        people: whose hands are drawn.
        seed: of people and pictures.
    """
    write_tar(path, _entries(per_class, people, seed))


def _entries(per_class: int, people: int, seed: int) -> Iterator[tuple[str, bytes]]:
    everyone = [person(seed, number) for number in range(1, people + 1)]
    for gesture in CLASSES:
        for number in range(1, per_class + 1):
            who = (number - 1) % people
            image = picture(seed, gesture, number, everyone[who])
            yield f"{gesture}/hand{who + 1}_{number:04d}.jpg", jpeg(image)
