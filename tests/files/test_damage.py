import io
import os
from pathlib import Path

import numpy as np
import pytest

from src.errors import InputError
from src.files.damage import regular
from src.files.records import read_records, write_records
from src.files.storage import read_npz, write_npz, write_zip


def npy(shape: tuple[int, ...], dtype: str) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": dtype, "fortran_order": False, "shape": shape})
    return buffer.getvalue() + bytes(16)


def test_a_damaged_npz_is_one_sentence_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "r.npz"
    write_records(path, {"a": {"boxes": np.ones((3, 4), np.float32)}})
    whole = path.read_bytes()
    place = whole.index(np.float32(1).tobytes())
    broken = {"File is not a zip": whole[:-9], "not a zip": b"", "CRC": whole[:place] + b"\1" + whole[place + 1 :]}
    for said, content in broken.items():
        path.write_bytes(content)
        with pytest.raises(InputError, match=rf"r\.npz is no whole npz \(.*{said}.*\): remove it and run `dvc repro`"):
            read_records(path)


@pytest.mark.parametrize(
    ("content", "said"), [(npy((10**12,), "<f4"), "do not fit its shape"), (npy((2,), "|O"), "holds Python objects")]
)
def test_an_array_that_claims_more_than_it_has_or_holds_objects_is_refused(
    tmp_path: Path, content: bytes, said: str
) -> None:
    write_zip(tmp_path / "a.npz", [("boxes.npy", content)])
    with pytest.raises(InputError, match=said):
        read_npz(tmp_path / "a.npz")


@pytest.mark.parametrize(
    "arrays",
    [
        {"boxes": np.ones(3)},
        {"boxes": np.ones(3), "offsets": np.array([0, 9]), "image_ids": np.array(["a"])},
        {"boxes": np.ones(3), "offsets": np.array([0, 2, 1, 3]), "image_ids": np.array(["a", "b", "c"])},
        {"boxes": np.ones(3), "offsets": np.array([0.0, 3.0]), "image_ids": np.array(["a"])},
        {"boxes": np.ones(3), "offsets": np.array([0, 3]), "image_ids": np.array(["a", "b"])},
    ],
)
def test_arrays_that_are_no_records_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    write_npz(tmp_path / "a.npz", arrays)
    with pytest.raises(InputError, match="holds no records"):
        read_records(tmp_path / "a.npz")


def test_a_pipe_is_not_waited_for_and_a_missing_file_stays_missing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(InputError, match="is a folder, a pipe or a device"):
            read_npz(path)
    regular(tmp_path / "missing")
    with pytest.raises(FileNotFoundError):
        read_npz(tmp_path / "missing")
