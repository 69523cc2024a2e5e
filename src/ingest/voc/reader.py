"""Pascal VOC (Everingham et al. 2010, IJCV 88) and sets of anyone's in its layout, read from archives.

A member in `Annotations/`, `JPEGImages/` or `ImageSets/Main/` belongs to the set, whatever the folders above are called
(`VOCdevkit/VOC2007/` in the official files). An image id is a path in such a folder without its suffix.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from src.errors import InputError
from src.files.prepared import DataSet, decode_image
from src.ingest.archives import Archive
from src.ingest.voc.annotations import Object, inside, parse_annotation, read_class_list
from src.parallel import parallel_map

CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
IMAGES_PER_JOB = 1000  # a worker takes seconds to start, and checks about 250 images in each
FOLDERS = {"Annotations": "xml", "JPEGImages": "jpg|jpeg|png|bmp|webp|tif|tiff", "ImageSets/Main": "txt"}

Source = tuple[Archive, str]  # an archive and the name of a member


def load(
    archives: Sequence[Archive],
    *,
    classes: Sequence[str] | None,
    other_classes: str,
    limit: int | None,
    jobs: int,
) -> DataSet:
    """Read and check a data set: every image that a split names is decoded, every box compared with its image.

    Args:
        archives: the files of the set; lists of the same name in several of them are joined.
        classes: names to keep, in the order of their labels; None: all that the images in use have, sorted.
        other_classes: objects outside `classes`: `drop`, their images stay, or `error`.
        limit: images a split at most, the first of its list; trainval is then the union of what is left of both.
        jobs: processes that decode, at most.

    Returns:
        what `write_prepared` takes. Splits are the plain lists in `ImageSets/Main`, without those that are empty.

    Raises:
        InputError: something is wrong with the set; it names the first file in the order of ids, and the remedy.
    """
    annotations, images, lists = (_members(archives, folder) for folder in FOLDERS)
    where = " and ".join(str(archive.path) for archive in archives)
    if not annotations:
        raise InputError(f"{where} has no Annotations/*.xml: give a data set in the VOC layout")
    splits = _limited(_read_splits(lists), limit)
    if not splits:
        raise InputError(
            f"{where} has no list that names an image: write ImageSets/Main/train.txt, val.txt and test.txt, "
            "one id a line"
        )
    _check_listed(splits, where, annotations, images)
    ids = sorted({image_id for split in splits.values() for image_id in split})
    items = _Items([(annotations[image_id][0], images[image_id][0]) for image_id in ids])
    useful_jobs = min(jobs, 1 + len(ids) // IMAGES_PER_JOB)
    checked = dict(zip(ids, _valid(parallel_map(_check, items, useful_jobs, "check images")), strict=True))
    names = _class_names([item for _, item in checked.values()], classes)
    if classes is not None and other_classes == "error":
        _refuse_others(names, {_shown(annotations[image_id][0]): checked[image_id][1] for image_id in ids})
    files = {image_id: f"images/{image_id}{PurePosixPath(images[image_id][0][1]).suffix}" for image_id in ids}
    entries = {image_id: _entry(files[image_id], *checked[image_id], names) for image_id in ids}
    contents = ((files[image_id], _read(images[image_id][0])) for image_id in ids)
    return DataSet(names, splits, entries, contents)


def _members(archives: Sequence[Archive], folder: str) -> dict[str, list[Source]]:
    """Files of one of `FOLDERS` by id, over all archives. Only lists may share an id (2007 and 2012 have a `train`)."""
    pattern = re.compile(rf"(?:.*?/)?{folder}/(.+)\.(?:{FOLDERS[folder]})", re.IGNORECASE)
    found: dict[str, list[Source]] = {}
    for archive in archives:
        for name in archive.names():
            if match := pattern.fullmatch(name):
                found.setdefault(match[1], []).append((archive, name))
    for image_id, sources in found.items():
        if len(sources) > 1 and folder != "ImageSets/Main":
            both = " and ".join(_shown(source) for source in sources[:2])
            raise InputError(f"{both} have the same image id '{image_id}': rename or remove one")
    return found


def _read_splits(lists: Mapping[str, Sequence[Source]]) -> dict[str, list[str]]:
    """Image ids by list, each once and in the file's order; lists of one class and empty ones are left out."""
    splits = {}
    for name in sorted(lists):
        texts = [_text(source) for source in lists[name]]
        lines = [line.strip() for text in texts if not read_class_list(text) for line in text.splitlines()]
        if ids := list(dict.fromkeys(line for line in lines if line)):
            splits[name] = ids
    if "train" in splits and "val" in splits and "trainval" not in splits:
        splits["trainval"] = list(dict.fromkeys(splits["train"] + splits["val"]))
    return splits


def _limited(splits: dict[str, list[str]], limit: int | None) -> dict[str, list[str]]:
    limited = {name: ids[:limit] for name, ids in splits.items()}
    if limit is not None and "train" in splits and "val" in splits:
        limited["trainval"] = list(dict.fromkeys(limited["train"] + limited["val"]))
    return limited


def _check_listed(splits: Mapping[str, Sequence[str]], where: str, *kinds: Mapping[str, Any]) -> None:
    for split, ids in splits.items():
        for image_id in ids:
            for folder, known in zip(FOLDERS, kinds, strict=False):
                if image_id not in known:
                    raise InputError(
                        f"{where}: ImageSets/Main/{split}.txt names '{image_id}', which {folder}/ does not have: "
                        "add the file, or take the line out (an id stands there without folder and suffix)"
                    )


class _Items(Sequence[Any]):
    """What a worker needs of each image, read when it is asked for: a whole set does not fit in memory."""

    def __init__(self, sources: Sequence[tuple[Source, Source]]) -> None:
        self.sources = sources

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: Any) -> tuple[str, bytes, str, bytes]:
        annotation, image = self.sources[index]
        return _shown(annotation), _read(annotation), _shown(image), _read(image)


Checked = tuple[tuple[int, int], list[Object]]  # size of the image (height, width), objects with their boxes inside it


def _check(item: tuple[str, bytes, str, bytes]) -> Checked | str:
    """One image and its annotation, or what is wrong with them: the first of several is to be the same every time."""
    xml_name, xml, image_name, encoded = item
    try:
        annotation = parse_annotation(xml, xml_name)
        image = decode_image(encoded) if encoded else None
        if image is None:
            raise InputError(f"{image_name} does not decode as an image: replace it, or take it out of the lists")
        height, width = image.shape[:2]
        size = image.shape[0], image.shape[1]
        if annotation.size not in (None, size):
            raise InputError(
                f"{xml_name}: <size> says {annotation.size}, but {image_name} is {size} pixels high and wide as stored "
                "(a rotation in its EXIF data is not applied): correct the one that is wrong"
            )
        return size, [inside(found, size, xml_name) for found in annotation.objects]
    except InputError as error:
        return str(error)


def _valid(results: Sequence[Checked | str]) -> list[Checked]:
    problems = [result for result in results if isinstance(result, str)]
    if problems:
        more = f" ({len(problems) - 1} more images have an error)" if len(problems) > 1 else ""
        raise InputError(problems[0] + more)
    return [result for result in results if not isinstance(result, str)]


def _class_names(objects: Sequence[Sequence[Object]], wanted: Sequence[str] | None) -> list[str]:
    present = sorted({found.name for group in objects for found in group})
    if not present:
        raise InputError("no image of any split has an object, so there is nothing to learn: annotate some")
    for name in wanted or ():
        if name not in present:
            alike = [other for other in present if other.lower() == name.lower()]
            hint = f"it is written '{alike[0]}' there" if alike else f"there are {', '.join(present)}"
            raise InputError(f"data.voc.classes names '{name}', which no annotation of these images has: {hint}")
    return list(wanted or present)


def _refuse_others(names: Sequence[str], objects: Mapping[str, Sequence[Object]]) -> None:
    for file, group in objects.items():
        for found in group:
            if found.name not in names:
                raise InputError(
                    f"{file} has the class '{found.name}', which data.voc.classes does not name: add it there, or set "
                    "data.voc.other_classes to drop"
                )


def _entry(file: str, size: tuple[int, int], objects: Sequence[Object], names: Sequence[str]) -> dict[str, Any]:
    kept = [found for found in objects if found.name in names]
    return {
        "file": file,
        "height": size[0],
        "width": size[1],
        "boxes": [list(found.box) for found in kept],
        "labels": [names.index(found.name) + 1 for found in kept],
        "difficult": [found.difficult for found in kept],
    }


def _shown(source: Source) -> str:
    return f"{source[0].path}: {source[1]}"


def _read(source: Source) -> bytes:
    return source[0].read(source[1])


def _text(source: Source) -> str:
    try:
        return _read(source).decode("utf-8-sig")  # Windows editors begin a file with a byte order mark
    except UnicodeDecodeError:
        raise InputError(f"{_shown(source)} is not UTF-8 text: save it as UTF-8") from None
