"""Run all side-by-side measurements, write docs/bench.json, and the tables of docs/performance.md from it.

    make bench                                                    # made for 15 minutes on two idle cores
    python -m benchmarks.all --quick --out /tmp/bench.json        # some 2 minutes, for a test; its figures mean little
    python -m benchmarks.all --images data/prepared/voc.zip       # photos in place of drawn scenes
    python -m benchmarks.all --parts svm starts                   # leaves the rows of the other parts in the file

Ours and each peer take turns, five times; a figure is the median with the lowest and the highest. Each part is a
process of its own. A part that fails leaves its error in the file, and the next one goes on.
"""

import argparse
import importlib
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import stages  # noqa: F401  # pins the arithmetic unless ARITHMETIC=native, so it comes before NumPy and torch

from benchmarks.bench_tables import OUT, PAGE, written  # isort: skip
from benchmarks.gpu import commit, run_part
from benchmarks.pairs import Setting
from src.files.storage import write_json
from stages.arithmetic import mode

PARTS = {  # module of this folder -> seconds after which it is stopped
    "selective_search": 240,
    "average_precision": 300,
    "torchvision_speed": 420,
    "regions": 180,
    "svm": 90,
    "classifier_step": 90,
    "pin_cost": 240,
    "starts": 180,
    "growth": 240,
}
ROUNDS, QUICK_ROUNDS = 5, 1


def measure(part: str, setting: Setting, path: Path) -> None:
    """Run a part in this process, and append each row to a file as soon as it is there."""
    for row in importlib.import_module(f"benchmarks.{part}").rows(setting):
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(row, flush=True)


def run(parts: Sequence[str], setting: Setting, out: Path, limits: float = 1.0) -> dict[str, Any]:
    """Run parts one after the other, write `out` after each, and return its content; `limits` multiplies `PARTS`."""
    results: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {}
    results.setdefault("parts", {})
    words = ["--quick"] * setting.quick + (["--images", str(setting.images.resolve())] if setting.images else [])
    with tempfile.TemporaryDirectory() as folder:
        for part in parts:
            load = os.getloadavg()[0]
            command = [sys.executable, "-m", "benchmarks.all", "--part", part, "--folder", folder, *words]
            made = run_part(command, Path(folder), part, PARTS[part] * limits)
            made["seconds"] = round(made["seconds"], 1)
            facts = {"commit": commit(), "quick": setting.quick, "load": round(load, 1), "photos": bool(setting.images)}
            results["parts"][part] = {**made, **facts, **machine()}
            results["parts"] = {name: results["parts"][name] for name in PARTS if name in results["parts"]}
            write_json(out, results)
            print(f"{part}: {made['seconds']:.0f} s{', ' + made['error'] if made['error'] else ''}", flush=True)
    return results


def machine() -> dict[str, Any]:
    """Name the processor, its number of cores, the arithmetic and PyTorch's version; rows on a GPU name the GPU."""
    return {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "arithmetic": mode(),
        "torch": version("torch"),
    }


def processor(path: Path = Path("/proc/cpuinfo")) -> str:
    """Name the processor with its family and model, because many machines hide the name it is sold by."""
    if not path.exists():
        return platform.processor() or platform.machine()
    lines = (line.partition(":") for line in path.read_text().splitlines() if ":" in line)
    facts = {key.strip(): value.strip() for key, _, value in reversed(list(lines))}  # of the first core
    name = facts.get("model name", platform.machine())
    if "cpu family" not in facts:
        return name
    return f"{name}, family {facts['cpu family']} model {facts['model']}"


def main() -> None:
    """Run the parts and write the page; the exit status is 1 if a part failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smallest inputs and one round")
    parser.add_argument("--images", type=Path, help="a prepared zip of photos, as data/prepared/voc.zip")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--out", type=Path, default=OUT, help="the JSON file of the figures (%(default)s)")
    parser.add_argument("--limits", type=float, default=1.0, help="factor of the parts' time limits (%(default)s)")
    parser.add_argument("--part", choices=list(PARTS), help=argparse.SUPPRESS)  # what a child process runs
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    setting = Setting(options.quick, QUICK_ROUNDS if options.quick else ROUNDS, options.images)
    if options.part:
        measure(options.part, setting, options.folder / f"{options.part}.jsonl")
        return
    results = run(options.parts, setting, options.out, options.limits)
    if options.out == OUT:
        PAGE.write_text(written(PAGE.read_text(), results))
    sys.exit(int(any(part["error"] for part in results["parts"].values())))


if __name__ == "__main__":
    main()
