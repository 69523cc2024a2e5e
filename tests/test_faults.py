"""A short campaign of kills, full disks and damaged inputs: `make faults` is the long one."""

import time
from pathlib import Path

import pytest

from tests.faults import kills, places
from tests.repository import Repository

STAGES = ("train_svm", "train_bbox", "score_rcnn", "detect_rcnn", "evaluate_detections@rcnn")
CHOSEN = ("download@mnist", "finetune", "extract_features", "train_svm", "detect@ssd300", "evaluate_detections@rcnn")
KILLS, SECONDS = 6, 30


@pytest.mark.slow
def test_killed_runs_end_with_the_bytes_of_an_uninterrupted_one(copy: Repository, tmp_path: Path) -> None:
    with kills.quick_dvc(tmp_path, copy) as dvc:
        result = kills.campaign(dvc, KILLS, end=time.monotonic() + SECONDS, seed=1, targets=STAGES)
    assert result.lost == []
    assert result.number
    assert result.chains


def test_what_differs_and_what_is_left_is_named(copy: Repository) -> None:
    expected = kills.contents(copy.path)
    assert kills.differences(copy.path, expected) == []
    svm = copy.path / "models/svm.npz"
    svm.unlink()
    svm.write_bytes(b"other")
    (copy.path / "models/.svm.npz.12.tmp").touch()
    assert kills.differences(copy.path, expected) == ["models/svm.npz differs", "models/.svm.npz.12.tmp is left"]


@pytest.mark.parametrize("fault", places.SENTENCES)
def test_a_fault_of_the_disk_ends_in_a_sentence(copy: Repository, fault: str) -> None:
    chosen = [case for case in places.cases(copy.path) if case.stage in CHOSEN and case.fault == fault]
    outcomes = list(places.tried(copy, chosen, 1))
    if None in [outcome.lost for outcome in outcomes]:
        pytest.skip("this machine allows no mount")
    assert [outcome.lost for outcome in outcomes if outcome.lost] == []
    assert {outcome.case.stage for outcome in outcomes} >= set(CHOSEN[1:])


def test_every_stage_has_cases(copy: Repository) -> None:
    found = places.cases(copy.path)
    stages = {case.stage for case in found}
    assert {"check", "watch", "download@voc", "report", "summary", "train_classifier@resnet50"} <= stages
    assert {case.stage for case in found if case.fault == places.FULL} == stages
    assert {case.stage for case in found if case.fault == places.READ_ONLY} == stages
    assert sum(case.fault == places.DAMAGED for case in found) >= 30
