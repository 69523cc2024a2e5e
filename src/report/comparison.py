"""The same test image through every method, side by side."""

from src.report.blocks import Block, Grid, Paragraph, Picture, Section
from src.report.gallery import objects, picture
from src.report.inputs import Inputs, title
from src.report.pictures import PLAIN, TRUE, Drawn, with_boxes

IMAGES = 3  # number of images, those with the most objects
PROPOSALS = 10  # number of proposals per image, the first ones


def section(inputs: Inputs) -> Section:
    """Show a strip per image: the objects, each method's first proposals, each detector's best ranked detections."""
    text = (
        f"Ground-truth boxes; {PROPOSALS} proposals of each method, the first ones if they have ranks; the best ranked "
        "detections of each detector."
    )
    most = sorted(inputs.test_ids, key=lambda image_id: (-len(inputs.targets[image_id]["boxes"]), image_id))
    blocks: list[Block] = [Paragraph(text)]
    for image_id in most[:IMAGES]:
        strip = [_objects(inputs, image_id), *_proposals(inputs, image_id)]
        for name, findings in inputs.findings.items():
            strip.append(picture(inputs, image_id, findings, f"{title(name)}, "))
        blocks.append(Grid(strip, f"Image {image_id} through every method", strip=True))
    return Section("One image, every method", "comparison", blocks)


def _objects(inputs: Inputs, image_id: str) -> Picture:
    target, names = inputs.targets[image_id], inputs.images.classes
    pairs = zip(target["boxes"], target["labels"], strict=True)
    uri, size = with_boxes(inputs.images.image(image_id), [Drawn(box, TRUE, names[label - 1]) for box, label in pairs])
    return Picture(
        uri, f"Test image {image_id} with {objects(inputs, image_id)}.", f"Ground-truth boxes, {image_id}", size
    )


def _proposals(inputs: Inputs, image_id: str) -> list[Picture]:
    pictures = []
    for name, records in inputs.proposals.items():
        boxes = records[image_id]["boxes"]
        drawn = [Drawn(box, PLAIN) for box in boxes[:PROPOSALS]]
        uri, size = with_boxes(inputs.images.image(image_id), drawn)
        chosen = f"{len(drawn)} of {len(boxes)} proposals"
        kind = f"any {chosen}, which have no ranks" if name in inputs.unranked else f"the first {chosen}"
        caption = f"{title(name)}: {kind}"
        pictures.append(Picture(uri, f"Test image {image_id}. {caption}.", caption, size))
    return pictures
