"""The outputs that `dvc.lock` names, and whether the bytes on the disk are still those that a stage wrote.

DVC believes a file that has the size and the time of before, so it does not see a bit that flipped on the disk. Here
the content itself is hashed, as DVC hashes it.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ruamel.yaml import YAML

from src.files.damage import regular

LOCK = Path("dvc.lock")
FOLDER = ".dir"  # at the end of the digest of a folder
REMEDY = "run `python -m commands.verify --restore`, then `dvc repro`"
# What dvc.lock says of a stage beside its outputs: nine tenths of the text, which need not be parsed.
BESIDE = re.compile(r"^    (?:cmd|deps|params):.*\n(?:    [ -].*\n)*", re.MULTILINE)


class Output(NamedTuple):
    """An output: the stage that wrote it, its path, and the MD5 of its content, with `.dir` for a folder."""

    stage: str
    path: str
    md5: str


def outputs(lock: Path = LOCK) -> dict[str, Output]:
    """Return the outputs that a `dvc.lock` names, by path; none if there is no such file.

    If a kill cut the file while DVC wrote it, what is cut is no output. A file that is not valid YAML is a `YAMLError`.
    """
    if not lock.exists():
        return {}
    text = lock.read_text()
    lines = text[: text.rfind("\n") + 1]  # whole ones: half a digest would be that of a damaged file
    stages = (YAML(typ="safe").load(BESIDE.sub("", lines)) or {}).get("stages") or {}
    return {
        out["path"]: Output(name, out["path"], out["md5"])
        for name, stage in stages.items()
        for out in (stage or {}).get("outs") or []
        if "md5" in out
    }


def md5(path: Path) -> str:
    """Return the MD5 of a file, or of a folder as DVC has it: that of a list of its files and theirs, and `.dir`."""
    if not path.is_dir():
        return md5_of_file(path)
    return md5_of_files({name: md5_of_file(file) for name, file in files(path).items()})


def md5_of_file(path: Path) -> str:
    """Return the MD5 of a file; a pipe or a device is an `InputError`."""
    regular(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def md5_of_files(digests: Mapping[str, str]) -> str:
    """Return the digest of a folder from those of its files, by their names inside it."""
    listed = json.dumps([{"md5": digests[name], "relpath": name} for name in sorted(digests)], sort_keys=True)
    return hashlib.md5(listed.encode(), usedforsecurity=False).hexdigest() + FOLDER


def files(folder: Path) -> dict[str, Path]:
    """Return the files of a folder by their names inside it, those that DVC sees: all but those of `.dvcignore`."""
    return {
        file.relative_to(folder).as_posix(): file
        for file in folder.rglob("*")
        if not file.is_dir() and not file.match(".*.tmp") and "__pycache__" not in file.parts
    }


def sentence(output: Output) -> str | None:
    """Say in one sentence that an output is not what its stage wrote; None if it is, or if there is no such file."""
    path = Path(output.path)
    if not path.exists() or md5(path) == output.md5:
        return None
    return (
        f"{path} is not what the stage {output.stage} wrote (its content has another MD5 than in dvc.lock): {REMEDY}; "
        f"if you changed it on purpose, `dvc commit -f {output.stage}`"
    )
