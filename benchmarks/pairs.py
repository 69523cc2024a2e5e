"""Pairs: our code and a peer's for the same task, in turns, so that a busy machine slows both.

A row of `make bench` is a dictionary that JSON can hold. A pair has `task`, `peer`, `ours`, `theirs` and `ratio`; each
of the last three is [median, lowest, highest]. `ratio` is the peer's time over ours, per round: above 1 ours is faster.
A row that could not be measured has `missing`, which says why.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from src.files.boxed_images import BoxedImages
from src.files.prepared import write_prepared
from src.ingest.drawn.painting import jpeg
from src.ingest.drawn.scenes import scene

PHOTO = (375, 500)  # height, width of most photos of VOC
NO_GPU = "no GPU here"
OURS = "ours"
Row = dict[str, Any]


class Setting(NamedTuple):
    """The size of a benchmark."""

    quick: bool  # the smallest inputs that still run all code
    rounds: int  # runs of each side, of which the median is taken
    images: Path | None  # a prepared zip of photos; None draws scenes

    def size(self, full: int, quick: int) -> int:
        """Choose a number of things to measure on."""
        return quick if self.quick else full


def seconds(action: Callable[[], object]) -> float:
    """Return the wall-clock seconds of an action."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def in_turns(sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, np.ndarray]:
    """Run all sides in each round, in the other order in each second round; return what they return, [rounds]."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in sides if number % 2 == 0 else reversed(sides):
            found[name].append(sides[name]())
    return {name: np.array(values) for name, values in found.items()}


def raced(task: str, sides: Mapping[str, Callable[[], object]], rounds: int, note: str = "") -> Iterator[Row]:
    """Time the side `OURS` and each of the others in turns; yield a row per peer. Warming up is the caller's."""
    times = in_turns({name: lambda side=side: seconds(side) for name, side in sides.items()}, rounds)  # type: ignore[misc]
    for peer in sides:
        if peer != OURS:
            yield row(task, peer, times[OURS], times[peer], note)


def row(task: str, peer: str, ours: np.ndarray, theirs: np.ndarray, note: str = "") -> Row:
    """Write a row from the seconds of both, [rounds]."""
    parts = {"ours": ours, "theirs": theirs, "ratio": theirs / ours}
    return {"task": task, "peer": peer, **{name: spread(values) for name, values in parts.items()}, "note": note}


def alone(task: str, times: np.ndarray, note: str = "") -> Row:
    """Write a row of ours that has no peer."""
    return {"task": task, "peer": "", "ours": spread(times), "note": note}


def missing(task: str, peer: str, why: str) -> Row:
    """Write a row of something that cannot be measured here."""
    return {"task": task, "peer": peer, "missing": why}


def spread(values: np.ndarray) -> list[float]:
    """Return median, lowest and highest, to four significant digits."""
    return [float(f"{value:.4g}") for value in (np.median(values), values.min(), values.max())]


@contextmanager
def photos(setting: Setting, count: int) -> Iterator[tuple[BoxedImages, list[str]]]:
    """Yield photos, or drawn scenes of the size of photos, and the ids of `count` of them (fewer if it has fewer)."""
    if setting.images:
        data = BoxedImages(setting.images)
        yield data, data.ids(*data.splits)[:count]
        return
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder) / "drawn.zip", count)
        data = BoxedImages(Path(folder) / "drawn.zip")
        yield data, data.ids("test")


def draw(path: Path, count: int, size: tuple[int, int] = PHOTO) -> None:
    """Write a prepared set of drawn scenes of (height, width) `size`: one split, `test`, and the objects' boxes."""
    ids = [f"{number:06}" for number in range(count)]
    images, contents = {}, []
    for number, image_id in enumerate(ids):
        picture, objects = scene(0, number)
        scale = np.array([size[1] / picture.shape[1], size[0] / picture.shape[0]] * 2)
        boxes = [(np.array(thing.box) * scale).tolist() for thing in objects]
        entry = {"file": f"{image_id}.jpg", "height": size[0], "width": size[1], "boxes": boxes}
        images[image_id] = {**entry, "labels": [1] * len(boxes), "difficult": [False] * len(boxes)}
        contents.append((entry["file"], jpeg(cv2.resize(picture, size[::-1]))))
    write_prepared(path, ["thing"], {"test": ids}, images, contents)


def sparse(count: int, width: int, shift: float) -> np.ndarray:
    """Draw features, float32 [N, D], like those after a ReLU: a quarter is above 0, and the mean norm is about 20."""
    rng = np.random.default_rng(count)
    x = np.maximum(
        rng.standard_normal((count, width), np.float32) - 0.7 + np.float32(shift) * (np.arange(width) % 8 == 0), 0
    )
    return x * np.float32(20 / np.linalg.norm(x, axis=1).mean())
