"""Write a prepared set as COCO or VOC: `python -m commands.convert data/prepared/voc.zip out/ --to coco`.

So corrected splits, classes and boxes go back into a labelling tool or another project. OUT is a new folder, or a zip
if its name ends with `.zip`. With the same `data.voc.classes`, the project reads it again as the same set
(docs/own_photos.md).
"""

import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from xml.sax.saxutils import escape

from src.errors import InputError
from src.files.prepared import INDEX
from src.files.storage import write_zip
from stages.command import command

Entries = Iterator[tuple[str, bytes]]


def run(
    prepared: Annotated[Path, "the prepared set, such as data/prepared/voc.zip"],
    out: Annotated[Path, "a new folder, or a file that ends with .zip"],
    *,
    to: Annotated[Literal["coco", "voc"], "coco or voc"],
) -> None:
    """Write the set; a folder with files, or a file, at `out` is refused."""
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise InputError(f"{out} exists already: remove it or choose another name")
    try:
        archive = zipfile.ZipFile(prepared)
        index = json.loads(archive.read(INDEX))
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise InputError(f"{prepared} is no prepared set ({error}): give a file that the stage prepare wrote") from None
    if any("boxes" not in entry for entry in index["images"].values()):
        raise InputError(f"{prepared} has labels and no boxes: give a set of images with boxes")
    entries = {"coco": coco, "voc": voc}[to](index, archive)
    if out.suffix.lower() == ".zip":
        write_zip(out, entries)
    else:
        for name, content in entries:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_bytes(content)
    splits = ", ".join(f"{name} {len(ids)}" for name, ids in index["splits"].items())
    print(f"{out}: {len(index['images'])} images ({splits}) and {len(index['classes'])} classes as {to.upper()}")


def coco(index: Mapping[str, Any], archive: zipfile.ZipFile) -> Entries:
    """Yield one file of annotations per split, and the images; a difficult object is a crowd."""
    numbers = {image_id: number for number, image_id in enumerate(sorted(index["images"]), 1)}
    categories = [{"id": label, "name": name} for label, name in enumerate(index["classes"], 1)]
    for split, ids in index["splits"].items():
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for image_id in ids:
            entry = index["images"][image_id]
            file_name = entry["file"].removeprefix("images/")
            images.append({"id": numbers[image_id], "file_name": file_name, **_size(entry)})
            for box, label, difficult in zip(entry["boxes"], entry["labels"], entry["difficult"], strict=True):
                x1, y1, x2, y2 = box
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": numbers[image_id],
                        "category_id": label,
                        "bbox": [x1, y1, x2 - x1, y2 - y1],
                        "area": (x2 - x1) * (y2 - y1),
                        "iscrowd": int(difficult),
                    }
                )
        content = {"images": images, "annotations": annotations, "categories": categories}
        yield f"annotations/instances_{split}.json", json.dumps(content).encode()
    for entry in index["images"].values():
        yield entry["file"], archive.read(entry["file"])


def voc(index: Mapping[str, Any], archive: zipfile.ZipFile) -> Entries:
    """Yield an XML file per image, the images, and one list per split; boxes are 1-based and inclusive."""
    for image_id, entry in index["images"].items():
        file_name = entry["file"].removeprefix("images/")
        yield f"Annotations/{image_id}.xml", _xml(file_name, entry, index["classes"]).encode()
        yield f"JPEGImages/{file_name}", archive.read(entry["file"])
    for split, ids in index["splits"].items():
        yield f"ImageSets/Main/{split}.txt", "".join(f"{image_id}\n" for image_id in ids).encode()


def _xml(file_name: str, entry: Mapping[str, Any], classes: list[str]) -> str:
    size = "".join(f"<{side}>{length}</{side}>" for side, length in _size(entry).items())
    lines = [f"<annotation>\n  <filename>{escape(file_name)}</filename>\n  <size>{size}<depth>3</depth></size>"]
    for box, label, difficult in zip(entry["boxes"], entry["labels"], entry["difficult"], strict=True):
        x1, y1, x2, y2 = box
        edges = {"xmin": x1 + 1, "ymin": y1 + 1, "xmax": x2, "ymax": y2}
        written = "".join(f"<{key}>{value!r}</{key}>" for key, value in edges.items())
        lines.append(
            f"  <object><name>{escape(classes[label - 1])}</name><difficult>{int(difficult)}</difficult>"
            f"<bndbox>{written.replace('.0<', '<')}</bndbox></object>"
        )
    return "\n".join([*lines, "</annotation>\n"])


def _size(entry: Mapping[str, Any]) -> dict[str, int]:
    return {"width": entry["width"], "height": entry["height"]}


if __name__ == "__main__":
    command(run)
