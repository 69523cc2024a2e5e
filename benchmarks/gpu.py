r"""Measure the trainings and the inference on a GPU, by a plan of parts that ends within 25 minutes on one H100.

    python -m benchmarks.gpu --photos /data/voc2007-subset.tar --weights /data/weights

The weights are a folder with ImageNet's state dicts of AlexNet and VGG16 (alexnet*.pth, vgg16*.pth); those of the
convolutions suffice. Settings are those of the profile voc2007. The JSON file is written anew after each part. A part
that fails or runs over its time limit leaves its error and the figures that it had; the next one goes on. With
`--parts`, figures of other parts that are in the file stay there, so the plan can be split into several calls.
The command prints its tables in Markdown at the end. A rehearsal on a CPU, in some minutes:

    DEVICE=cpu python -m benchmarks.gpu --photos FILE --weights FOLDER --steps 1 --long 1 --images 2 --size 96 \
        --batch 2 --limits 10 --out /tmp/gpu.json
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from benchmarks.gpu_params import ROOT, Options, parameters
from benchmarks.gpu_tables import tables
from src.errors import InputError
from src.files.storage import write_json

OUT = ROOT / "docs/results/gpu.json"
LIMITS = {  # seconds; in all 25 minutes
    "machine": 60,
    "prepare": 210,
    "finetune": 80,
    "ssd300": 90,
    "rpn": 80,
    "mobilenet_v3": 60,
    "resnet50": 60,
    "features": 80,
    "inference": 100,
    "resume": 160,
    "long_ssd300": 300,
    "long_rpn": 220,
}
FIRST = ("machine", "prepare")  # the parts without which the others cannot run
LAST_WORDS = 600  # characters of a failed part's output that are kept


def run(options: Options, parts: Sequence[str], out: Path, folder: Path) -> dict[str, Any]:
    """Run parts one after the other, write `out` after each, and return its content."""
    (folder / "options.json").write_text(options.model_dump_json())
    results: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {}
    results.setdefault("parts", {})
    device = "unknown"
    for name in [*FIRST, *(part for part in LIMITS if part in parts and part not in FIRST)]:
        command = [sys.executable, "-m", "benchmarks.gpu_parts", name, str(folder)]
        figures = run_part(command, folder, name, LIMITS[name] * options.limits)
        print(f"{name}: {figures['seconds']:.0f} s{', ' + figures['error'] if figures['error'] else ''}", flush=True)
        made = {
            **figures,
            "commit": commit(),
            "options": options.model_dump(mode="json", exclude={"photos", "weights"}),
        }
        device = next((row["device"] for row in made["rows"] if "device" in row), device)  # the first part tells it
        parts_so_far = {**results["parts"], name: {**made, "device": device}}
        results["parts"] = {part: parts_so_far[part] for part in LIMITS if part in parts_so_far}
        write_json(out, results)
        if name in FIRST and figures["error"]:
            break
    return results


def run_part(command: Sequence[str], folder: Path, name: str, limit: float) -> dict[str, Any]:
    """Run a part in a process of its own.

    Args:
        command: the command of the process, which writes rows of JSON to NAME.jsonl in the folder.
        folder: the folder of the benchmark; the output of the process goes to NAME.log there.
        name: the part.
        limit: seconds after which the process and its children are killed.

    Returns:
        `seconds`, `error` (None if the part succeeded), and `rows`, the figures up to the end or the error.
    """
    rows, log = folder / f"{name}.jsonl", folder / f"{name}.log"
    rows.unlink(missing_ok=True)
    begin = time.monotonic()
    with log.open("w") as output:
        error = _waited(command, output, limit)
    if error == "":
        lines = log.read_text().strip()[-LAST_WORDS:]
        error = f"failed: {lines}"
    found = [json.loads(line) for line in rows.read_text().splitlines()] if rows.exists() else []
    return {"seconds": time.monotonic() - begin, "error": error, "rows": found}


def _waited(command: Sequence[str], output: TextIO, limit: float) -> str | None:
    """Run a command; return None if it succeeded, the reason if it was killed, and else an empty string."""
    # Without the full speed of the CPUs, the GPU would wait for batches that no user's run would wait for.
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])  # packages may lie there
    environment = {"ARITHMETIC": "native", **os.environ, "PYTHONPATH": paths}
    process = subprocess.Popen(command, stdout=output, stderr=output, env=environment, start_new_session=True)
    try:
        return None if process.wait(limit) == 0 else ""
    except subprocess.TimeoutExpired:
        return f"killed after its limit of {limit:.0f} s"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)  # its workers and trainings too
            process.wait()


def commit() -> str:
    """Return the commit of the code, with a + if files were changed; `unknown` outside of a git repository."""
    words = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--exclude=*"]
    done = subprocess.run(words, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def parsed(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    defaults: Mapping[str, Any] = {name: info.default for name, info in Options.model_fields.items()}
    parser.add_argument("--photos", type=Path, required=True, help="photos in the VOC layout: a tar, a zip or a folder")
    parser.add_argument("--weights", type=Path, required=True, help="folder with state dicts of alexnet and vgg16")
    parser.add_argument("--steps", type=int, default=defaults["steps"], help="measured steps, after as many first ones")
    parser.add_argument("--long", type=int, default=defaults["long"], help="steps of the longer trainings")
    parser.add_argument("--images", type=int, help="photos per split; all by default")
    parser.add_argument("--size", type=int, default=defaults["size"], help="pixels of SSD's input; the others follow")
    parser.add_argument("--batch", type=int, help="largest batch of a training")
    parser.add_argument("--limits", type=float, default=defaults["limits"], help="factor of the parts' time limits")
    parser.add_argument("--parts", nargs="+", choices=list(LIMITS), default=list(LIMITS), help="the parts to run")
    parser.add_argument("--out", type=Path, default=OUT, help="the JSON file of the figures")
    parser.add_argument("--folder", type=Path, help="folder for everything else; a temporary one by default")
    return parser.parse_args(words)


def main() -> None:
    """Run the plan and print its tables; the exit status is 1 if a part failed."""
    words = parsed()
    options = Options(**{name: getattr(words, name) for name in Options.model_fields})
    options = options.model_copy(update={name: getattr(options, name).resolve() for name in ("photos", "weights")})
    try:
        parameters(options)  # refuses missing weights before anything runs
    except InputError as error:
        sys.exit(f"gpu: {error}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = (words.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        results = run(options, words.parts, words.out.resolve(), folder)
    print(tables(results))
    sys.exit(int(any(part["error"] for part in results["parts"].values())))


if __name__ == "__main__":
    main()
