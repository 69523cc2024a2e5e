"""R-CNN on one image: proposals, warped regions, features, SVMs, box regression, non-maximum suppression.

From the model files: the network's backbone, width and classes, the planes, the regression and the factors of the
features. From params.yaml: `selective_search` and `seed` (through `propose`), `warp`, `features.layer`, `detect_rcnn`.
N proposals, C classes without background, D numbers a region.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from src.errors import InputError
from src.files.records import Record
from src.files.storage import read_npz
from src.files.weights import read_tensors
from src.rcnn import network
from src.rcnn.detect import DetectRcnn, corrections, detect
from src.rcnn.planes import Plane, scores
from src.rcnn.warp import Warp, normalize, warp

BATCH_SIZE = 128  # regions at once; no parameter: it changes the speed, not the features
Propose = Callable[[np.ndarray, str], np.ndarray]  # (RGB image [H, W, 3], image id) -> boxes [N, 4]


class Scored(NamedTuple):
    """What the networks and the planes say of an image; every threshold comes after it."""

    boxes: np.ndarray  # [N, 4], the proposals
    scores: np.ndarray  # [N, C], of the SVMs: above 0 is the class's side of its plane
    deltas: np.ndarray  # [N, C, 4], of the box regression
    size: tuple[int, int]  # height, width of the image


class Rcnn:
    """A trained R-CNN."""

    def __init__(
        self,
        weights: Path,
        svm: Path,
        bbox: Path,
        *,
        propose: Propose,
        settings: Warp,
        layer: str,
        rules: DetectRcnn,
        device: torch.device,
    ) -> None:
        tensors, facts = read_tensors(weights)
        self.classes: list[str] = facts["classes"]
        net = network.build(facts["backbone"], len(self.classes) + 1, pool=facts["pool"], hidden=facts["hidden"])
        net.load_state_dict(tensors)
        self.net = net.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        self.propose, self.settings, self.layer, self.rules, self.device = propose, settings, layer, rules, device
        learnt, self.regression = read_npz(svm), read_npz(bbox)
        self.planes = [Plane(weight, bias) for weight, bias in zip(learnt["weights"], learnt["biases"], strict=True)]
        self.scale = learnt["scale"]
        width = sum(network.widths(net, layer))
        if len(self.scale) != width:
            raise InputError(
                f"{svm} knows features of {len(self.scale)} numbers, and features.layer = {layer} of params.yaml has "
                f"{width}: run `dvc repro`"
            )

    def describe(self, image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """Features [N, D] of regions [N, 4] of an image [H, W, 3], in half precision as the stage keeps them."""
        pixels = normalize(torch.from_numpy(image).permute(2, 0, 1).to(self.device))
        found = [np.zeros((0, len(self.scale)), np.float16)]
        with torch.inference_mode():
            for some in torch.from_numpy(boxes).to(self.device).split(BATCH_SIZE):
                crops = warp(pixels, some, size=self.settings.size, context=self.settings.context)
                crops = crops.contiguous(memory_format=torch.channels_last)
                found.append(network.describe(self.net, crops, self.layer).half().cpu().numpy())
        return np.concatenate(found)

    def score(self, image: np.ndarray, boxes: np.ndarray) -> Scored:
        """Scores and corrections of proposals [N, 4]; N may be 0."""
        features = self.describe(image, boxes)
        said = scores(features, self.planes, self.scale)
        return Scored(boxes, said, corrections(features, self.regression), image.shape[:2])

    def finish(self, scored: Scored, rules: DetectRcnn | None = None, *, regress: bool = True) -> Record:
        """Detections: {boxes [K, 4], labels [K] from 1, scores [K]}, by class and falling score.

        Args:
            scored: of an image.
            rules: None for those of the pipeline.
            regress: False leaves the proposals where they are.
        """
        deltas = scored.deltas if regress else None
        return detect(scored.boxes, scored.scores, rules or self.rules, size=scored.size, deltas=deltas)

    def detect(self, image: np.ndarray, image_id: str) -> Record:
        """Detections of an RGB image [H, W, 3]; of an image of the test split, those of the stage `detect_rcnn`.

        The id seeds the order of selective search's proposals, and so which of them a cap keeps.
        """
        return self.finish(self.score(image, self.propose(image, image_id)))
