"""A prepared data set of three small images, a small network with R-CNN's layers, and the paper's rules."""

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from src.files.boxed_images import BoxedImages
from src.files.prepared import write_prepared
from src.files.records import Record
from src.rcnn.finetune_settings import Finetune
from src.rcnn.mining import TrainSvm
from src.rcnn.solvers import Sgd
from src.training.settings import TrainOverrides

IMAGES: dict[str, dict[str, Any]] = {
    "two_classes": {"boxes": [[10, 10, 40, 40], [50, 20, 70, 50]], "labels": [1, 2], "difficult": [False, False]},
    "empty": {"boxes": [], "labels": [], "difficult": []},
    "difficult": {"boxes": [[5, 5, 25, 35], [40, 10, 60, 30]], "labels": [1, 1], "difficult": [True, False]},
}
SIZE = (60, 80)  # height, width


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> BoxedImages:
    """Three images of noise with objects of two classes; the second has no object, the third a difficult one."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("prepared") / "tiny.zip"
    images = {name: {"file": f"{name}.png", "height": 60, "width": 80, **entry} for name, entry in IMAGES.items()}
    contents = [(f"{name}.png", _png(rng.integers(0, 256, (*SIZE, 3), np.uint8))) for name in IMAGES]
    write_prepared(path, ["circle", "square"], {"train": list(IMAGES)}, images, contents)
    return BoxedImages(path)


def _png(image: np.ndarray) -> bytes:
    smooth = cv2.GaussianBlur(image, (0, 0), 2)
    return cv2.imencode(".png", cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX))[1].tobytes()


@pytest.fixture
def proposals() -> dict[str, Record]:
    """The same rectangles in every image: some on an object, some slightly off it, some far from all objects."""
    boxes = [[12, 10, 42, 40], [50, 22, 70, 52], [41, 11, 61, 31], [6, 5, 26, 35], [0, 48, 20, 60], [30, 30, 55, 58]]
    return {name: {"boxes": np.array(boxes, np.float32)} for name in IMAGES}


class TinyNet(nn.Module):
    """The layers that a backbone must have, with 16 numbers in pool5 and 8 in fc6 and fc7."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU())
        self.avgpool = nn.AdaptiveAvgPool2d(2)
        fc6, fc7, fc8 = nn.Linear(16, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.classifier = nn.Sequential(nn.Dropout(0.5), fc6, nn.ReLU(), nn.Dropout(0.5), fc7, nn.ReLU(), fc8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


@pytest.fixture
def tiny_net() -> nn.Module:
    torch.manual_seed(0)
    return TinyNet()


@pytest.fixture
def finetune_rules() -> Finetune:
    """The rules of R-CNN Sec. 2.3."""
    return Finetune(
        backbone="alexnet",
        weights="none",
        pool=None,
        hidden=16,
        dropout=0.5,
        fg_fraction=0.25,
        fg_iou_thresh=0.5,
        bg_iou_min=0.0,
        bg_iou_zero=True,
        bg_min_area=0.0,
        include_gt=True,
        only_images_with_objects=False,
        flip=True,
        train_convolutions=True,
        map_side=None,
        new_layer_lr=10.0,
        train=TrainOverrides(batches_per_epoch=4),
    )


@pytest.fixture
def tutorial_rules(finetune_rules: Finetune) -> Finetune:
    """The tutorial's rules: no IoU of 0, no small background, no ground-truth boxes, no images without objects."""
    changes = {"bg_iou_zero": False, "bg_min_area": 0.2, "include_gt": False, "only_images_with_objects": True}
    return finetune_rules.model_copy(update=changes)


@pytest.fixture
def svm_rules() -> TrainSvm:
    """The rules of R-CNN Sec. 2.3 and of its released code, for a few regions."""
    return TrainSvm(
        solver="dual_coordinate_descent",
        c=1.0,
        bias_multiplier=10.0,
        positive_weight=2.0,
        neg_iou_thresh=0.3,
        neg_iou_zero=True,
        neg_min_area=0.0,
        only_images_with_objects=False,
        first_negatives=10,
        rounds=3,
        hard_margin=-1.0,
        easy_margin=-1.2,
        retrain_every=2000,
        max_held=50_000,
        sgd=Sgd(lr=1e-4, lr_step=4, lr_gamma=0.1, epochs=10),
    )
