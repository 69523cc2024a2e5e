"""The outputs that `dvc.lock` names, and whether the files in place are still those.

DVC compares sizes and times, and reads no byte of a file whose time did not change. So a bit that a disk flips passes
unseen, and would be a wrong figure in each later stage. The sums are those of DVC: MD5 of a file's bytes, and of a
folder that of the list of its files.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from src.errors import InputError
from src.files.unfinished import FORM
from src.params import load_yaml, yaml_text


class Output(NamedTuple):
    """One output of a stage; its sum ends with `.dir` if it is a folder."""

    stage: str
    path: Path
    md5: str


def outputs(lock: Path) -> list[Output]:
    """Return the outputs that a lock file names, in its order; none if there is no such file."""
    if not lock.exists():
        return []
    content = load_yaml(yaml_text(lock))
    return [
        Output(name, Path(out["path"]), out["md5"])
        for name, stage in content.get("stages", {}).items()
        for out in stage.get("outs", [])
        if "md5" in out
    ]


def checksum(path: Path) -> str:
    """Return the sum of a file or a folder as DVC computes it."""
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest()
    names = sorted((file.relative_to(path).as_posix(), file) for file in path.rglob("*") if file.is_file())
    entries = [{"md5": checksum(file), "relpath": name} for name, file in names if not FORM.fullmatch(file.name)]
    return hashlib.md5(json.dumps(entries).encode()).hexdigest() + ".dir"


def refuse_changed(lock: Path, stage: str, paths: Iterable[Path]) -> None:
    """Raise an `InputError` for the inputs of a stage that are not what the stages before it wrote.

    Args:
        lock: the lock file, which DVC has brought up to date before it runs the stage.
        stage: the name of the stage that is to read `paths`; its own outputs are not compared.
        paths: what it reads and writes. Only outputs of other stages are compared; each is read once.
    """
    known = {out.path: out for out in outputs(lock) if out.stage != stage}
    if problems := list(_changed(known[path] for path in paths if path in known and path.exists())):
        raise InputError("\n".join(problems))


def _changed(outs: Iterable[Output]) -> Iterator[str]:
    for out in outs:
        if checksum(out.path) != out.md5:
            yield (
                f"{out.path} is not the file that {out.stage} wrote, though its size and time may be: it is damaged, "
                "and `python -m commands.verify` says how to get it back (if you changed it yourself, "
                f"`dvc commit {out.stage}` takes it as it is)"
            )
