"""A detector that can learn must be able to overfit to eight photos."""

from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from ruamel.yaml import YAML

from commands.write_deps import ROOT
from src import plugins
from src.detection import running
from src.detection.batches import DetectionBatches
from src.detection.sizes import Size
from src.evaluation.average_precision import mean_ap, voc07, voc_curves
from src.files.boxed_images import BoxedImages
from src.files.prepared import write_prepared
from src.ingest.archives import open_archive
from src.ingest.formats import load
from src.params import read_params
from src.training.loop import Run, fit
from stages.train_detector import Params

STEPS = 250


@pytest.mark.slow
@pytest.mark.real
def test_ssd_learns_eight_real_photos_by_heart(shared_data: Path, tmp_path: Path) -> None:
    archives = [open_archive(shared_data / "voc2007-subset.tar")]
    options = {"classes": None, "other_classes": "drop", "limit": 8, "format": "voc", "split": None, "jobs": 1}
    write_prepared(tmp_path / "voc.zip", *load(archives, **options)[0])
    data = BoxedImages(tmp_path / "voc.zip")
    ids = data.ids("train")
    sections = YAML(typ="safe").load((ROOT / "params.yaml").read_text())["detectors"]
    sections["ssd300"]["model"].update(size=256)
    module, section = plugins.section("detectors", sections, "ssd300")
    settings = read_params(ROOT / "params.yaml", Params).train.model_copy(
        update={"lr": 1e-3, "epochs": STEPS, "schedule": "cosine", "batch_size": 8, "optimizer": "adamw"}
    )
    model, _ = running.start(module, section, data.num_classes, {}, seed=0)
    same = DetectionBatches(data, ids, Size(256), batch_size=8)
    fit(
        Run(Fabric(accelerator="cpu", devices=1), settings),
        model,
        lambda _: [same[0]],
        lambda net, batch: module.loss(net(batch["images"]), batch["targets"], section.loss),
    )
    found = running.detect(module, model, section, data, ids, torch.device("cpu"))
    curves = voc_curves(found, {image_id: data.target(image_id) for image_id in ids}, data.classes)
    assert mean_ap(map(voc07, curves.values())) > 0.9
