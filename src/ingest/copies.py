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


def tested_copies(splits: Splits, same: Same, paths: str) -> list[ProblemsError]:
    """Return an error for test images that are copies of images which train or choose the epoch; empty if none is."""
    others = [name for name in ("train", "trainval", "val") if name in splits]
    names = {same.get(image_id, image_id): image_id for name in others for image_id in splits[name]}
    ids = splits.get("test", [])
    pairs = {image_id: names[first] for image_id in ids if (first := same.get(image_id, image_id)) in names}
    pairs = {image_id: other for image_id, other in pairs.items() if image_id != other}
    if not pairs:
        return []
    remedy = "remove one of the two, or add -S data.voc.split.rule=fraction, which keeps copies together"
    image_id, other = next(iter(pairs.items()))
    return [
        ProblemsError(
            [f"{paths}: the test image '{one}' has the bytes of '{two}': {remedy}" for one, two in pairs.items()],
            f"{paths}: {len(pairs)} of the {len(ids)} test images are copies of images that train or choose the epoch, "
            f"such as '{image_id}' of '{other}': {remedy}",
        )
    ]


def without(splits: Splits, errors: list[ProblemsError], same: Same) -> Splits:
    """Return the splits; if there are errors of `tested_copies`, without these test images."""
    if not errors:
        return splits
    seen = {first for name in ("train", "trainval", "val") for first in kinds(splits.get(name, []), same)}
    return {**splits, "test": [image_id for image_id in splits["test"] if same.get(image_id, image_id) not in seen]}
