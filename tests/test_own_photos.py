"""From a folder of labelled photos to a detector, its report and its predictions: the guide, on real photos.

The commands are those of the first block of docs/own_photos.md, in their order. The training is short, so the test says
nothing about how good the detector is.
"""

import csv
import json
import re
import shlex
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from src.ingest.archives import Archive, open_archive
from src.ingest.boxed import Annotation
from src.ingest.voc.annotations import parse_annotation
from tests.forked import server
from tests.ingest.test_archives import FORMS
from tests.repository import small
from tests.test_documented_commands import ROOT

CLASSES = ["car", "person"]
LABELLED, OTHERS = 60, 10
SIDES = ("width", "height")
SHORT = [
    "data.voc.classes=[car,person]",
    *(f"detectors.ssd300.train.{change}" for change in ("epochs=1", "batches_per_epoch=2", "batch_size=4")),
    *("detectors.ssd300.train.warmup_epochs=0", "detectors.ssd300.model.size=128"),
    "detectors.ssd300.decode.max_per_image=5",
]
Photos = dict[str, tuple[bytes, bytes]]  # id -> the photo and its XML


def guide() -> list[list[str]]:
    """Return the words of the three commands that the guide begins with."""
    block = re.search(r"```sh\n(.*?)```", (ROOT / "docs/own_photos.md").read_text(), re.DOTALL)
    assert block is not None
    return [shlex.split(line, comments=True) for line in block[1].splitlines()]


def photos(archive: Archive) -> Photos:
    """Return the first photos that have an object of `CLASSES`."""
    found: Photos = {}
    for name in archive.names():
        if name.endswith(".xml") and len(found) < LABELLED + OTHERS:
            content = archive.read(name)
            if {item.name for item in parse_annotation(content, name).objects} & set(CLASSES):
                image = name.replace("Annotations", "JPEGImages").replace(".xml", ".jpg")
                found[Path(name).stem] = (archive.read(image), content)
    return found


def annotations(chosen: Photos) -> dict[str, tuple[Annotation, tuple[int, ...]]]:
    """Return the objects and (width, height) of each photo."""
    found = {}
    for key, (_, content) in chosen.items():
        root = ET.fromstring(content)
        found[key] = parse_annotation(content, key), tuple(int(root.findtext(f"size/{s}") or 0) for s in SIDES)
    return found


def voc(chosen: Photos) -> dict[str, bytes]:
    return {f"Annotations/{key}.xml": xml for key, (_, xml) in chosen.items()} | {
        f"JPEGImages/{key}.jpg": photo for key, (photo, _) in chosen.items()
    }


def coco(chosen: Photos) -> dict[str, bytes]:
    found = annotations(chosen)
    names = sorted({item.name for annotation, _ in found.values() for item in annotation.objects})
    numbers = {key: number for number, key in enumerate(found)}
    content = {
        "images": [
            {"id": numbers[key], "file_name": f"{key}.jpg", "width": width, "height": height}
            for key, (_, (width, height)) in found.items()
        ],
        "annotations": [
            {"image_id": numbers[key], "category_id": names.index(item.name), "bbox": [x1, y1, x2 - x1, y2 - y1]}
            for key, (annotation, _) in found.items()
            for item in annotation.objects
            for x1, y1, x2, y2 in [item.box]
        ],
        "categories": [{"id": number, "name": name} for number, name in enumerate(names)],
    }
    return {f"images/{key}.jpg": photo for key, (photo, _) in chosen.items()} | {
        "result.json": json.dumps(content).encode()
    }


def yolo(chosen: Photos) -> dict[str, bytes]:
    found = annotations(chosen)
    names = sorted({item.name for annotation, _ in found.values() for item in annotation.objects})
    files = {f"images/{key}.jpg": photo for key, (photo, _) in chosen.items()} | {
        "classes.txt": "\n".join(names).encode()
    }
    for key, (annotation, size) in found.items():
        lines = []
        for item in annotation.objects:
            (x1, y1), (x2, y2) = np.divide(item.box[:2], size), np.divide(item.box[2:], size)
            lines.append(f"{names.index(item.name)} {(x1 + x2) / 2} {(y1 + y2) / 2} {x2 - x1} {y2 - y1}")
        files[f"labels/{key}.txt"] = "\n".join(lines).encode()
    return files


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize(("form", "write"), [("folder", voc), ("set.zip", coco), ("set.tar", yolo)])
def test_the_guide_leads_to_a_detector_its_report_and_predictions(
    shared_data: Path, tmp_path: Path, form: str, write: Callable[[Photos], dict[str, bytes]]
) -> None:
    weights = shared_data / "weights/mobilenet_v2_imagenet_features.pth"
    found = photos(open_archive(shared_data / "voc2007-subset.tar"))
    keys = sorted(found)
    mine = FORMS[form](tmp_path / form.replace("set", "mine"), write({key: found[key] for key in keys[:LABELLED]}))
    for key in keys[LABELLED:]:
        (tmp_path / "photos").mkdir(exist_ok=True)
        (tmp_path / "photos" / f"{key}.jpg").write_bytes(found[key][0])
    for name in ("repository", "commands"):
        (tmp_path / name).mkdir()
    train, report, predict = guide()
    with server(tmp_path / "commands") as commands:
        repository = small(tmp_path / "repository", commands)
        places = {"/data/mine.zip": str(mine), "python": sys.executable}  # the quick python starts one at a time
        own = [places.get(word, word) for word in train]
        told = repository(*own, "--weights", str(weights), "--set", *SHORT)
        assert f"{write.__name__.upper()}: 60 " in told or "COCO: 1 file (result.json), 60 images" in told
        assert "(train 39, val 9, test 12, trainval 48)" in told
        assert f"\nFigures and a picture: {shlex.join(report)}\n" in told
        assert f"\nDetect in other photos: {shlex.join(predict)}\n" in told
        repository(*report)
        repository(*[str(tmp_path / "photos") if word == "photos/" else word for word in predict])
    figures = json.loads((tmp_path / "repository/metrics/ssd300.json").read_text())
    assert 0 <= figures["map_voc07"] <= 1
    assert {"ap", "ap_50", "ap_75", "ap_small", "ap_medium", "ap_large", "ar_100"} <= set(figures["coco"])
    assert "# " in (tmp_path / "repository/cards/ssd300.md").read_text()
    pictures = sorted((tmp_path / "repository/predictions/ssd300").glob("*.jpg"))
    assert [path.stem for path in pictures] == keys[LABELLED:]
    assert all(cv2.imread(str(path)) is not None for path in pictures)
    with (tmp_path / "repository/predictions/ssd300.csv").open() as file:
        assert {row["image"] for row in csv.DictReader(file)} <= set(keys[LABELLED:])
