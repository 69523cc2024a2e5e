"""The reader of YOLO's text files: one per image, a line per object.

A line holds the number of a class, then the box (x and y of its centre, width, height) or a polygon (x1 y1 x2 y2 ...),
whose bounding box is taken; all are shares of the image's width and height. Six numbers are a triangle if the set has
polygons of more corners; otherwise they are refused, as trackers write a box, its confidence and a number. The label
file of `.../images/.../a.jpg` is `.../labels/.../a.txt`, or else `a.txt` beside the image; an image without one has no
objects.

The names of the classes are in a YAML file (`data.yaml`, with `names` as a list or a mapping), `obj.names` (CVAT),
`classes.txt` (labelImg, Label Studio) or `_darknet.labels` (Roboflow). The splits are those of the YAML file, or of
list files (`train.txt`), or of folders named after them (`images/train`, `train/images`).
"""

import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from ruamel.yaml.error import YAMLError

from src.errors import InputError
from src.ingest.archives import Archive
from src.ingest.boxed import Annotation, Box, Form, Found, Member, Object, Size, Splits
from src.ingest.image_files import Images, by_folder, folders, images_of, missing_images, nfc, split_name, stem
from src.ingest.problems import ProblemsError, for_each, joined
from src.params import load_yaml

NAMES = re.compile(r"(?:.*/)?(?:classes\.txt|[^/]*\.names|_darknet\.labels)", re.IGNORECASE)
SETTINGS = re.compile(r"(?:.*/)?[^/]+\.ya?ml", re.IGNORECASE)
TRIANGLE = 7  # words of a line: a class and the numbers of three corners


class _Label(NamedTuple):
    """The text of a label file, and the names that its numbers refer to."""

    text: str
    classes: Mapping[int, str]
    source: str  # the file with the names
    keypoints: bool  # the numbers after a box are keypoints
    triangles: bool  # six numbers are a polygon


def find(archive: Archive) -> Found | None:
    """Find the labels and images of a set; None if the archive has no names of classes or no label in this format.

    Raises:
        InputError: two files give different names, or there are labels and no names or no images.
    """
    texts = {nfc(name): Member(archive, name) for name in archive.names()}
    images = images_of(archive)
    labels = {path: label for path in images.members if (label := _label_of(path, texts)) is not None}
    settings_file, settings = _settings(texts)
    named = _classes(settings_file, settings, texts)
    if named is None and not any(_is_label(texts[label]) for label in labels.values()):
        return None
    if not images.members or named is None:
        missing = "images" if named else "names of classes: write them to classes.txt, one per line, beside labels/"
        raise InputError(f"{archive.path} has labels in YOLO's format, but no {missing}")
    source, classes = named
    problems: list[ProblemsError] = []
    listed, origin = _splits(settings_file, settings, texts, images, set(labels.values()), problems)
    if problems and not any(listed.values()):
        raise joined(problems)
    used = list(dict.fromkeys(path for paths in listed.values() for path in paths)) or list(images.members)
    ids = images.ids(sorted(used))
    by_id = {ids[path]: path for path in used}
    splits = {name: [ids[path] for path in listed[name]] for name in sorted(listed)}
    keypoints = "kpt_shape" in settings

    @cache
    def has_polygons() -> bool:
        readable = (_text(texts[labels[path]]) for path in used if path in labels)
        return any(_longest(text) > TRIANGLE for text in readable)

    def annotation(image_id: str) -> tuple[str, _Label]:
        path = by_id[image_id]
        if path not in labels:
            return f"{images.members[path]}, without a label file", _Label("", classes, str(source), keypoints, False)
        member = texts[labels[path]]
        text = member.text()
        triangles = _longest(text) >= TRIANGLE and has_polygons()  # reads all labels, so only if a line is that long
        return str(member), _Label(text, classes, str(source), keypoints, triangles)

    note = (
        f"YOLO: {len(used)} images, {sum(path in labels for path in used)} label files, names in {source.name}, "
        + "; ".join([origin, *_left_over(texts, images, labels, len(used))])
    )
    found = {image_id: images.members[path] for image_id, path in by_id.items()}
    return Found(FORM, note, str(archive.path), found, annotation, splits, problems=problems)


def _text(member: Member) -> str:
    """Return the text of a label file; empty for one that cannot be read, which is told for its own image."""
    try:
        return member.text()
    except InputError:
        return ""


def _longest(text: str) -> int:
    """Return the largest number of words in a line."""
    return max((len(line.split()) for line in text.splitlines()), default=0)


def _left_over(texts: Mapping[str, Member], images: Images, labels: Mapping[str, str], used: int) -> list[str]:
    own = set(labels.values())
    orphans = sum(
        "labels" in folders(name) and name.endswith(".txt") and name not in own and not NAMES.fullmatch(name)
        for name in texts
    )
    counts = {
        f"{len(images.members) - used} more images are in no split": len(images.members) - used,
        f"{orphans} text files in labels/ belong to no image": orphans,
    }
    return [words for words, count in counts.items() if count]


def _label_of(path: str, texts: Mapping[str, Member]) -> str | None:
    """Return the path of an image's label file: in the folder `labels` beside its folder `images`, or beside it."""
    parts = PurePosixPath(stem(path) + ".txt").parts
    places = [place for place, part in enumerate(parts[:-1]) if part.lower() == "images"]
    for place in reversed(places):
        other = "/".join([*parts[:place], "labels", *parts[place + 1 :]])
        if other in texts:
            return other
    beside = "/".join(parts)
    return beside if beside in texts else None


def _is_label(member: Member) -> bool:
    first = next((line.split() for line in member.text().splitlines() if line.strip()), [])
    return len(first) >= 5 and all(re.fullmatch(r"[-+.\deE]+", word) for word in first)


def _settings(texts: Mapping[str, Member]) -> tuple[Member | None, dict[str, Any]]:
    """Return the YAML file with names of classes, the outermost first; empty if there is none."""
    for name in sorted(filter(SETTINGS.fullmatch, texts), key=lambda name: (len(folders(name)), name != "data.yaml")):
        try:
            content = load_yaml(texts[name].text())
        except YAMLError as error:
            problem = str(error).replace("\n", " ")
            raise InputError(f"{texts[name]} is not valid YAML ({problem}): correct it") from None
        if isinstance(content, dict) and "names" in content:
            return texts[name], content
    return None, {}


def _classes(
    file: Member | None, settings: Mapping[str, Any], texts: Mapping[str, Member]
) -> tuple[Member, dict[int, str]] | None:
    if file is not None:
        names = settings["names"]
        pairs = names.items() if isinstance(names, dict) else enumerate(names if isinstance(names, list) else [])
        try:
            classes = {int(number): str(name).strip() for number, name in pairs}
        except ValueError:
            classes = {}
        if not classes:
            raise InputError(f"{file}: names is {names!r}: write a list of names, or a mapping from numbers to names")
        return file, classes
    found = {
        member: [line.strip() for line in member.text().strip().splitlines()]
        for member in (texts[name] for name in sorted(filter(NAMES.fullmatch, texts)))
    }
    first = next(iter(found), None)
    if first is None:
        return None
    for member, lines in found.items():
        if lines != found[first]:
            raise InputError(f"{first} and {member} list different names of classes: keep one of the two")
    return first, dict(enumerate(found[first]))


def _splits(
    file: Member | None,
    settings: Mapping[str, Any],
    texts: Mapping[str, Member],
    images: Images,
    labels: set[str],
    problems: list[ProblemsError],
) -> tuple[Splits, str]:
    """Return the paths of images by split, and the words for what tells the splits; add to `problems`."""
    told: Splits = {}
    for key in ("train", "val", "valid", "test"):
        values = settings.get(key) or []
        for value in values if isinstance(values, list) else [values]:
            told.setdefault(split_name(key) or key, []).extend(_paths(str(value), file, texts, images, problems))
    if any(told.values()):
        return {name: list(dict.fromkeys(paths)) for name, paths in told.items() if paths}, f"splits of {file.name}"  # type: ignore[union-attr]
    lists = {
        name: split
        for name in texts
        if name.endswith(".txt") and name not in labels and (split := split_name(PurePosixPath(name).stem))
    }
    for name, split in lists.items():
        told.setdefault(split, []).extend(_in_list(texts[name], images, problems))
    if any(told.values()):
        return {name: paths for name, paths in told.items() if paths}, f"splits of {', '.join(sorted(lists))}"
    by_folders = by_folder((path, path) for path in images.members)
    return by_folders, "splits by folder" if by_folders else "no splits"


def _paths(
    value: str, file: Member | None, texts: Mapping[str, Member], images: Images, problems: list[ProblemsError]
) -> list[str]:
    """Return the images that a key of the YAML file means, by a list file or a folder; empty if there is neither.

    The value is often a path on another machine, so it is compared from its end, but never without the name of a
    split: `../test/images` is not `train/images`.
    """
    parts = [part for part in PurePosixPath(nfc(value)).parts if part not in ("..", ".", "/")]
    for place in range(len(parts) or 1):
        if any(split_name(part) for part in parts[:place]):
            break
        tail = "/".join(parts[place:])
        lists = [name for name in texts if f"/{name}".endswith(f"/{tail}") and name.endswith(".txt")]
        if lists:
            return _in_list(texts[min(lists, key=len)], images, problems)
        found = [path for path in images.members if not tail or f"/{tail}/" in f"/{path}"]
        if found:
            return sorted(found)
    return []


def _in_list(member: Member, images: Images, problems: list[ProblemsError]) -> list[str]:
    lines = [line.strip() for line in member.text().splitlines() if line.strip()]
    found = {line: images.find(line, member.name) for line in lines}
    if missing := [line for line in found if found[line] is None]:
        problems.append(missing_images(member, missing, images, "add the images or remove the lines"))
    return list(dict.fromkeys(path for path in found.values() if path is not None))


def _parse(label: _Label, name: str, size: Size) -> Annotation:
    lines = [(n, line.split()) for n, line in enumerate(label.text.splitlines(), 1) if line.strip()]
    return Annotation(None, for_each(lambda line: _object(line[1], label, f"{name}, line {line[0]}", size), lines))


def _object(words: Sequence[str], label: _Label, name: str, size: Size) -> Object:
    try:
        kind, *numbers = map(float, words)
    except ValueError:
        kind, numbers = math.nan, []
    polygon = len(numbers) >= 6 and len(numbers) % 2 == 0 and not label.keypoints
    if polygon and len(words) == TRIANGLE and not label.triangles:
        raise InputError(
            f"{name} is '{' '.join(words)[:60]}', which may be a triangle or a box with two more numbers, such as a "
            "confidence and a track: remove the numbers after the box, or write four corners or more"
        )
    if not (len(numbers) == 4 or polygon or (label.keypoints and len(numbers) > 4)) or not math.isfinite(sum(numbers)):
        raise InputError(
            f"{name} is '{' '.join(words)[:60]}' and must hold five numbers (class, x, y, width, height) or a class "
            "and a polygon (x1 y1 x2 y2 x3 y3 ...): correct it"
        )
    if kind not in label.classes:
        raise InputError(
            f"{name} has the class {words[0]}, and {label.source} names the classes {min(label.classes)} to "
            f"{max(label.classes)}: correct one of the two"
        )
    height, width = size
    if polygon:
        xs, ys = numbers[::2], numbers[1::2]
        edges = min(xs), min(ys), max(xs), max(ys)
    else:
        x, y, w, h = numbers[:4]
        edges = x - w / 2, y - h / 2, x + w / 2, y + h / 2
    if max(map(abs, edges)) > 2:
        raise InputError(f"{name} is in pixels: write shares of the image's width and height, from 0 to 1")
    x1, y1, x2, y2 = edges
    return Object(label.classes[int(kind)], (x1 * width, y1 * height, x2 * width, y2 * height), False)


def _written(box: Box) -> str:
    return "x1 {:g}, y1 {:g}, x2 {:g}, y2 {:g} in pixels".format(*box)


FORM = Form(_parse, _written, "its size")
