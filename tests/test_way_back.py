"""The README's way to try a number and to come back, in a clone whose committed dvc.lock is from another machine.

The files that this machine has trained then belong to no commit: `git checkout . && dvc checkout` would delete them.
"""

import json
import re
import shlex
from hashlib import md5
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from commands.write_deps import ROOT
from tests.repository import Repository

SAME_EVERYWHERE = ("check", "download", "prepare", "propose")  # stages that compute the same bytes on every machine
FOLDERS = ("data", "metrics", "models", "report")
FILES = ("dvc.lock", "dvc.yaml", "params.yaml")


@pytest.fixture
def foreign(copy: Repository) -> Repository:
    """A clone after `make repro`, in which another machine committed other figures and the hashes of other files.

    The files of this machine, its metrics and its dvc.lock are there as uncommitted changes.
    """
    own = {path: path.read_text() for path in [copy.path / "dvc.lock", *sorted((copy.path / "metrics").glob("*.json"))]}
    lock = own[copy.path / "dvc.lock"]
    for name, stage in YAML(typ="safe").load(lock)["stages"].items():
        if name.split("@")[0] not in SAME_EVERYWHERE:
            for out in stage["outs"]:
                lock = lock.replace(out["md5"], out["md5"][31::-1] + out["md5"][32:])
    (copy.path / "dvc.lock").write_text(lock)
    for path in own:
        if path.suffix == ".json":
            path.write_text(json.dumps({**json.loads(path.read_text()), "loss": 77.0}))
    copy.commit()
    for path, text in own.items():
        path.write_text(text)
    return copy


def test_after_a_change_and_after_a_failure_all_is_as_it_was_and_nothing_is_trained_again(foreign: Repository) -> None:
    before = contents(foreign.path)
    save, change, back = commands()
    foreign(*save)
    assert contents(foreign.path) == before
    ran = re.findall(r"Running stage '(.+)'", foreign(*change))
    assert ran == ["check", "watch", "detect_rcnn", "evaluate_detections@rcnn", "summary", "report"]
    assert "metrics/rcnn.json" in changed(before, contents(foreign.path))
    foreign(*back)
    assert contents(foreign.path) == before
    assert not foreign.stale()

    nothing_to_learn = ["-S", "finetune.fg_iou_thresh=1.0", "-S", "finetune.include_gt=false"]
    output = foreign("dvc", "exp", "run", *nothing_to_learn, fails=True)
    assert "training needs both" in output
    assert {"models/rcnn.safetensors", "params.yaml"} <= changed(before, contents(foreign.path))
    foreign(*back)
    assert contents(foreign.path) == before
    assert not foreign.stale()


def test_a_name_that_is_taken_is_refused_before_anything_runs(copy: Repository) -> None:
    save, change, _ = commands()
    copy(*save)  # the committed state is that of this machine here, so there is no change to save
    before = contents(copy.path)
    for command in (save, [*change[:4], "mine", *change[5:]]):
        assert "conflicts with existing experiment 'mine'" in copy(*command, fails=True)
        assert contents(copy.path) == before


def commands() -> list[list[str]]:
    """Return the README's commands, from the section on changing one thing, that save, change and come back."""
    section = (ROOT / "README.md").read_text().split("## Change one thing")[1].split("```")[1]
    found = [shlex.split(line, comments=True) for line in section.splitlines()]
    wanted = ["dvc exp save", "dvc exp run -n change", "dvc exp apply"]
    return [next(line for line in found if line[: len(words.split())] == words.split()) for words in wanted]


def contents(root: Path) -> dict[str, str]:
    """Return hashes of the files that make up the state of the pipeline."""
    files = [*(root / name for name in FILES), *(path for name in FOLDERS for path in (root / name).rglob("*"))]
    return {str(path.relative_to(root)): md5(path.read_bytes()).hexdigest() for path in files if path.is_file()}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    """Return the names of the files that differ, or exist on one side only."""
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
