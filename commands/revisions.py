"""Read the files of a revision that a comparison needs: of a commit, an experiment of DVC, or the workspace.

Metrics, parameters and `dvc.lock` are read from git, and the outputs from DVC's cache by the digests in `dvc.lock`.
Nothing is checked out or written. For the workspace, the files themselves are read, or the cache if a file is missing.
"""

import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from ruamel.yaml import YAML

from src.errors import InputError
from src.evaluation import headline
from src.evaluation.headline import LISTED, Metrics

WORKSPACE = "workspace"
METRICS = "metrics"
SUMMARY = "summary"


@dataclass(frozen=True)
class Revision:
    """One side of a comparison."""

    label: str  # for a reader: `HEAD (1a2b3c4)`
    metrics: Metrics
    params: Mapping[str, Any]
    digests: Mapping[str, str]  # md5 of each output of the pipeline, by path; that of a folder ends in `.dir`
    cached: Callable[[str], Path]  # path in the cache for a digest; the file may be missing
    folder: Path | None = None  # root of the workspace; None for a commit

    @cached_property
    def summary(self) -> Mapping[str, float | None]:
        """The headline metrics; for a commit without summary.json, those listed ones that its metrics files have."""
        if SUMMARY in self.metrics:
            return self.metrics[SUMMARY]
        return headline.summary(self.metrics, [metric.name for metric in LISTED])

    def files(self, output: str) -> dict[str, Path]:
        """Find the files of an output, by their path inside it; a single file is under "". Empty if missing."""
        if self.folder and (path := self.folder / output).is_file():
            return {"": path}
        if self.folder and path.exists():
            return {file.relative_to(path).as_posix(): file for file in sorted(path.rglob("*")) if file.is_file()}
        if not (digest := self.digests.get(output)) or not (path := self.cached(digest)).exists():
            return {}
        if not digest.endswith(".dir"):
            return {"": path}
        files = {entry["relpath"]: self.cached(entry["md5"]) for entry in json.loads(path.read_text())}
        return files if all(file.exists() for file in files.values()) else {}


def revisions(names: list[str], root: Path) -> list[Revision]:
    """Read the revisions with these names.

    Args:
        names: any name of a commit for git, or the name of an experiment; `workspace` for the files in the folder.
        root: the folder of the repository.

    Raises:
        InputError: `root` is not the root of a git and DVC repository, a revision does not exist or has no metrics.
    """
    for entry, words in ((".dvc", "DVC"), (".git", "git")):
        if not (root / entry).exists():
            raise InputError(f"{root.resolve()} is not the root of a {words} repository: run it where dvc.yaml lies")
    try:
        from dvc.repo import Repo
    except ImportError:
        raise InputError("DVC is not installed for this Python: run `make setup`, and .venv/bin/python") from None
    with Repo(str(root)) as repo:

        def cached(digest: str) -> Path:
            return Path(repo.cache.local.oid_to_path(digest))

        result = [_workspace(root, cached) if name == WORKSPACE else _commit(name, repo, cached) for name in names]
    for name, revision in zip(names, result, strict=True):
        if not revision.summary:
            raise InputError(f"{name} has no metrics: run `dvc repro` there, or name another revision")
    return result


def _workspace(root: Path, cached: Callable[[str], Path]) -> Revision:
    def text(path: str) -> str:
        return (root / path).read_text() if (root / path).exists() else ""

    paths = [f"{METRICS}/{path.name}" for path in sorted((root / METRICS).glob("*.json"))]
    return _revision(WORKSPACE, paths, text, cached, root)


def _commit(name: str, repo: Any, cached: Callable[[str], Path]) -> Revision:
    from dvc.scm import RevError, resolve_rev

    try:
        commit = resolve_rev(repo.scm, name)
    except RevError:
        raise InputError(f"{name!r} names no commit, branch, tag or experiment, or several experiments") from None

    def text(path: str) -> str:
        shown = subprocess.run(["git", "show", f"{commit}:{path}"], cwd=repo.root_dir, capture_output=True, text=True)
        return shown.stdout

    tree = ["git", "ls-tree", "--name-only", commit, f"{METRICS}/"]
    listed = subprocess.run(tree, cwd=repo.root_dir, capture_output=True, text=True).stdout.split()
    return _revision(f"{name} ({commit[:7]})", [path for path in listed if path.endswith(".json")], text, cached, None)


def _revision(
    label: str, metrics: list[str], text: Callable[[str], str], cached: Callable[[str], Path], folder: Path | None
) -> Revision:
    yaml = YAML(typ="safe")
    lock = yaml.load(text("dvc.lock")) or {}
    outs = [out for stage in lock.get("stages", {}).values() for out in stage.get("outs", [])]
    return Revision(
        label=label,
        metrics={PurePosixPath(path).stem: _json(text(path), f"{path} of {label}") for path in metrics},
        params=yaml.load(text("params.yaml")) or {},
        digests={out["path"]: out["md5"] for out in outs},
        cached=cached,
        folder=folder,
    )


def _json(text: str, name: str) -> dict[str, Any]:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{name} is not valid JSON: {error}") from None
