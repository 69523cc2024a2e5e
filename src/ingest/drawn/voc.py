"""A sample in the form of the Pascal VOC 2007 archives, drawn instead of photographed (`src.ingest.drawn.scenes`).

The files, their names and their fields are those of the devkit (Everingham et al. 2010, IJCV 88), so that the reader of
the sample can also read the real data. The same seed gives the same bytes.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

from src.files import room
from src.ingest.archives import write_tar
from src.ingest.drawn.painting import jpeg
from src.ingest.drawn.scenes import Object, scene
from src.ingest.drawn.shapes import SHAPES
from src.parallel import parallel_map

CLASSES = tuple(SHAPES)
SPLITS = ("train", "val", "test", "extra")
ROOT = "VOCdevkit/VOC2007"
OF_AN_IMAGE = 16_000  # bytes, with its annotation; 14,400 were measured, as a mean of 2,800


def draw(path: Path, sizes: dict[str, int], seed: int, jobs: int = 1) -> None:
    """Write the sample as an uncompressed tar.

    Image i does not depend on how many are drawn. The first images are for `train`, the next for `val`, then for `test`
    and for `extra`. The lists `trainval` and `train_extra` are the unions of the two splits in their names.

    Args:
        path: the tar; an existing file is replaced when the new one is complete.
        sizes: number of images for each of train, val, test and extra.
        seed: seed of the scenes.
        jobs: number of processes that draw; the bytes do not depend on it.
    """
    needed = sum(sizes[split] for split in SPLITS) * OF_AN_IMAGE
    room.disk(path.parent, needed, "the drawn images", "lower data.voc.sample")
    room.memory(needed, "the drawn images", "lower data.voc.sample")
    annotated: dict[str, list[Object]] = {}
    entries: dict[str, bytes] = {}
    indices = range(1, sum(sizes[split] for split in SPLITS) + 1)
    for index, (encoded, size, objects) in zip(
        indices, parallel_map(partial(_drawn, seed), indices, jobs, "draw"), strict=True
    ):
        image_id = f"{index:06d}"
        annotated[image_id] = objects
        entries[f"JPEGImages/{image_id}.jpg"] = encoded
        entries[f"Annotations/{image_id}.xml"] = annotation(image_id, size, objects)
    for name, lines in _image_sets(annotated, sizes):
        entries[f"ImageSets/Main/{name}.txt"] = "".join(f"{line}\n" for line in lines).encode()
    write_tar(path, ((f"{ROOT}/{name}", entries[name]) for name in sorted(entries)))


def _drawn(seed: int, index: int) -> tuple[bytes, tuple[int, int], list[Object]]:
    image, objects = scene(seed, index)
    return jpeg(image), (image.shape[0], image.shape[1]), objects


def annotation(image_id: str, size: tuple[int, int], objects: list[Object]) -> bytes:
    """Write the XML of one image: boxes are 1-based and inclusive, as in VOC; an image may have no objects."""
    height, width = size
    root = ElementTree.Element("annotation")
    _fields(root, folder="VOC2007", filename=f"{image_id}.jpg")
    _fields(ElementTree.SubElement(root, "source"), database="Drawn sample", annotation="PASCAL VOC2007")
    _fields(ElementTree.SubElement(root, "size"), width=width, height=height, depth=3)
    _fields(root, segmented=0)
    for item in objects:
        x1, y1, x2, y2 = item.box
        element = ElementTree.SubElement(root, "object")
        _fields(element, name=item.name, pose=item.pose, truncated=int(item.truncated), difficult=int(item.difficult))
        _fields(ElementTree.SubElement(element, "bndbox"), xmin=x1 + 1, ymin=y1 + 1, xmax=x2, ymax=y2)
    ElementTree.indent(root, "\t")
    return ElementTree.tostring(root) + b"\n"


def _fields(element: ElementTree.Element, **values: object) -> None:
    for name, value in values.items():
        ElementTree.SubElement(element, name).text = str(value)


def _image_sets(annotated: dict[str, list[Object]], sizes: dict[str, int]) -> Iterator[tuple[str, list[str]]]:
    """Yield (name, lines) of each list: the ids of every split, and for every class the ids with their flags."""
    ids, splits, start = list(annotated), {}, 0
    for split in SPLITS:
        splits[split] = ids[start : start + sizes[split]]
        start += sizes[split]
    splits["trainval"] = splits["train"] + splits["val"]
    splits["train_extra"] = splits["train"] + splits["extra"]
    for split, members in splits.items():
        yield split, members
        for name in CLASSES:
            yield f"{name}_{split}", [f"{image_id} {flag(annotated[image_id], name):2d}" for image_id in members]


def flag(objects: list[Object], name: str) -> int:
    """Return the devkit's flag of a class in an image: 1 present, 0 only difficult objects of it, -1 absent."""
    members = [item for item in objects if item.name == name]
    if not members:
        return -1
    return 0 if all(item.difficult for item in members) else 1
