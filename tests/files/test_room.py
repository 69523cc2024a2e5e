import shutil
from pathlib import Path
from unittest import mock

import pytest

from src.errors import InputError
from src.files import room
from src.files.room import free_memory


def leave(monkeypatch: pytest.MonkeyPatch, disk: int, *, memory: int = 10**12) -> None:
    """Leave so many bytes free, on every disk and of the memory."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: mock.Mock(total=10**15, used=0, free=disk))
    monkeypatch.setattr(room, "free_memory", lambda: memory)


def test_what_does_not_fit_on_the_disk_is_one_sentence_with_both_numbers_and_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(monkeypatch, 3_000_000_000)
    with pytest.raises(InputError) as caught:
        room.disk(tmp_path / "new", 3_000_000_001, "7 photos", "take fewer photos")
    assert str(caught.value) == (
        f"{tmp_path}/new needs 3.0 GB for 7 photos and has 3.0 GB free: make room, or take fewer photos"
    )
    with pytest.raises(InputError, match="free: make room$"):
        room.disk(tmp_path, 4e9, "7 photos")
    room.disk(tmp_path, 3_000_000_000, "7 photos")
    room.disk(tmp_path, -1, "nothing")


def test_what_does_not_fit_into_memory_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    leave(monkeypatch, 0, memory=1500)
    with pytest.raises(InputError, match=r"^7 photos need 2\.0 kB of memory and 1\.5 kB are free: take fewer$"):
        room.memory(2000, "7 photos", "take fewer")
    room.memory(1500, "7 photos", "take fewer")


@pytest.mark.parametrize(
    ("limit", "use"),
    [("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes")],
)
def test_the_memory_of_a_container_is_its_limit_less_its_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, use: str
) -> None:
    """The machine's free memory would let 32 GiB of images into a container of 4 GiB, which is then killed."""
    monkeypatch.setattr("psutil.virtual_memory", lambda: mock.Mock(available=1000))
    assert free_memory(tmp_path) == 1000
    (tmp_path / "memory").mkdir()
    (tmp_path / use).write_text("300\n")
    assert free_memory(tmp_path) == 1000
    for content, expected in (("500\n", 200), ("9223372036854771712\n", 1000), ("200\n", 0)):
        (tmp_path / limit).write_text(content)
        assert free_memory(tmp_path) == expected
    (tmp_path / "memory.current").write_text("300\n")
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / limit).write_text("max\n" if limit == "memory.max" else "700\n")
    assert free_memory(tmp_path) == (1000 if limit == "memory.max" else 400)
