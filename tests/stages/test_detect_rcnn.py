from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.errors import InputError
from src.files.prepared import write_prepared
from src.files.records import Record, read_records, write_records
from src.files.storage import write_npz
from src.rcnn.detect import DetectRcnn
from src.splits import Splits
from stages.detect_rcnn import Params, run

CLASSES = ["car", "cat"]
CAR, CAT, LATER = [10.0, 10, 30, 30], [50.0, 10, 70, 30], [90.0, 40, 100, 60]
PARAMS = Params(
    seed=0,
    splits=Splits(finetune="train", detectors="train", validation=None, train="train", test="test"),
    detect_rcnn=DetectRcnn(score_thresh=0.0, nms_thresh=0.3, max_per_image=10),
)

# Features are the two classes' scores, halved: the factors double them. Rows: box, is_gt, flipped, features.
ROWS: dict[str, list[tuple[list[float], bool, bool, list[float]]]] = {
    "learnt": [(CAR, True, False, [9.0, 9.0]), (CAR, False, False, [8.0, -1.0]), (CAT, False, True, [7.0, 7.0])],
    "both": [
        (CAR, True, False, [9.0, 9.0]),
        (CAR, False, False, [0.5, -1.0]),
        ([10, 10, 30, 29], False, False, [0.25, -1.0]),
        (CAT, False, False, [-1.0, 1.5]),
        (LATER, False, False, [-2.0, -2.0]),
        (LATER, False, True, [9.0, 9.0]),
    ],
    "nothing": [(CAR, False, False, [-1.0, -1.0])],
    "without proposals": [],
}
Detected = Callable[..., dict[str, dict[str, Record]]]


def column(index: int, rows: list[Any], shape: tuple[int, ...], dtype: type) -> np.ndarray:
    return np.array([row[index] for row in rows], dtype).reshape(shape)


@pytest.fixture
def detected(tmp_path: Path) -> Detected:
    """Run the stage on the rows; return its records by file. The regression moves cars by `shift` widths."""
    size = {"file": "", "height": 60, "width": 100, "boxes": [], "labels": [], "difficult": []}
    ids = list(ROWS)
    write_prepared(tmp_path / "voc.zip", CLASSES, {"train": ids[:1], "test": ids[1:]}, dict.fromkeys(ids, size), [])
    regions = {
        image_id: {
            "boxes": column(0, rows, (-1, 4), np.float32),
            **{name: column(at, rows, (-1,), bool) for at, name in ((1, "is_gt"), (2, "flipped"))},
        }
        for image_id, rows in ROWS.items()
    }
    write_records(tmp_path / "regions.npz", regions)
    every = [row for rows in ROWS.values() for row in rows]
    np.save(tmp_path / "features.npy", column(3, every, (-1, 2), np.float16))
    scale = np.full(2, 2.0, np.float32)
    write_npz(tmp_path / "svm.npz", {"weights": np.eye(2, dtype=np.float32), "biases": np.zeros(2), "scale": scale})

    def detected(params: Params = PARAMS, shift: float = 0.1) -> dict[str, dict[str, Record]]:
        biases = np.array([[shift, 0, 0, 0], [0, 0, 0, 0]], np.float32)
        regression = {"weights": np.zeros((2, 2, 4), np.float32), "biases": biases, "scale": scale}
        write_npz(tmp_path / "bbox.npz", regression)
        files = {name: tmp_path / f"{name}.npz" for name in ("regions", "svm", "bbox")}
        run(params, images=tmp_path / "voc.zip", features=tmp_path / "features.npy", **files, out=tmp_path / "out")
        return {path.stem: read_records(path) for path in (tmp_path / "out").iterdir()}

    return detected


def test_proposals_of_test_images_alone_are_scored_suppressed_and_moved(detected: Detected) -> None:
    found = detected()
    assert set(found) == {"detections", "no_bbox", "random"}
    assert list(found["detections"]) == ["both", "nothing", "without proposals"]
    moved, unmoved = found["detections"]["both"], found["no_bbox"]["both"]
    for record in (moved, unmoved):
        assert record["labels"].tolist() == [1, 2]
        assert record["scores"].tolist() == [1.0, 3.0]  # neither ground-truth boxes nor mirrored regions, which have 18
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
