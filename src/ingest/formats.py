"""A set of images with boxes in any of the formats that the project reads: VOC, COCO or YOLO."""

from collections.abc import Callable, Sequence
from typing import Literal

from src.errors import InputError
from src.files.prepared import DataSet
from src.ingest import coco, yolo
from src.ingest.archives import Archive
from src.ingest.boxed import BORDER, Bad, Found, Splits, checked
from src.ingest.copies import copies, refusal, tested_copies
from src.ingest.notes import notes, others
from src.ingest.own_splits import OwnSplit, completed, limited, with_trainval
from src.ingest.problems import ProblemsError, joined, skipped
from src.ingest.voc import reader as voc

Format = Literal["auto", "voc", "coco", "yolo"]
FIND: dict[str, Callable[[Sequence[Archive]], Found | None]] = {  # in the order in which they are tried
    "voc": voc.find,
    "coco": lambda archives: coco.find(archives[0]),
    "yolo": lambda archives: yolo.find(archives[0]),
}
NAMES = {"voc": "Annotations/*.xml or other XML of VOC", "coco": "JSON of COCO", "yolo": "labels of YOLO"}


def load(
    archives: Sequence[Archive],
    *,
    classes: Sequence[str] | None,
    other_classes: str,
    limit: int | None,
    format: Format,  # noqa: A002
    split: OwnSplit | None,
    jobs: int,
    tolerance: float = BORDER,
    bad: Bad = "error",
    left_out: list[str] | None = None,
) -> tuple[DataSet, str]:
    """Read and check a data set: decode every image that a split names, and compare every box with its image.

    Args:
        archives: the files of the set; only a set in the VOC layout has more than one.
        classes: names to keep, in the order of their labels; None keeps all classes of the images in use, sorted.
        other_classes: for objects of other classes: `drop` ignores them and keeps their images, `error` refuses them.
        limit: largest number of images per split, the first of its list; None keeps all. With a limit, trainval is the
            union of the limited train and val.
        format: the format; `auto` takes the first that the set has.
        split: the rule that makes missing splits; None makes none.
        jobs: number of processes that decode, at most.
        tolerance: pixels by which a box may be outside its image and is clipped.
        bad: for bad files, bad entries, images that the set lacks, and test images that are copies of training images:
            `error` refuses the set, `skip` leaves these images out and names them.
        left_out: a list to which the problems of these images are added.

    Returns:
        the data set to be written, and lines for the user: the format that was found and the origin
        of the splits, then what may be unexpected.

    Raises:
        InputError: the set has an error; the message names the first bad files in the order of ids, and the remedies.
    """
    found = _found(archives, format)
    splits, made, same = found.splits, "", {}
    if split is not None:
        same = copies(found.images)
        try:
            splits, made = completed(splits, sorted(found.images), split, "data.voc.split", same)
        except InputError as error:
            if not found.problems:
                raise InputError(f"{found.paths}: {error}") from None
    if found.problems and not splits:
        raise joined(found.problems)
    if not splits:
        raise InputError(
            f"{found.paths} has no list that names an image: write ImageSets/Main/train.txt, val.txt and test.txt, "
            "with one image id per line"
        )
    splits = limited(with_trainval(splits), limit)
    problems = [*found.problems, *_missing(found, splits)]
    if copied := tested_copies(splits, same):
        problems.append(refusal(copied, len(splits["test"]), found.paths))
        splits["test"] = [image_id for image_id in splits["test"] if image_id not in copied]
    splits = {name: [image_id for image_id in ids if image_id in found.images] for name, ids in splits.items()}
    found = found._replace(splits=splits, problems=problems)
    options = {"classes": classes, "other_classes": other_classes, "jobs": jobs, "tolerance": tolerance, "bad": bad}
    data, images, problems = checked(found, **options)  # type: ignore[arg-type]
    lines = ["; ".join(filter(None, (found.note, made)))]
    if problems:
        lines.append(skipped(joined(problems)))
        (left_out if left_out is not None else []).extend(joined(problems).problems)
    lines += [f"{len(same)} images are copies of others, such as {max(same)} of {same[max(same)]}"] if same else []
    lines += notes(images, data.splits, data.classes, tolerance)
    return data, "\n".join([*lines, *others([name for archive in archives for name in archive.names()])])


def _missing(found: Found, splits: Splits) -> list[ProblemsError]:
    """Return the error for images that lists name and the set lacks; empty if there are none."""
    try:
        found.check(splits)
    except ProblemsError as error:
        return [error]
    return []


def _found(archives: Sequence[Archive], format: Format) -> Found:  # noqa: A002
    tried = list(FIND) if format == "auto" else [format]
    for name in tried:
        if (found := FIND[name](archives)) is not None:
            return found
    paths = " and ".join(str(archive.path) for archive in archives)
    raise InputError(
        f"{paths} has no {', no '.join(NAMES[name] for name in tried)}: give a data set in one of these formats"
        + ("" if format == "auto" else ", or set data.voc.format to auto")
    )
