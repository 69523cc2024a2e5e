"""Images with boxes as a reader of any format finds them, and the checks that make a data set of them.

A reader (`src/ingest/voc`, `src/ingest/coco.py`, `src/ingest/yolo.py`) opens no image: it returns a `Found`. `checked`
then decodes each image that a split names, and compares each box with its image. Boxes are 0-based and half-open. Some
tools count from 0 and round: a box is clipped if it is outside by at most some pixels (`BORDER`), and is an error if it
is further outside.
"""

import io
import struct
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Any, Literal, NamedTuple

from PIL import Image

from src.errors import InputError
from src.files.prepared import DataSet, decode_image
from src.ingest.archives import Archive
from src.ingest.problems import ProblemsError, for_each, joined, sentences
from src.parallel import parallel_map

BORDER = 2.0  # pixels; a public set of 4,000 photos has 61 VOC boxes with xmin -1, which is -2 from 0
DARK = 16  # of 255; larger values than this are missing if a 12-bit image is in a file of 16 bits
ORIENTATION = 0x0112  # the tag of EXIF
IMAGES_PER_JOB = 1000  # a worker takes seconds to start, and checks about 250 images per second

Bad = Literal["error", "skip"]
Box = tuple[float, float, float, float]
Size = tuple[int, int]  # (height, width)
Splits = dict[str, list[str]]  # name of a split -> image ids


class Object(NamedTuple):
    """One object of an annotation; its box is [x1, y1, x2, y2] in pixels."""

    name: str
    box: Box
    difficult: bool


class Annotation(NamedTuple):
    """The objects of one image; size is that of the image if the annotation tells it, otherwise None."""

    size: Size | None
    objects: list[Object]


class Member(NamedTuple):
    """A file in an archive."""

    archive: Archive
    name: str

    def __str__(self) -> str:
        return f"{self.archive.path}: {self.name}"

    def read(self) -> bytes:
        """Return its content."""
        return self.archive.read(self.name)

    def text(self) -> str:
        """Return its content as text; one that is not UTF-8 is an `InputError`."""
        try:
            return self.read().decode("utf-8-sig")  # Windows editors begin a file with a byte order mark
        except UnicodeDecodeError:
            raise InputError(f"{self} is not UTF-8 text: save it as UTF-8") from None


class Form(NamedTuple):
    """A format of annotations, as functions that can be sent to another process.

    Attributes:
        parse: (what `Found.annotation` returned, its name for error messages, size of the image) -> the annotation.
        written: a box in the notation of the format, for error messages.
        size: the words for the size of the image in an annotation.
    """

    parse: Callable[[Any, str, Size], Annotation]
    written: Callable[[Box], str]
    size: str


class Found(NamedTuple):
    """The files of a set.

    Attributes:
        form: the format.
        note: what was found, in one line.
        paths: the archives, for error messages.
        images: the image file by id, of all images that may be in a split.
        annotation: id -> (the name of its annotation for error messages, the annotation for `form.parse`).
        splits: the ids by split; empty if the set has no splits.
        check: raises a `ProblemsError` if the splits name an image that the set does not have.
        problems: what is wrong with the files of annotations, whose images are in no split.
    """

    form: Form
    note: str
    paths: str
    images: Mapping[str, Member]
    annotation: Callable[[str], tuple[str, Any]]
    splits: Splits
    check: Callable[[Splits], None] = lambda splits: None
    problems: Sequence[ProblemsError] = ()


class Checked(NamedTuple):
    """An image that was decoded, and its objects with their boxes inside it."""

    size: Size
    objects: list[Object]
    cut: int  # number of boxes that were clipped
    rotated: bool  # EXIF asks the viewer to turn or mirror it
    dark: bool  # no value is above `DARK`


def checked(
    found: Found,
    *,
    classes: Sequence[str] | None,
    other_classes: str,
    jobs: int,
    tolerance: float = BORDER,
    bad: Bad = "error",
) -> tuple[DataSet, dict[str, Checked], list[ProblemsError]]:
    """Decode every image that a split names, and compare every box with its image.

    Args:
        found: the set.
        classes: names to keep, in the order of their labels; None keeps all classes of the images in use, sorted.
        other_classes: for objects of other classes: `drop` ignores them and keeps their images, `error` refuses them.
        jobs: number of processes that decode, at most.
        tolerance: pixels by which a box may be outside its image and is clipped.
        bad: for problems, those of `found` too: `error` refuses the set, `skip` leaves these images out.

    Returns:
        the data set to be written, its images by id, and the problems whose images are left out.

    Raises:
        InputError: the set has an error; the message names the first problems in the order of ids, and the remedies.
    """
    splits = found.splits
    ids = sorted({image_id for split in splits.values() for image_id in split})
    items = _Items(found, ids)
    useful_jobs = min(jobs, 1 + len(ids) // IMAGES_PER_JOB)
    results = parallel_map(partial(_check, found.form, tolerance), items, useful_jobs, "check images")
    problems = list(found.problems)
    if wrong := [problem for result in results if isinstance(result, list) for problem in result]:
        problems.append(ProblemsError(list(dict.fromkeys(wrong))))
    if problems and (bad == "error" or not any(isinstance(result, Checked) for result in results)):
        raise joined(problems)
    known = {image_id: image for image_id, image in zip(ids, results, strict=True) if isinstance(image, Checked)}
    ids = list(known)
    splits = {name: [image_id for image_id in split if image_id in known] for name, split in splits.items()}
    names = _class_names([image.objects for image in known.values()], classes, found.paths)
    if classes is not None and other_classes == "error":
        _refuse_others(names, {found.annotation(image_id)[0]: known[image_id].objects for image_id in ids})
    files = {image_id: f"images/{image_id}{PurePosixPath(found.images[image_id].name).suffix}" for image_id in ids}
    entries = {image_id: _entry(files[image_id], known[image_id], names) for image_id in ids}
    contents = ((files[image_id], found.images[image_id].read()) for image_id in ids)
    return DataSet(names, splits, entries, contents), known, problems


class _Items(Sequence[Any]):
    """The annotation and image of each id, read on demand because a whole set does not fit in memory."""

    def __init__(self, found: Found, ids: Sequence[str]) -> None:
        self.found, self.ids = found, ids

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: Any) -> tuple[str, Any, str, bytes] | list[str]:
        image = self.found.images[self.ids[index]]
        try:
            return *self.found.annotation(self.ids[index]), str(image), image.read()
        except InputError as error:
            return sentences(error)


def _check(form: Form, tolerance: float, item: tuple[str, Any, str, bytes] | list[str]) -> Checked | list[str]:
    """Check an image and its annotation; problems are returned, not raised, so that always the same one comes first."""
    if isinstance(item, list):
        return item
    name, content, image_name, encoded = item
    image = decode_image(encoded)
    try:
        size = (0, 0) if image is None else (image.shape[0], image.shape[1])
        annotation = form.parse(content, name, size)
        if image is None:
            raise InputError(
                f"{image_name} does not decode as an image of at most 200 million pixels: replace it or remove it from "
                "the lists"
            )
        if annotation.size not in (None, size):
            raise InputError(
                f"{name}: {form.size} gives (height, width) = {annotation.size}, but {image_name} is stored as {size} "
                "(a rotation in its EXIF data is ignored): correct the one that is wrong"
            )
        objects = for_each(lambda item: inside(item, size, name, form.written, tolerance), annotation.objects)
        cut = sum(one != other for one, other in zip(objects, annotation.objects, strict=True))
        return Checked(size, objects, cut, _is_rotated(encoded), bool(image.max() <= DARK))
    except InputError as error:
        return sentences(error)


def _is_rotated(encoded: bytes) -> bool:
    if b"Exif" not in encoded[: 1 << 16]:
        return False
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            return image.getexif().get(ORIENTATION, 1) not in (0, 1)
    except (OSError, ValueError, SyntaxError, struct.error):  # OpenCV has decoded it, so EXIF alone is damaged
        return False


def inside(item: Object, size: Size, name: str, written: Callable[[Box], str], tolerance: float = BORDER) -> Object:
    """Clip an object's box to an image.

    Args:
        item: the object.
        size: (height, width) of the image.
        name: the name of the annotation, for the error messages.
        written: the box in the notation of the annotation, for the error messages.
        tolerance: pixels by which the box may be outside.

    Raises:
        InputError: the box is outside the image by more than `tolerance` pixels, or has no area.
    """
    x1, y1, x2, y2 = item.box
    height, width = size
    shown = f"{name}: the box of '{item.name}' ({written(item.box)})"
    if min(x1, y1) < -tolerance or x2 > width + tolerance or y2 > height + tolerance:
        raise InputError(f"{shown} lies outside its image of {width} x {height} pixels: correct or remove it")
    box = (max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height)))
    if box[0] >= box[2] or box[1] >= box[3]:
        raise InputError(f"{shown} has no area: correct or remove it")
    return item._replace(box=box)


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


def _entry(file: str, image: Checked, names: Sequence[str]) -> dict[str, Any]:
    kept = [item for item in image.objects if item.name in names]
    return {
        "file": file,
        "height": image.size[0],
        "width": image.size[1],
        "boxes": [list(item.box) for item in kept],
        "labels": [names.index(item.name) + 1 for item in kept],
        "difficult": [item.difficult for item in kept],
    }
