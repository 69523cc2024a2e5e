import errno
import json
import os
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from src.errors import InputError
from src.files.storage import atomic, fingerprint, make_folder, read_npz, write_csv, write_json, write_npz, write_zip


def test_atomic_leaves_the_old_file_and_no_rest_when_the_block_fails(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_text("old")

    def half(temporary: Path) -> None:
        temporary.write_text("new, half")
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"), atomic(path) as temporary:
        half(temporary)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.txt"]


def test_atomic_makes_the_folder_and_replaces_the_file_at_the_end_of_the_block(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.txt"
    with atomic(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert [entry.name for entry in path.parent.iterdir()] == ["out.txt"]


def test_a_folder_that_the_disk_refuses_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder(tmp_path / "a/b")
    assert (tmp_path / "a/b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        make_folder(tmp_path / "file/b")

    def read_only(path: Path, **_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path.parent))

    monkeypatch.setattr(Path, "mkdir", read_only)
    with pytest.raises(InputError, match=r"cannot be written \(read-only file system\)"):
        make_folder(tmp_path / "c/d")


def test_a_zip_that_fails_half_way_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    write_zip(path, [("x", b"old")])

    def entries() -> Iterator[tuple[str, bytes]]:
        yield "x", b"new"
        raise RuntimeError("the second image does not decode")

    with pytest.raises(RuntimeError, match="second image"):
        write_zip(path, entries())
    assert zipfile.ZipFile(path).read("x") == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def _write_all(folder: Path) -> list[bytes]:
    write_zip(folder / "a.zip", [("b", b"1"), ("a", b"2")])
    write_npz(folder / "a.npz", {"b": np.arange(3), "a": np.ones((2, 2), np.float32)})
    write_json(folder / "a.json", {"b": 1.0, "a": [1, 2]})
    write_csv(folder / "a.csv", pd.DataFrame({"x": [0.1, 0.2]}))
    return [path.read_bytes() for path in sorted(folder.iterdir())]


def test_the_same_content_is_the_same_bytes_at_any_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1e9)  # numpy.savez would write this date
    first = _write_all(tmp_path / "first")
    monkeypatch.undo()
    assert first == _write_all(tmp_path / "second")
    assert len(first) == 4


def test_arrays_are_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    write_npz(tmp_path / "1.npz", {"a": np.arange(3), "b": np.zeros(2)})
    write_npz(tmp_path / "2.npz", {"b": np.zeros(2), "a": np.arange(3)})
    assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "2.npz").read_bytes()


SHAPES = arrays.array_shapes(min_dims=0, min_side=0, max_dims=3, max_side=4)


@given(array=arrays.arrays(st.sampled_from([np.float16, np.float32, np.int64, np.bool_]), SHAPES))
def test_arrays_come_back_as_they_were(array: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    write_npz(path, {"a": array, "transposed": array.T})
    found = read_npz(path)
    assert found["a"].dtype == array.dtype
    assert found["a"].shape == array.shape
    np.testing.assert_array_equal(found["a"], array)
    np.testing.assert_array_equal(found["transposed"], array.T)


def test_names_come_back_and_python_objects_are_refused(tmp_path: Path) -> None:
    write_npz(tmp_path / "a.npz", {"ids": np.array(["000005", "x"])})
    assert read_npz(tmp_path / "a.npz")["ids"].tolist() == ["000005", "x"]
    with pytest.raises(ValueError, match="pickle"):
        write_npz(tmp_path / "b.npz", {"a": np.array([{}], object)})
    assert not (tmp_path / "b.npz").exists()


def test_json_is_rounded_and_keeps_its_order(tmp_path: Path) -> None:
    content = {"map": np.float32(0.123456), "ap": {"car": 0.98765, 2: [1.00001, np.int64(3)]}, "ok": np.bool_(True)}
    write_json(tmp_path / "m.json", content)
    text = (tmp_path / "m.json").read_text()
    assert json.loads(text) == {"map": 0.1235, "ap": {"car": 0.9877, "2": [1.0, 3]}, "ok": True}
    assert text.index("map") < text.index("ap") < text.index("ok")
    assert text.endswith("}\n")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float32("nan")])
def test_json_without_a_number_is_refused_and_the_old_file_stays(tmp_path: Path, value: float) -> None:
    write_json(tmp_path / "m.json", {"map": 0.5})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "m.json", {"ap": {"car": value}})
    assert json.loads((tmp_path / "m.json").read_text()) == {"map": 0.5}


def test_a_table_is_rounded_and_has_no_index(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", pd.DataFrame({"round": [1, 2], "loss": [0.123456, 2.0]}))
    assert (tmp_path / "t.csv").read_bytes() == b"round,loss\n1,0.1235\n2,2.0\n"


def test_a_small_number_is_not_rounded_to_nothing(tmp_path: Path) -> None:
    write_json(tmp_path / "m.json", {"lr": 0.0000312345, "none": 0.0})
    assert json.loads((tmp_path / "m.json").read_text()) == {"lr": 0.00003123, "none": 0.0}
    write_csv(tmp_path / "t.csv", pd.DataFrame({"lr": [0.0003, 0.00003, float("nan")]}))
    assert (tmp_path / "t.csv").read_bytes() == b'lr\n0.0003\n3e-05\n""\n'


def test_the_fingerprint_is_of_parameters_and_content_not_of_names_or_order_of_keys(tmp_path: Path) -> None:
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
    first = fingerprint({"lr": 1, "epochs": 2}, [tmp_path / "a"])
    assert first == fingerprint({"epochs": 2, "lr": 1}, [tmp_path / "b"])
    assert first != fingerprint({"lr": 1, "epochs": 2}, [tmp_path / "c"])
    assert first != fingerprint({"lr": 1, "epochs": 3}, [tmp_path / "a"])
