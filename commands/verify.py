"""Compare the outputs and DVC's cache with `dvc.lock`, by content, and restore what is damaged.

    python -m commands.verify [--restore] [--all]

DVC believes a file that has the size and the time of before. Here each file is read and hashed: the outputs, and the
files of the cache that `dvc.lock` names; with --all, every file of the cache. With --restore, damaged files of the
cache are removed, and damaged outputs are replaced by those of the cache. If the cache has none, the output is removed,
and `dvc repro` makes it again. The exit status is 1 if something is left to do.
"""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from commands import unlock
from src.errors import InputError
from src.files.locked import FOLDER, LOCK, Output, files, md5_of_file, md5_of_files, outputs
from stages.command import command


def run(
    *,
    restore: Annotated[bool, "replace damaged outputs, and remove damaged files of the cache"] = False,
    all: Annotated[bool, "compare every file of the cache, also those of other revisions"] = False,  # noqa: A002
) -> int:
    """Print the differences and what to do, and return 1 if something is left to do."""
    if not (made := outputs()):
        raise InputError(f"there is no {LOCK} with outputs in this folder: run `dvc repro` where dvc.yaml lies")
    if restore and (others := unlock.running(Path())):
        raise InputError(f"another run works here: {others[0]}; restore files when it has ended")
    begin, store = time.monotonic(), Store(_place())
    damaged = {out: bad for out in made.values() if (bad := store.damaged(out))}
    objects = sorted(path for path in store.listed(None if all else made.values()) if not store.is_whole(path))
    for out, bad in damaged.items():
        print(f"damaged: {', '.join(map(str, bad))} (written by {out.stage}; {_remedy(store, out)})")
    for path in objects:
        print(f"damaged in the cache: {path}")
    missing = sum(not Path(out.path).exists() for out in made.values())
    print(
        f"{len(made)} outputs of {len({out.stage for out in made.values()})} stages, and their files in the cache, "
        f"{store.read / 1e9:.2f} GB in {time.monotonic() - begin:.1f} s: {len(damaged)} outputs and {len(objects)} "
        f"files of the cache are damaged, {missing} outputs are missing"
    )
    if not restore:
        if damaged or objects:
            print("`python -m commands.verify --restore` restores what the cache has, and removes what is damaged")
        return int(bool(damaged or objects))
    return _restore(damaged, objects, store)


def _remedy(store: "Store", out: Output) -> str:
    return "the cache has it whole" if store.has(out) else "the cache lacks it: the stage has to run again"


def _restore(damaged: Mapping[Output, list[Path]], objects: Iterable[Path], store: "Store") -> int:
    """Remove what is damaged, and check out what the cache has; return 1 if a stage has to run again."""
    there = [out.path for out in damaged if store.has(out)]
    for path in objects:
        path.unlink()
    for path in (path for bad in damaged.values() for path in bad):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    if there:
        subprocess.run([sys.executable, "-m", "dvc", "checkout", "--quiet", "--force", *there], check=True)
        print(f"restored: {', '.join(there)}")
    again = [out.path for out in damaged if out.path not in there]
    if again:
        print(f"removed: {', '.join(again)}; run `dvc repro`, which makes them again")
    return int(bool(again))


def _place() -> Path:
    """Return the folder of the cache's files, which are called by the digest of their content."""
    from dvc.repo import Repo  # here, not above: --help does not wait for it

    with Repo() as repo:
        return Path(repo.cache.local.path)


@dataclass
class Store:
    """DVC's cache at `place`, and the digests of files, each of which is read once.

    An output is often a hard link to a file of the cache. `read` counts the bytes that were read.
    """

    place: Path
    read: int = 0
    known: dict[tuple[int, int], str] = field(default_factory=dict)

    def digest(self, path: Path) -> str:
        """Return the MD5 of a file."""
        status = path.stat()
        key = status.st_dev, status.st_ino
        if key not in self.known:
            self.known[key] = md5_of_file(path)
            self.read += status.st_size
        return self.known[key]

    def object(self, digest: str) -> Path:
        """Return the path of the file of the cache that has this digest; it may be missing."""
        return self.place / digest[:2] / digest[2:]

    def is_whole(self, path: Path) -> bool:
        """Tell whether a file of the cache has the content that it is called by."""
        return self.digest(path) == (path.parent.name + path.name).removesuffix(FOLDER)

    def listing(self, out: Output) -> dict[str, str] | None:
        """Return the digests of the files of an output that is a folder; None if the cache does not know them."""
        path = self.object(out.md5)
        if not out.md5.endswith(FOLDER) or not path.exists() or not self.is_whole(path):
            return None
        return {entry["relpath"]: entry["md5"] for entry in json.loads(path.read_text())}

    def has(self, out: Output) -> bool:
        """Tell whether the cache can restore an output."""
        needed = [out.md5, *(self.listing(out) or {}).values()]
        return all((path := self.object(digest)).exists() and self.is_whole(path) for digest in needed)

    def damaged(self, out: Output) -> list[Path]:
        """Return the files of an output that differ; the folder itself if nobody knows which; none if it is missing."""
        path = Path(out.path)
        if not path.exists():
            return []
        if not path.is_dir():
            return [path] if self.digest(path) != out.md5 else []
        found = {name: self.digest(file) for name, file in files(path).items()}
        if md5_of_files(found) == out.md5:
            return []
        listed = self.listing(out)
        differing = [path / name for name, digest in found.items() if listed is not None and listed.get(name) != digest]
        return differing or [path]

    def listed(self, made: Iterable[Output] | None) -> Iterator[Path]:
        """Yield the files of the cache that belong to the outputs, or all of them."""
        if made is None:
            yield from (path for path in self.place.glob("??/*") if path.is_file())
            return
        digests = {digest for out in made for digest in (out.md5, *(self.listing(out) or {}).values())}
        yield from (path for digest in digests if (path := self.object(digest)).exists())


if __name__ == "__main__":
    command(run)
