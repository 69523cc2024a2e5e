"""Print a profile as flags: `dvc exp run $(python -m commands.profile voc2007)`.

A profile is an overlay of params.yaml under profiles/, with the same keys; any further `-S key=value` comes after it.
Several profiles lie one over the other (`voc2007 rcnn_vgg16`): where two set a key, the later one's value counts. No
profile sets a key of the common section `train`, because it would reach the trainers that the profile is not for.
"""

import json
import sys
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from commands.nested import flatten

PROFILES = Path("profiles")


def main() -> None:
    """Print `-S key=value` for every key of the profiles that the command line names."""
    known = sorted(path.stem for path in PROFILES.glob("*.yaml"))
    names = sys.argv[1:]
    if {"-h", "--help"} & set(names):
        print(f"{__doc__}\nProfiles: {', '.join(known)}")
        return
    if not names or not set(names) <= set(known):
        sys.exit(f"usage: python -m commands.profile NAME [NAME ...], where NAME is one of: {', '.join(known)}")
    print(" ".join(flags([PROFILES / f"{name}.yaml" for name in names], Path("params.yaml"))))


def flags(profiles: list[Path], params: Path) -> Iterator[str]:
    """Yield the overlays' values as flags of `dvc exp run`; a key that params.yaml lacks is refused.

    A trainer's own `train` is an exception: it may have any key of the common one, which is then added (`+`). The key
    `profile` becomes the names of the profiles, joined by `-`.
    """
    yaml = YAML(typ="safe")
    base = dict(flatten(yaml.load(params.read_text())))
    overlays = [dict(flatten(yaml.load(path.read_text()))) for path in profiles]
    label = {"profile": "-".join(path.stem for path in profiles)}
    for key, value in reduce(lambda below, above: {**below, **above}, overlays, label).items():
        *above, last = key.split(".")
        source = ", ".join(str(path) for path, overlay in zip(profiles, overlays, strict=True) if key in overlay)
        if above == ["train"]:
            sys.exit(f"{source}: {key} = {value!r}: state it in the `train` of each trainer that it is for")
        if key in base or any(name.startswith(f"{key}.") for name in base):
            yield f"-S {key}={_text(value)}"
        elif above[-1:] == ["train"] and f"train.{last}" in base:
            yield f"-S +{key}={_text(value)}"
        else:
            sys.exit(f"{source}: {key} = {value!r}: params.yaml has no such key")


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ",".join(_text(item) for item in value) + "]"
    return value if isinstance(value, str) else json.dumps(value)


if __name__ == "__main__":
    main()
