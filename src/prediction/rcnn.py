"""R-CNN for one image: proposals, warped regions, features, SVMs, box regression, non-maximum suppression.

The model files give the network's backbone, width and classes, the planes, the regression and the factors of the
features. params.yaml gives `selective_search` and `seed` (through `propose`), `warp`, `features.from`,
`features.map_side`, `features.layer`, `features.precision` and `detect_rcnn`. N proposals, C classes without
background, D numbers per region.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from lightning_fabric.utilities import move_data_to_device

from src.files.records import Record
from src.prediction.proposer import Propose
from src.rcnn import maps, network
from src.rcnn.detect import DetectRcnn, detect
from src.rcnn.score import Scorer
from src.rcnn.warp import Warp, normalize, warp

BATCH_SIZE = 128  # regions; not a parameter, because it changes only the speed


class Scored(NamedTuple):
    """The proposals of an image with their scores and box corrections, before any threshold."""

    boxes: np.ndarray  # [N, 4], the proposals
    scores: np.ndarray  # [N, C], of the SVMs; a score above 0 means the class
    deltas: np.ndarray  # [N, C, 4], of the box regression
    size: tuple[int, int]  # height, width of the image


class Rcnn:
    """A trained R-CNN."""

    def __init__(
        self,
        model: Path,
        svm: Path,
        bbox: Path,
        *,
        propose: Propose,
        settings: Warp,
        map_side: int | None = None,
        layer: str,
        precision: str = "32-true",
        rules: DetectRcnn,
        device: torch.device,
    ) -> None:
        net, self.classes = network.read(model)
        self.net = net.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        self.propose, self.settings, self.rules, self.device = propose, settings, rules, device
        self.map_side, self.layer, self.precision = map_side, layer, precision
        self.scorer = Scorer(svm, bbox, sum(network.widths(net, layer)), layer)

    def describe(self, image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """Return features [N, D] of regions [N, 4] of an image [H, W, 3], in half precision as the stage saves them."""
        features = [np.zeros((0, len(self.scorer.scale)), np.float16)]
        with torch.inference_mode():
            if self.map_side is not None:
                scene = maps.scene(image, boxes, np.zeros(len(boxes), bool), self.map_side)
                on_device = move_data_to_device(scene, self.device)
                return (
                    maps.describe(self.net, on_device, self.settings, self.layer, self.precision).half().cpu().numpy()
                )
            for first in range(0, len(boxes), BATCH_SIZE):
                regions = boxes[first : first + BATCH_SIZE]
                crops = warp(image, regions, size=self.settings.size, context=self.settings.context)
                pixels = normalize(torch.from_numpy(crops).to(self.device))
                features.append(network.describe(self.net, pixels, self.layer, self.precision).half().cpu().numpy())
        return np.concatenate(features)

    def score(self, image: np.ndarray, boxes: np.ndarray) -> Scored:
        """Compute the scores and the box corrections of proposals [N, 4]; N may be 0."""
        return Scored(boxes, *self.scorer(self.describe(image, boxes)), image.shape[:2])

    def finish(self, scored: Scored, rules: DetectRcnn | None = None, *, regress: bool = True) -> Record:
        """Return detections {boxes [K, 4], labels [K] from 1, scores [K]}, by class and descending score.

        Args:
            scored: the result of the method `score` for an image.
            rules: None for those of the pipeline.
            regress: False leaves out the box regression.
        """
        deltas = scored.deltas if regress else None
        return detect(scored.boxes, scored.scores, rules or self.rules, size=scored.size, deltas=deltas)

    def detect(self, image: np.ndarray, image_id: str) -> Record:
        """Return the detections in an RGB image [H, W, 3]; for a test image, they are those of the stage `detect_rcnn`.

        The id seeds the order of selective search's proposals, and so decides which of them a limit keeps.
        """
        return self.finish(self.score(image, self.propose(image, image_id)))
