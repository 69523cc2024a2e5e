"""The detections of each detector: its mistakes in numbers, the first test images, the worst mistakes of each kind."""

import math
from collections.abc import Sequence

from src.evaluation.mistakes import CORRECT, MISSED, MISTAKES, NO_OBJECT, Finding, counts
from src.report.blocks import Block, Columns, Grid, Paragraph, Picture, Section, Subheading, Table
from src.report.inputs import Inputs, title
from src.report.pictures import LOST, RIGHT, TRUE, WRONG, Drawn, with_boxes

IMAGES = 6  # images per detector, the first ones with objects
WORST = 4  # mistakes per kind
LOOKS = {CORRECT: RIGHT, MISSED: LOST}  # all other kinds look WRONG
ABOUT = (
    "Each class shows its best ranked detections, as many as it has objects, so some may have low scores. A white "
    "dashed box is a ground-truth box, a blue box a correct detection, an orange box a mistake, and an orange dashed "
    "box a missed object."
)
KINDS = Table("Kinds of mistakes (Hoiem et al. 2012, Bolya et al. 2020)", ["kind", "meaning"], list(MISTAKES.items()))


def section(inputs: Inputs) -> Section:
    """Show the counts of all detectors side by side, and then the pictures of each."""
    blocks: list[Block] = [Columns([[Paragraph(ABOUT)], [KINDS]])]
    blocks += [Columns([[_table(inputs, name, findings)] for name, findings in inputs.findings.items()])]
    for name, findings in inputs.findings.items():
        blocks += [Subheading(title(name)), _images(inputs, name, findings)]
        for kind in MISTAKES:
            chosen = [item for item in findings if item.kind == kind]
            if chosen:
                shown = [_mistake(inputs, item) for item in chosen[:WORST]]
                blocks.append(Subheading(f"{kind.capitalize()}: the worst {len(shown)} of {len(chosen)}", level=4))
                blocks.append(Grid(shown, f"{title(name)}: {kind}"))
    return Section("Detections and mistakes", "gallery", blocks)


def _table(inputs: Inputs, name: str, findings: Sequence[Finding]) -> Table:
    rows: list[list[str | int | None]] = [
        [word, *counts(findings, label).values()] for label, word in enumerate(inputs.images.classes, start=1)
    ]
    rows.append(["all", *counts(findings).values()])
    return Table(
        f"{title(name)}: best ranked detections and missed objects by kind", ["class", CORRECT, *MISTAKES], rows
    )


def _images(inputs: Inputs, name: str, findings: Sequence[Finding]) -> Grid:
    chosen = [image_id for image_id in inputs.test_ids if len(inputs.targets[image_id]["boxes"])][:IMAGES]
    return Grid([picture(inputs, image_id, findings) for image_id in chosen], f"Detections of {title(name)}")


def picture(inputs: Inputs, image_id: str, findings: Sequence[Finding], before: str = "") -> Picture:
    """Show a test image with its objects and the findings that concern it; the caption begins with `before`."""
    of_image = [item for item in findings if item.image_id == image_id]
    boxes = [Drawn(box, TRUE) for box in inputs.targets[image_id]["boxes"]]
    boxes += [Drawn(item.box, LOOKS.get(item.kind, WRONG), _label(inputs, item)) for item in of_image]
    uri, size = with_boxes(inputs.images.image(image_id), boxes)
    number = counts(of_image)
    kinds = ", ".join(f"{count} {kind}" for kind, count in number.items() if count) or "nothing among the best ranked"
    caption = f"{before}{image_id}: {kinds}"
    words = objects(inputs, image_id)
    return Picture(uri, f"Test image {image_id} with {words}; {kinds}.", caption, size)


def objects(inputs: Inputs, image_id: str) -> str:
    """List the classes of an image's objects in words: "car, car" for two cars, "no object" for none."""
    names = [inputs.images.classes[label - 1] for label in inputs.targets[image_id]["labels"]]
    return ", ".join(names) or "no object"


def _mistake(inputs: Inputs, item: Finding) -> Picture:
    """Show the image of one mistake with its box, and the object that it concerns."""
    target, concerned = inputs.targets[item.image_id], item.gt != NO_OBJECT and item.kind != MISSED
    boxes = [Drawn(target["boxes"][item.gt], TRUE)] if concerned else []
    boxes.append(Drawn(item.box, LOOKS.get(item.kind, WRONG), _label(inputs, item)))
    uri, size = with_boxes(inputs.images.image(item.image_id), boxes)
    caption = f"{item.image_id}: {_words(inputs, item)}"
    return Picture(uri, f"Test image {caption}, {item.kind}.", caption, size)


def _label(inputs: Inputs, item: Finding) -> str:
    name = inputs.images.classes[item.label - 1]
    return f"{name} missed" if item.kind == MISSED else f"{name} {item.score:.2f}"


def _words(inputs: Inputs, item: Finding) -> str:
    if item.kind == MISSED:
        return _label(inputs, item)
    if item.gt == NO_OBJECT:
        return f"{_label(inputs, item)}, no object near"
    other = inputs.images.classes[int(inputs.targets[item.image_id]["labels"][item.gt]) - 1]
    share = math.floor(item.iou * 100) / 100  # rounded down: an IoU just below 0.5 must not be shown as 0.50
    return f"{_label(inputs, item)}, IoU {share:.2f} with an object of class {other}"
