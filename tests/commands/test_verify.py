"""A flipped bit is found, and the commands that `verify` prints bring the file back."""

import os
import shlex
import shutil
import subprocess
import warnings
from pathlib import Path

import pytest

from commands import verify
from src.errors import InputError
from src.files.locked import checksum, outputs, refuse_changed

PIPELINE = """
stages:
  model:
    cmd: mkdir -p out && echo weights > out/model && mkdir out/folder && echo a > out/folder/a && echo b > out/folder/b
    outs: [out/model, out/folder]
  score:
    cmd: cat out/model out/model > metrics.json
    deps: [out/model]
    metrics:
      - metrics.json:
          cache: false
"""


def flip(path: Path) -> None:
    """Flip a bit in place, as a disk does: size and time stay."""
    before = path.stat()
    path.chmod(0o644)
    content = path.read_bytes()
    with path.open("r+b") as file:
        file.write(bytes([content[0] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def dvc(*words: str) -> None:
    """Run DVC in this process, because its start takes seconds; its own warnings are no errors."""
    from dvc.cli import main

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert main([*words, "-q"]) == 0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small repository of DVC whose pipeline has run."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "dvc.yaml").write_text(PIPELINE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        dvc("init", "--no-scm")
        dvc("repro")
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path / "copy", symlinks=True)
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


def found(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the commands that `verify` prints."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        status = verify.run()
    commands = [line.strip() for line in capsys.readouterr().out.splitlines() if line.startswith("    ")]
    assert status == bool(commands)
    return commands


def restore(line: str) -> None:
    """Run a line of commands."""
    for words in (shlex.split(part, comments=True) for part in line.split(" && ")):
        if words[0] == "dvc":
            dvc(*words[1:])
        else:
            subprocess.run(words, check=True)


def test_a_whole_repository_has_no_problem(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert found(capsys) == []
    assert len(outputs(Path("dvc.lock"))) == 3
    assert all(checksum(out.path) == out.md5 for out in outputs(Path("dvc.lock")))


@pytest.mark.parametrize("name", ["out/model", "out/folder/b", "metrics.json"])
def test_a_damaged_output_is_brought_back(folder: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = Path(name).read_bytes()
    flip(Path(name))
    (line,) = found(capsys)
    restore(line)
    assert Path(name).read_bytes() == before
    assert found(capsys) == []


def test_an_output_that_is_damaged_together_with_its_cache_is_made_again(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As if the two were one file, which they are with links."""
    out = next(out for out in outputs(Path("dvc.lock")) if out.path == Path("out/model"))
    for path in (out.path, verify.entry(Path(".dvc/cache"), out.md5)):
        flip(path)
    (line,) = found(capsys)
    assert line.endswith("dvc repro model")
    restore(line)
    assert Path("out/model").read_text() == "weights\n"
    assert found(capsys) == []


def test_a_damaged_cache_alone_is_filled_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = next(out for out in outputs(Path("dvc.lock")) if out.path == Path("out/model"))
    flip(verify.entry(Path(".dvc/cache"), out.md5))
    (line,) = found(capsys)
    restore(line)
    assert found(capsys) == []


def test_a_stage_refuses_a_damaged_input_and_not_its_own_output(folder: Path) -> None:
    lock, paths = Path("dvc.lock"), [Path("out/model"), Path("metrics.json"), Path("params.yaml")]
    refuse_changed(lock, "score", paths)
    flip(Path("metrics.json"))
    refuse_changed(lock, "score", paths)
    flip(Path("out/model"))
    with pytest.raises(InputError, match=r"^out/model is not the file that model wrote.* `dvc commit model`"):
        refuse_changed(lock, "score", paths)
    refuse_changed(Path("no.lock"), "score", paths)
