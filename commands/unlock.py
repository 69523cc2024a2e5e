"""Say which other run works in this repository, and mend DVC's lock files after a run that was killed.

    python -m commands.unlock

DVC writes two files in place, and a kill at that moment leaves half of a file, with which DVC refuses every run:
`.dvc/tmp/rwlock`, which process reads and writes which files, and `dvc.lock`, the stages that have run. DVC also
refuses a run if the number of a killed process went to another program. All is mended here, but never while another run
works in this folder. `make repro` does the same first.
"""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from src.errors import InputError
from src.files.locked import LOCK
from src.files.storage import atomic
from stages.command import command

ROOT = Path()
LOCKS = Path(".dvc/tmp")
ENTRIES, GUARD = "rwlock", "rwlock.lock"  # DVC's names
KINDS = ("read", "write")
STAGE = re.compile(r"^(?=  \S)", re.MULTILINE)  # before the name of each stage in dvc.lock


class Running(NamedTuple):
    """A living process of a run: its number, its command, and the time of its start in seconds since 1970."""

    number: int
    words: str
    begin: float

    def __str__(self) -> str:
        return (
            f"process {self.number} (`{self.words}`, since {time.strftime('%d %b %H:%M', time.localtime(self.begin))})"
        )


def run() -> None:
    """Print which other runs work here, and mend the lock file if it is broken."""
    others = running(ROOT)
    for other in others:
        print(f"another run works here: {other}")
    lines = mend(ROOT)
    print("\n".join(lines) or "DVC's lock files are whole" + ("" if others else ", and no other run works here"))


def running(root: Path) -> list[Running]:
    """List the living processes of DVC and of stages whose folder is in `root`, without this one and its ancestors."""
    root, own = root.resolve(), psutil.Process()
    apart = {own.pid, *(parent.pid for parent in own.parents())}
    return sorted(
        found for process in psutil.process_iter() if process.pid not in apart for found in _run_of(process, root)
    )


def _run_of(process: psutil.Process, root: Path) -> Iterator[Running]:
    try:
        words = process.cmdline()
        if process.status() == psutil.STATUS_ZOMBIE or not _is_run(words):
            return
        if _is_in(process, root):
            yield Running(process.pid, " ".join(words), process.create_time())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return


def _is_in(process: psutil.Process, root: Path) -> bool:
    """Tell whether the folder of a process is in `root`, or cannot be seen, as that of another user's process."""
    try:
        return Path(process.cwd()).resolve().is_relative_to(root)
    except psutil.AccessDenied:
        return True


def _is_run(words: list[str]) -> bool:
    return any(Path(word).name == "dvc" or word.startswith(("stages.", "commands.timed_repro")) for word in words)


def mend(root: Path) -> list[str]:
    """Mend `.dvc/tmp/rwlock` and `dvc.lock`; return a sentence for each repair.

    Raises:
        InputError: a file is broken, and another run is alive, or DVC is writing the file at this moment.
    """
    return [*_mended_entries(root), *_mended_stages(root)]


def _mended_entries(root: Path) -> list[str]:
    """Remove a broken `rwlock`, and the entries of programs that are no runs."""
    file = root / LOCKS / ENTRIES
    if not file.exists():
        return []
    from dvc.lock import LockError, make_lock  # here, not above: --help does not wait for it

    try:
        with make_lock(str(file.with_name(GUARD)), tmp_dir=str(file.parent)):
            return _mended(file, root)
    except LockError:
        raise InputError(f"another run is writing {file} at this moment: {_named(running(root))}; try again") from None


def _mended(file: Path, root: Path) -> list[str]:
    try:
        entries = _entries(file.read_bytes())
    except ValueError as error:
        _refuse_beside_others(file, error, root)
        file.unlink()
        return [f"removed {file}, which a killed run left broken ({error}); no other run works here"]
    kept, dropped = _without_strangers(entries)
    if not dropped:
        return []
    file.write_text(json.dumps(kept))
    return [
        f"removed the entry of process {number} from {file}: another program has that number now" for number in dropped
    ]


def _refuse_beside_others(file: Path, error: Exception, root: Path) -> None:
    if others := running(root):
        raise InputError(
            f"{file} is broken ({_first_line(error)}), but another run works here: {_named(others)}; when it has "
            "ended, run `python -m commands.unlock`"
        ) from None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _mended_stages(root: Path) -> list[str]:
    """Cut a broken `dvc.lock` after its last whole stage; DVC finds the others in its cache, or runs them again."""
    file = root / LOCK
    if not file.exists():
        return []
    text = file.read_text(errors="replace")
    if (error := _problem(text)) is None:
        return []
    _refuse_beside_others(file, error, root)
    head, *stages = STAGE.split(text)
    while stages and _problem(head + "".join(stages)):
        stages.pop()
    if not stages:
        file.unlink()
        return [
            f"removed {file}, which a killed run left broken ({_first_line(error)}): DVC looks for outputs in its cache"
        ]
    with atomic(file) as temporary:
        temporary.write_text(head + "".join(stages))
    return [f"cut {file}, which a killed run left broken ({_first_line(error)}), after its first {len(stages)} stages"]


def _problem(text: str) -> Exception | None:
    """Return why a `dvc.lock` is not what DVC writes, or None."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError
    from voluptuous import Invalid

    if text and not text.endswith("\n"):  # it may be valid by chance, with half a path or half a digest
        return ValueError("it ends within a line")
    try:
        COMPILED_LOCKFILE_SCHEMA(YAML(typ="safe").load(text) or {})
    except (YAMLError, Invalid) as error:
        return error
    return None


def _entries(content: bytes) -> dict[str, Any]:
    """Return the content of DVC's lock file; a `ValueError` if it has not DVC's form."""
    entries = json.loads(content)
    if not isinstance(entries, dict) or entries.keys() - set(KINDS):
        raise ValueError("it has no entries of DVC")
    for kind, holders in ((kind, entries.get(kind, {})) for kind in KINDS):
        if not isinstance(holders, dict):
            raise ValueError(f"{kind} is no table")
        for held in holders.values():
            for info in held if kind == "read" and isinstance(held, list) else [held]:
                if not isinstance(info, dict) or not isinstance(info.get("pid"), int) or "cmd" not in info:
                    raise ValueError(f"an entry of {kind} names no process")
    return entries


def _without_strangers(entries: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
    """Leave out entries whose number belongs to another program now; DVC leaves out those of dead processes."""
    strangers: set[int] = set()

    def stays(info: dict[str, Any]) -> bool:
        if _is_stranger(info):
            strangers.add(info["pid"])
        return info["pid"] not in strangers

    read = {path: [info for info in infos if stays(info)] for path, infos in entries.get("read", {}).items()}
    write = {path: info for path, info in entries.get("write", {}).items() if stays(info)}
    kept = {"write": write, "read": {path: infos for path, infos in read.items() if infos}}
    return kept, sorted(strangers)


def _is_stranger(info: dict[str, Any]) -> bool:
    try:
        words = psutil.Process(info["pid"]).cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied, ValueError, OverflowError):
        return False
    return not _is_run(words) and str(info["cmd"]) not in " ".join(words)


def _named(others: list[Running]) -> str:
    return ", ".join(map(str, others)) or "its process cannot be seen from here"


if __name__ == "__main__":
    command(run)
