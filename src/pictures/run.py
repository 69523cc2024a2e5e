"""The outputs of a finished run that the pictures show, for the test images."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from src import plugins
from src.boxes.overlap import iou
from src.boxes.target import Target
from src.files.boxed_images import BoxedImages
from src.files.records import Record, read_records
from src.rcnn.score import Scores, read_scores

METHODS = {"rcnn": "R-CNN", "ssd300": "SSD"}


@dataclass(frozen=True)
class Run:
    """Images, and the outputs of the stages as files."""

    images: BoxedImages
    split: str  # of the test images
    proposals_file: Path
    scores_file: Path
    detections_folder: Path  # with a folder per detector
    detectors: Mapping[str, Any]  # the section `detectors` of the parameters

    @cached_property
    def test_ids(self) -> list[str]:
        """The test images in their order."""
        return self.images.ids(self.split)

    @cached_property
    def targets(self) -> dict[str, Target]:
        """The objects of the test images."""
        return {image_id: self.images.target(image_id) for image_id in self.test_ids}

    @cached_property
    def proposals(self) -> dict[str, Record]:
        """The proposals of selective search."""
        return read_records(self.proposals_file, self.test_ids)

    @cached_property
    def scores(self) -> dict[str, Scores]:
        """The scores of R-CNN's SVMs for the proposals."""
        return read_scores(self.scores_file, self.proposals, self.test_ids)

    def detections(self, method: str, variant: str = "detections") -> dict[str, Record]:
        """Read the detections of a method; `no_bbox` are R-CNN's without box regression."""
        return read_records(self.detections_folder / method / f"{variant}.npz", self.test_ids)

    def reference_boxes(self, name: str, key: str) -> tuple[np.ndarray, float]:
        """Return the boxes [N, 4] that a dense detector corrects, and the side of its square input in pixels."""
        module, section = plugins.section("detectors", self.detectors, name)
        import torch  # imported here, because it takes seconds

        side = section.model.size
        with torch.no_grad():
            outputs = module.build(len(self.images.classes) + 1, section.model).eval()(torch.zeros(1, 3, side, side))
        return outputs[key].numpy(), float(side)


def overlaps(boxes: np.ndarray, gt_boxes: np.ndarray) -> np.ndarray:
    """Compute the IoU [N, M] of boxes with objects in double precision; N and M may be 0."""
    found: np.ndarray = iou(boxes.astype(np.float64), gt_boxes.astype(np.float64))
    return found
