"""A detector that can learn must be able to overfit to eight images."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from ruamel.yaml import YAML
from torch import nn

from commands import trained
from commands.write_deps import ROOT
from src import plugins
from src.detection import running
from src.detection.batches import DetectionBatches
from src.detection.sizes import Size
from src.evaluation.average_precision import mean_ap, voc07, voc_curves
from src.files.boxed_images import BoxedImages
from src.files.prepared import write_prepared
from src.ingest.archives import open_archive
from src.ingest.drawn import voc
from src.ingest.formats import load
from src.params import read_params
from src.proposals import selective_search
from src.training.loop import Run, fit
from stages.train_detector import Params

STEPS = 250


@pytest.mark.slow
@pytest.mark.real
def test_ssd_learns_eight_real_photos_by_heart(shared_data: Path, tmp_path: Path) -> None:
    data = eight(shared_data / "voc2007-subset.tar", tmp_path)
    assert learnt("ssd300", data, {"size": 256}) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("pool", ["align", "max"])
def test_faster_rcnn_learns_eight_drawn_scenes_by_heart(tmp_path: Path, pool: str) -> None:
    voc.draw(tmp_path / "drawn.tar", {"train": 8, "val": 1, "test": 1, "extra": 1}, seed=0)
    assert learnt("faster_rcnn", eight(tmp_path / "drawn.tar", tmp_path), {"size": 128}, pool=pool) > 0.9


@pytest.mark.slow
def test_fast_rcnn_learns_eight_drawn_scenes_by_heart(tmp_path: Path) -> None:
    voc.draw(tmp_path / "drawn.tar", {"train": 8, "val": 1, "test": 1, "extra": 1}, seed=0)
    assert learnt("fast_rcnn", eight(tmp_path / "drawn.tar", tmp_path), {"size": 128}) > 0.9


def eight(archive: Path, folder: Path) -> BoxedImages:
    """Prepare eight training images of an archive."""
    options = {"classes": None, "other_classes": "drop", "limit": 8, "format": "voc", "split": None, "jobs": 1}
    write_prepared(folder / "voc.zip", *load([open_archive(archive)], **options)[0])
    return BoxedImages(folder / "voc.zip")


def learnt(name: str, data: BoxedImages, model: dict[str, int], **head: str) -> float:
    """Train a detector on the training images alone, and return its mAP on them."""
    ids = data.ids("train")
    sections = YAML(typ="safe").load((ROOT / "params.yaml").read_text())["detectors"]
    sections[name]["model"].update(model)
    if head:
        sections[name]["model"]["head"].update(head)
    module, section = plugins.section("detectors", sections, name)
    settings = read_params(ROOT / "params.yaml", Params).train.model_copy(
        update={"lr": 1e-3, "epochs": STEPS, "schedule": "cosine", "batch_size": 8, "optimizer": "adamw"}
    )
    net, _ = running.start(module, section, data.num_classes, {}, seed=0)
    boxes = proposals(data, ids) if running.takes_proposals(module) else None
    same = DetectionBatches(data, ids, Size(model["size"]), batch_size=8, proposals=boxes)

    def losses(net: nn.Module, batch: dict[str, Any]) -> dict[str, torch.Tensor]:
        outputs = running.forward(module, net, batch, section, learning=True)
        named: dict[str, torch.Tensor] = module.loss(outputs, batch["targets"], section.loss)
        return named

    fit(Run(Fabric(accelerator="cpu", devices=1), settings), net, lambda _: [same[0]], losses)
    found = running.detect(module, net, section, data, ids, torch.device("cpu"), proposals=boxes)
    curves = voc_curves(found, {image_id: data.target(image_id) for image_id in ids}, data.classes)
    return mean_ap(map(voc07, curves.values()))


def proposals(data: BoxedImages, ids: list[str]) -> dict[str, np.ndarray]:
    """Propose regions by selective search, with the numbers of params.yaml."""
    options = read_params(ROOT / "params.yaml", trained.Params).selective_search.model_dump()
    return {name: selective_search.propose(data.image(name), **options, seed=0, image_id=name) for name in ids}
