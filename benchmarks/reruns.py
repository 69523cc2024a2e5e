"""Run the pipeline on a few images in environments that ask for different instructions and threads.

    python -m benchmarks.reruns

Each row shows two runs of the tests' small pipeline (tests/repository.py), each in an empty folder with an empty cache:
a pinned one and a native one. The values are hashes of the outputs in dvc.lock; the pinned one must be the same in all
rows.
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
    """Print the table in Markdown, each row as soon as its two runs are done."""
    print("| instructions asked for | threads asked for | `ARITHMETIC=pinned` | `ARITHMETIC=native` |")
    print("|---|---|---|---|")
    for name, cap in CAPS.items():
        for threads in THREADS:
            asked = {**cap, "OMP_NUM_THREADS": str(threads)}
            hashes = [run({**asked, "ARITHMETIC": mode}) for mode in ("pinned", "native")]
            print(f"| {name} | {threads} | {' | '.join(hashes)} |", flush=True)


def run(variables: Mapping[str, str]) -> str:
    """Run the pipeline in an environment; return a hash of the MD5 of its data and models."""
    with tempfile.TemporaryDirectory() as folder:
        repository = small(Path(folder))
        repository("dvc", "repro", **variables)
        stages = YAML(typ="safe").load((repository.path / "dvc.lock").read_text())["stages"]
    outs = sorted((out["path"], out["md5"]) for stage in stages.values() for out in stage["outs"])
    # Training metrics and the report contain the mode and the threads, so they differ even if all numbers are equal.
    numbers = [(path, md5) for path, md5 in outs if path.startswith(("data/", "models/"))]
    return hashlib.md5(repr(numbers).encode()).hexdigest()[:8]


if __name__ == "__main__":
    main()
