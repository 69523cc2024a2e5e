"""`predict` gives the same results for a test image as the pipeline's stages."""

from pathlib import Path

import numpy as np
import pytest
import torch

from commands.trained import Params, load
from src.classification.batches import LabelledBatches
from src.classification.running import BATCH_SIZE, predict
from src.detection import running
from src.files.boxed_images import BoxedImages
from src.files.records import Record, read_records, write_records
from src.files.weights import read_tensors, write_tensors
from src.params import read_params
from src.prediction.classifier import Classifier
from src.prediction.dense import Dense
from src.prediction.rcnn import Rcnn
from src.training.loading import Loader
from stages import detect, detect_rcnn, propose, score_rcnn
from tests.labelled import digits
from tests.repository import Repository

CPU = torch.device("cpu")
VOC = Path("data/prepared/voc.zip")


def same(found: Record, wanted: Record) -> None:
    """Compare up to rounding: on the sample, batches of another length change boxes by 2e-4 pixels, scores by 5e-7."""
    assert found.keys() == wanted.keys()
    np.testing.assert_array_equal(found["labels"], wanted["labels"])
    np.testing.assert_allclose(found["boxes"], wanted["boxes"], atol=0.05)
    np.testing.assert_allclose(found["scores"], wanted["scores"], atol=1e-3)


def test_rcnn_is_that_of_its_stages(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBS", "1")
    voc, models = checkout / "data/prepared/voc.zip", checkout / "models"
    boxes, scores = tmp_path / "boxes.npz", tmp_path / "scores.npy"
    propose.run(read_params("params.yaml", propose.Params), images=voc, out=boxes)
    score_rcnn.run(
        read_params("params.yaml", score_rcnn.Params),
        **{"images": voc, "proposals": boxes, "model": models / "rcnn.safetensors"},
        **{"svm": models / "svm.npz", "bbox": models / "bbox.npz", "out": scores},
    )
    detect_rcnn.run(
        read_params("params.yaml", detect_rcnn.Params),
        **{"images": voc, "proposals": boxes, "scores": scores, "out": tmp_path},
    )
    data, method = BoxedImages(voc), load(read_params("params.yaml", Params), "rcnn", CPU)
    assert isinstance(method, Rcnn)
    wanted, unmoved = read_records(tmp_path / "detections.npz"), read_records(tmp_path / "no_bbox.npz")
    assert sum(len(record["boxes"]) for record in wanted.values()) > 10
    for image_id in data.ids("test"):
        image = data.image(image_id)
        same(method.detect(image, image_id), wanted[image_id])
        scored = method.score(image, method.propose(image, image_id))
        same(method.finish(scored, regress=False), unmoved[image_id])


@pytest.mark.parametrize("name", ["ssd300", "fast_rcnn"])
def test_a_detector_is_that_of_its_stage(checkout: Path, tmp_path: Path, name: str) -> None:
    voc, start = checkout / "data/prepared/voc.zip", tmp_path / "start"
    write_tensors(start, {}, {"source": "none"})
    data, method = BoxedImages(voc), load(read_params("params.yaml", Params), name, CPU)
    assert isinstance(method, Dense)
    given = {}
    if method.propose is not None:
        found = {image_id: method.propose(data.image(image_id), image_id) for image_id in data.ids("test")}
        given["proposals"] = tmp_path / "proposals.npz"
        write_records(given["proposals"], {image_id: {"boxes": boxes} for image_id, boxes in found.items()})
    detect.run(
        read_params("params.yaml", detect.Params),
        **{"detector": name, "images": voc, "weights": start, **given},
        **{"model": checkout / f"models/{name}.safetensors", "out": tmp_path},
    )
    assert (given != {}) == (name == "fast_rcnn")
    for image_id, wanted in read_records(tmp_path / "detections.npz").items():
        same(method.detect(data.image(image_id), image_id), wanted)


@pytest.mark.parametrize("name", ["rcnn", "ssd300"])
def test_it_holds_for_the_trained_models(
    name: str, made_repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made_repository.path)
    data, method = BoxedImages(Path("data/prepared/voc.zip")), load(read_params("params.yaml", Params), name, CPU)
    assert not isinstance(method, Classifier)
    records = read_records(Path(f"data/detections/{name}/detections.npz"))
    for image_id in list(records)[:3]:
        same(method.detect(data.image(image_id), image_id), records[image_id])


def test_proposals_of_photos_that_keep_their_aspect_ratio(checkout: Path, tmp_path: Path) -> None:
    """Proposals depend on the photo alone, not on a batch's padding; they lie inside it and reach its borders."""
    params = read_params("params.yaml", Params)
    tensors, facts = read_tensors(checkout / "models/rpn.safetensors")
    facts["model"] |= {"size": 64, "longest": 100}
    write_tensors(tmp_path / "rpn.safetensors", tensors, facts)
    method, data = Dense(params.detectors, "rpn", tmp_path / "rpn.safetensors", CPU), BoxedImages(VOC)
    both = running.detect(method.module, method.net, method.section, data, data.ids("test"), CPU)
    for image_id in data.ids("test"):  # one is lying, one is upright
        image = data.image(image_id)
        found = method.detect(image, image_id)
        same(found, both[image_id])
        height, width = image.shape[:2]
        assert (found["boxes"] <= np.array([width, height, width, height]) + 1e-3).all()
        assert found["boxes"][:, 2:].max(axis=0) == pytest.approx([width, height], abs=1)


def test_a_classifier_is_that_of_its_stage(checkout: Path, tmp_path: Path) -> None:

    data, method = digits(tmp_path / "digits.zip"), load(read_params("params.yaml", Params), "resnet50", CPU)
    assert isinstance(method, Classifier)
    ids = data.ids("test")[:4]
    batches = LabelledBatches(data, ids, method.section.input, batch_size=BATCH_SIZE)
    _, wanted = predict(method.net, Loader(batches), flip=method.section.predict.flip)
    found = np.stack([method.probabilities(data.image(image_id)) for image_id in ids])
    np.testing.assert_allclose(found, wanted, atol=1e-5)
