import gzip
import io
import os
import zipfile
from pathlib import Path

import pytest

from src.errors import InputError
from src.ingest import limits
from src.ingest.archives import open_archive, store


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SMALL": 10_000, "MEMBER": 5_000, "TEXT": 1_000, "ENTRIES": 3}.items():
        monkeypatch.setattr(limits, name, value)


def packed(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_bombs_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    zeros = bytes(1_000_000)
    for content in (packed({"a.jpg": zeros}), gzip.compress(zeros)):
        (tmp_path / "set").write_bytes(content)
        with pytest.raises(InputError, match=r"set has 0\.0 MB and unpacks to \d+ MB or more, which no data set does"):
            store(tmp_path / "set", tmp_path / "out", "local")
        assert not list((tmp_path / "out").iterdir())
    (tmp_path / "set").write_bytes(packed({name: b"" for name in "abcd"}))
    with pytest.raises(InputError, match="set has 4 files, and may have 3: divide it"):
        open_archive(tmp_path / "set")


def test_a_long_list_and_a_large_file_are_refused_when_they_are_read(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(os.urandom(1_001))
    (tmp_path / "a.jpg").write_bytes(os.urandom(5_001))
    (tmp_path / "b.jpg").write_bytes(os.urandom(5_000))
    archive = open_archive(tmp_path)
    assert len(archive.read("b.jpg")) == 5_000
    for name in ("list.txt", "a.jpg"):
        with pytest.raises(InputError, match=rf"{name} has 0 MB, and such a file may have 0 MB: split or remove it"):
            archive.read(name)


def test_a_pipe_or_a_device_is_refused_and_nothing_is_copied(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        for read in (open_archive, lambda path: store(path, tmp_path / "out", "local")):
            with pytest.raises(InputError, match="is a pipe or a device"):
                read(path)
