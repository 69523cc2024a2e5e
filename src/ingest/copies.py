"""Images of the same bytes under several names, which belong in one split: a copy of a training image tests nothing."""

import hashlib
from collections.abc import Iterable, Mapping

from src.errors import InputError
from src.ingest.boxed import Member, Splits
from src.ingest.problems import ProblemsError

Same = Mapping[str, str]  # id of a copy -> the first id of the same bytes


def copies(images: Mapping[str, Member]) -> dict[str, str]:
    """Return the first id of the same bytes for each image that is a copy; an image that cannot be read is none."""
    first: dict[bytes, str] = {}
    same = {}
    for image_id in sorted(images):
        try:
            content = images[image_id].read()
        except InputError:  # told when the image is checked
            continue
        digest = hashlib.sha256(content).digest()
        if content and (original := first.setdefault(digest, image_id)) != image_id:
            same[image_id] = original
    return same


def kinds(ids: Iterable[str], same: Same) -> set[str]:
    """Return the ids without copies: the first id of the same bytes for each."""
    return {same.get(image_id, image_id) for image_id in ids}


def tested_copies(splits: Splits, same: Same) -> dict[str, str]:
    """Return each test image that is a copy of an image which trains or chooses the epoch, and that image.

    The same image in both splits is no copy: src/ingest/split_checks.py refuses it.
    """
    others = [name for name in ("train", "trainval", "val") if name in splits]
    names = {same.get(image_id, image_id): image_id for name in others for image_id in splits[name]}
    firsts = {image_id: same.get(image_id, image_id) for image_id in splits.get("test", [])}
    return {image_id: names[first] for image_id, first in firsts.items() if names.get(first, image_id) != image_id}


def refusal(pairs: Mapping[str, str], tested: int, paths: str) -> ProblemsError:
    """Return the error for what `tested_copies` found, at least one pair; `tested` is the number of test images."""
    remedy = "remove one of the two, or add -S data.voc.split.rule=fraction, which keeps copies together"
    image_id, other = next(iter(pairs.items()))
    return ProblemsError(
        [f"{paths}: the test image '{one}' has the bytes of '{two}': {remedy}" for one, two in pairs.items()],
        f"{paths}: {len(pairs)} of the {tested} test images are copies of images that train or choose the epoch, such "
        f"as '{image_id}' of '{other}': {remedy}",
    )
