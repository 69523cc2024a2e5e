"""Show a prepared set with boxes on one page: `python -m commands.data` writes reports/data.html.

The page counts objects by class and split, compares the sizes of objects with the boxes that each detector starts from
(default boxes of SSD, anchors of the RPN), and shows images with their boxes before and after the augmentation of a
training. That is the quickest way to see wrong labels, and an augmentation that loses objects.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np

from src import plugins
from src.errors import InputError
from src.files.boxed_images import BoxedImages
from src.files.storage import atomic
from src.params import Count, Sections, Seed
from src.report.blocks import Block, Grid, Paragraph, Picture, Section, Table
from src.splits import Splits
from stages.command import command

if TYPE_CHECKING:
    from src.report.pictures import Drawn

ENOUGH = 0.5  # IoU with an object from which a box is a good start
SIDE = 260  # pixels of the longer side of a picture
PERCENTILES = (0, 5, 50, 95, 100)
Shape = tuple[int, int]  # width and height in pixels of a detector's input


class Params(Sections):
    """The sections that the page needs."""

    seed: Seed
    splits: Splits
    detectors: dict[str, Any]


def run(
    params: Params,
    prepared: Annotated[Path, "the prepared set [data/prepared/voc.zip]"] = Path("data/prepared/voc.zip"),
    *,
    out: Annotated[Path, "the page [reports/data.html]"] = Path("reports/data.html"),
    images: Annotated[Count, "number of images that are shown [12]"] = 12,
) -> None:
    """Write the page; a set that is missing is an `InputError`."""
    if not prepared.exists():
        raise InputError(f"{prepared} is missing: run `dvc repro prepare@voc` first, or name another prepared set")
    from src.report.rendering import render, script, style

    data = BoxedImages(prepared)
    training = data.ids(params.splits.detectors)
    sections = [
        Section("Counts", "counts", list(counts(data))),
        Section("Sizes of objects", "sizes", list(sizes(data, training))),
        Section("Objects and the boxes of detectors", "boxes", list(starts(params, data, training))),
        Section("Images before and after augmentation", "images", list(sheet(params, data, training, images))),
    ]
    about = f"{prepared}: {len(data.ids(*data.splits))} images, {len(data.classes)} classes of objects."
    values = {"inputs": None, "title": f"The data set {prepared.stem}", "about": about}
    with atomic(out) as path:
        path.write_text(render("page.html.j2", sections=sections, style=style(), script=script(), **values))
    print(out)


def counts(data: BoxedImages) -> Iterator[Block]:
    """Yield a table of objects by class and split, with images and images without objects."""
    targets = {split: [data.target(image_id) for image_id in data.ids(split)] for split in data.splits}
    rows: list[list[str | int | None]] = []
    for label, name in enumerate(data.classes, 1):
        cells = []
        for of_split in targets.values():
            difficult = np.concatenate([np.zeros(0, bool), *(t["difficult"][t["labels"] == label] for t in of_split)])
            cells.append(f"{(~difficult).sum()}" + (f" + {difficult.sum()}" if difficult.any() else ""))
        rows.append([name, *cells])
    rows.append(["images", *(len(of_split) for of_split in targets.values())])
    rows.append(["without objects", *(sum(not len(t["labels"]) for t in of_split) for of_split in targets.values())])
    yield Table("Objects by class and split; after the plus, difficult ones", ["class", *data.splits], rows)


def sizes(data: BoxedImages, ids: Sequence[str]) -> Iterator[Block]:
    """Yield a table of the sides and shapes of objects, by class, without classes that have no object here."""
    found: dict[str, list[np.ndarray]] = {}
    for target in map(data.target, ids):
        for box, label in zip(target["boxes"], target["labels"], strict=True):
            found.setdefault(data.classes[label - 1], []).append(box[2:] - box[:2])
    rows: list[list[str | int | None]] = []
    for name in sorted(found):
        width, height = np.array(found[name]).T
        sides = np.percentile(np.sqrt(width * height), PERCENTILES).round().astype(int).tolist()
        shapes = np.percentile(height / width, PERCENTILES[1:-1])
        rows.append([name, *sides, *(f"{shape:.2f}" for shape in shapes)])
    head = ["class", "smallest", "5 %", "median", "95 %", "largest", "height / width: 5 %", "median", "95 %"]
    yield Table("Training objects: square root of the area in pixels of the image, and shape", head, rows)


def starts(params: Params, data: BoxedImages, ids: Sequence[str]) -> Iterator[Block]:
    """Yield a table of how well the best box of each detector fits the objects, before any training."""
    from src.detection.running import two_stage

    yield Paragraph(
        "A detector moves the boxes that it starts from onto objects. Of an object that none of them overlaps by half, "
        "it learns little: choose other scales or a larger input in the detector's section of params.yaml, or label "
        "larger objects."
    )
    rows: list[list[str | int | None]] = []
    for name in params.detectors:
        module, section = plugins.section("detectors", params.detectors, name)
        if two_stage(module):  # it starts from proposals, not from boxes that are always the same
            continue
        best, sides, shapes, known = best_overlaps(module, section, data, ids)
        few = best < ENOUGH
        unused = sorted(known - set(shapes), key=lambda shape: shape[0] * shape[1])
        rows.append(
            [
                name,
                len(best),
                int(few.sum()),
                f"{few.mean():.3f}" if len(best) else None,
                f"{best.mean():.3f}" if len(best) else None,
                f"{np.median(sides[few]):.0f}" if few.any() else None,
                ", ".join(f"{width} x {height}" for width, height in unused) or "none",
            ]
        )
    head = [
        "detector",
        "objects",
        "without a box at IoU 0.5",
        "share",
        "mean best IoU",
        "their median side (px)",
        "shapes of boxes that fit no object best (width x height, px)",
    ]
    yield Table("Training objects and the best box that each detector starts from, in pixels of its input", head, rows)


class Fit(NamedTuple):
    """The boxes that a detector starts from and M objects; M may be 0."""

    best: np.ndarray  # [M] IoU with the best box
    sides: np.ndarray  # [M] square root of the object's area, in pixels of the input
    shapes: list[Shape]  # M shapes of the best box
    known: set[Shape]  # the shapes of all boxes


def best_overlaps(module: ModuleType, section: Any, data: BoxedImages, ids: Sequence[str]) -> Fit:
    """Find the best of the boxes that a detector starts from for every object; difficult ones are left out."""
    import torch

    from src.boxes.matching import without_difficult
    from src.boxes.overlap import area, iou
    from src.detection.sizes import size_of

    net, rule = module.build(data.num_classes, section.model).eval(), size_of(section.model)
    starting: dict[tuple[int, int], np.ndarray] = {}
    best, sides = [np.zeros(0)], [np.zeros(0)]
    shapes: list[Shape] = []
    for image_id in ids:
        height, width = data.size(image_id)
        seen = rule.scaled((height, width))
        if seen not in starting:
            with torch.no_grad():
                outputs = net(torch.zeros(1, 3, *seen))
            starting[seen] = outputs["default_boxes" if "default_boxes" in outputs else "anchors"].numpy()
        scale = np.array([seen[1] / width, seen[0] / height] * 2)
        boxes = without_difficult(data.target(image_id))["boxes"] * scale
        if len(boxes):
            overlaps = iou(boxes, starting[seen].astype(float))
            best.append(overlaps.max(axis=1))
            sides.append(np.sqrt(area(boxes)))
            shapes += _shapes(starting[seen][overlaps.argmax(axis=1)])
    known = {shape for found in starting.values() for shape in _shapes(found)}
    return Fit(np.concatenate(best), np.concatenate(sides), shapes, known)


def _shapes(boxes: np.ndarray) -> list[Shape]:
    return [(int(width), int(height)) for width, height in (boxes[:, 2:] - boxes[:, :2]).round()]


def sheet(params: Params, data: BoxedImages, ids: Sequence[str], count: int) -> Iterator[Block]:
    """Yield pictures of images, evenly spread over `ids`: as they are, and as a training of each detector sees them."""
    from src.report.pictures import with_boxes

    chosen = [ids[place] for place in np.unique(np.linspace(0, len(ids) - 1, count).round().astype(int))]
    yield Paragraph("Each image first as it is in the set, then once as each detector's training draws it at random.")
    pictures = []
    for number, image_id in enumerate(chosen):
        target = data.target(image_id)
        drawn = list(_drawn(target["boxes"], target["labels"], data.classes, target["difficult"]))
        uri, size = with_boxes(data.image(image_id), drawn, SIDE)
        caption = f"{image_id}: {len(drawn)} objects"
        pictures.append(Picture(uri, f"Image {caption}", caption, size))
        for name in params.detectors:
            _, section = plugins.section("detectors", params.detectors, name)
            image, boxes, labels = augmented(section, data, image_id, params.seed + number)
            drawn = list(_drawn(boxes, labels, data.classes))
            uri, size = with_boxes(image, drawn, SIDE)
            caption = f"{image_id} for {name}: {len(drawn)} objects"
            pictures.append(Picture(uri, f"Augmented image {caption}", caption, size))
    yield Grid(pictures, "Images before and after augmentation")


def augmented(section: Any, data: BoxedImages, image_id: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return an image (uint8 [H, W, 3]), boxes [K, 4] and labels [K] as a training sees them; K may be 0."""
    import torch

    from src.boxes.matching import without_difficult
    from src.detection.augmentation import fixed_steps, pair, plain_tensors, random_steps
    from src.detection.sizes import size_of

    torch.manual_seed(seed)
    size = size_of(section.model)
    given = pair(data.image(image_id), without_difficult(data.target(image_id)))
    image, objects = plain_tensors(random_steps(size, section.augment)(*fixed_steps(size, section.augment)(*given)))
    pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy()).clip(0, 255).astype(np.uint8)
    return pixels, objects["boxes"].numpy(), objects["labels"].numpy()


def _drawn(
    boxes: np.ndarray, labels: np.ndarray, classes: Sequence[str], difficult: np.ndarray | None = None
) -> "Iterator[Drawn]":
    from src.report.pictures import PLAIN, TRUE, Drawn

    for place, (box, label) in enumerate(zip(boxes, labels, strict=True)):
        hard = difficult is not None and bool(difficult[place])
        yield Drawn(box, TRUE if hard else PLAIN, classes[label - 1] + (" (difficult)" if hard else ""))


if __name__ == "__main__":
    command(run)
