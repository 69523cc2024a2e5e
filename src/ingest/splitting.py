"""The division of a labelled set into images for training, validation and testing.

Every rule works on the sorted ids, so the result does not depend on the order in which a folder is listed. No two
splits have an image in common. An id is the path of an image in its data set, such as `002-fist/hand1_0007.jpg`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from src.errors import InputError
from src.params import Section, Seed

Labels = Mapping[str, int]  # image id -> class
Splits = dict[str, list[str]]  # name of a split -> image ids, sorted
Share = Annotated[float, Field(gt=0, lt=1)]


class ValShare(Section):
    """The share of each class that is held out for validation."""

    val: Share


class Shares(ValShare):
    """The shares of each class that are held out for validation and testing; the rest is for training."""

    test: Share

    @model_validator(mode="after")
    def _leave_some(self) -> "Shares":
        if self.val + self.test >= 1:
            raise ValueError(f"val = {self.val} and test = {self.test} leave nothing to train on: lower one of them")
        return self


class Pattern(Section):
    """The groups, such as people, of each split: the parentheses of `regex` catch an image's group in its file name.

    Groups in neither list are for training. If `val` is null, a random share of their images is held out instead.
    """

    regex: str
    val: list[str | int] | None
    test: list[str | int]

    @model_validator(mode="after")
    def _usable(self) -> "Pattern":
        check_groups(self.regex, self.val or (), self.test, r"hand(\d+)_")
        return self


def check_groups(regex: str, val: Iterable[str | int], test: Iterable[str | int], example: str) -> None:
    """Refuse a pattern without one pair of parentheses, and a group that is listed twice; both are a `ValueError`."""
    try:
        groups = re.compile(regex).groups
    except re.error as error:
        raise ValueError(f"regex = {regex!r} is not a regular expression ({error}): correct it") from None
    if groups != 1:
        raise ValueError(f"regex = {regex!r} must have one pair of parentheses, such as in {example}")
    if both := sorted({*map(str, val)} & {*map(str, test)}):
        raise ValueError(f"group {both[0]!r} is in val and in test: remove it from one of them")


class Split(Section):
    """The rule that divides a set into three splits; the keys of unused rules may stay."""

    rule: Literal["fraction", "every_nth", "pattern"]
    seed: Seed
    fraction: Shares
    every_nth: Annotated[int, Field(ge=3)]
    pattern: Pattern


class ValSplit(Section):
    """The rule that holds out validation images of a set that already has its test images."""

    rule: Literal["fraction", "every_nth"]
    seed: Seed
    fraction: ValShare
    every_nth: Annotated[int, Field(ge=2)]


def cut(labels: Labels, split: Split | ValSplit, key: str) -> Splits:
    """Divide images into train and val, and also test if `split` is a `Split`.

    Args:
        labels: the class of every image.
        split: the rule.
        key: the key of `split` in params.yaml, for the error messages.

    Raises:
        InputError: a split is empty, a class has no training image, or the pattern does not fit the file names.
    """
    names = ("val", "test") if isinstance(split, Split) else ("val",)
    if split.rule == "fraction":
        held_out = by_fraction(labels, split.fraction.model_dump(), split.seed)
    elif split.rule == "every_nth":
        held_out = every_nth(labels, split.every_nth, names)
    else:
        held_out = _by_pattern(labels, split, f"{key}.pattern")
    taken = {image_id for ids in held_out.values() for image_id in ids}
    splits = {"train": sorted(set(labels) - taken), **{name: held_out[name] for name in names}}
    for name, ids in splits.items():
        if not ids:
            raise InputError(
                f"params.yaml: {key}.rule = {split.rule!r} leaves no image for {name} (the set has {len(labels)} "
                f"images): change {key}.{split.rule} or add images"
            )
    learnt = {labels[image_id] for image_id in splits["train"]}
    for image_id in sorted(labels):
        if labels[image_id] not in learnt:
            raise InputError(
                f"params.yaml: {key}.rule = {split.rule!r} leaves no training image for the class of {image_id}: "
                f"change {key}.{split.rule} or add images of that class"
            )
    return splits


def by_fraction(labels: Labels, shares: Mapping[str, float], seed: int) -> Splits:
    """Choose a random share of each class for each name: the nearest whole number, but never the whole class.

    The choice in one class does not depend on the images of the other classes.
    """
    chosen: Splits = {name: [] for name in shares}
    for order in _shuffled(labels, labels, seed):
        rest = order[1:]  # the first image is always left for training
        for name, share in shares.items():
            count = int(share * len(order) + 0.5)
            chosen[name] += rest[:count]
            rest = rest[count:]
    return {name: sorted(ids) for name, ids in chosen.items()}


def every_nth(labels: Labels, n: int, names: Sequence[str]) -> Splits:
    """Choose every n-th image of the sorted list for each name, beginning at the first image for the first name.

    The second name begins at the second image. The tutorial uses this rule with n = 5, for validation only, on a list
    that is not sorted.
    """
    return {name: sorted(labels)[first::n] for first, name in enumerate(names)}


def by_group(labels: Labels, regex: str, groups: Mapping[str, Sequence[str]], key: str) -> Splits:
    """Choose all images of the groups of each name; `regex` is searched in the file name, without its folder.

    Raises:
        InputError: a file name does not match, or a listed group is in no file name.
    """
    group_of = groups_of(labels, regex, key)
    known = sorted(set(group_of.values()))
    for name, wanted in groups.items():
        for group in wanted:
            if group not in known:
                raise InputError(
                    f"params.yaml: {key}.{name} names group {group!r}, which no file name has: choose from "
                    f"{', '.join(known)}"
                )
    return {
        name: [image_id for image_id in group_of if group_of[image_id] in wanted] for name, wanted in groups.items()
    }


def groups_of(ids: Iterable[str], regex: str, key: str) -> dict[str, str]:
    """Return the group of each image, in sorted order: the text that `regex` catches in the file name, without folder.

    Raises:
        InputError: a file name does not match.
    """
    group_of = {}
    for image_id in sorted(ids):
        match = re.search(regex, PurePosixPath(image_id).name)
        if match is None or match[1] is None:
            raise InputError(
                f"params.yaml: {key}.regex = {regex!r} does not match the file name of {image_id}: correct it or "
                "rename the file"
            )
        group_of[image_id] = match[1]
    return group_of


def _by_pattern(labels: Labels, split: Split, key: str) -> Splits:
    """Divide by group; if no groups are named for val, hold out a random share of the remaining images for it."""
    pattern = split.pattern
    groups = {"val": [str(group) for group in pattern.val or ()], "test": [str(group) for group in pattern.test]}
    held_out = by_group(labels, pattern.regex, groups, key)
    if pattern.val is None:
        test = set(held_out["test"])
        rest = {image_id: label for image_id, label in labels.items() if image_id not in test}
        held_out |= by_fraction(rest, {"val": split.fraction.val}, split.seed)
    return held_out


def limited(ids: Sequence[str], labels: Labels, limit: int | None, seed: int, key: str) -> list[str]:
    """Choose at most `limit` images at random: at least one per class, and about the same share of every class.

    The images of a smaller limit are also images of every larger limit. None chooses all images.

    Args:
        ids: the images to choose from.
        labels: the class of every image.
        limit: largest number of images.
        seed: seed of the choice.
        key: the key of the limit in params.yaml, for the error message.

    Returns:
        the ids of the chosen images, sorted.

    Raises:
        InputError: the limit is smaller than the number of classes.
    """
    if limit is None:
        return sorted(ids)
    ranked = []
    for order in _shuffled(ids, labels, seed):
        ranked += [(place > 0, (place + 0.5) / len(order), image_id) for place, image_id in enumerate(order)]
    classes = len({labels[image_id] for image_id in ids})
    if limit < classes:
        raise InputError(
            f"params.yaml: {key} = {limit}: there are {classes} classes, and each needs an image: set it to {classes} "
            "or more"
        )
    return sorted(image_id for *_, image_id in sorted(ranked)[:limit])


def _shuffled(ids: Sequence[str] | Labels, labels: Labels, seed: int) -> list[list[str]]:
    """Return the images of each class in a random order, which does not depend on the other classes."""
    by_class: dict[int, list[str]] = {}
    for image_id in sorted(ids):
        by_class.setdefault(labels[image_id], []).append(image_id)
    return [
        [members[place] for place in np.random.default_rng([seed, label]).permutation(len(members))]
        for label, members in sorted(by_class.items())
    ]
