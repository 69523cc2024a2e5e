import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from src import plugins
from src.detection.running import detect, start, takes_proposals
from src.errors import InputError
from src.evaluation.average_precision import mean_ap, voc07, voc_curves
from src.files.boxed_images import BoxedImages
from src.files.records import write_records
from src.files.weights import read_tensors, write_tensors
from src.training.loading import Batches, Loader
from stages.train_detector import Params, run
from tests.trained import CLASSES, SIZES, content

Trained = Callable[..., dict[str, Path]]


def params(detector: str, epochs: int, *, validation: str | None = None, seed: int = 0, **train: Any) -> Params:
    """The parameters of tests/trained.py with a short training on the two test images."""
    found = content()
    found["detectors"][detector]["train"] |= {"epochs": epochs, "batch_size": 2, **train}
    found["splits"] |= {"detectors": "test", "validation": validation}
    return Params.model_validate({**found, "seed": seed})


@pytest.fixture
def trained(checkout: Path, no_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trained:
    """Run the stage; return the paths of its outputs."""
    monkeypatch.chdir(tmp_path)  # of the checkpoints
    outs = {name: tmp_path / name for name in ("out", "metrics", "curve")}
    boxes = np.array([[0, 0, 31, 30], [5, 5, 40, 42], [20, 10, 70, 60], [0, 0, 80, 80]], np.float32)
    write_records(tmp_path / "proposals.npz", {name: {"boxes": boxes} for name in SIZES})

    def trained(detector: str, params: Params, weights: Path = no_weights) -> dict[str, Path]:
        takes = takes_proposals(plugins.load("detectors", detector))
        given = {"proposals": tmp_path / "proposals.npz"} if takes else {}
        run(params, detector=detector, images=checkout / "data/prepared/voc.zip", weights=weights, **outs, **given)
        return outs

    return trained


def untrained(detector: str, params: Params) -> dict[str, Tensor]:
    module, section = plugins.section("detectors", params.detectors, detector)
    return start(module, section, len(CLASSES) + 1, {}, params.seed)[0].state_dict()


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    """The parts of the network of which a weight differs; the statistics of BatchNorm are no weights."""
    assert before.keys() == after.keys()
    weights = [name for name in after if "running_" not in name and "num_batches" not in name]
    return {name.split(".")[0] for name in weights if not torch.equal(after[name], before[name])}


@pytest.mark.parametrize("detector", ["ssd300", "rpn", "fast_rcnn", "faster_rcnn"])
def test_without_epochs_the_network_stays_as_it_starts_and_an_epoch_changes_all_its_parts(
    trained: Trained, detector: str, tmp_path: Path
) -> None:
    for epochs in (0, 1):
        chosen = params(detector, epochs)
        out = trained(detector, chosen)
        before, (after, facts) = untrained(detector, chosen), read_tensors(out["out"])
        parts = {name.split(".")[0] for name in before}
        assert changed(before, after) == (parts if epochs else set())
        assert all(value.isfinite().all() for value in after.values())
        assert facts == {"detector": detector, "model": chosen.detectors[detector]["model"], "classes": CLASSES}
        metrics, curve = json.loads(out["metrics"].read_text()), pd.read_csv(out["curve"])
        assert metrics["epoch"] == len(curve) == epochs
        assert {"epoch", "loss"} <= set(curve.columns)
        assert "arithmetic" in metrics
    assert not list((tmp_path / ".checkpoints").glob("*"))


def test_held_out_images_give_figures_and_choose_the_epoch(trained: Trained) -> None:
    out = trained("rpn", params("rpn", 2, validation="train", best_by="val_loss"))
    curve, metrics = pd.read_csv(out["curve"]), json.loads(out["metrics"].read_text())
    assert {"val_loss", "val_recall", "val_accuracy_always_background"} <= set(curve.columns)
    best = curve.loc[curve["val_loss"].idxmin()]
    assert metrics["epoch"] == best["epoch"]
    assert metrics["val_loss"] == best["val_loss"]
    assert not any("val_" in name for name in pd.read_csv(trained("rpn", params("rpn", 1))["curve"]).columns)


def test_the_same_run_gives_the_same_bytes_and_another_seed_does_not(trained: Trained) -> None:
    first, again, other = (trained("ssd300", params("ssd300", 1, seed=seed))["out"].read_bytes() for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_a_backbone_starts_from_the_weights_and_the_rest_at_random(
    trained: Trained, checkout: Path, tmp_path: Path
) -> None:
    tensors = read_tensors(checkout / "models/ssd300.safetensors")[0]
    backbone = {name: value for name, value in tensors.items() if name.startswith("backbone.")}
    stripped = {name.removeprefix("backbone."): value for name, value in backbone.items()}
    write_tensors(tmp_path / "backbone", stripped, {"source": "test"})
    chosen = params("ssd300", 0)
    after = read_tensors(trained("ssd300", chosen, tmp_path / "backbone")["out"])[0]
    assert changed(untrained("ssd300", chosen), after) == {"backbone"}
    assert all(torch.equal(after[name], value) for name, value in backbone.items())


def test_starting_weights_of_another_network_are_refused_by_the_parameter(
    trained: Trained, checkout: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"^detectors\.ssd300\.weights: no tensor fits"):
        trained("ssd300", params("ssd300", 0), checkout / "models/rcnn.safetensors")
    assert not (tmp_path / "out").exists()


def test_a_wrong_key_of_the_section_is_named(trained: Trained) -> None:
    chosen = params("ssd300", 0)
    chosen.detectors["ssd300"]["loss"]["focal"] = 2.0
    with pytest.raises(InputError, match=r"detectors\.ssd300\.loss\.focal = 2\.0"):
        trained("ssd300", chosen)


def test_a_detector_without_its_proposals_and_one_with_proposals_that_it_does_not_take_are_refused(
    checkout: Path, no_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outs = {name: tmp_path / name for name in ("out", "metrics", "curve")}
    inputs = {"images": checkout / "data/prepared/voc.zip", "weights": no_weights}
    with pytest.raises(InputError, match="^fast_rcnn takes proposals: give --proposals$"):
        run(params("fast_rcnn", 0), detector="fast_rcnn", **inputs, **outs)
    with pytest.raises(InputError, match="^rpn takes no proposals: leave out --proposals$"):
        run(params("rpn", 0), detector="rpn", **inputs, **outs, proposals=tmp_path / "x.npz")


@pytest.mark.parametrize("detector", ["ssd300", "faster_rcnn"])
def test_the_map_of_the_validation_images_chooses_the_epoch_and_is_that_of_the_pipeline(
    trained: Trained, checkout: Path, detector: str
) -> None:
    chosen = params(detector, 3, validation="train", best_by="val_map", lr=0.01)
    rules = chosen.detectors[detector]["decode"]
    rules |= {"score_thresh": 0.0, "nms_thresh": 1.0, "max_per_image": 5000}  # so that some box finds the object
    if "proposals" in rules:
        rules["proposals"] |= {"nms_thresh": 1.0, "max_per_image": 600}
    out = trained(detector, chosen)
    curve, metrics = pd.read_csv(out["curve"]), json.loads(out["metrics"].read_text())
    assert metrics["epoch"] == curve.loc[curve["val_map"].idxmax()]["epoch"]
    module, section = plugins.section("detectors", chosen.detectors, detector)
    model, _ = start(module, section, len(CLASSES) + 1, {}, 0)
    model.load_state_dict(read_tensors(out["out"])[0])
    data = BoxedImages(checkout / "data/prepared/voc.zip")
    found = detect(module, model, section, data, data.ids("train"), torch.device("cpu"))
    targets = {image_id: data.target(image_id) for image_id in data.ids("train")}
    expected = mean_ap(map(voc07, voc_curves(found, targets, CLASSES).values()))
    assert expected > 0
    assert metrics["val_map"] == pytest.approx(expected, abs=1e-4)
    assert "val_map" not in pd.read_csv(trained(detector, params(detector, 1, validation="train"))["curve"])


def test_a_batch_of_one_image_is_refused_by_its_parameter(trained: Trained) -> None:
    with pytest.raises(InputError, match=r"^train\.batch_size = 1 with 2 training images: BatchNorm"):
        trained("ssd300", params("ssd300", 1, batch_size=1))


def test_a_map_of_images_without_an_object_is_refused_before_the_first_epoch(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = BoxedImages.target
    difficult = {"difficult": np.array([True])}
    monkeypatch.setattr(BoxedImages, "target", lambda *given: {**target(*given), **difficult})
    monkeypatch.setattr("src.detection.training.fit", lambda *_, **__: pytest.fail("an epoch begins"))
    with pytest.raises(InputError, match="no validation image has an object"):
        trained("ssd300", params("ssd300", 1, validation="train", best_by="val_map"))


@pytest.mark.parametrize(
    ("detector", "workers"), [("rpn", "0"), ("rpn", "2"), ("fast_rcnn", "2"), ("faster_rcnn", "2")]
)
def test_a_training_that_is_killed_goes_on_with_the_same_batches(
    trained: Trained, monkeypatch: pytest.MonkeyPatch, detector: str, workers: str
) -> None:
    """An epoch of three batches ends within a pass over the images; the workers start anew in the second epoch."""
    chosen = params(detector, 3, validation="train", best_by="val_loss", batches_per_epoch=3, batch_size=1)
    whole = [path.read_bytes() for path in trained(detector, chosen).values()]
    monkeypatch.setenv("WORKERS", workers)
    load = Loader.load

    def killed(loader: Loader, items: range) -> Batches:
        if items == range(3, 6):
            raise KeyboardInterrupt
        return load(loader, items)

    monkeypatch.setattr(Loader, "load", killed)
    with pytest.raises(KeyboardInterrupt):
        trained(detector, chosen)
    (checkpoint,) = Path(".checkpoints").glob("*.pt")  # of one epoch, so there is none before it
    asked: list[range] = []
    monkeypatch.setattr(Loader, "load", lambda loader, items: asked.append(items) or load(loader, items))
    outs = trained(detector, chosen)
    assert [items for items in asked if len(items) == 3] == [range(3, 6), range(6, 9)]
    assert [path.read_bytes() for path in outs.values()] == whole
    assert not checkpoint.exists()


@pytest.mark.parametrize("detector", ["rpn", "fast_rcnn", "faster_rcnn"])
def test_the_outputs_do_not_depend_on_the_number_of_workers(
    trained: Trained, monkeypatch: pytest.MonkeyPatch, detector: str
) -> None:
    """Also of detectors that draw anchors or regions from the random numbers of the training process."""
    chosen, seen = params(detector, 2, validation="train", best_by="val_loss"), []
    for workers in ("0", "2"):
        monkeypatch.setenv("WORKERS", workers)
        seen.append([path.read_bytes() for path in trained(detector, chosen).values()])
    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    ("detector", "key", "lengths", "epoch"),
    [
        *(("faster_rcnn", "alternating", [1, 1, 1, 1], epoch) for epoch in (1, 2, 3)),
        *(("fast_rcnn", "stage_wise", [2, 2], epoch) for epoch in (1, 2, 3)),
    ],
)
def test_a_training_in_steps_that_is_killed_within_or_between_them_computes_the_same(
    trained: Trained, monkeypatch: pytest.MonkeyPatch, detector: str, key: str, lengths: list[int], epoch: int
) -> None:
    chosen = params(detector, 4, validation="train", batch_size=1)
    chosen.detectors[detector]["loss"][key] = lengths
    whole = [path.read_bytes() for path in trained(detector, chosen).values()]
    load = Loader.load

    def killed(loader: Loader, items: range) -> Batches:
        if items == range(2 * epoch, 2 * epoch + 2):
            raise KeyboardInterrupt
        return load(loader, items)

    monkeypatch.setattr(Loader, "load", killed)
    with pytest.raises(KeyboardInterrupt):
        trained(detector, chosen)
    monkeypatch.setattr(Loader, "load", load)
    outs = trained(detector, chosen)
    assert [path.read_bytes() for path in outs.values()] == whole
    after = read_tensors(outs["out"])[0]
    assert after.keys() == untrained(detector, chosen).keys()  # of the network alone
    curve = pd.read_csv(outs["curve"])
    if detector == "fast_rcnn":
        assert curve["class_loss"].notna().tolist() == [True, True, False, False]
        assert curve["box_loss"].notna().tolist() == [False, False, True, True]
    else:
        assert curve["rpn_box_loss"].notna().tolist() == [True, False, True, False]
        assert curve["box_loss"].notna().tolist() == [False, True, False, True]
    assert curve["val_box_loss"].notna().all()
