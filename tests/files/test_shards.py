from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from src.errors import InputError
from src.files import shards
from src.files.shards import Shards


class Stop(Exception):
    """The end of a run in the middle."""


def double(item: int) -> Mapping[str, np.ndarray]:
    return {"value": np.array([2 * item])}


def refuse(item: int) -> Mapping[str, np.ndarray]:
    raise Stop


def stopped(parts: Shards, path: Path) -> None:
    with parts.growing(path) as growing:
        growing.write_bytes(b"one")
        raise Stop


def test_a_part_is_computed_once_and_found_afterwards(tmp_path: Path) -> None:
    parts = Shards(tmp_path / "parts")
    assert parts.found() == 0
    assert parts.keeping(double)((0, 21))["value"] == [42]
    assert parts.keeping(refuse)((0, 21))["value"] == [42]
    with pytest.raises(Stop):
        parts.keeping(refuse)((1, 21))
    assert parts.found() == 1
    parts.forget()
    assert not parts.folder.exists()
    parts.forget()  # of nothing


def test_a_function_without_results_leaves_a_mark(tmp_path: Path) -> None:
    parts, calls = Shards(tmp_path), []
    for _ in range(2):
        assert parts.keeping(lambda item: calls.append(item) or {})((3, "a")) == {}
    assert calls == ["a"]


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 cut", bytes(500)])
def test_a_damaged_part_is_computed_again(tmp_path: Path, damage: bytes) -> None:
    parts = Shards(tmp_path)
    parts.keeping(double)((0, 1))
    (tmp_path / "0.npz").write_bytes(damage)
    assert parts.keeping(double)((0, 4))["value"] == [8]
    (tmp_path / "0.npz").write_bytes(damage)
    assert parts.records() == {}


def test_records_of_all_parts_are_found(tmp_path: Path) -> None:
    parts = Shards(tmp_path)
    assert parts.records() == {}
    parts.keep_records(4, {"a": {"boxes": np.zeros((2, 4))}, "b/c": {"boxes": np.zeros((0, 4))}})
    parts.keep_records(7, {"d": {"boxes": np.ones((1, 4))}})
    assert {name: record["boxes"].shape for name, record in parts.records().items()} == {
        "a": (2, 4),
        "b/c": (0, 4),
        "d": (1, 4),
    }


def test_a_file_grows_over_two_runs(tmp_path: Path) -> None:
    parts, path = Shards(tmp_path / "parts"), tmp_path / "out/rows.npy"
    parts.keeping(double)((0, 1))
    with pytest.raises(Stop):
        stopped(parts, path)
    assert not path.exists()
    with parts.growing(path) as growing, growing.open("ab") as file:
        file.write(b"two")
    assert path.read_bytes() == b"onetwo"
    assert not growing.exists()


def test_a_file_that_never_had_a_part_takes_no_room(tmp_path: Path) -> None:
    parts = Shards(tmp_path / "parts")
    with pytest.raises(Stop):
        stopped(parts, tmp_path / "rows.npy")
    assert not parts.folder.exists()


def test_a_file_moves_to_another_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(source: Path, path: Path) -> None:
        if source.name.startswith("growing"):
            raise OSError(shards.errno.EXDEV, "another disk", str(source))
        replace(source, path)

    replace = shards.os.replace
    monkeypatch.setattr(shards.os, "replace", refused)
    parts = Shards(tmp_path / "parts")
    with parts.growing(tmp_path / "rows.npy") as growing:
        growing.write_bytes(b"all")
    assert (tmp_path / "rows.npy").read_bytes() == b"all"
    assert not growing.exists()


def test_a_disk_that_refuses_the_parts_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "parts").write_text("a file in the place of the folder")
    with (
        pytest.raises(InputError, match=r"parts cannot be written"),
        Shards(tmp_path / "parts").growing(tmp_path / "rows.npy"),
    ):
        pass
