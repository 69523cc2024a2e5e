"""Outputs and files of the cache that are damaged are named, and restored if the cache has them whole."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from commands import verify
from src.errors import InputError

PIPELINE = """stages:
  one:
    cmd: mkdir -p models && cp word models/one && cp word models/two
    deps: [word]
    outs:
      - models/one
      - models/two: {cache: false}
  folder:
    cmd: mkdir -p data && cp models/one data/a && echo b > data/b
    deps: [models/one]
    outs: [data]
"""


def dvc(*words: str) -> str:
    return subprocess.run([sys.executable, "-m", "dvc", *words], capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which DVC has run two stages, with outputs that are copies of the cache's files."""
    path = tmp_path_factory.mktemp("made")
    before = Path.cwd()
    os.chdir(path)
    try:
        Path("word").write_text("some words\n")
        Path("dvc.yaml").write_text(PIPELINE)
        dvc("init", "--no-scm", "--quiet")
        dvc("config", "cache.type", "copy")
        dvc("repro", "--quiet")
    finally:
        os.chdir(before)
    return path


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path / "copy", ignore=shutil.ignore_patterns("tmp"))
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


def flip(path: Path) -> None:
    """Change one bit of a file, and neither its size nor its time."""
    before, content = path.stat(), bytearray(path.read_bytes())
    path.chmod(0o644)
    content[0] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def content() -> dict[str, bytes]:
    return {
        str(path): path.read_bytes() for name in ("models", "data") for path in Path(name).rglob("*") if path.is_file()
    }


def cached(text: bytes) -> Path:
    """Return the file of the cache with a content."""
    return next(path for path in Path(".dvc/cache/files/md5").glob("??/*") if path.read_bytes() == text)


@pytest.mark.usefixtures("folder")
def test_whole_files_are_said_to_be_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert verify.run() == 0
    assert verify.run(all=True, restore=True) == 0
    assert "3 outputs of 2 stages" in capsys.readouterr().out


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("path", ["models/one", "data/a", "data/b"])
def test_a_damaged_output_is_named_and_comes_back_from_the_cache(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = content()
    dvc("status")  # so that DVC knows the files
    flip(Path(path))
    assert "up to date" in dvc("status")  # DVC does not see it
    assert verify.run() == 1
    assert content() != before
    said = capsys.readouterr().out
    assert f"damaged: {path} " in said
    assert "verify --restore" in said
    assert verify.run(restore=True) == 0
    assert content() == before
    assert verify.run() == 0


@pytest.mark.usefixtures("folder")
def test_a_damaged_file_of_the_cache_is_removed_so_that_nobody_checks_it_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before, bad = content(), cached(b"some words\n")
    flip(bad)
    assert verify.run() == 1
    assert f"damaged in the cache: {bad.resolve()}" in capsys.readouterr().out
    assert verify.run(restore=True) == 0
    assert not bad.exists()
    assert content() == before


@pytest.mark.usefixtures("folder")
def test_an_output_that_is_damaged_everywhere_is_removed_and_made_again(capsys: pytest.CaptureFixture[str]) -> None:
    before = content()
    for path in (Path("models/one"), Path("models/two"), cached(b"some words\n")):
        flip(path)
    assert verify.run(restore=True) == 1
    assert "removed: models/one, models/two; run `dvc repro`" in capsys.readouterr().out
    assert "models/one" not in content()
    dvc("repro")
    assert content() == before
    assert verify.run() == 0


@pytest.mark.usefixtures("folder")
def test_files_of_other_revisions_are_compared_if_asked(capsys: pytest.CaptureFixture[str]) -> None:
    other = Path(".dvc/cache/files/md5/ab/cdefabcdefabcdefabcdefabcdef")
    other.parent.mkdir(exist_ok=True)
    other.write_text("another content")
    assert verify.run() == 0
    assert verify.run(all=True) == 1
    assert str(other) in capsys.readouterr().out


def test_a_hard_link_is_read_once(folder: Path) -> None:
    store = verify.Store(folder / ".dvc/cache/files/md5")
    os.link(folder / "models/one", folder / "link")
    assert store.digest(folder / "models/one") == store.digest(folder / "link")
    assert store.read == len("some words\n")


def test_a_folder_without_a_lock_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"no dvc.lock"):
        verify.run()


@pytest.mark.usefixtures("folder")
def test_nothing_is_restored_beside_another_run() -> None:
    words = [sys.executable, "-c", "print(1, flush=True); import time; time.sleep(60)", "stages.propose"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        flip(Path("models/one"))
        try:
            with pytest.raises(InputError, match="another run works here"):
                verify.run(restore=True)
        finally:
            process.kill()
