r"""The image files of a set, found by the paths that an annotation gives, and the ids and splits that paths tell.

Tools write the path of an image as it was on the annotator's machine (`C:\photos\a.jpg`, `/data/upload/1/a.jpg`,
`../train/images/a.jpg`), so a path is compared from its end. Names are compared in Unicode's form NFC, because archives
from a Mac have another form.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote

from src.errors import InputError
from src.ingest.archives import Archive
from src.ingest.boxed import Member, Splits
from src.ingest.problems import ProblemsError

SUFFIXES = "jpg|jpeg|jfif|png|bmp|webp|tif|tiff"
IMAGE = re.compile(rf"(.+)\.(?:{SUFFIXES})", re.IGNORECASE)
STRUCTURE = {"images", "jpegimages", "labels", "annotations"}  # names of folders that tell nothing
MASKS = {"segmentationclass", "segmentationobject"}
SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val"}
SPLITS |= {"test": "test", "testing": "test"}


OTHERS = re.compile(r".*\.(?:xml|json|txt|ya?ml|csv|names|labels|data|md|html)", re.IGNORECASE)  # of annotations


def passed_over(names: Iterable[str]) -> list[str]:
    """Return the suffix of each file that is neither an image nor one that belongs to annotations, in lower case."""
    left = [PurePosixPath(name) for name in names if not (IMAGE.fullmatch(name) or OTHERS.fullmatch(name))]
    return [path.suffix.lower() or "without suffix" for path in left]


def nfc(name: str) -> str:
    """Return a path in NFC and with slashes."""
    return unicodedata.normalize("NFC", name.replace("\\", "/"))


def encoding_hint(names: Iterable[str]) -> str:
    """Return a remedy for the encoding of an archive's names, empty if they look right.

    A zip by Windows may have names in the encoding of its country. Read without it, most Chinese characters become
    lines and blocks of DOS.
    """
    wrong = next((name for name in names if any("\u2500" <= letter <= "\u259f" for letter in name)), None)
    return "" if wrong is None else f"it has '{wrong}', so its names are not in UTF-8: pack it again with UTF-8 names"


def stem(name: str) -> str:
    """Return a path without the suffix of an image; any other suffix stays."""
    match = IMAGE.fullmatch(name)
    return match[1] if match else name


def split_name(word: str) -> str | None:
    """Return train, val or test for the name of a folder or file that means it, otherwise None.

    COCO writes a year after the name, and CVAT `obj_train_data`.

    >>> split_name("valid"), split_name("train2017"), split_name("Test"), split_name("trains")
    ('val', 'train', 'test', None)
    """
    return SPLITS.get(re.sub(r"^obj_(.+)_data$|^(.+?)[_-]?\d{4}$", r"\1\2", word.lower()))


def split_of(path: str) -> str | None:
    """Return the split that the folders of a path tell, the innermost first; None if they tell none."""
    return next((name for part in reversed(folders(path)) if (name := split_name(part))), None)


def folders(path: str) -> tuple[str, ...]:
    """Return the folders of a path, the outermost first."""
    return PurePosixPath(path).parts[:-1]


def by_folder(paths: Iterable[tuple[str, str]]) -> Splits:
    """Return the ids by the splits that folders tell, from (id, path) pairs; empty if a path tells none."""
    splits: Splits = {}
    for image_id, path in paths:
        name = split_of(path)
        if name is None:
            return {}
        splits.setdefault(name, []).append(image_id)
    return {name: sorted(splits[name]) for name in sorted(splits)}


class Images(NamedTuple):
    """The images of an archive; made by `images_of`."""

    members: dict[str, Member]  # by path
    by_name: dict[str, list[str]]  # file name in lower case, with and without its suffix -> paths

    def find(self, written: str, beside: str = "", split: str | None = None) -> str | None:
        """Return the path of the image that an annotation means; None if the archive has no image of that file name.

        Args:
            written: the path or the file name in the annotation, with or without the suffix.
            beside: the path of the annotation.
            split: the split of the annotation; split and `beside` decide between images of the same path's end.

        Raises:
            InputError: several images are meant equally.
        """
        for name in dict.fromkeys((nfc(written), nfc(unquote(written)))):
            base, above = PurePosixPath(name).name, folders(name)
            paths = self.by_name.get(base.lower(), [])
            paths = _best(paths, lambda path, base=base: base in (PurePosixPath(path).name, _base(path)))  # type: ignore[misc]
            paths = _best(paths, lambda path, above=above: _alike(above[::-1], folders(path)[::-1]))  # type: ignore[misc]
            paths = _best(paths, lambda path: split is not None and split_of(path) == split)
            paths = _best(paths, lambda path: _alike(folders(path), folders(beside)))
            if len(paths) > 1:
                raise InputError(
                    f"{self.members[paths[0]].archive.path}: {beside or 'an annotation'} names '{written}', which may "
                    f"be {paths[0]} or {paths[1]}: rename one of them"
                )
            if paths:
                return paths[0]
        return None

    def ids(self, paths: Sequence[str]) -> dict[str, str]:
        """Return the id of each path: the path without its suffix, and without folders that tell nothing if unique.

        Folders tell nothing if all paths share them, or if they are named `images` or after a split.
        """
        shared = min((_alike(folders(paths[0]), folders(path)) for path in paths), default=0)
        short = {path: _short(path, shared) for path in paths}
        for ids in (short, {path: stem(path) for path in paths}):
            if len(set(ids.values())) == len(paths):
                return ids
        return {path: path for path in paths}


def images_of(archive: Archive) -> Images:
    """Return the images of an archive, without the masks of VOC's and CVAT's segmentations."""
    names = [name for name in archive.names() if IMAGE.fullmatch(name) and not MASKS & set(folders(name.lower()))]
    members = {nfc(name): Member(archive, name) for name in names}
    by_name: dict[str, list[str]] = {}
    for path in members:
        for name in (PurePosixPath(path).name, _base(path)):
            by_name.setdefault(name.lower(), []).append(path)
    return Images(members, by_name)


def missing_images(file: Member, names: Sequence[str], images: Images, remedy: str) -> ProblemsError:
    """Return the error for images that a file names and its archive does not have."""
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    remedy = encoding_hint(images.members) or remedy
    lacks = f"which {file.archive.path} does not have ({len(images.members)} images): {remedy}"
    return ProblemsError(
        [f"{file} names the image '{name}', {lacks}" for name in names],
        f"{file} names the image '{names[0]}'{more}, {lacks}",
    )


def _base(path: str) -> str:
    return stem(PurePosixPath(path).name)


def _best(paths: list[str], score: Callable[[str], int]) -> list[str]:
    if len(paths) < 2:
        return paths
    most = max(map(score, paths))
    return [path for path in paths if score(path) == most]


def _alike(one: Sequence[str], other: Sequence[str]) -> int:
    """Count the first parts that are equal."""
    pairs = list(zip(one, other, strict=False))
    return next((place for place, (a, b) in enumerate(pairs) if a != b), len(pairs))


def _short(path: str, shared: int) -> str:
    *above, name = PurePosixPath(path).parts
    kept = [part for part in above[shared:] if part.lower() not in STRUCTURE and not split_name(part)]
    return stem("/".join([*kept, name]))
