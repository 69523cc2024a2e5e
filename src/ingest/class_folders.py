"""Sets of labelled images in the most common layout: one folder per class, named after the class, with images below it.

Folders above the class folders are ignored if all images share them. Only files with the suffix of an image are read;
the others are counted, and folders that have only such files are named.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from src.errors import InputError
from src.files.prepared import DataSet, decode_image
from src.ingest.archives import Archive
from src.ingest.problems import ProblemsError
from src.parallel import parallel_map

SUFFIXES = {".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
SPLIT_NAMES = {"train", "training", "val", "valid", "validation", "test", "testing"}
IMAGES_PER_JOB = 4000  # a worker takes seconds to start, and checks hundreds of images per second


class ClassFolders(NamedTuple):
    """The content of the class folders; an image id is the path of its file, beginning with the class folder."""

    classes: list[str]  # sorted
    labels: dict[str, int]  # id -> index into classes
    members: dict[str, str]  # id -> name in the archive
    notes: list[str]  # sentences on what was passed over


def read(archive: Archive) -> ClassFolders:
    """Read the classes and labels of a set, without opening its images.

    Raises:
        InputError: there are fewer than two classes, an image is in no class folder, or folders of splits (train, val)
            are above the class folders.
    """
    files = [PurePosixPath(name) for name in archive.names()]
    paths = [path for path in files if path.suffix.lower() in SUFFIXES]
    shared = 0
    while len({path.parts[shared] for path in paths}) == 1 and min(len(path.parts) for path in paths) > shared + 2:
        shared += 1
    members = {"/".join(path.parts[shared:]): str(path) for path in paths}
    classes = sorted({image_id.partition("/")[0] for image_id in members if "/" in image_id})
    if len(classes) < 2:
        problem = f"images in only one folder, '{classes[0]}'" if classes else "no image in a folder"
        raise InputError(
            f"{archive.path} has {problem}: give at least two folders of images, each named after its class"
        )
    for image_id, name in members.items():
        if "/" not in image_id:
            raise InputError(f"{archive.path}: {name} is in no class folder: move it into one or remove it")
    if set(map(str.lower, classes)) <= SPLIT_NAMES or _are_splits(classes, list(members)):
        raise InputError(
            f"{archive.path} has the folders {', '.join(classes)} above the class folders: give one folder per class, "
            "and choose the rule of the split in params.yaml"
        )
    number = {name: label for label, name in enumerate(classes)}
    labels = {image_id: number[image_id.partition("/")[0]] for image_id in members}
    return ClassFolders(classes, labels, members, list(_passed_over(files, shared, classes)))


def _are_splits(folders: Sequence[str], ids: Sequence[str]) -> bool:
    """Tell whether folders such as `seg_train` and `seg_test` are splits: those below them have the same names.

    Folders that are alone in theirs are left out, as `seg_train/seg_train`. Without the name of a split, equal folders
    below may be anything, such as one per person.
    """
    named = [folder for folder in folders if set(re.split(r"[^a-z]+", folder.lower())) & SPLIT_NAMES]
    below = [
        _below([image_id.split("/")[1:-1] for image_id in ids if image_id.startswith(f"{name}/")]) for name in named
    ]
    return len(named) > 1 and len(below[0]) > 1 and all(names == below[0] for names in below)


def _below(paths: list[list[str]]) -> set[str]:
    """Return the first folders of paths that are more than one folder; empty if a path ends before."""
    while all(paths) and len({path[0] for path in paths}) == 1:
        paths = [path[1:] for path in paths]
    return {path[0] for path in paths} if all(paths) else set()


def _passed_over(files: Sequence[PurePosixPath], shared: int, classes: Sequence[str]) -> Iterator[str]:
    """Yield sentences on files that are not read, and on folders without an image that is read."""
    others = [path for path in files if path.suffix.lower() not in SUFFIXES]
    if others:
        suffixes = Counter(path.suffix.lower() or "without suffix" for path in others)
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(suffixes.items()))
        yield f"{len(others)} files were passed over ({kinds}), because only {', '.join(sorted(SUFFIXES))} are read"
    if silent := sorted({path.parts[shared] for path in others if len(path.parts) > shared + 1} - set(classes)):
        yield f"no class, because they have no image that is read: {', '.join(silent)}"


def checked(archive: Archive, folders: ClassFolders, splits: Mapping[str, Sequence[str]], jobs: int) -> DataSet:
    """Decode every image of the splits, and return the data set to be written.

    Args:
        archive: the archive that `folders` was read from.
        folders: its classes and labels.
        splits: image ids by split.
        jobs: number of processes that decode, at most.

    Raises:
        InputError: some images do not decode; the message names the first in the order of ids and counts the rest.
    """
    ids = sorted(image_id for split in splits.values() for image_id in split)
    items = _Items(archive, [folders.members[image_id] for image_id in ids])
    problems = [
        problem
        for problem in parallel_map(_problem, items, min(jobs, 1 + len(ids) // IMAGES_PER_JOB), "check images")
        if problem
    ]
    if problems:
        raise ProblemsError(problems)
    files = {image_id: f"images/{image_id}" for image_id in ids}
    entries = {image_id: {"file": files[image_id], "label": folders.labels[image_id]} for image_id in ids}
    contents: Iterator[tuple[str, bytes]] = (
        (files[image_id], archive.read(folders.members[image_id])) for image_id in ids
    )
    return DataSet(folders.classes, {name: list(split) for name, split in splits.items()}, entries, contents)


class _Items(Sequence[Any]):
    """The name and content of each image, read on demand because a whole set does not fit in memory."""

    def __init__(self, archive: Archive, names: Sequence[str]) -> None:
        self.archive, self.names = archive, names

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: Any) -> tuple[str, bytes]:
        name = self.names[index]
        return f"{self.archive.path}: {name}", self.archive.read(name)


def _problem(item: tuple[str, bytes]) -> str | None:
    """Return an error message if an image does not decode; not raised, so that always the same error comes first."""
    name, encoded = item
    wrong = f"{name} does not decode as an image of at most 200 million pixels: replace or remove it"
    return wrong if decode_image(encoded) is None else None
