"""The versions of the libraries that compute results, and the outputs that were made with other versions.

DVC knows nothing of installed packages: after an upgrade it calls every stage up to date. So trainings record the
versions in their metrics files, and `check` and `compare` name the files that were made with versions other than the
installed ones.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = {  # by library: the distributions that install it; OpenCV has four, and a machine may have any of them
    "torch": ["torch"],
    "torchvision": ["torchvision"],
    "opencv": [
        "opencv-contrib-python-headless",
        "opencv-python-headless",
        "opencv-contrib-python",
        "opencv-python",
    ],
    "scikit-learn": ["scikit-learn"],
    "numba": ["numba"],
}
KEY = "versions"


def installed() -> dict[str, str]:
    """Return the installed versions by library, without the part that names a build, such as `+cu130`."""
    return {name: _version(packages).partition("+")[0] for name, packages in PACKAGES.items()}


def _version(packages: Iterable[str]) -> str:
    """Return the version of the first distribution that is installed, or `unknown`: a training must not fail for it."""
    for package in packages:
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return "unknown"


def made_by(arithmetic: str) -> dict[str, Any]:
    """Return what the metrics file of a training records: its arithmetic, and the versions of the libraries."""
    return {"arithmetic": arithmetic, KEY: installed()}


def differences(metrics: Path, now: Mapping[str, str]) -> Iterator[str]:
    """Yield one sentence per library of which outputs in place were made with another version.

    Args:
        metrics: the folder of the metrics files; files that record no versions are ignored.
        now: the installed versions.
    """
    files: dict[tuple[str, str], list[str]] = {}
    for path in sorted(metrics.glob("*.json")):
        for name, then in json.loads(path.read_text()).get(KEY, {}).items():
            if name in now and now[name] != then:
                files.setdefault((name, then), []).append(path.name)
    for (name, then), names in files.items():
        yield (
            f"{name} {now[name]} is installed, but {', '.join(names)} and their models were made with {then}: "
            "`dvc repro -f` makes all outputs again"
        )
