import shutil
from pathlib import Path

import pytest

from src.errors import InputError
from src.report.inputs import Inputs, title
from tests.report.conftest import inputs_of
from tests.report.outputs import IMAGES, Outputs

DETECTORS = {"rcnn", "ssd300", "fast_rcnn", "faster_rcnn"}


def test_methods_are_those_whose_outputs_the_pipeline_declares(inputs: Inputs) -> None:
    assert set(inputs.named("detections/*")) == DETECTORS
    assert set(inputs.named("plots/pr_*.csv")) == DETECTORS
    assert list(inputs.proposals) == ["selective_search", "rpn"]
    assert inputs.named("nothing/*.csv") == {}


def test_a_file_that_no_stage_declares_is_not_read(outputs: Outputs) -> None:
    """For example the metrics of a detector that was removed from the parameters, but are still in git."""
    left = outputs.root / "metrics/plots/pr_former.csv"
    left.write_text("class,recall,precision\n")
    try:
        assert "former" not in inputs_of(outputs).named("plots/pr_*.csv")
    finally:
        left.unlink()


def test_an_output_that_is_missing_is_named_with_the_remedy(tmp_path: Path, outputs: Outputs) -> None:
    shutil.copytree(outputs.root, tmp_path / "copy", symlinks=True)
    copy = Outputs.__new__(Outputs)
    copy.root, copy.params, copy.images = tmp_path / "copy", outputs.params, outputs.images
    (copy.root / "metrics/plots/pr_rcnn.csv").unlink()
    with pytest.raises(InputError, match=r"pr_rcnn\.csv is missing.*dvc repro"):
        copy.build()


def test_classes_stay_text(inputs: Inputs) -> None:
    table = inputs.tables("plots/confusion_*.csv")["mobilenet_v3"]
    assert set(table["actual"]) <= {str(digit) for digit in range(10)}


def test_targets_and_detections_are_those_of_the_test_images(inputs: Inputs) -> None:
    assert list(inputs.targets) == IMAGES[1:]
    assert {name: list(found) for name, found in inputs.detections.items()} == dict.fromkeys(DETECTORS, IMAGES[1:])


def test_a_name_without_a_title_is_readable() -> None:
    assert title("yolo_v1") == "yolo v1"
