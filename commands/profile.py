"""Print a profile as flags: `dvc exp run $(python -m commands.profile voc2007)`.

A profile is an overlay of params.yaml under profiles/, with the same keys; any further `-S key=value` comes after it.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from commands.nested import flatten

PROFILES = Path("profiles")


def main() -> None:
    """Print `-S key=value` for every key of the profile that the command line names."""
    known = sorted(path.stem for path in PROFILES.glob("*.yaml"))
    if len(sys.argv) != 2 or sys.argv[1] not in known:
        sys.exit(f"usage: python -m commands.profile NAME, where NAME is one of: {', '.join(known)}")
    print(" ".join(flags(PROFILES / f"{sys.argv[1]}.yaml", Path("params.yaml"))))


def flags(profile: Path, params: Path) -> Iterator[str]:
    """Yield the overlay's values as flags of `dvc exp run`; a key that params.yaml lacks is refused.

    A trainer's own `train` is an exception: it may have any key of the common one, which is then added (`+`).
    """
    yaml = YAML(typ="safe")
    base = dict(flatten(yaml.load(params.read_text())))
    for key, value in flatten({"profile": profile.stem, **yaml.load(profile.read_text())}):
        *above, last = key.split(".")
        if key in base or any(name.startswith(f"{key}.") for name in base):
            yield f"-S {key}={_text(value)}"
        elif above[-1:] == ["train"] and f"train.{last}" in base:
            yield f"-S +{key}={_text(value)}"
        else:
            sys.exit(f"{profile}: {key} = {value!r}: params.yaml has no such key")


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ",".join(_text(item) for item in value) + "]"
    return value if isinstance(value, str) else json.dumps(value)


if __name__ == "__main__":
    main()
