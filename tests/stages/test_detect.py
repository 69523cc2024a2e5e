from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from src import plugins
from src.detection.running import start
from src.errors import InputError
from src.files.boxed_images import BoxedImages
from src.files.records import Record, read_records
from src.files.weights import read_tensors, write_tensors
from src.params import read_params
from src.splits import Splits
from stages.detect import Params, run

Detected = Callable[..., dict[str, dict[str, Record]]]


@pytest.fixture
def params(checkout: Path) -> Params:
    return read_params("params.yaml", Params)


@pytest.fixture
def detected(checkout: Path, no_weights: Path, tmp_path: Path) -> Detected:
    """Run the stage on ssd300 with changes of its options; return the records of both files."""

    def detected(params: Params, **changes: Path) -> dict[str, dict[str, Record]]:
        voc, model = checkout / "data/prepared/voc.zip", checkout / "models/ssd300.safetensors"
        files = {"images": voc, "weights": no_weights, "model": model, "out": tmp_path / "out", **changes}
        run(params, detector="ssd300", **files)
        return {path.stem: read_records(path) for path in (tmp_path / "out").iterdir()}

    return detected


def same(first: dict[str, Record], second: dict[str, Record]) -> bool:
    return list(first) == list(second) and all(
        np.array_equal(first[image_id][name], second[image_id][name])
        for image_id in first
        for name in ("boxes", "labels", "scores")
    )


def test_every_test_image_and_no_other_has_a_record_of_boxes_inside_it(
    detected: Detected, params: Params, checkout: Path
) -> None:
    data = BoxedImages(checkout / "data/prepared/voc.zip")
    for split in ("test", "train"):
        chosen = params.model_copy(update={"splits": params.splits.model_copy(update={"test": split})})
        found = detected(chosen)
        assert set(found) == {"detections", "untrained"}
        for records in found.values():
            assert list(records) == data.ids(split)
            for image_id, record in records.items():
                height, width = data.size(image_id)
                assert record["boxes"].shape == (len(record["labels"]), 4) == (len(record["scores"]), 4)
                assert len(record["boxes"]) > 0
                assert (record["boxes"] >= 0).all()
                assert (record["boxes"] <= [width, height, width, height]).all()
                assert set(record["labels"]) <= {1, 2}
                assert ((record["scores"] > 0) & (record["scores"] <= 1)).all()


def test_the_detections_are_the_models_and_the_baseline_is_the_same_network_before_its_training(
    detected: Detected, params: Params, tmp_path: Path
) -> None:
    trained = detected(params)
    assert not same(trained["detections"], trained["untrained"])
    module, section = plugins.section("detectors", params.detectors, "ssd300")
    net, _ = start(module, section, 3, {}, params.seed)
    write_tensors(tmp_path / "start", net.state_dict())
    untrained = detected(params, model=tmp_path / "start")
    assert same(untrained["detections"], untrained["untrained"])
    assert same(untrained["untrained"], trained["untrained"])


def test_seed_and_starting_weights_change_the_baseline_alone(
    detected: Detected, params: Params, checkout: Path, tmp_path: Path
) -> None:
    plain = detected(params)
    tensors = read_tensors(checkout / "models/ssd300.safetensors")[0]
    backbone = {
        name.removeprefix("backbone."): value for name, value in tensors.items() if name.startswith("backbone.")
    }
    write_tensors(tmp_path / "backbone", backbone)
    for changed in (
        detected(params.model_copy(update={"seed": 1})),
        detected(params, weights=tmp_path / "backbone"),
    ):
        assert same(changed["detections"], plain["detections"])
        assert not same(changed["untrained"], plain["untrained"])


def test_the_parameters_of_decode_act_on_both_files(detected: Detected, params: Params) -> None:
    section = {**params.detectors["ssd300"], "decode": {**params.detectors["ssd300"]["decode"], "max_per_image": 3}}
    found = detected(params.model_copy(update={"detectors": {**params.detectors, "ssd300": section}}))
    assert [len(record["boxes"]) for records in found.values() for record in records.values()] == [3] * 4


def test_a_split_that_the_data_lack_is_refused_before_anything_is_written(
    detected: Detected, params: Params, tmp_path: Path
) -> None:
    splits = Splits(finetune="train", detectors="train", validation=None, train="train", test="held out")
    with pytest.raises(InputError, match=r"voc\.zip has no split 'held out'"):
        detected(params.model_copy(update={"splits": splits}))
    assert not (tmp_path / "out").exists()


def test_starting_weights_of_another_network_are_refused_by_the_parameter(
    detected: Detected, params: Params, checkout: Path
) -> None:
    with pytest.raises(InputError, match=r"^detectors\.ssd300\.weights: no tensor fits"):
        detected(params, weights=checkout / "models/rcnn.safetensors")
