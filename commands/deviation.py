"""Measure how far the headline metrics move by chance: with other seeds, and with other arithmetic.

    python -m commands.deviation /big/folder      # the runs, then docs/results/deviation.json and the table
    python -m commands.deviation /big/folder --seeds 0 1 2 --others "ARITHMETIC=native OMP_NUM_THREADS=4"
    python -m commands.deviation                  # the table alone, from the existing figures

Each run is a clone of HEAD in the folder, with its own cache. DVC makes `summary` there from the images in this
workspace's cache, so all runs use the same images. A run whose summary exists is not repeated, so an interrupted
measurement resumes. The workspace itself is the run of the seed in its params.yaml, and all seeds run in pinned
arithmetic. The deviation over arithmetics compares the workspace with runs of its seed in other arithmetic.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

from joblib import Parallel, delayed
from ruamel.yaml import YAML

from src.errors import InputError
from src.evaluation.headline import of
from src.files.storage import write_json
from src.params import Count, Sections, Seed
from stages import arithmetic, environment
from stages.command import command

SUMMARY = Path("metrics/summary.json")
RESULT = Path("docs/results/deviation.json")
CACHE = Path(".dvc/cache")
IMAGES = ("download", "prepare")  # stages whose outputs depend neither on the seed nor on the arithmetic
SEEDS = [0, 1, 2, 3, 4]
ARITHMETIC = [  # settings of machines that are not pinned
    "ARITHMETIC=native OMP_NUM_THREADS=1",
    "ARITHMETIC=native OMP_NUM_THREADS=4 ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2",
]
LOG = "dvc.log"
Summary = Mapping[str, float]


class Params(Sections):
    """The section that this command reads: the seed of the workspace's own run."""

    seed: Seed


def run(
    params: Params,
    folder: Annotated[Path | None, "folder for the runs, some 300 MB each"] = None,
    *,
    seeds: Annotated[list[int], "seeds of the runs; the workspace is the run of its own seed"] = SEEDS,  # noqa: B006
    others: Annotated[list[str], "variables; per argument, one run with the workspace's seed"] = ARITHMETIC,  # noqa: B006
    jobs: Annotated[Count | None, "runs in parallel [one per CPU]"] = None,
) -> None:
    """Make the runs that are missing, write their figures and the deviations, and print the table."""
    if folder:
        write_json(RESULT, deviations(all_runs(folder, params.seed, seeds, others, jobs or environment.jobs())))
    print(table(read(RESULT), Path("metrics")))


def all_runs(folder: Path, own: int, seeds: list[int], others: list[str], jobs: int) -> dict[str, Summary]:
    """Return the headline metrics of the workspace and of each run, by name: `seed N`, or its variables.

    The workspace, whose seed is `own`, comes first; no run repeats it. Words of `others` that give the same variables
    are one run, or two would be made in one clone at a time.
    """
    wanted: dict[str, tuple[int, dict[str, str]]] = {f"seed {seed}": (seed, {}) for seed in seeds if seed != own}
    wanted |= {named(variables): (own, variables) for variables in map(variables_of, others)}
    summaries = Parallel(n_jobs=jobs, prefer="threads")(delayed(make)(folder, *run) for run in wanted.values())
    return {f"seed {own}": read(SUMMARY), **dict(zip(wanted, summaries, strict=True))}


def read(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file; a missing file is an `InputError`."""
    if not path.exists():
        raise InputError(f"{path} is missing: run `make repro`, then this command with a folder for its runs")
    return json.loads(path.read_text())


def variables_of(words: str) -> dict[str, str]:
    """Return the variables in `NAME=VALUE NAME=VALUE`, sorted by name; other words are an `InputError`.

    >>> variables_of("OMP_NUM_THREADS=1  ARITHMETIC=native")
    {'ARITHMETIC': 'native', 'OMP_NUM_THREADS': '1'}
    """
    pairs = [word.partition("=") for word in words.split()]
    if not pairs or not all(name and sign for name, sign, _ in pairs):
        raise InputError(f"--others {words!r} must be NAME=VALUE, or several of them in one quoted argument")
    return dict(sorted((name, value) for name, _, value in pairs))


def named(variables: Mapping[str, str]) -> str:
    """Return `NAME=VALUE NAME=VALUE`."""
    return " ".join(f"{name}={value}" for name, value in variables.items())


def make(folder: Path, seed: int, variables: Mapping[str, str]) -> Summary:
    """Return the headline metrics of a run in a clone below `folder`; make the run if it is missing."""
    name = "_".join([f"seed={seed}", *(f"{key}={value}" for key, value in variables.items())])
    clone, done = folder / name, folder / f"{name}.json"
    folder.mkdir(parents=True, exist_ok=True)
    if not done.exists():
        _make(clone, seed, variables)
        shutil.copy(clone / SUMMARY, done)
    return read(done)


def _make(clone: Path, seed: int, variables: Mapping[str, str]) -> None:
    shutil.rmtree(clone, ignore_errors=True)
    subprocess.run(["git", "clone", "--quiet", ".", str(clone)], check=True)
    dvc(clone, ["remote", "add", "--local", "workspace", str(CACHE.absolute())])
    dvc(clone, ["pull", "--remote", "workspace", *IMAGES])
    set_seed(clone / "params.yaml", seed)
    print(f"{clone.name}: dvc repro summary", flush=True)
    dvc(clone, ["repro", "summary"], variables)


def set_seed(params: Path, seed: int) -> None:
    """Change `seed` in a params.yaml, and keep its comments."""
    yaml = YAML()
    content = yaml.load(params.read_text())
    content["seed"] = seed
    with params.open("w") as file:
        yaml.dump(content, file)


def dvc(clone: Path, words: list[str], variables: Mapping[str, str] = MappingProxyType({})) -> None:
    """Run DVC in a clone, in this Python's environment; its output goes to `dvc.log` there."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # This process is pinned. Its children must not inherit that: they pin themselves, unless they are to be native.
    inherited = {name: value for name, value in os.environ.items() if name not in arithmetic.SETTINGS}
    environ = {**inherited, "PATH": path, "JOBS": "1", **variables}
    with (clone / LOG).open("a") as log:
        done = subprocess.run([sys.executable, "-m", "dvc", *words], cwd=clone, env=environ, stdout=log, stderr=log)
    if done.returncode:
        raise InputError(
            f"`dvc {' '.join(words)}` failed in {clone} (its output is in {clone / LOG}); the images must be in this "
            "workspace's cache, and dvc.lock committed: run `make repro` and commit first"
        )


def deviations(runs: Mapping[str, Summary]) -> dict[str, dict[str, Any]]:
    """Return, per metric, its figure in each run, and the standard deviations over seeds and over arithmetics.

    Args:
        runs: the result of `all_runs`.
    """
    seeded = [name for name in runs if name.startswith("seed ")]
    others = [seeded[0], *(name for name in runs if name not in seeded)]
    by_metric: dict[str, dict[str, Any]] = {}
    for metric in runs[seeded[0]]:
        figures = {name: summary[metric] for name, summary in runs.items()}
        by_metric[metric] = {
            "seed": _deviation([figures[name] for name in seeded]),
            "arithmetic": _deviation([figures[name] for name in others]),
            "runs": figures,
        }
    return by_metric


def _deviation(figures: list[float]) -> float | None:
    return statistics.stdev(figures) if len(figures) > 1 else None


def table(by_metric: Mapping[str, Mapping[str, Any]], metrics: Path) -> str:
    """Return a Markdown table: each headline metric, its standard error over test images, and the deviations.

    Args:
        by_metric: the result of `deviations`.
        metrics: folder of the metrics files, which hold the standard errors.
    """
    head = ["metric", "value", "error over images", "deviation over seeds", "over arithmetics", "lowest to highest"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for headline in of(by_metric):
        row = by_metric[headline.name]
        file = json.loads((metrics / f"{headline.file}.json").read_text())
        figures = row["runs"].values()
        cells = [
            headline.name,
            f"{file[headline.key]:.3f}",
            *map(_shown, (file.get("standard_error", {}).get(headline.key), row["seed"], row["arithmetic"])),
            f"{min(figures):.3f} to {max(figures):.3f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


if __name__ == "__main__":
    command(run)
