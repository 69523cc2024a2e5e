from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric

from src.classification.running import start
from src.classification.training import train
from src.classifiers import mobilenet_v3
from src.training.loop import Run
from tests.labelled import RECIPE, digits
from tests.training.test_loop import SETTINGS

STEPS = SETTINGS.model_copy(
    update={
        **{"optimizer": "adam", "lr": 0.003, "momentum": 0.0, "batch_size": 64, "epochs": 3},
        **{"schedule": "constant", "best_by": "last"},
    }
)


def val_accuracy(path: Path, bn_momentum: float) -> tuple[float, float]:
    """Train for 57 steps, and return the training loss and the accuracy on held-out digits."""
    data = digits(path, train=1257, val=180, test=0)
    model = mobilenet_v3.Model(name="mobilenet_v3_small", width=0.5, dropout=0.0, bn_momentum=bn_momentum)
    net, _ = start(lambda: mobilenet_v3.build(10, model), {}, "", 0)
    ids = data.ids("train"), data.ids("val")
    history = train(Run(Fabric(accelerator="cpu", devices=1), STEPS, seed=0), net, [], data, *ids, RECIPE)
    return history[-1]["loss"], history[-1]["val_accuracy"]


def test_statistics_that_follow_too_slowly_collapse_in_eval_mode_and_the_default_does_not(tmp_path: Path) -> None:
    """The tutorial published 0.770 and 0.442 on MNIST; torchvision's momentum of 0.01 has this effect in few steps."""
    learnt, collapsed = val_accuracy(tmp_path / "digits.zip", 0.01)
    learnt_too, held = val_accuracy(tmp_path / "digits.zip", 0.1)
    assert learnt == pytest.approx(learnt_too)  # in train mode both networks are the same
    assert learnt < 0.5
    assert collapsed < 0.2
    assert held > 0.6


def test_torchvision_would_have_the_slow_momentum() -> None:
    import torchvision

    slow = {
        layer.momentum
        for layer in torchvision.models.mobilenet_v3_small(weights=None).modules()
        if isinstance(layer, torch.nn.BatchNorm2d)
    }
    assert slow == {0.01}
