from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from src.errors import InputError
from src.files.prepared import write_prepared
from src.files.records import Record, read_records, write_records
from src.rcnn.detect import DetectRcnn
from src.splits import Splits
from stages.detect_rcnn import Params, run
from tests.files.test_room import leave

CLASSES = ["car", "cat"]
CAR, CAT, LATER = [10.0, 10, 30, 30], [50.0, 10, 70, 30], [90.0, 40, 100, 60]
PARAMS = Params(
    seed=0,
    splits=Splits(finetune="train", detectors="train", validation=None, train="train", test="test"),
    detect_rcnn=DetectRcnn(score_thresh=0.0, nms_thresh=0.3, max_per_image=10),
)

# Rows: box, scores of the two classes.
ROWS: dict[str, list[tuple[list[float], list[float]]]] = {
    "both": [
        (CAR, [1.0, -2.0]),
        ([10, 10, 30, 29], [0.5, -2.0]),
        (CAT, [-2.0, 3.0]),
        (LATER, [-4.0, -4.0]),
    ],
    "nothing": [(CAR, [-2.0, -2.0])],
    "without proposals": [],
}
Detected = Callable[..., dict[str, dict[str, Record]]]


@pytest.fixture
def detected(tmp_path: Path) -> Detected:
    """Run the stage on the rows; return its records by file. The regression moves cars by `shift` widths."""
    size = {"file": "", "height": 60, "width": 100, "boxes": [], "labels": [], "difficult": []}
    ids = ["learnt", *ROWS]
    write_prepared(tmp_path / "voc.zip", CLASSES, {"train": ids[:1], "test": ids[1:]}, dict.fromkeys(ids, size), [])
    boxes = {name: np.array([box for box, _ in rows], np.float32).reshape(-1, 4) for name, rows in ROWS.items()}
    boxes["learnt"] = np.zeros((7, 4), np.float32)
    write_records(tmp_path / "proposals.npz", {name: {"boxes": boxes[name]} for name in reversed(ids)})

    def detected(params: Params = PARAMS, shift: float = 0.1) -> dict[str, dict[str, Record]]:
        deltas = [[shift, 0, 0, 0], [0, 0, 0, 0]]
        rows = [
            [number for score, moves in zip(scores, deltas, strict=True) for number in (score, *moves)]
            for found in ROWS.values()
            for _, scores in found
        ]
        np.save(tmp_path / "scores.npy", np.array(rows, np.float32))
        files = {"proposals": tmp_path / "proposals.npz", "scores": tmp_path / "scores.npy"}
        run(params, images=tmp_path / "voc.zip", **files, out=tmp_path / "out")
        return {path.stem: read_records(path) for path in (tmp_path / "out").iterdir()}

    return detected


def test_proposals_of_test_images_alone_are_scored_suppressed_and_moved(detected: Detected) -> None:
    found = detected()
    assert set(found) == {"detections", "no_bbox", "random"}
    assert list(found["detections"]) == ["both", "nothing", "without proposals"]
    moved, unmoved = found["detections"]["both"], found["no_bbox"]["both"]
    for record in (moved, unmoved):
        assert record["labels"].tolist() == [1, 2]
        assert record["scores"].tolist() == [1.0, 3.0]
    np.testing.assert_allclose(unmoved["boxes"], [CAR, CAT])
    np.testing.assert_allclose(moved["boxes"], [[12.0, 10, 32, 30], CAT], atol=1e-4)


def test_moved_boxes_are_clipped_to_the_image(detected: Detected) -> None:
    assert detected(shift=4.0)["detections"]["both"]["boxes"][0].tolist() == [90, 10, 100, 30]


def test_images_in_which_nothing_is_found_have_an_empty_record(detected: Detected) -> None:
    for records in detected().values():
        assert records["without proposals"]["boxes"].shape == (0, 4)
    assert detected()["detections"]["nothing"]["boxes"].shape == (0, 4)


def test_the_random_ranking_is_of_the_same_proposals_and_follows_the_seed(detected: Detected) -> None:
    everything = PARAMS.model_copy(
        update={"detect_rcnn": DetectRcnn(score_thresh=-100.0, nms_thresh=1.0, max_per_image=10)}
    )
    first = detected(everything)
    again = detected(everything.model_copy(update={"seed": 1}))
    for name in ("detections", "no_bbox"):
        np.testing.assert_array_equal(first[name]["both"]["scores"], again[name]["both"]["scores"])
    one, other = first["random"]["both"], again["random"]["both"]
    assert sorted(one["boxes"].tolist()) == sorted(first["no_bbox"]["both"]["boxes"].tolist())
    assert len(one["boxes"]) == 8  # four proposals, two classes
    assert not np.array_equal(one["scores"], other["scores"])
    assert not np.array_equal(one["scores"], first["no_bbox"]["both"]["scores"])


def test_the_number_of_detections_is_limited_per_class(detected: Detected) -> None:
    rules = DetectRcnn(score_thresh=-100.0, nms_thresh=1.0, max_per_image=1)
    found = detected(PARAMS.model_copy(update={"detect_rcnn": rules}))["no_bbox"]["both"]
    assert found["labels"].tolist() == [1, 2]
    assert found["scores"].tolist() == [1.0, 3.0]


def test_a_split_that_the_data_lack_is_refused(detected: Detected, tmp_path: Path) -> None:
    splits = PARAMS.splits.model_copy(update={"test": "held out"})
    with pytest.raises(InputError, match=r"voc\.zip has no split 'held out'"):
        detected(PARAMS.model_copy(update={"splits": splits}))
    assert not (tmp_path / "out").exists()


def test_detections_that_might_not_fit_are_refused_before_the_work(
    detected: Detected, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three files, three images, two classes with at most ten detections, of 28 bytes each."""
    leave(monkeypatch, 3 * 3 * 2 * 10 * 28 - 1)
    with pytest.raises(InputError, match=r"out needs 5\.0 kB for 3 x 60 detections at most .*rcnn\.max_per_image$"):
        detected()
    assert list((tmp_path / "out").iterdir()) == []
    leave(monkeypatch, 3 * 3 * 2 * 10 * 28)
    detected()
