import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from src.errors import InputError
from src.files import records as module
from src.files.records import EXPECTED, Record, check_room, read_records, write_records
from src.files.storage import read_npz
from tests.files.test_room import leave

RECORDS: dict[str, Record] = {
    "b": {"boxes": np.arange(8, dtype=np.float32).reshape(2, 4), "labels": np.array([2, 1])},
    "empty": {"boxes": np.zeros((0, 4), np.float32), "labels": np.zeros(0, int)},
    "a": {"boxes": np.ones((1, 4), np.float32), "labels": np.array([3])},
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_records(tmp_path / "records.npz", RECORDS)
    return tmp_path / "records.npz"


def test_records_come_back_in_the_order_in_which_they_were_written(path: Path) -> None:
    found = read_records(path)
    assert list(found) == ["b", "empty", "a"]
    for image_id, record in RECORDS.items():
        for name, column in record.items():
            np.testing.assert_array_equal(found[image_id][name], column)
            assert found[image_id][name].dtype == column.dtype


def test_chosen_records_come_in_the_order_asked_for(path: Path) -> None:
    found = read_records(path, ["a", "empty"])
    assert list(found) == ["a", "empty"]
    np.testing.assert_array_equal(found["a"]["labels"], [3])
    assert found["empty"]["boxes"].shape == (0, 4)


def test_an_image_without_boxes_does_not_shift_those_behind_it(path: Path) -> None:
    assert read_npz(path)["offsets"].tolist() == [0, 2, 2, 3]
    np.testing.assert_array_equal(read_records(path, ["a"])["a"]["boxes"], [[1, 1, 1, 1]])


def test_an_id_without_a_record_is_an_error_that_names_file_and_id(path: Path) -> None:
    with pytest.raises(InputError, match=r"records\.npz has no record of image x and 1 more"):
        read_records(path, ["a", "x", "y"])


def test_records_of_no_image_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no image"):
        write_records(tmp_path / "none.npz", {})
    assert not (tmp_path / "none.npz").exists()


def test_all_images_without_boxes_are_fine(tmp_path: Path) -> None:
    write_records(tmp_path / "r.npz", {"a": {"boxes": np.zeros((0, 4), np.float32)}})
    assert read_records(tmp_path / "r.npz")["a"]["boxes"].shape == (0, 4)


def test_the_same_records_are_the_same_bytes(path: Path, tmp_path: Path) -> None:
    write_records(tmp_path / "again.npz", RECORDS)
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("most", [0, 10, 2000])
def test_the_estimate_is_what_writing_takes_or_somewhat_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    count, needed = 2000, dict[str, float]()
    monkeypatch.setattr(module.room, "disk", lambda _, value, *__: needed.update(disk=value))
    monkeypatch.setattr(module.room, "memory", lambda value, *_: needed.update(memory=value))
    check_room(tmp_path / "a.npz", count, most, "")
    tracemalloc.start()
    try:
        made = {f"{number:020d}": {"boxes": np.zeros((most, 4), np.float32)} for number in range(count)}
        write_records(tmp_path / "a.npz", made)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    size = (tmp_path / "a.npz").stat().st_size
    assert size <= needed["disk"] <= 1.3 * size
    assert peak <= needed["memory"] <= 3 * peak


def test_a_record_without_a_limit_is_expected_to_have_many_boxes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(monkeypatch, 1000)
    with pytest.raises(InputError, match=rf"for 7 images with at most {EXPECTED} boxes each .*, or lower a\.b$"):
        check_room(tmp_path / "a.npz", 7, None, "lower a.b", files=2)
