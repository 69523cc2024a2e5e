"""A drawn set of images with boxes, and its files in the formats of VOC, COCO and YOLO in the layouts of many tools.

The writers share no code with the readers. The sides of the images are powers of two, so that the shares in YOLO's text
are exact.
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np

SIZES = [(32, 64), (64, 32), (64, 64)]  # (height, width)
CLASSES = ["ball", "box", "cup"]
Files = dict[str, bytes]


class Image(NamedTuple):
    """An image of the set; boxes are x, y, width, height in whole pixels, 0-based."""

    stem: str
    split: str
    size: tuple[int, int]
    objects: list[tuple[str, tuple[int, int, int, int]]]

    @property
    def content(self) -> bytes:
        pixels = np.full((*self.size, 3), 20 + sum(map(ord, self.stem)) % 200, np.uint8)
        pixels[0, 0] = list(zlib.crc32(self.stem.encode()).to_bytes(4)[:3])  # no image is a copy of another
        return cv2.imencode(".png", pixels)[1].tobytes()


def drawn(number: int = 9, seed: int = 0) -> list[Image]:
    """Draw a set with the three splits in turn; every fourth image has no object."""
    random = np.random.default_rng(seed)
    images = []
    for k in range(number):
        height, width = size = SIZES[k % len(SIZES)]
        objects = []
        for _ in range(k % 4):
            x, y = int(random.integers(width - 8)), int(random.integers(height - 8))
            box = (x, y, int(random.integers(1, width - x + 1)), int(random.integers(1, height - y + 1)))
            objects.append((CLASSES[int(random.integers(3))], box))
        images.append(Image(f"im{k}", ("train", "val", "test")[k % 3], size, objects))
    return images


def expected(images: Sequence[Image]) -> dict[str, Any]:
    """Return what a prepared set of these images holds."""
    names = sorted({name for image in images for name, _ in image.objects})
    entries = {}
    for image in images:
        boxes = [[x, y, x + width, y + height] for _, (x, y, width, height) in image.objects]
        entries[image.stem] = {
            "file": f"images/{image.stem}.png",
            "height": image.size[0],
            "width": image.size[1],
            "boxes": boxes,
            "labels": [names.index(name) + 1 for name, _ in image.objects],
            "difficult": [False] * len(boxes),
        }
    return {"classes": names, "images": entries}


def splits(images: Sequence[Image]) -> dict[str, list[str]]:
    """Return the ids by split, sorted, with trainval."""
    named = {name: sorted(image.stem for image in images if image.split == name) for name in ("train", "val", "test")}
    return {**named, "trainval": sorted(named["train"] + named["val"])}


def voc_xml(image: Image) -> bytes:
    """Write an annotation: boxes 1-based and inclusive."""
    height, width = image.size
    objects = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{x + 1}</xmin><ymin>{y + 1}</ymin><xmax>{x + w}</xmax>"
        f"<ymax>{y + h}</ymax></bndbox></object>"
        for name, (x, y, w, h) in image.objects
    )
    size = f"<size><width>{width}</width><height>{height}</height></size>"
    return f"<annotation><filename>{image.stem}.png</filename>{size}{objects}</annotation>".encode()


def coco_json(images: Sequence[Image], names: Mapping[str, str] | None = None, **changes: object) -> bytes:
    """Write a COCO file, with ids of classes that have gaps; `names` maps stems to file names."""
    ids = {name: 7 * k + 3 for k, name in enumerate(CLASSES)}
    content: dict[str, Any] = {
        "info": {},
        "images": [
            {
                "id": 100 + k,
                "file_name": (names or {}).get(image.stem, f"{image.stem}.png"),
                "height": image.size[0],
                "width": image.size[1],
            }
            for k, image in enumerate(images)
        ],
        "annotations": [
            {"id": 1000 * k + n, "image_id": 100 + k, "category_id": ids[name], "bbox": list(box), "iscrowd": 0}
            for k, image in enumerate(images)
            for n, (name, box) in enumerate(image.objects)
        ],
        "categories": [{"id": number, "name": name} for name, number in ids.items()],
    }
    return json.dumps({**content, **changes}).encode()


def yolo_text(image: Image, *, polygon: bool = False) -> bytes:
    """Write a label file: a line per object, with shares of the sides."""
    height, width = image.size
    lines = []
    for name, (x, y, w, h) in image.objects:
        numbers = [(x + w / 2) / width, (y + h / 2) / height, w / width, h / height]
        if polygon:
            left, top, right, bottom = x / width, y / height, (x + w) / width, (y + h) / height
            numbers = [left, top, right, (top + bottom) / 2, (left + right) / 2, bottom, left, bottom]
        lines.append(" ".join([str(CLASSES.index(name)), *map(repr, numbers)]))
    return "\n".join(lines).encode()


def of(images: Sequence[Image], split: str) -> list[Image]:
    return [image for image in images if image.split == split]


def plain_voc(images: Sequence[Image], folder: str = "JPEGImages") -> Files:
    """Write the official layout; Label Studio has the folder `images`, and no lists."""
    lists = {
        f"ImageSets/Main/{name}.txt": "\n".join(image.stem for image in of(images, name)).encode()
        for name in ("train", "val", "test")
    }
    return {
        **{f"Annotations/{image.stem}.xml": voc_xml(image) for image in images},
        **{f"{folder}/{image.stem}.png": image.content for image in images},
        **lists,
    }


def vott_voc(images: Sequence[Image]) -> Files:
    """Write lists per class alone, whose lines have suffixes."""
    lists = {
        f"ImageSets/Main/{name}_{split}.txt": "\n".join(
            f"{image.stem}.png {1 if name in dict(image.objects) else -1}" for image in of(images, split)
        ).encode()
        for name in CLASSES
        for split in ("train", "val", "test")
    }
    files = plain_voc(images)
    return {**{name: files[name] for name in files if "ImageSets" not in name}, **lists}


def roboflow_voc(images: Sequence[Image]) -> Files:
    folder = {"train": "train", "val": "valid", "test": "test"}
    return {
        **{f"{folder[image.split]}/{image.stem}.xml": voc_xml(image) for image in images},
        **{f"{folder[image.split]}/{image.stem}.png": image.content for image in images},
        "README.roboflow.txt": b"x",
    }


def plain_coco(images: Sequence[Image]) -> Files:
    """Write the official layout, with captions that no detector needs."""
    captions = json.dumps({"images": [], "annotations": [{"image_id": 1, "caption": "a ball"}]}).encode()
    return {
        **{f"annotations/instances_{s}2017.json": coco_json(of(images, s)) for s in ("train", "val", "test")},
        **{f"{image.split}2017/{image.stem}.png": image.content for image in images},
        "annotations/captions_train2017.json": captions,
    }


def simple_coco(images: Sequence[Image]) -> Files:
    return {
        **{f"{split}.json": coco_json(of(images, split)) for split in ("train", "val", "test")},
        **{f"images/{image.stem}.png": image.content for image in images},
    }


def roboflow_coco(images: Sequence[Image]) -> Files:
    folder = {"train": "train", "val": "valid", "test": "test"}
    return {
        **{f"{folder[s]}/_annotations.coco.json": coco_json(of(images, s)) for s in folder},
        **{f"{folder[image.split]}/{image.stem}.png": image.content for image in images},
    }


def cvat_coco(images: Sequence[Image]) -> Files:
    """Write one file per subset; the subsets have the names of CVAT."""
    subset = {"train": "Train", "val": "Validation", "test": "Test"}
    return {
        **{f"annotations/instances_{subset[s]}.json": coco_json(of(images, s)) for s in subset},
        **{f"images/{subset[image.split]}/{image.stem}.png": image.content for image in images},
    }


def folders_yolo(images: Sequence[Image], form: str = "images/{split}") -> Files:
    """Write the layout of Ultralytics: a YAML with folders."""
    paths = {split: form.format(split=split) for split in ("train", "val", "test")}
    settings = {"path": "../datasets/mine", **paths, "names": dict(enumerate(CLASSES))}
    return {
        "data.yaml": json.dumps(settings).encode(),  # JSON is YAML
        **{f"{paths[image.split]}/{image.stem}.png": image.content for image in images},
        **{
            f"{paths[image.split].replace('images', 'labels')}/{image.stem}.txt": yolo_text(image)
            for image in images
            if image.objects
        },
    }


def roboflow_yolo(images: Sequence[Image]) -> Files:
    folder = {"train": "train", "val": "valid", "test": "test"}
    lines = [*(f"{s}: ../{folder[s]}/images" for s in folder), "", f"nc: {len(CLASSES)}", f"names: {CLASSES}"]
    return {
        "data.yaml": "\n".join(lines).encode(),
        "README.dataset.txt": b"1 of 2",
        **{f"{folder[image.split]}/images/{image.stem}.png": image.content for image in images},
        **{f"{folder[image.split]}/labels/{image.stem}.txt": yolo_text(image, polygon=True) for image in images},
    }


def cvat_yolo(images: Sequence[Image]) -> Files:
    """Write obj.names, lists with the folder `data/` before the names, and labels beside the images."""
    folder = {"train": "obj_train_data", "val": "obj_Validation_data", "test": "obj_test_data"}
    return {
        "obj.data": b"classes = 3\nnames = data/obj.names\n",
        "obj.names": "\r\n".join([*CLASSES, ""]).encode(),
        **{
            f"{s}.txt": "\n".join(f"data/{folder[s]}/{image.stem}.png" for image in of(images, s)).encode()
            for s in folder
        },
        **{f"{folder[image.split]}/{image.stem}.png": image.content for image in images},
        **{f"{folder[image.split]}/{image.stem}.txt": yolo_text(image) for image in images},
    }


def lists_yolo(images: Sequence[Image]) -> Files:
    """Write list files that a YAML names."""
    settings = {"names": CLASSES, "train": "train.txt", "val": "lists/val.txt", "test": ["lists/test.txt"]}
    lists = {"train": "train.txt", "val": "lists/val.txt", "test": "lists/test.txt"}
    return {
        "mine.yml": json.dumps(settings).encode(),
        **{lists[s]: "\n".join(f"./images/{image.stem}.png" for image in of(images, s)).encode() for s in lists},
        **{f"images/{image.stem}.png": image.content for image in images},
        **{f"labels/{image.stem}.txt": yolo_text(image) for image in images},
    }


WITH_SPLITS = {
    "voc": plain_voc,
    "voc of VoTT": vott_voc,
    "voc of Roboflow": roboflow_voc,
    "voc with images/": lambda images: plain_voc(images, "images"),
    "coco": plain_coco,
    "coco, one file per split": simple_coco,
    "coco of Roboflow": roboflow_coco,
    "coco of CVAT": cvat_coco,
    "yolo": folders_yolo,
    "yolo, images below splits": lambda images: folders_yolo(images, "{split}/images"),
    "yolo of Roboflow": roboflow_yolo,
    "yolo of CVAT": cvat_yolo,
    "yolo with lists": lists_yolo,
}


def label_studio_coco(images: Sequence[Image]) -> Files:
    names = {image.stem: f"../../label-studio/data/media/upload/1/{image.stem}.png" for image in images}
    return {
        "result.json": coco_json(images, names),
        **{f"images/{image.stem}.png": image.content for image in images},
    }


def windows_coco(images: Sequence[Image]) -> Files:
    names = {image.stem: f"C:\\photos\\{image.stem}.png" for image in images}
    return {"set.json": coco_json(images, names), **{f"{image.stem}.png": image.content for image in images}}


def label_studio_yolo(images: Sequence[Image]) -> Files:
    return {
        "classes.txt": "\n".join(CLASSES).encode(),
        "notes.json": json.dumps({"categories": [], "info": {}}).encode(),
        **{f"images/{image.stem}.png": image.content for image in images},
        **{f"labels/{image.stem}.txt": yolo_text(image) for image in images if image.objects},
    }


def labelimg_yolo(images: Sequence[Image]) -> Files:
    files = {f"{image.stem}.txt": yolo_text(image) for image in images if image.objects}
    return {"classes.txt": "\n".join(CLASSES).encode(), **{f"{i.stem}.png": i.content for i in images}, **files}


def labelimg_voc(images: Sequence[Image]) -> Files:
    return {
        **{f"photos/{image.stem}.xml": voc_xml(image) for image in images},
        **{f"photos/{image.stem}.png": image.content for image in images},
    }


def label_studio_voc(images: Sequence[Image]) -> Files:
    return {name: content for name, content in plain_voc(images, "images").items() if "ImageSets" not in name}


def cvat_voc(images: Sequence[Image]) -> Files:
    files = {name: content for name, content in plain_voc(images).items() if "ImageSets" not in name}
    return {**files, "ImageSets/Main/default.txt": "\n".join(image.stem for image in images).encode()}


WITHOUT_SPLITS = {
    "voc of labelImg": labelimg_voc,
    "voc of Label Studio": label_studio_voc,
    "voc of CVAT": cvat_voc,
    "coco of Label Studio": label_studio_coco,
    "coco with paths of Windows": windows_coco,
    "coco of CVAT": lambda images: {
        "annotations/instances_default.json": coco_json(images),
        **{f"images/default/{image.stem}.png": image.content for image in images},
    },
    "yolo of Label Studio": label_studio_yolo,
    "yolo of labelImg": labelimg_yolo,
}
