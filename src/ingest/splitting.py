r"""Which images of a labelled set are for training, for validation and for testing.

Every rule works on the sorted ids, so that the answer is the same in whatever order a folder is listed, and gives sets
without an image in common. An id is the path of an image in its data set, as in `002-fist/hand1_0007.jpg`.
"""

import re
from collections.abc import Mapping, Sequence
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
    """The share of each class that validates."""

    val: Share


class Shares(ValShare):
    """The shares of each class that validate and test; the rest trains."""

    test: Share

    @model_validator(mode="after")
    def _leave_some(self) -> "Shares":
        if self.val + self.test >= 1:
            raise ValueError(f"val {self.val} and test {self.test} leave nothing to train on: lower one of them")
        return self


class Pattern(Section):
    """An image's group is what the parentheses of `regex` catch in its file name; a group that is not named trains."""

    regex: str
    val: list[str | int] | None
    test: list[str | int]

    @model_validator(mode="after")
    def _usable(self) -> "Pattern":
        try:
            groups = re.compile(self.regex).groups
        except re.error as error:
            raise ValueError(f"regex = {self.regex!r} is no regular expression ({error}): correct it") from None
        if groups != 1:
            raise ValueError(rf"regex = {self.regex!r} must have one pair of parentheses, as hand(\d+)_ has")
        if both := sorted({*map(str, self.val or ())} & {*map(str, self.test)}):
            raise ValueError(f"group {both[0]!r} stands in val and in test: take it out of one")
        return self


class Split(Section):
    """How a set is cut into three; rules that are not in use keep their numbers."""

    rule: Literal["fraction", "every_nth", "pattern"]
    seed: Seed
    fraction: Shares
    every_nth: Annotated[int, Field(ge=3)]
    pattern: Pattern


class ValSplit(Section):
    """How validation images are cut from the training images of a set that has its test images already."""

    rule: Literal["fraction", "every_nth"]
    seed: Seed
    fraction: ValShare
    every_nth: Annotated[int, Field(ge=2)]


def cut(labels: Labels, split: Split | ValSplit, key: str) -> Splits:
    """The sets that `split` makes of images: train and val, and test where it is a `Split`.

    Args:
        labels: of all the images.
        split: the rule.
        key: of `split` in params.yaml, for the error messages.

    Raises:
        InputError: a set comes out empty, a class has no training image, or the pattern does not fit the file names.
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
                f"params.yaml: {key}.rule = {split.rule!r} leaves no image for {name}, of {len(labels)} images: "
                f"change {key}.{split.rule}, or give more images"
            )
    learnt = {labels[image_id] for image_id in splits["train"]}
    for image_id in sorted(labels):
        if labels[image_id] not in learnt:
            raise InputError(
                f"params.yaml: {key}.rule = {split.rule!r} leaves no training image of the class that {image_id} has: "
                f"change {key}.{split.rule}, or give more images of that class"
            )
    return splits


def by_fraction(labels: Labels, shares: Mapping[str, float], seed: int) -> Splits:
    """A share of each class for each name, drawn at random: the nearest whole number, but never the whole class.

    What is drawn of one class does not depend on the images of the others.
    """
    drawn: Splits = {name: [] for name in shares}
    for order in _shuffled(labels, labels, seed):
        rest = order[1:]  # the first is left for training, however few there are
        for name, share in shares.items():
            count = int(share * len(order) + 0.5)
            drawn[name] += rest[:count]
            rest = rest[count:]
    return {name: sorted(ids) for name, ids in drawn.items()}


def every_nth(labels: Labels, n: int, names: Sequence[str]) -> Splits:
    """Of each `n` images in the sorted list the first is for the first name, the second for the second.

    The tutorial's rule, with n = 5 and validation alone, on a list that was not sorted.
    """
    return {name: sorted(labels)[first::n] for first, name in enumerate(names)}


def by_group(labels: Labels, regex: str, groups: Mapping[str, Sequence[str]], key: str) -> Splits:
    """All images of the groups that a name lists; `regex` is searched in the file name, without its folder.

    Raises:
        InputError: a file name does not match, or no file has a group that is listed.
    """
    group_of = {}
    for image_id in sorted(labels):
        match = re.search(regex, PurePosixPath(image_id).name)
        if match is None or match[1] is None:
            raise InputError(
                f"params.yaml: {key}.regex = {regex!r} does not match the file name of {image_id}: correct it, or "
                "rename the file"
            )
        group_of[image_id] = match[1]
    known = sorted(set(group_of.values()))
    for name, wanted in groups.items():
        for group in wanted:
            if group not in known:
                raise InputError(
                    f"params.yaml: {key}.{name} names group {group!r}, which no file name has: there are "
                    f"{', '.join(known)}"
                )
    return {
        name: [image_id for image_id in group_of if group_of[image_id] in wanted] for name, wanted in groups.items()
    }


def _by_pattern(labels: Labels, split: Split, key: str) -> Splits:
    """`by_group`; where no groups are named for val, a share of what is left for training validates."""
    pattern = split.pattern
    groups = {"val": [str(group) for group in pattern.val or ()], "test": [str(group) for group in pattern.test]}
    held_out = by_group(labels, pattern.regex, groups, key)
    if pattern.val is None:
        test = set(held_out["test"])
        rest = {image_id: label for image_id, label in labels.items() if image_id not in test}
        held_out |= by_fraction(rest, {"val": split.fraction.val}, split.seed)
    return held_out


def limited(ids: Sequence[str], labels: Labels, limit: int | None, seed: int, key: str) -> list[str]:
    """At most `limit` of some images, sorted: one of each class, then of each as large a share as of all, at random.

    The images of a smaller limit are among those of a larger one. None: all. `key` is that of the limit in params.yaml.
    """
    if limit is None:
        return sorted(ids)
    ranked = []
    for order in _shuffled(ids, labels, seed):
        ranked += [(place > 0, (place + 0.5) / len(order), image_id) for place, image_id in enumerate(order)]
    classes = len({labels[image_id] for image_id in ids})
    if limit < classes:
        raise InputError(
            f"params.yaml: {key} = {limit}: there are {classes} classes, and each needs an image: raise it"
        )
    return sorted(image_id for *_, image_id in sorted(ranked)[:limit])


def _shuffled(ids: Sequence[str] | Labels, labels: Labels, seed: int) -> list[list[str]]:
    """The images of each class in a random order of its own."""
    by_class: dict[int, list[str]] = {}
    for image_id in sorted(ids):
        by_class.setdefault(labels[image_id], []).append(image_id)
    return [
        [members[place] for place in np.random.default_rng([seed, label]).permutation(len(members))]
        for label, members in sorted(by_class.items())
    ]
