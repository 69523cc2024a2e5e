"""Scores and box corrections of proposals: all that detection needs to know of an image (R-CNN Sec. 2.2 and App. C).

The features of a test region are used once, so they are never stored: src/rcnn/extract.py describes a batch of regions
and writes what this module makes of it. N regions, D features of a region, C classes without background.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from src.errors import InputError
from src.files.records import Record
from src.files.storage import read_npz
from src.rcnn.planes import Plane, scores

NUMBERS = 5  # per region and class: the score, then four deltas


class Scores(NamedTuple):
    """The scores and the box corrections of regions."""

    scores: np.ndarray  # [N, C], of the SVMs; a score above 0 means the class
    deltas: np.ndarray  # [N, C, 4], of the box regression


class Scorer:
    """The SVMs and the box regressions of all classes.

    Attributes:
        planes: C separating planes.
        scale: [D], the factors of the features.
        regression: as for `corrections`.
    """

    def __init__(self, svm: Path, bbox: Path, width: int, layer: str) -> None:
        """Read the files of the stages train_svm and train_bbox; `InputError` if they are not for `width` features."""
        svms, self.regression = read_npz(svm), read_npz(bbox)
        self.planes = [Plane(weight, bias) for weight, bias in zip(svms["weights"], svms["biases"], strict=True)]
        self.scale = svms["scale"]
        for path, factors in ((svm, self.scale), (bbox, self.regression["scale"])):
            if len(factors) != width:
                raise InputError(
                    f"{path} was trained on features of {len(factors)} numbers, but features.layer = {layer} in "
                    f"params.yaml gives {width}: run `dvc repro`"
                )

    def __call__(self, features: np.ndarray) -> Scores:
        """Score regions by their features [N, D] in half precision; N may be 0."""
        return Scores(scores(features, self.planes, self.scale), corrections(features, self.regression))

    @property
    def width(self) -> int:
        """Numbers per region in a row."""
        return len(self.planes) * NUMBERS

    def rows(self, features: np.ndarray) -> np.ndarray:
        """Return scores and deltas as float32 rows [N, C * 5], one per region, to be stored."""
        found = self(features)
        joined = np.concatenate([found.scores[:, :, None], found.deltas], axis=2)
        return joined.reshape(len(features), self.width).astype(np.float32)


def corrections(features: np.ndarray, regression: Mapping[str, np.ndarray]) -> np.ndarray:
    """Predict the deltas [N, C, 4] of regions with the box regression of each class.

    Args:
        features: [N, D], half precision, as they are stored.
        regression: `weights` [C, D, 4], `biases` [C, 4] and `scale` [D], the factors of the features.
    """
    # [N, D] x [C, D, 4] -> [N, C, 4] is one matrix product here; einsum does not use one and takes 100 times as long.
    deltas = np.tensordot(features.astype(np.float32) * regression["scale"], regression["weights"], ([1], [1]))
    return deltas + regression["biases"]


def read_scores(path: Path, proposals: Mapping[str, Record], image_ids: Sequence[str]) -> dict[str, Scores]:
    """Read the scores of the proposals of images; they stay in the file until they are used.

    Args:
        path: rows [R, C * 5] of all proposals of these images, in this order.
        proposals: records of `boxes` by image.
        image_ids: the images.

    Raises:
        InputError: the file does not hold as many rows as there are proposals.
    """
    rows = np.load(path, mmap_mode="r")
    ends = np.cumsum([0, *(len(proposals[image_id]["boxes"]) for image_id in image_ids)])
    if ends[-1] != len(rows):
        raise InputError(f"{path} holds {len(rows)} regions and the proposals {ends[-1]}: run `dvc repro score_rcnn`")
    cubes = rows.reshape(len(rows), rows.shape[1] // NUMBERS, NUMBERS)
    parts = zip(image_ids, ends, ends[1:], strict=False)
    return {image_id: Scores(cubes[start:end, :, 0], cubes[start:end, :, 1:]) for image_id, start, end in parts}
