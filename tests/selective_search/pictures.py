"""Pictures and label maps that several tests share."""

import tarfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from src.ingest.drawn.scenes import scene

SHAPES = [(1, 1), (1, 60), (60, 1), (2, 2), (3, 200), (200, 3), (10, 1000)]


def scenes(count: int) -> list[np.ndarray]:
    """Return images of the drawn sample, RGB uint8."""
    return [scene(0, index)[0] for index in range(count)]


def photos(shared_data: Path, count: int) -> list[np.ndarray]:
    """Return real photos, RGB uint8."""
    with tarfile.open(shared_data / "voc2007-mini.tar") as archive:
        names = sorted(name for name in archive.getnames() if name.endswith(".jpg"))[:count]
        content = [archive.extractfile(name).read() for name in names]
    return [cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB) for jpeg in content]


def noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)


def jaccard(a: np.ndarray, b: np.ndarray) -> float:
    """Return the number of boxes in both sets, divided by the number in either."""
    one, other = ({tuple(box) for box in boxes.tolist()} for boxes in (a, b))
    return len(one & other) / len(one | other)


@st.composite
def label_maps(draw: st.DrawFn, most: int = 9) -> np.ndarray:
    """Make label maps, int32 [H, W], with every number from 0 to the largest; regions need not be connected."""
    shape = draw(st.tuples(st.integers(1, most), st.integers(1, most)))
    labels: Any = draw(arrays(np.int32, shape, elements=st.integers(0, most)))
    return np.unique(labels, return_inverse=True)[1].reshape(shape).astype(np.int32)
