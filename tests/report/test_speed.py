import dataclasses
from pathlib import Path

import pytest

from src.report.blocks import Columns, Grid, Paragraph
from src.report.inputs import Inputs
from src.report.speed import against_time, seconds_per_image, training_minutes, trainings_of
from src.report.verdict import section
from tests.report.outputs import IMAGES

SCORES = {"ssd300": (0.8, 0.01), "rcnn": (0.6, None)}


def with_times(inputs: Inputs, folder: Path, **seconds: float) -> Inputs:
    rows = "".join(f"{name.replace('_at_', '@')},{value}\n" for name, value in seconds.items())
    (folder / "times.csv").write_text(f"stage,seconds\n{rows}")
    return dataclasses.replace(inputs, times=folder / "times.csv")


def labels(inputs: Inputs) -> list[str]:
    """The labels of the grids in the first column of the verdict."""
    columns = next(block for block in section(inputs).blocks if isinstance(block, Columns))
    return [block.label for block in columns.columns[0] if isinstance(block, Grid)]


def test_stages_from_the_image_to_the_detections_count_and_no_training(inputs: Inputs, tmp_path: Path) -> None:
    """Proposals are made for all images, the rest for the test images alone."""
    timed = with_times(inputs, tmp_path, propose=8, score_rcnn=21, detect_rcnn=7, detect_at_ssd300=14, finetune=999)
    assert (len(IMAGES), len(inputs.test_ids)) == (8, 7)
    assert seconds_per_image(timed, "rcnn") == pytest.approx(1 + 3 + 1)
    assert seconds_per_image(timed, "ssd300") == pytest.approx(2)


def test_the_chart_has_every_detector_with_its_time(inputs: Inputs, tmp_path: Path) -> None:
    timed = with_times(inputs, tmp_path, propose=8, score_rcnn=21, detect_rcnn=7, detect_at_ssd300=14)
    grid, words = against_time(timed, SCORES)
    assert isinstance(grid, Grid)
    assert isinstance(words, Paragraph)
    assert words.text.startswith("Minutes of training")
    assert "SSD: 2 s, mAP 0.800; R-CNN: 5 s, mAP 0.600." in grid.blocks[0].alt
    assert labels(timed) == ["Speed"]


def test_a_detector_without_a_time_is_named(inputs: Inputs, tmp_path: Path) -> None:
    grid, _ = against_time(with_times(inputs, tmp_path, detect_at_ssd300=14), SCORES)
    assert isinstance(grid, Grid)
    assert "Not every stage of R-CNN has a time." in grid.blocks[0].caption
    words, _ = against_time(with_times(inputs, tmp_path, finetune=1), SCORES)
    assert isinstance(words, Paragraph)
    assert "Not every stage of SSD, R-CNN has a time." in words.text


def test_stages_that_read_images_and_lead_to_the_detections_are_the_training(inputs: Inputs, tmp_path: Path) -> None:
    names = [stage.name for stage in trainings_of(inputs, "detections/rcnn")]
    assert "finetune" in names
    assert "train_svm" in names
    assert not {"propose", "score_rcnn", "detect_rcnn", "prepare@voc", "train_detector@ssd300"} & set(names)
    assert [stage.name for stage in trainings_of(inputs, "detections/ssd300")] == ["train_detector@ssd300"]
    timed = with_times(inputs, tmp_path, train_detector_at_ssd300=90, finetune=60)
    assert training_minutes(timed, "ssd300") == 1.5
    assert training_minutes(timed, "rcnn") is None  # the SVMs have no time


def test_the_chart_of_the_training_has_the_detectors_whose_stages_have_times(inputs: Inputs, tmp_path: Path) -> None:
    grid, words = against_time(with_times(inputs, tmp_path, train_detector_at_ssd300=90), SCORES)
    assert isinstance(grid, Grid)
    assert isinstance(words, Paragraph)
    assert "mAP against minutes of training. SSD: 1.5 min, mAP 0.800." in grid.blocks[0].alt
    assert "Not every stage of R-CNN has a time." in grid.blocks[0].caption


def test_a_page_without_times_has_no_seconds(inputs: Inputs) -> None:
    assert against_time(inputs, SCORES) == []
    assert labels(inputs) == []
