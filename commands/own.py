"""Train a detector on your own photos: `python -m commands.own /data/mine.zip`.

PATH is a folder, a zip or a tar in the format of VOC, COCO or YOLO (docs/own_photos.md). The command prints a call of
`dvc exp run` and runs it: one method with the profile that suits own photos, and only the stages that it needs. The
backbone starts from ImageNet's weights, which torchvision downloads, or from --weights. At the end the command prints
how to look at the labels and the figures, and how to detect in other photos.
"""

import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from commands.nested import flatten
from commands.profile import PROFILES, flags
from src.errors import InputError
from src.params import load_yaml
from stages.command import PARAMS, command


class Method(NamedTuple):
    """The flags that a method needs."""

    profile: str
    sections: Sequence[str]  # keys of the profile that act on the method
    weights: str  # the key of its starting weights


METHODS: Mapping[str, Method] = {
    "ssd300": Method("own", ("detectors.ssd300.",), "detectors.ssd300.weights"),
    "rcnn": Method(
        "local_cpu",
        ("selective_search.", "warp.", "finetune.", "features.", "train_bbox."),
        "finetune.weights",
    ),
    "faster_rcnn": Method("local_cpu", ("detectors.faster_rcnn.",), "detectors.faster_rcnn.weights"),
}


def run(
    path: Annotated[Path, "your photos with their labels: a folder, a zip or a tar"],
    *,
    method: Annotated[Literal["ssd300", "rcnn", "faster_rcnn"], "the detector [ssd300]"] = "ssd300",
    weights: Annotated[Path | None, "weights of MobileNetV2, for rcnn of AlexNet [ImageNet's, downloaded]"] = None,
    set: Annotated[Sequence[str], "further parameters, such as data.voc.split.rule=pattern"] = (),  # noqa: A002
    dry_run: Annotated[bool, "print the command and do not run it"] = False,
) -> int:
    """Run the method's stages in DVC; return DVC's exit status."""
    for name, file in (("path", path), ("--weights", weights)):
        if file is not None and not file.exists():
            raise InputError(f"{name} {file}: there is no such file or folder")
    words = ["dvc", "exp", "run", *_flags(METHODS[method], path, weights, set), f"evaluate_detections@{method}"]
    print(shlex.join(words), flush=True)
    if dry_run:
        return 0
    if not (status := subprocess.run(words).returncode):
        print("Look at the labels: python -m commands.data")
        print(f"Figures and a picture: python -m commands.model_card {method}")
        print(f"Detect in other photos: python -m commands.predict {method} photos/")
    return status


def _flags(method: Method, path: Path, weights: Path | None, more: Sequence[str]) -> Iterator[str]:
    """Yield the words of the flags; a value that DVC's grammar would split or refuse is quoted for it."""
    given = {"data.voc.path": _quoted(path.resolve())}
    given |= {method.weights: _quoted(weights.resolve())} if weights else {}
    for item in more:
        key, equals, value = item.partition("=")
        if not equals:
            raise InputError(f"--set {item}: write key=value, such as data.voc.split.rule=pattern")
        given[key.lstrip("+")] = value
    known = dict(flatten(load_yaml(Path(PARAMS).read_text())))
    wanted = ("profile", "splits.", *method.sections)
    for flag in flags([PROFILES / f"{method.profile}.yaml"], Path(PARAMS)):
        key, value = flag.removeprefix("-S ").split("=", 1)
        if key.lstrip("+").startswith(wanted) and key.lstrip("+") not in given:
            yield from ("-S", f"{key}={value}")
    for key, value in given.items():  # a trainer's own section may take any key of `train`, which is then added
        section, _, last = key.rpartition(".")
        new = key not in known and section.endswith(".train") and f"train.{last}" in known
        yield from ("-S", f"{'+' if new else ''}{key}={value}")


def _quoted(path: Path) -> str:
    text = str(path).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{text}'"


if __name__ == "__main__":
    command(run)
