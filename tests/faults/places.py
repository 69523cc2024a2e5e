"""Each stage with a full disk, a disk that cannot be written, and a damaged input: it must end in one sentence.

The disk is a small tmpfs that only the stage sees, in a mount namespace of its own. A machine that allows no such
namespace tries neither of the two, and says so.
"""

import os
import random
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ruamel.yaml import YAML

from src.files.locked import outputs
from tests.repository import Repository

FULL, READ_ONLY, DAMAGED = "disk full", "read-only disk", "damaged input"
SENTENCES = {  # regular expressions
    FULL: "disk is full|free: make room",
    READ_ONLY: "cannot be written",
    DAMAGED: "is not what the stage",
}
REFUSED = 77  # exit status of the hook if the machine allows no mount
PLACE = "elsewhere"  # folder of the outputs
CHECKPOINTS = ".checkpoints"
HOOK = "faulty"
CODE = '''
"""Run a stage for which a folder is a tmpfs that takes no file: `python -m faulty full FOLDER stages.NAME ...`."""
import ctypes, os, runpy, sys

NAMESPACE, USER, READ_ONLY, REMOUNT, RECURSIVE, PRIVATE = 0x20000, 0x10000000, 1, 32, 0x4000, 0x40000
kind, folder, name, *words = sys.argv[1:]
os.makedirs(folder, exist_ok=True)
libc = ctypes.CDLL(None, use_errno=True)
user, group = os.getuid(), os.getgid()
refused = libc.unshare(NAMESPACE | (USER if user else 0))
if not refused and user:
    for file, text in (("uid_map", f"0 {user} 1"), ("setgroups", "deny"), ("gid_map", f"0 {group} 1")):
        with open(f"/proc/self/{file}", "w") as opened:
            opened.write(text)
refused = refused or libc.mount(b"none", b"/", None, RECURSIVE | PRIVATE, None)
refused = refused or libc.mount(b"tmpfs", folder.encode(), b"tmpfs", 0, b"size=64k" if kind == "full" else b"size=16g")
if refused:
    print(os.strerror(ctypes.get_errno()))
    sys.exit(77)
if kind == "full":
    try:
        with open(f"{folder}/filler", "wb", buffering=0) as opened:
            while True:
                opened.write(bytes(4096))
    except OSError:
        pass
else:
    libc.mount(b"none", folder.encode(), None, REMOUNT | READ_ONLY, None)
sys.argv = [name, *words]
try:
    runpy.run_module(name, run_name="__main__", alter_sys=True)
finally:
    rests = [file for _, _, files in os.walk(folder) for file in files if file.endswith(".tmp")]
    print("left:", *rests) if rests else None
'''


class Case(NamedTuple):
    """A stage with a fault: its name, what is wrong, the words after `python -m`, and the file or folder."""

    stage: str
    fault: str
    words: list[str]
    place: str


class Outcome(NamedTuple):
    """A case, and why it is lost: `""` if it ended in a sentence, None if the machine cannot try it."""

    case: Case
    lost: str | None


def cases(root: Path) -> list[Case]:
    """List the cases of all stages that `dvc.lock` names: each output, each checkpoint and each input."""
    made = outputs(root / "dvc.lock")
    stages = YAML(typ="safe").load((root / "dvc.lock").read_text())["stages"]
    found: list[Case] = []
    for name, stage in stages.items():
        words = shlex.split(stage["cmd"])[2:]
        own = {out["path"] for out in stage["outs"]}
        moved = [f"{PLACE}/{word}" if word in own else word for word in words]
        for fault, kind in ((FULL, "full"), (READ_ONLY, "readonly")):
            found.append(Case(name, fault, [HOOK, kind, PLACE, *moved], PLACE))
            if re.search(r"stages\.(train_detector|train_classifier|finetune|pretrain)", stage["cmd"]):
                found.append(Case(name, fault, [HOOK, kind, CHECKPOINTS, *moved], CHECKPOINTS))
        inputs = [word for word in words if word in made and word not in own]
        found += [Case(name, DAMAGED, words, path) for path in dict.fromkeys(inputs)]
    return found


def tried(repository: Repository, chosen: list[Case], seed: int) -> Iterator[Outcome]:
    """Run the cases in the repository, which stays as it is."""
    (repository.path / f"{HOOK}.py").write_text(CODE)
    rng = random.Random(seed)
    for case in chosen:
        whole: bytes | None = None
        if case.fault == DAMAGED:
            file = _file(repository.path / case.place, rng)
            whole = file.read_bytes()
            _flip(file, whole, rng)
        status, said = _run(repository, case)
        if whole is not None:
            _replace(file, whole)
        for folder in (PLACE, CHECKPOINTS):
            shutil.rmtree(repository.path / folder, ignore_errors=True)
        yield Outcome(case, None if status == REFUSED else _lost(case, status, said))


def _lost(case: Case, status: int, said: str) -> str:
    if "Traceback" in said or not re.search(SENTENCES[case.fault], said):
        return f"{case.stage}, {case.fault} at {case.place}: no sentence, but status {status}: {said[-800:]}"
    if status == 0:
        return f"{case.stage}, {case.fault} at {case.place}: it ended with status 0"
    if rest := re.search(r"^left: (.+)", said, re.MULTILINE):
        return f"{case.stage}, {case.fault} at {case.place}: {rest[1]} is left"
    return ""


def _run(repository: Repository, case: Case) -> tuple[int, str]:
    alone = {"ARITHMETIC": "native", "OMP_NUM_THREADS": "1", "JOBS": "1", "WORKERS": "0"}
    path = f"{repository.commands}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PYTHONPATH": "", **alone, "PATH": path}
    if case.fault == DAMAGED:
        environment["DVC_STAGE"] = case.stage
    words = [f"{repository.commands}/python", "-m", *case.words]
    done = subprocess.run(words, cwd=repository.path, capture_output=True, text=True, env=environment)
    return done.returncode, done.stdout + done.stderr


def _file(path: Path, rng: random.Random) -> Path:
    """Return a file, or a file in a folder."""
    return rng.choice(sorted(file for file in path.rglob("*") if file.is_file())) if path.is_dir() else path


def _flip(path: Path, content: bytes, rng: random.Random) -> None:
    """Change one bit of a file, and neither its size nor its time."""
    before, changed = path.stat(), bytearray(content)
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    _replace(path, bytes(changed))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _replace(path: Path, content: bytes) -> None:
    """Write a new file, because the old one may be a hard link to that of another test."""
    path.unlink()
    path.write_bytes(content)
