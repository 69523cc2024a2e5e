"""The pipeline on a few images, run in environments that ask for other instructions and threads.

    python -m benchmarks.reruns

Each row is a run of the small pipeline of the tests (tests/repository.py) in an empty folder, with an empty cache, and
holds two hashes of all outputs in dvc.lock: of a pinned run, in which every row must have the same, and of a native
one.
"""

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ruamel.yaml import YAML

from tests.repository import small

CAPS = {
    "AVX2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2"},
    "AVX-512": {"ATEN_CPU_CAPABILITY": "avx512", "ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "MKL_CBWR": "AVX512"},
}
THREADS = (1, 2, 4)


def main() -> None:
    """Print the table in Markdown, a row when its two runs are done."""
    print("| instructions asked for | threads asked for | `ARITHMETIC=pinned` | `ARITHMETIC=native` |")
    print("|---|---|---|---|")
    for name, cap in CAPS.items():
        for threads in THREADS:
            asked = {**cap, "OMP_NUM_THREADS": str(threads)}
            hashes = [run({**asked, "ARITHMETIC": mode}) for mode in ("pinned", "native")]
            print(f"| {name} | {threads} | {' | '.join(hashes)} |", flush=True)


def run(variables: Mapping[str, str]) -> str:
    """Run the pipeline in an environment; return a hash of the MD5 of every output, but for what names the mode."""
    with tempfile.TemporaryDirectory() as folder:
        repository = small(Path(folder))
        repository("dvc", "repro", **variables)
        stages = YAML(typ="safe").load((repository.path / "dvc.lock").read_text())["stages"]
    outs = sorted((out["path"], out["md5"]) for stage in stages.values() for out in stage["outs"])
    # A training's metrics and the report name the mode and the threads: they differ even where no number does.
    numbers = [(path, md5) for path, md5 in outs if path.startswith(("data/", "models/"))]
    return hashlib.md5(repr(numbers).encode()).hexdigest()[:8]


if __name__ == "__main__":
    main()
