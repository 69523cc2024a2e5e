"""The reader of COCO's JSON for object detection (Lin et al. 2014, arXiv:1405.0312): one file, or one per split.

A file is known by its content, so its name is free: `instances_train2017.json` (COCO), `annotations/
instances_default.json` (CVAT), `train/_annotations.coco.json` (Roboflow), `result.json` (Label Studio). If some files
begin with `instances`, the others (captions, keypoints) are left out. The name of a file, or else the folder above it,
tells its split. An image is found by its path, or else by its file name. An image without annotations is kept. A crowd
is difficult. A box of width or height 0, which tools write for a click without a drag, is left out and counted.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, BeforeValidator, FiniteFloat, ValidationError

from src.errors import InputError
from src.ingest.archives import Archive
from src.ingest.boxed import Annotation, Box, Form, Found, Member, Object, Size, Splits
from src.ingest.image_files import IMAGE, Images, by_folder, images_of, missing_images, nfc, split_name, split_of, stem
from src.ingest.problems import ProblemsError, joined


def _id(value: object) -> str:
    """Return an id as text: some tools write the same id as 1, 1.0 and "1"."""
    if value is None:
        raise ValueError("an id is null")
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


Id = Annotated[str, BeforeValidator(_id)]


class CocoImage(BaseModel):
    """An image; its size is None if the file does not give it."""

    id: Id
    file_name: str
    width: float | None = None
    height: float | None = None


class CocoAnnotation(BaseModel):
    """An object; bbox is x, y, width, height in pixels, 0-based."""

    image_id: Id
    category_id: Id
    bbox: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]
    iscrowd: Annotated[int, BeforeValidator(lambda value: value or 0)] = 0


class CocoCategory(BaseModel):
    """A class; the ids of classes may have gaps."""

    id: Id
    name: str


class Content(BaseModel):
    """The parts of a file that are read."""

    images: list[CocoImage]
    annotations: list[CocoAnnotation]
    categories: list[CocoCategory]


class _Placed(NamedTuple):
    """An annotation with the name that error messages give it."""

    name: str
    annotation: Annotation
    empty: int  # boxes that are left out


class _Valid(NamedTuple):
    """The entries of a file that are valid."""

    content: Content
    places: Sequence[int]  # of the annotations, in the file
    wrong: list[str]  # a sentence per bad entry
    bad: set[str]  # ids of the images of bad entries


def find(archive: Archive) -> Found | None:
    """Find the annotations and images of a set; None if the archive has no file in this format.

    Raises:
        InputError: a file is no JSON or lacks a list, or files contradict one another.
    """
    files = _files(archive)
    if not files:
        return None
    images = images_of(archive)
    placed: dict[str, _Placed] = {}  # by path of the image
    names: dict[str, str] = {}  # path of the image -> its name in the annotations
    listed: Splits = {}  # split -> paths
    problems: list[ProblemsError] = []
    for member, raw in files.items():
        split = _split(member.name)
        entries, wrong = _read(member, raw, images, split)
        problems += wrong
        for path, file_name, annotation, empty in entries:
            if path in placed and placed[path].annotation != annotation:
                raise InputError(
                    f"{member} and {placed[path].name} have different objects for {path}: remove one of the two"
                )
            placed.setdefault(path, _Placed(f"{member}, {file_name}", annotation, empty))
            names.setdefault(path, file_name)
            listed.setdefault(split or "", []).append(path)
    if problems and not placed:
        raise joined(problems)
    ids = _ids(names, images)
    found = {ids[path]: images.members[path] for path in placed}
    by_id = {ids[path]: item for path, item in placed.items()}
    splits = {name: list(dict.fromkeys(ids[path] for path in listed[name])) for name in sorted(listed)}
    if "" in splits and len(splits) > 1:
        unnamed = next(member for member in files if _split(member.name) is None)
        raise InputError(
            f"{unnamed} tells no split, and other files do ({', '.join(filter(None, splits))}): name it after its "
            "split, such as test.json, or remove it"
        )
    if "" in splits:
        splits = by_folder((image_id, found[image_id].name) for image_id in splits[""])
    left = len(images.members) - len(found)
    note = f"COCO: {_listed(files)}, {len(found)} images" + (f" ({left} more images are in no file)" if left else "")
    if empty := sum(item.empty for item in placed.values()):
        note += f"; {empty} boxes without width or height are left out"

    def annotation_of(image_id: str) -> tuple[str, Annotation]:
        return by_id[image_id][:2]

    return Found(FORM, note, str(archive.path), found, annotation_of, splits, problems=problems)


def _files(archive: Archive) -> dict[Member, Any]:
    """Return the content of the files in this format; a file that is no JSON is an error if there is another one."""
    files, broken = {}, []
    for name in archive.names():
        if name.lower().endswith(".json"):
            member = Member(archive, name)
            try:
                content = json.loads(member.text())
            except (ValueError, RecursionError) as error:  # a thousand brackets inside one another
                broken.append(f"{member} is not valid JSON ({error}): correct or replace it")
                continue
            if isinstance(content, dict) and isinstance(content.get("images"), list) and "annotations" in content:
                files[member] = content
    instances = {member: files[member] for member in files if PurePosixPath(member.name).name.startswith("instances")}
    if broken and (files or not _has_labels(archive)):
        raise InputError(broken[0])
    return instances or files


def _has_labels(archive: Archive) -> bool:
    """Tell whether a text file has the name of an image, as in YOLO's format, whose other files do not matter then."""
    names = [PurePosixPath(name) for name in archive.names()]
    texts = {name.stem for name in names if name.suffix == ".txt"}
    return any(name.stem in texts for name in names if IMAGE.fullmatch(name.name))


def _read(
    member: Member, raw: Any, images: Images, split: str | None
) -> tuple[list[tuple[str, str, Annotation, int]], list[ProblemsError]]:
    """Return (path, file name in the annotations, annotation, boxes left out) of each image of a file, and problems.

    An image with a problem is left out.
    """
    content, places, wrong, bad = _content(member, raw)
    classes = {category.id: category.name.strip() for category in content.categories}
    _refuse_repeated(member, "images", [image.id for image in content.images])
    _refuse_repeated(member, "categories", [category.id for category in content.categories])
    objects: dict[str, list[Object]] = {image.id: [] for image in content.images}
    empty: Counter[str] = Counter()
    for place, item in zip(places, content.annotations, strict=True):
        if item.image_id in bad and item.image_id not in objects:
            continue  # of an entry of `images` that is told already
        if item.image_id not in objects or item.category_id not in classes:
            kind, of = ("image", item.image_id) if item.image_id not in objects else ("category", item.category_id)
            wrong.append(f"{member}: annotations[{place}] names {kind} {of}, which the file lacks: correct it")
            bad.add(item.image_id)
            continue
        x, y, width, height = item.bbox
        if width == 0 or height == 0:
            empty[item.image_id] += 1
            continue
        box = (x, y, x + width, y + height)
        objects[item.image_id].append(Object(classes[item.category_id], box, item.iscrowd != 0))
    paths, missing = _paths(member, [image.file_name for image in content.images], images, split)
    entries = [
        (paths[image.file_name], nfc(image.file_name), Annotation(_size(image), objects[image.id]), empty[image.id])
        for image in content.images
        if image.file_name in paths and image.id not in bad
    ]
    return entries, [*([ProblemsError(wrong)] if wrong else []), *missing]


def _content(member: Member, raw: Any) -> _Valid:
    """Validate a file and leave out its bad entries; one that lacks a list is an `InputError`."""
    try:
        content = Content.model_validate(raw)
        return _Valid(content, range(len(content.annotations)), [], set())
    except ValidationError as error:
        errors = error.errors()
    wrong, entries = [], set()
    for item in errors:
        kind, number = (*item["loc"], None)[:2]
        where = re.sub(r"\.(\d+)", r"[\1]", ".".join(map(str, item["loc"])))
        told = (
            f"{member}: {where}: {item['msg']} (an image needs id and file_name, an annotation image_id, category_id "
            "and bbox [x, y, width, height], a category id and name): correct it"
        )
        if not isinstance(number, int):
            raise InputError(told) from None
        if (kind, number) not in entries:
            wrong.append(told)
        entries.add((kind, number))
    named = [_named(raw[kind][number], str(kind)) for kind, number in entries]
    kept = {
        kind: [entry for number, entry in enumerate(raw[kind]) if (kind, number) not in entries]
        for kind in Content.model_fields
    }
    places = [place for place in range(len(raw["annotations"])) if ("annotations", place) not in entries]
    return _Valid(Content.model_validate(kept), places, wrong, {image_id for image_id in named if image_id is not None})


def _named(entry: Any, kind: str) -> str | None:
    """Return the id of the image that a bad entry of `images` or `annotations` means; None if it tells none."""
    key = {"images": "id", "annotations": "image_id"}.get(kind)
    value = entry.get(key) if isinstance(entry, dict) else None
    return None if value is None else _id(value)


def _refuse_repeated(member: Member, kind: str, ids: list[str]) -> None:
    """Refuse an id that two entries have, because their objects could not be told apart."""
    if twice := [number for number, count in Counter(ids).items() if count > 1]:
        more = f" (and {len(twice) - 1} more ids)" if len(twice) > 1 else ""
        raise InputError(f"{member}: several {kind} have the id {twice[0]}{more}: give each an id of its own")


def _paths(
    member: Member, names: list[str], images: Images, split: str | None
) -> tuple[dict[str, str], list[ProblemsError]]:
    """Return the path by file name, and an error for those that the archive lacks; empty if there are none."""
    found = {name: images.find(name, member.name, split) for name in names}
    missing = [name for name in names if found[name] is None]
    paths = {name: path for name, path in found.items() if path is not None}
    return paths, [missing_images(member, missing, images, "add the images or remove the entries")] if missing else []


def _size(image: CocoImage) -> Size | None:
    return (int(image.height), int(image.width)) if image.height and image.width else None


def _split(name: str) -> str | None:
    """Return the split of a file: of its name, or else of its folder.

    >>> [_split(f"{name}.json") for name in ("a/instances_val2017", "train/_annotations.coco", "result", "coco_test")]
    ['val', 'train', None, 'test']
    """
    own = PurePosixPath(name).name.removesuffix(".json").removesuffix(".JSON")
    if match := re.fullmatch(r"instances_(.+?)(?:\d{4})?", own):  # COCO and CVAT write the split there
        return None if match[1].lower() == "default" else split_name(match[1]) or match[1]
    words = re.split(r"[^a-zA-Z0-9]+", own)
    return next((split for word in words if (split := split_name(word))), None) or split_of(name)


def _ids(names: Mapping[str, str], images: Images) -> dict[str, str]:
    """Return the id of each path: its name in the annotations, without suffix, if these are relative and unique."""
    ids = {path: stem(name.removeprefix("images/")) for path, name in names.items()}
    parts = [part for image_id in ids.values() for part in image_id.split("/")]
    relative = all(part not in ("", ".", "..") and ":" not in part for part in parts)
    return ids if relative and len(set(ids.values())) == len(ids) else images.ids(list(names))


def _listed(files: Mapping[Member, Any]) -> str:
    names = [PurePosixPath(member.name).name for member in files]
    shown = ", ".join(dict.fromkeys(names[:3])) + (", ..." if len(names) > 3 else "")
    return f"{len(files)} {'file' if len(files) == 1 else 'files'} ({shown})"


def _parse(content: Any, name: str, size: Size) -> Annotation:
    return content


def _written(box: Box) -> str:
    x1, y1, x2, y2 = box
    return f"bbox {x1:g}, {y1:g}, {x2 - x1:g}, {y2 - y1:g}"


FORM = Form(_parse, _written, "its size")
