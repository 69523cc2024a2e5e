"""Compare the splits that `params.yaml` names with those of a data set with boxes.

Figures of test images that train say nothing about new photos, so such splits are refused. A class without an object to
learn from would stop the SVMs, hours after the data were read: after the proposals, the fine-tuning and the features.
Counting takes no time, so the stage `prepare` does it.
"""

from collections.abc import Iterator

import numpy as np

from src.errors import InputError
from src.files.prepared import DataSet
from src.ingest.own_splits import HELD_OUT
from src.splits import Splits

TRAINING = ("finetune", "detectors", "train")  # keys of `splits` whose images teach
EPOCHS = ("finetune", "detectors")  # of these, the keys whose trainings may choose their epoch by `validation`
EXTRA = "train_extra"  # train, and images that the sample draws for the networks alone
FEW_IN_ALL = 50  # images with which a detector can hardly be trained and measured
FEW = 30  # images; with fewer, one image moves a share by more than 0.03


def with_extra(wanted: Splits, data: DataSet) -> tuple[DataSet, list[str]]:
    """Add `train_extra`, if it is wanted and lacks: train, as only the sample has more images for the networks alone.

    So the splits of params.yaml fit any set with train, val and test.

    Returns:
        the data set, and a sentence that says so, if it was added.
    """
    keys = _keys(wanted, *EPOCHS).get(EXTRA, [])
    if not keys or EXTRA in data.splits or "train" not in data.splits:
        return data, []
    note = f"{_named(keys, EXTRA)}: the data have no extra images, so it is train"
    return data._replace(splits={**data.splits, EXTRA: data.splits["train"]}), [note]


def check_splits(wanted: Splits, data: DataSet) -> list[str]:
    """Refuse splits that cannot be used, and return a sentence for each thing that a user should know.

    Args:
        wanted: the section `splits`.
        data: the data set; `difficult` objects count as none, because nothing is trained or measured with them.

    Raises:
        InputError: a split has no image; or test images, or those that choose the epoch, train too; or a split that
            trains lacks a class. The message names all such splits.
    """
    if missing := [_named([key], name) for key, name in wanted.model_dump().items() if _absent(name, data)]:
        known = ", ".join(f"{split} ({len(ids)} images)" for split, ids in data.splits.items())
        remedy = " ".join(_flags(wanted, data))
        raise InputError(f"params.yaml: {'; '.join(missing)}: the data have no such images, only {known}: add {remedy}")
    if shared := [*_shared(wanted, data, "test", TRAINING), *_shared(wanted, data, "validation", EPOCHS)]:
        raise InputError(
            f"params.yaml: {'; '.join(shared)}: choose other splits, correct the lists of the set, or add "
            "-S data.voc.split.rule=fraction, which takes other images from train"
        )
    if lacking := {split: names for split in _keys(wanted, *TRAINING) if (names := _without(split, data))}:
        raise InputError(_refusal(lacking, wanted, data))
    chosen = [
        f"{words}, so figures of the test are too good" for words in _shared(wanted, data, "test", ("validation",))
    ]
    return [*chosen, *_unmeasured(wanted, data), *_small(wanted, data), *_few(data)]


def _few(data: DataSet) -> Iterator[str]:
    if len(data.images) < FEW_IN_ALL:
        yield f"{len(data.images)} images are few to train and to measure a detector: label {FEW_IN_ALL} or more"


def _absent(name: str | None, data: DataSet) -> bool:
    return name is not None and not data.splits.get(name)


def _flags(wanted: Splits, data: DataSet) -> list[str]:
    """Return the flags that name a split which the data have or, if there is none, make one from the others."""
    flags = []
    has = [split for split in data.splits if data.splits[split]]
    for key, name in wanted.model_dump().items():
        if _absent(name, data):
            teaches = "train" if key in EPOCHS and wanted.validation == "val" else "trainval"
            usual = {"test": "test", "validation": "val"}.get(key, teaches)
            known = usual if usual in has else min(has, default="train")
            make = usual in HELD_OUT and usual not in has
            flags.append("-S data.voc.split.rule=fraction" if make else f"-S splits.{key}={known}")
    return list(dict.fromkeys(flags))


def _keys(wanted: Splits, *keys: str) -> dict[str, list[str]]:
    """Return the keys of `splits` by the split that they name."""
    found: dict[str, list[str]] = {}
    for key in keys:
        if (name := getattr(wanted, key)) is not None:
            found.setdefault(name, []).append(key)
    return found


def _named(keys: list[str], split: str) -> str:
    return f"{' and '.join(f'splits.{key}' for key in keys)} = {split!r}"


def _shared(wanted: Splits, data: DataSet, key: str, others: tuple[str, ...]) -> Iterator[str]:
    """Yield words for each of the splits of `others` that has images of the split of `key` too."""
    name = getattr(wanted, key)
    for split, keys in _keys(wanted, *others).items() if name is not None else ():
        listed = data.splits[name]
        if both := sorted(set(listed) & set(data.splits[split])):
            yield (
                f"{len(both)} of the {len(listed)} images of {_named([key], name)} are also in {_named(keys, split)}, "
                f"such as '{both[0]}'"
            )


def _without(split: str, data: DataSet) -> list[str]:
    """Return the classes without an object in a split, difficult ones aside."""
    counts = np.zeros(len(data.classes), int)
    for image_id in data.splits[split]:
        entry = data.images[image_id]
        for label, difficult in zip(entry["labels"], entry["difficult"], strict=True):
            counts[label - 1] += not difficult
    return [name for name, count in zip(data.classes, counts, strict=True) if not count]


def _refusal(lacking: dict[str, list[str]], wanted: Splits, data: DataSet) -> str:
    keys, absent = _keys(wanted, *TRAINING), {name for names in lacking.values() for name in names}
    parts = [f"{_named(keys[split], split)} has no object of {', '.join(names)}" for split, names in lacking.items()]
    kept = [name for name in data.classes if name not in absent]
    classes = f"set data.voc.classes to [{', '.join(kept)}], " if kept else ""
    return (
        f"params.yaml: {'; '.join(parts)} (difficult ones do not count), and nothing can learn these classes: {classes}"
        "choose splits with objects of every class, or raise data.voc.limit"
    )


def _unmeasured(wanted: Splits, data: DataSet) -> Iterator[str]:
    if names := _without(wanted.test, data):
        yield (
            f"{_named(['test'], wanted.test)} has no object of {', '.join(names)} that is not difficult: the average "
            "precision of such a class is undefined, and the mean is that of the others"
        )


def _small(wanted: Splits, data: DataSet) -> Iterator[str]:
    splits = _keys(wanted, *type(wanted).model_fields)
    small = {split: keys for split, keys in splits.items() if len(data.splits[split]) < FEW}
    if small:
        named = "; ".join(f"{_named(keys, split)} ({len(data.splits[split])})" for split, keys in small.items())
        yield f"fewer than {FEW} images, so that figures depend on chance: {named}"
