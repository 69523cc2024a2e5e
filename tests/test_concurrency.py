"""Two runs at once: in one folder, and as experiments in folders of their own."""

import json
import re
from pathlib import Path

import pytest

from tests.faults import kills
from tests.repository import Repository

STAGES = ("train_svm", "train_bbox", "score_rcnn", "detect_rcnn", "evaluate_detections@rcnn")
REFUSALS = re.compile(r"is busy, it is being blocked by:|Unable to acquire lock")  # of DVC
VALUES = (0.4, 0.5)  # of detect_rcnn.nms_thresh


@pytest.mark.slow
def test_of_two_runs_in_one_folder_one_may_be_refused_and_the_outputs_are_never_mixed(
    copy: Repository, tmp_path: Path
) -> None:
    expected = kills.contents(copy.path)
    kills.forget(copy.path, STAGES)
    with kills.quick_dvc(tmp_path, copy) as first:
        second = kills.Dvc(first.python, copy, tmp_path / "said by the second")
        with first.start(STAGES) as one, second.start(STAGES) as two:
            ends = [(one.wait(), first.said.read_text()), (two.wait(), second.said.read_text())]
        for status, said in ends:
            assert status == 0 or REFUSALS.search(said), said
        with first.start(()) as last:
            assert last.wait() == 0, first.said.read_text()
    assert kills.differences(copy.path, expected) == []


@pytest.mark.slow
def test_two_experiments_at_once_have_the_figures_of_one_after_the_other(copy: Repository) -> None:
    for value in VALUES:
        words = ("--queue", "-n", f"queued{value}".replace(".", "-"), "-S", f"detect_rcnn.nms_thresh={value}")
        copy("dvc", "exp", "run", *words)
    copy("dvc", "queue", "start", "-j", "2")
    copy("dvc", "queue", "logs", "-f", f"queued{VALUES[0]}".replace(".", "-"))
    copy("dvc", "queue", "logs", "-f", f"queued{VALUES[1]}".replace(".", "-"))
    copy("dvc", "exp", "run", "--temp", "-n", "alone", "-S", f"detect_rcnn.nms_thresh={VALUES[0]}")
    alone, first, second = (_figures(copy, name) for name in ("alone", "queued0-4", "queued0-5"))
    assert first == alone
    assert second != first
    assert _figures(copy, "HEAD") not in (first, second)


def _figures(repository: Repository, name: str) -> object:
    revision = name if name == "HEAD" else _revision(repository, name)
    return json.loads(repository("git", "show", f"{revision}:metrics/rcnn.json"))


def _revision(repository: Repository, name: str) -> str:
    listed = repository("git", "for-each-ref", "refs/exps", "--format=%(objectname) %(refname)")
    return next(line.split()[0] for line in listed.splitlines() if line.endswith(f"/{name}"))
