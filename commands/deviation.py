"""Measure how far the headline metrics move by chance: with other seeds, and with other arithmetic.

    python -m commands.deviation /big/folder      # the runs, then docs/results/deviation.json and the table
    python -m commands.deviation /big/folder --seeds 0 1 2 --others "ARITHMETIC=native OMP_NUM_THREADS=4"
    python -m commands.deviation /big/folder --methods fast_rcnn faster_rcnn    # as for a method that was added
    python -m commands.deviation                  # the table alone, from the existing figures

Each run is a clone of HEAD in the folder, with its own cache. DVC makes `summary` there, or the metrics of some methods
alone, from the images in this workspace's cache, so all runs use the same images. A run whose figures exist is not
repeated, so an interrupted measurement resumes. The workspace itself is the run of the seed in its params.yaml, and all
seeds run in pinned arithmetic. The deviation over arithmetics compares the workspace with runs of its seed in other
arithmetic.
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
from src.evaluation.headline import summary as headlines
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
ALL: list[str] = []  # methods
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
    methods: Annotated[list[str], "run these alone, and leave the figures of the others as they are [all]"] = ALL,  # noqa: B006
    jobs: Annotated[Count | None, "runs in parallel [one per CPU]"] = None,
) -> None:
    """Make the runs that are missing, write their figures and the deviations, and print the table."""
    if folder:
        found = deviations(all_runs(folder, params.seed, seeds, others, methods, jobs or environment.jobs()))
        write_json(RESULT, {**(read(RESULT) if methods else {}), **found})
    print(table(read(RESULT), Path("metrics")))


def all_runs(
    folder: Path, own: int, seeds: list[int], others: list[str], methods: list[str], jobs: int
) -> dict[str, Summary]:
    """Return the headline metrics of the workspace and of each run, by name: `seed N`, or its variables.

    The workspace, whose seed is `own`, comes first; no run repeats it. Words of `others` that give the same variables
    are one run, or two would be made in one clone at a time. `methods` are the only ones; none: all.
    """
    here = read(SUMMARY)
    known = sorted({headline.method for headline in of(here)})
    if unknown := set(methods).difference(known):
        raise InputError(
            f"--methods has {', '.join(sorted(unknown))}, which {SUMMARY} does not have: take of {', '.join(known)}"
        )
    names = [headline.name for headline in of(here) if not methods or headline.method in methods]
    wanted: dict[str, tuple[int, dict[str, str]]] = {f"seed {seed}": (seed, {}) for seed in seeds if seed != own}
    wanted |= {named(variables): (own, variables) for variables in map(variables_of, others)}
    summaries = Parallel(n_jobs=jobs, prefer="threads")(delayed(make)(folder, *run, methods) for run in wanted.values())
    runs = {f"seed {own}": here, **dict(zip(wanted, summaries, strict=True))}
    return {run: {name: figures[name] for name in names} for run, figures in runs.items()}


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


def make(folder: Path, seed: int, variables: Mapping[str, str], methods: list[str]) -> Summary:
    """Return the headline metrics of a run in a clone below `folder`; make the run if it is missing."""
    parts = [f"seed={seed}", *(f"{key}={value}" for key, value in variables.items()), *methods]
    clone, done = folder / "_".join(parts), folder / f"{'_'.join(parts)}.json"
    folder.mkdir(parents=True, exist_ok=True)
    if not done.exists():
        _make(clone, seed, variables, methods)
        write_json(done, _figures(clone, methods))
    return read(done)


def _figures(clone: Path, methods: list[str]) -> dict[str, float | None]:
    """Return the headline metrics of a run: all, or those of some methods, as no other stage has run there."""
    summary = read(clone / SUMMARY)
    if not methods:
        return summary
    wanted = [headline for headline in of(summary) if headline.method in methods]
    files = {headline.file: read(clone / f"metrics/{headline.file}.json") for headline in wanted}
    return headlines(files, [headline.name for headline in wanted])


def _stages(methods: list[str]) -> list[str]:
    """Return the stages that write the metrics files of some methods; the stage `summary` for none."""
    if not methods:
        return ["summary"]
    from src.report.stages import read_pipeline  # imports networkx, which --help does not need

    files = {f"metrics/{headline.file}.json" for headline in of(read(SUMMARY)) if headline.method in methods}
    pipeline = read_pipeline(Path("dvc.yaml"), Path("params.yaml"))
    return [stage.name for stage in pipeline if files & set(stage.outs)]


def _make(clone: Path, seed: int, variables: Mapping[str, str], methods: list[str]) -> None:
    shutil.rmtree(clone, ignore_errors=True)
    subprocess.run(["git", "clone", "--quiet", ".", str(clone)], check=True)
    dvc(clone, ["remote", "add", "--local", "workspace", str(CACHE.absolute())])
    dvc(clone, ["pull", "--remote", "workspace", *IMAGES])
    set_seed(clone / "params.yaml", seed)
    words = ["repro", *_stages(methods)]
    print(f"{clone.name}: dvc {' '.join(words)}", flush=True)
    dvc(clone, words, variables)


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
    environ = {**arithmetic.unpinned(), "PATH": path, "JOBS": "1", **variables}
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
