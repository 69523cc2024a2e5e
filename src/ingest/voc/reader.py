"""The reader of Pascal VOC (Everingham et al. 2010, IJCV 88), and of any other set in its layout, from archives.

A member in `Annotations/`, `JPEGImages/` or `ImageSets/Main/` belongs to the set; the folders above may have any name
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
IMAGES_PER_JOB = 1000  # a worker takes seconds to start, and checks about 250 images per second
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
    """Read and check a data set: decode every image that a split names, and compare every box with its image.

    Args:
        archives: the files of the set; lists of the same name in several files are joined.
        classes: names to keep, in the order of their labels; None keeps all classes of the images in use, sorted.
        other_classes: for objects of other classes: `drop` ignores them and keeps their images, `error` refuses them.
        limit: largest number of images per split, the first of its list; None keeps all. With a limit, trainval is the
            union of the limited train and val.
        jobs: number of processes that decode, at most.

    Returns:
        the data set to be written. Its splits are the plain lists in `ImageSets/Main`, without empty lists.

    Raises:
        InputError: the set has an error; the message names the first bad file in the order of ids, and the remedy.
    """
    annotations, images, lists = (_members(archives, folder) for folder in FOLDERS)
    paths = " and ".join(str(archive.path) for archive in archives)
    if not annotations:
        raise InputError(f"{paths} has no Annotations/*.xml: give a data set in the VOC layout")
    splits = _limited(_read_splits(lists), limit)
    if not splits:
        raise InputError(
            f"{paths} has no list that names an image: write ImageSets/Main/train.txt, val.txt and test.txt, "
            "with one image id per line"
        )
    _check_listed(splits, paths, annotations, images)
    ids = sorted({image_id for split in splits.values() for image_id in split})
    items = _Items([(annotations[image_id][0], images[image_id][0]) for image_id in ids])
    useful_jobs = min(jobs, 1 + len(ids) // IMAGES_PER_JOB)
    checked = dict(zip(ids, _valid(parallel_map(_check, items, useful_jobs, "check images")), strict=True))
    names = _class_names([objects for _, objects in checked.values()], classes, paths)
    if classes is not None and other_classes == "error":
        _refuse_others(names, {_shown(annotations[image_id][0]): checked[image_id][1] for image_id in ids})
    files = {image_id: f"images/{image_id}{PurePosixPath(images[image_id][0][1]).suffix}" for image_id in ids}
    entries = {image_id: _entry(files[image_id], *checked[image_id], names) for image_id in ids}
    contents = ((files[image_id], _read(images[image_id][0])) for image_id in ids)
    return DataSet(names, splits, entries, contents)


def _members(archives: Sequence[Archive], folder: str) -> dict[str, list[Source]]:
    """Return the files of one of `FOLDERS` by id, over all archives.

    Only lists may share an id: 2007 and 2012 both have a `train`.
    """
    pattern = re.compile(rf"(?:.*?/)?{folder}/(.+)\.(?:{FOLDERS[folder]})", re.IGNORECASE)
    members: dict[str, list[Source]] = {}
    for archive in archives:
        for name in archive.names():
            if match := pattern.fullmatch(name):
                members.setdefault(match[1], []).append((archive, name))
    for image_id, sources in members.items():
        if len(sources) > 1 and folder != "ImageSets/Main":
            both = " and ".join(_shown(source) for source in sources[:2])
            raise InputError(f"{both} have the same image id '{image_id}': rename or remove one")
    return members


def _read_splits(lists: Mapping[str, Sequence[Source]]) -> dict[str, list[str]]:
    """Return the image ids by list, each once and in the file's order; leave out empty lists and lists of one class.

    A set without a list trainval gets one, of the images of train and, if there is one, val.
    """
    splits = {}
    for name in sorted(lists):
        texts = [_text(source) for source in lists[name]]
        lines = [line.strip() for text in texts if not read_class_list(text) for line in text.splitlines()]
        if ids := list(dict.fromkeys(line for line in lines if line)):
            splits[name] = ids
    if "train" in splits and "trainval" not in splits:
        splits["trainval"] = list(dict.fromkeys(splits["train"] + splits.get("val", [])))
    return splits


def _limited(splits: dict[str, list[str]], limit: int | None) -> dict[str, list[str]]:
    limited = {name: ids[:limit] for name, ids in splits.items()}
    if limit is not None and "train" in splits and "val" in splits:
        limited["trainval"] = list(dict.fromkeys(limited["train"] + limited["val"]))
    return limited


def _check_listed(splits: Mapping[str, Sequence[str]], paths: str, *members: Mapping[str, Any]) -> None:
    for split, ids in splits.items():
        for image_id in ids:
            for folder, known in zip(FOLDERS, members, strict=False):
                if image_id not in known:
                    raise InputError(
                        f"{paths}: ImageSets/Main/{split}.txt names '{image_id}', which {folder}/ does not have: "
                        f"add the file or remove the line (an id is the path below {folder}/, without suffix)"
                    )


class _Items(Sequence[Any]):
    """The annotation and image of each id, read on demand because a whole set does not fit in memory."""

    def __init__(self, sources: Sequence[tuple[Source, Source]]) -> None:
        self.sources = sources

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: Any) -> tuple[str, bytes, str, bytes]:
        annotation, image = self.sources[index]
        return _shown(annotation), _read(annotation), _shown(image), _read(image)


Checked = tuple[tuple[int, int], list[Object]]  # size of the image (height, width), objects with their boxes inside it


def _check(item: tuple[str, bytes, str, bytes]) -> Checked | str:
    """Check an image and its annotation; an error is returned, not raised, so that always the same one comes first."""
    xml_name, xml, image_name, encoded = item
    try:
        annotation = parse_annotation(xml, xml_name)
        image = decode_image(encoded) if encoded else None
        if image is None:
            raise InputError(f"{image_name} does not decode as an image: replace it or remove it from the lists")
        height, width = image.shape[:2]
        size = image.shape[0], image.shape[1]
        if annotation.size not in (None, size):
            raise InputError(
                f"{xml_name}: <size> gives (height, width) = {annotation.size}, but {image_name} is stored as {size} "
                "(a rotation in its EXIF data is ignored): correct the one that is wrong"
            )
        return size, [inside(item, size, xml_name) for item in annotation.objects]
    except InputError as error:
        return str(error)


def _valid(results: Sequence[Checked | str]) -> list[Checked]:
    problems = [result for result in results if isinstance(result, str)]
    if problems:
        more = f" ({len(problems) - 1} more images have an error)" if len(problems) > 1 else ""
        raise InputError(problems[0] + more)
    return [result for result in results if not isinstance(result, str)]


def _class_names(objects: Sequence[Sequence[Object]], wanted: Sequence[str] | None, paths: str) -> list[str]:
    present = sorted({item.name for group in objects for item in group})
    if not present:
        raise InputError(f"{paths}: no image of any split has an object: annotate some")
    for name in wanted or ():
        if name not in present:
            alike = [other for other in present if other.lower() == name.lower()]
            hint = f"write it as '{alike[0]}'" if alike else f"choose from {', '.join(present)}"
            raise InputError(f"params.yaml: data.voc.classes names '{name}', which no image in use has: {hint}")
    return list(wanted or present)


def _refuse_others(names: Sequence[str], objects: Mapping[str, Sequence[Object]]) -> None:
    for file, group in objects.items():
        for item in group:
            if item.name not in names:
                raise InputError(
                    f"{file} has the class '{item.name}', which data.voc.classes in params.yaml does not name: add it "
                    "there, or set data.voc.other_classes to drop"
                )


def _entry(file: str, size: tuple[int, int], objects: Sequence[Object], names: Sequence[str]) -> dict[str, Any]:
    kept = [item for item in objects if item.name in names]
    return {
        "file": file,
        "height": size[0],
        "width": size[1],
        "boxes": [list(item.box) for item in kept],
        "labels": [names.index(item.name) + 1 for item in kept],
        "difficult": [item.difficult for item in kept],
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
