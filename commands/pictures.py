"""Draw the pictures of README.md and docs/glossary.md from the last run: `python -m commands.pictures`.

It needs the outputs of `dvc repro`, and the same outputs give the same bytes. The pictures are docs/pictures/scene.png
(one test scene through selective search, R-CNN and SSD) and one per term of the glossary that has one.
"""

from pathlib import Path
from typing import Annotated

from src.errors import InputError
from src.files.boxed_images import BoxedImages
from src.files.storage import atomic
from src.params import Sections
from src.pictures.run import METHODS, Run
from src.rcnn.detect import DetectRcnn
from src.splits import Splits
from stages.command import command

MOST_BYTES = 200_000
IMAGES = Path("data/prepared/voc.zip")
PROPOSALS = Path("data/proposals/selective_search.npz")
SCORES = Path("data/scores/rcnn.npy")
DETECTIONS = Path("data/detections")


class Params(Sections):
    """The sections that the pictures need."""

    splits: Splits
    detect_rcnn: DetectRcnn
    detectors: dict[str, object]


def run(
    params: Params,
    *,
    root: Annotated[Path, "folder of the run"] = Path(),
    out: Annotated[Path, "folder of the pictures"] = Path("docs/pictures"),
) -> None:
    """Draw all pictures; an `InputError` names the first output that is missing."""
    from src.pictures.scene import scene
    from src.pictures.terms import pictures

    needed = [IMAGES, PROPOSALS, SCORES, *(DETECTIONS / f"{name}/detections.npz" for name in METHODS)]
    for path in [*needed, DETECTIONS / "rcnn/no_bbox.npz"]:
        if not (root / path).exists():
            raise InputError(f"{root / path} is missing, and the pictures show it: run `make repro` first")
    images = BoxedImages(root / IMAGES)
    made = Run(images, params.splits.test, root / PROPOSALS, root / SCORES, root / DETECTIONS, params.detectors)
    out.mkdir(parents=True, exist_ok=True)
    for name, draw in {"scene": scene, **pictures(params.detect_rcnn)}.items():
        content = draw(made)
        if len(content) > MOST_BYTES:
            raise InputError(f"the picture {name}.png has {len(content):,} bytes, more than {MOST_BYTES:,}")
        with atomic(out / f"{name}.png") as temporary:
            temporary.write_bytes(content)
        print(f"{out / name}.png: {len(content) / 1000:.0f} kB")


if __name__ == "__main__":
    command(run)
