"""The reader of Pascal VOC (Everingham et al. 2010, IJCV 88), and of any other set with its XML files, from archives.

A member in `Annotations/`, `JPEGImages/` or `ImageSets/Main/` belongs to the set; the folders above may have any name
(`VOCdevkit/VOC2007/` in the official files). An image id is a path in such a folder without its suffix. Tools leave out
some of these folders, so XML files may also be anywhere (Roboflow, labelImg), images too (Label Studio: `images/`), and
a set without plain lists has the splits of its lists per class (VoTT) or of its folders.
"""

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from src.errors import InputError
from src.ingest.archives import Archive
from src.ingest.boxed import Annotation, Form, Found, Member, Size, Splits
from src.ingest.image_files import SUFFIXES, by_folder, encoding_hint, images_of, nfc, split_of, stem
from src.ingest.problems import ProblemsError
from src.ingest.voc.annotations import parse_annotation, read_class_list, written

CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
LISTS = "ImageSets/Main"
FOLDERS = {"Annotations": "xml", "JPEGImages": SUFFIXES, LISTS: "txt"}
ROOT = re.compile(rb"<annotation[\s/>]")  # CVAT's own format has <annotations>
PLAIN = ("train", "val", "trainval", "test")


def find(archives: Sequence[Archive]) -> Found | None:
    """Find the annotations, images and lists of a set; None if it has no annotation.

    Args:
        archives: the files of the set; lists of the same name in several files are joined.

    Raises:
        InputError: a list names an image that the set does not have, or two files are of the same image.
    """
    paths = " and ".join(str(archive.path) for archive in archives)
    annotations, images, lists = (_members(archives, folder) for folder in FOLDERS)
    places = list(FOLDERS)[:2]
    if annotations and not images:
        images, places[1] = _images_of(annotations), ""
    elif not annotations:
        annotations, images, places = *_anywhere(archives), ["", ""]
    if not annotations:
        return None
    problems: list[ProblemsError] = []
    splits = listed = _read_splits(lists, annotations)
    told = f"lists {', '.join(splits)}" if splits else "no lists"
    if not splits:
        if missing := [annotations[image_id] for image_id in annotations if image_id not in images]:
            problems = [_without_image(missing)]
        splits = by_folder((key, images[key].name) for key in annotations if key in images)
        told = "splits by folder" if splits else told
    annotated = {image_id: images[image_id] for image_id in images if image_id in annotations}
    photos = len(images) if listed and places[1] else sum(len(images_of(archive).members) for archive in archives)
    if left := photos - len(annotated):
        told += f" ({left} images without an annotation are left out)"

    def annotation(image_id: str) -> tuple[str, bytes]:
        return str(annotations[image_id]), annotations[image_id].read()

    def check(splits: Splits) -> None:
        _check_listed(splits, listed, paths, zip(places, (annotations, images), strict=True))

    note = f"VOC: {len(annotations)} annotations, {told}"
    return Found(FORM, note, paths, annotated, annotation, splits, check, problems)


def _without_image(files: Sequence[Member]) -> ProblemsError:
    more = f" and {len(files) - 1} more annotations have" if len(files) > 1 else " has"
    lacks = "no image of the same name: add the images or remove these files"
    return ProblemsError([f"{file} has {lacks}" for file in files], f"{files[0]}{more} {lacks}")


def _members(archives: Sequence[Archive], folder: str) -> dict[str, Any]:
    """Return the files of one of `FOLDERS` by id, over all archives; a list of files for a list, as several may join.

    Only lists may share an id: 2007 and 2012 both have a `train`.
    """
    pattern = re.compile(rf"(?:.*?/)?{folder}/(.+)\.(?:{FOLDERS[folder]})", re.IGNORECASE)
    members: dict[str, list[Member]] = {}
    for archive in archives:
        for name in archive.names():
            match = pattern.fullmatch(name)
            if match and (not name.lower().endswith("/annotations.xml") or ROOT.search(archive.read(name))):
                members.setdefault(nfc(match[1]), []).append(Member(archive, name))
    if folder == LISTS:
        return members
    for image_id, files in members.items():
        if len(files) > 1:
            raise InputError(f"{files[0]} and {files[1]} have the same image id '{image_id}': rename or remove one")
    return {image_id: files[0] for image_id, files in members.items()}


def _anywhere(archives: Sequence[Archive]) -> tuple[dict[str, Member], dict[str, Member]]:
    """Return the annotations in any folder, and their images, by the ids of the images."""
    annotations: dict[str, Member] = {}
    images: dict[str, Member] = {}
    for archive in archives:
        names = [name for name in archive.names() if name.lower().endswith(".xml")]
        files = {nfc(name)[:-4]: Member(archive, name) for name in names if ROOT.search(archive.read(name))}
        found = _images_of(files)
        ids = images_of(archive).ids([found[key].name if key in found else key for key in files])
        for key, file in files.items():
            image_id = ids[found[key].name if key in found else key]
            annotations[image_id] = file
            images |= {image_id: found[key]} if key in found else {}
    return annotations, images


def _images_of(annotations: Mapping[str, Member]) -> dict[str, Member]:
    """Return the image of each annotation, by its file name; those that have none are left out."""
    found = {}
    shelves = {member.archive: images_of(member.archive) for member in annotations.values()}
    for key, member in annotations.items():
        path = nfc(member.name)[:-4]
        if image := shelves[member.archive].find(path, member.name, split_of(member.name)):
            found[key] = shelves[member.archive].members[image]
    return found


def _read_splits(lists: Mapping[str, Sequence[Member]], known: Container[str]) -> Splits:
    """Return the image ids by list, each once and in the file's order; leave out empty lists and lists of one class.

    If all lists are of one class, such as `car_train` and `dog_train`, their images together are a split.
    """
    plain: dict[str, list[str]] = {}
    joined: dict[str, list[str]] = {}
    for name in sorted(lists):
        for text in (nfc(member.text()) for member in lists[name]):
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            # ids such as `photo 0` look like rows of a class list, also if one of them is missing
            rows = [] if any(line in known for line in lines) else read_class_list(text)
            if not rows or name in PLAIN:
                plain.setdefault(name, []).extend([image_id for image_id, _ in rows] or lines)
            elif name.rpartition("_")[2] in PLAIN:
                joined.setdefault(name.rpartition("_")[2], []).extend(image_id for image_id, _ in rows)
    splits = {name: list(dict.fromkeys(_id(line, known) for line in plain[name])) for name in plain if plain[name]}
    if splits:
        return splits
    return {name: list(dict.fromkeys(_id(line, known) for line in joined[name])) for name in sorted(joined)}


def _id(line: str, known: Container[str]) -> str:
    """Return the id that a line of a list means; some tools write the suffix of the image too."""
    return stem(line) if line not in known and stem(line) in known else line


def _check_listed(
    splits: Splits, listed: Splits, paths: str, members: Iterable[tuple[str, Mapping[str, Member]]]
) -> None:
    """Refuse images that the set does not have; the splits may be made from those that lists give, which are named."""
    known = list(members)
    messages, problems = [], []
    told: set[tuple[str, str]] = set()  # files that another list names too
    for split, ids in splits.items():
        for folder, files in known:
            missing = [image_id for image_id in ids if image_id not in files and (image_id, folder) not in told]
            if missing:
                told |= {(image_id, folder) for image_id in missing}
                source = next((name for name in [split, *listed] if missing[0] in listed.get(name, ())), split)
                names, lacks = f"{LISTS}/{source}.txt names", f"which {_lacks(folder, files)}"
                more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
                messages.append(f"{names} '{missing[0]}'{more}, {lacks}")
                problems += [f"{paths}: {names} '{image_id}', {lacks}" for image_id in missing]
    if problems:
        raise ProblemsError(problems, f"{paths}: {'; '.join(messages)}")


def _lacks(folder: str, files: Mapping[str, Member]) -> str:
    place = f"{folder}/" if folder else "the set"
    encoding = encoding_hint(files)
    example = f"; it has '{min(files)}'" if files and not encoding else ""
    hint = f" (an id is the path below {place}, without suffix)" if folder else ""
    remedy = encoding or f"add the file or remove the line{hint}"
    return f"{place} does not have{example}: {remedy}"


def _parse(content: bytes, name: str, size: Size) -> Annotation:
    return parse_annotation(content, name)


FORM = Form(_parse, written, "<size>")
