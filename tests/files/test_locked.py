"""Read the outputs from dvc.lock, and hash files as DVC does."""

from pathlib import Path

import pytest

from commands.write_deps import ROOT
from src.files.locked import Output, md5, outputs, sentence

LOCK = """schema: '2.0'
stages:
  download@voc:
    cmd: python -m stages.download
      --dataset voc
    params:
      params.yaml:
        data.voc:
          path:
          outs:
          - not this
    outs:
    - path: data/raw/voc
      hash: md5
      md5: 0123.dir
      size: 3
  fit:
    cmd: python -m stages.fit
    deps:
    - path: data/raw/voc
      md5: old.dir
    outs:
    - path: models/fit.npz
      md5: '4567'
"""


def test_outputs_have_their_stage_and_their_digest(tmp_path: Path) -> None:
    (tmp_path / "dvc.lock").write_text(LOCK)
    assert outputs(tmp_path / "dvc.lock") == {
        "data/raw/voc": Output("download@voc", "data/raw/voc", "0123.dir"),
        "models/fit.npz": Output("fit", "models/fit.npz", "4567"),
    }
    assert outputs(tmp_path / "none.lock") == {}


@pytest.mark.parametrize("length", range(len(LOCK)))
def test_of_a_file_that_was_cut_only_whole_outputs_are_named(tmp_path: Path, length: int) -> None:
    (tmp_path / "whole.lock").write_text(LOCK)
    (tmp_path / "dvc.lock").write_text(LOCK[:length])
    assert outputs(tmp_path / "dvc.lock").items() <= outputs(tmp_path / "whole.lock").items()


def test_the_outputs_of_this_repository_are_those_that_a_parser_of_the_whole_file_finds() -> None:
    from ruamel.yaml import YAML

    stages = YAML(typ="safe").load((ROOT / "dvc.lock").read_text())["stages"]
    whole = {out["path"]: (name, out["md5"]) for name, stage in stages.items() for out in stage.get("outs", [])}
    assert {path: (out.stage, out.md5) for path, out in outputs(ROOT / "dvc.lock").items()} == whole


def test_the_hash_of_a_folder_is_that_of_dvc(tmp_path: Path) -> None:
    from dvc_data.hashfile.build import build
    from dvc_data.hashfile.db import HashFileDB
    from dvc_objects.fs import LocalFileSystem, MemoryFileSystem

    folder = tmp_path / "folder"
    (folder / "below ü").mkdir(parents=True)
    for name in ("b", "a b", "below ü/c", "below ü-d"):
        (folder / name).write_text(name)
    _, _, tree = build(HashFileDB(MemoryFileSystem(), "memory"), str(folder), LocalFileSystem(), "md5")
    assert md5(folder) == tree.hash_info.value
    (folder / ".b.123.tmp").write_text("a rest of a killed process")
    assert md5(folder) == tree.hash_info.value
    (folder / "b").write_text("c")
    assert md5(folder) != tree.hash_info.value


def test_a_changed_bit_is_named_with_the_stage_and_a_missing_file_is_not_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").write_text("content")
    output = Output("fit", "a", md5(tmp_path / "a"))
    assert sentence(output) is None
    (tmp_path / "a").write_text("contenu")
    assert "a is not what the stage fit wrote" in (sentence(output) or "")
    (tmp_path / "a").unlink()
    assert sentence(output) is None
