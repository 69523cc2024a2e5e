"""The splits of a user's own boxed images: those of the set, and the missing ones by a rule.

A set with one split or none gets the three splits train, val and test: tools call the one `train` or `default`, and the
name of a file may have `test` in it by chance. A set with some of the three keeps them, unless the rule is given: then
the missing ones are taken from the training images, and so are those that share images with the training images or,
as test images, with the validation. A group of images, such as the frames of a video, is never in two splits if the
rule is `pattern`.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from pydantic import model_validator

from src.errors import InputError
from src.ingest.boxed import Splits
from src.ingest.copies import kinds
from src.ingest.splitting import Shares, by_fraction, by_group, check_groups, groups_of
from src.params import Section, Seed

HELD_OUT = ("val", "test")


class Groups(Section):
    """The groups of each split: the parentheses of `regex` catch an image's group in its file name.

    Groups in neither list are for training. If a list is null, a random share of the groups is held out instead.
    """

    regex: str
    val: list[str | int] | None
    test: list[str | int] | None

    @model_validator(mode="after")
    def _usable(self) -> "Groups":
        check_groups(self.regex, self.val or (), self.test or (), r"(.+)_\d+")
        return self


class OwnSplit(Section):
    """The rule for missing splits; null makes splits only for a set that has one or none."""

    rule: Literal["fraction", "pattern"] | None
    seed: Seed
    fraction: Shares
    pattern: Groups


def completed(
    splits: Splits, ids: Sequence[str], split: OwnSplit, key: str, same: Mapping[str, str] | None = None
) -> tuple[Splits, str]:
    """Make the splits that are missing.

    Args:
        splits: the splits that the set has; if the rule is given, those that share images count as missing.
        ids: all images of the set.
        split: the rule.
        key: the key of `split` in params.yaml, for messages.
        same: the first image of the same bytes, for images that are copies; the rule `fraction` keeps copies together,
            and splits that have copies of the same image share it.

    Returns:
        the splits, and one phrase that says what was done; empty if nothing is missing.

    Raises:
        InputError: a new split would be empty, or the pattern does not fit the file names.
    """
    same = same or {}
    spoilt = _spoilt(splits, same) if split.rule else {}
    loose = sorted({image_id for listed in spoilt.values() for image_id in listed})  # may be in no other split
    splits = {name: listed for name, listed in splits.items() if name not in spoilt}
    alone = len(splits) < 2 and set(splits) <= {"train", "default", *HELD_OUT}
    if alone:
        splits, ids = {}, sorted({*next(iter(splits.values()), ids), *loose})
    missing = [name for name in HELD_OUT if name not in splits]
    if not missing:
        return splits, ""
    if split.rule is None and not alone:
        return splits, f"no {' and no '.join(missing)} (-S {key}.rule=fraction takes them from the training images)"
    rule = split.rule or "fraction"
    kept = {image_id for name in HELD_OUT for image_id in splits.get(name, [])}
    source = next((splits[name] for name in ("train", "trainval") if name in splits), ids)
    pool = [image_id for image_id in dict.fromkeys([*source, *loose]) if image_id not in kept]
    related = _related(pool, kept, split.pattern.regex, f"{key}.pattern") if rule == "pattern" else set()
    pool = [image_id for image_id in pool if image_id not in related]
    new = _held_out(sorted(pool), missing, rule, split, key, same)
    taken = {image_id for held_out in new.values() for image_id in held_out}
    new = {"train": [image_id for image_id in pool if image_id not in taken], **new}
    for name in new:
        if not new[name]:
            raise InputError(
                f"params.yaml: {key}.rule = {rule!r} leaves no image for {name} (there are {len(pool)} images to "
                f"divide): change {key}.{rule} or add images"
            )
    others = {
        name: [image_id for image_id in listed if name in HELD_OUT or image_id not in taken | related]
        for name, listed in splits.items()
        if name not in ("train", "trainval")
    }
    return {**others, **new}, _made(missing, spoilt, len(related), f"{key} (rule {rule}, seed {split.seed})")


def _spoilt(splits: Splits, same: Mapping[str, str]) -> Splits:
    """Return the held-out splits that share images: val with train, and test with train, val or trainval."""
    rivals = {"val": ("train",), "test": ("train", "val", "trainval")}
    return {
        name: splits[name]
        for name, others in rivals.items()
        if name in splits and any(kinds(splits[name], same) & kinds(splits.get(other, ()), same) for other in others)
    }


def _related(pool: Sequence[str], kept: Collection[str], regex: str, key: str) -> set[str]:
    """Return the images of the pool whose group is in the splits that the set has."""
    group_of = groups_of([*pool, *kept], regex, key)
    groups = {group_of[image_id] for image_id in kept}
    return {image_id for image_id in pool if group_of[image_id] in groups}


def _made(missing: Sequence[str], spoilt: Collection[str], related: int, rule: str) -> str:
    phrases = [f"{' and '.join(missing)} made by {rule}"]
    if spoilt:
        phrases.append(f"the set's own {' and '.join(spoilt)} had images of other splits")
    if related:
        phrases.append(f"{related} training images left out, whose groups the set has in val or test")
    return ", ".join(phrases)


def _held_out(
    pool: Sequence[str], missing: Sequence[str], rule: str, split: OwnSplit, key: str, same: Mapping[str, str]
) -> Splits:
    if rule == "pattern":
        return _by_groups(pool, missing, split, f"{key}.pattern")
    shares = {name: share for name, share in split.fraction.model_dump().items() if name in missing}
    chosen = by_fraction(dict.fromkeys(kinds(pool, same), 0), shares, split.seed)
    firsts = {name: set(ids) for name, ids in chosen.items()}
    return {name: [one for one in pool if same.get(one, one) in ids] for name, ids in firsts.items()}


def with_trainval(splits: Splits) -> Splits:
    """Return the splits with trainval, the union of train and val (or train alone), if they lack it."""
    if "train" not in splits or "trainval" in splits:
        return splits
    return {**splits, "trainval": list(dict.fromkeys(splits["train"] + splits.get("val", [])))}


def limited(splits: Splits, limit: int | None) -> Splits:
    """Return the first `limit` ids of each split; trainval is then the union of the limited train and val."""
    first = {name: ids[:limit] for name, ids in splits.items()}
    if limit is not None and "train" in splits and "val" in splits:
        first["trainval"] = list(dict.fromkeys(first["train"] + first["val"]))
    return first


def _by_groups(pool: Sequence[str], missing: Sequence[str], split: OwnSplit, key: str) -> Splits:
    """Hold out whole groups: those that are listed, or a random share of the groups."""
    given = {name: getattr(split.pattern, name) for name in missing}
    listed = {name: [str(group) for group in groups] for name, groups in given.items() if groups is not None}
    chosen = by_group(dict.fromkeys(pool, 0), split.pattern.regex, listed, key)
    group_of = groups_of(pool, split.pattern.regex, key)
    free = {group for group in group_of.values() if all(group not in groups for groups in listed.values())}
    shares = {name: share for name, share in split.fraction.model_dump().items() if given.get(name, 0) is None}
    for name, groups in by_fraction(dict.fromkeys(free, 0), shares, split.seed).items():
        chosen[name] = [image_id for image_id in pool if group_of[image_id] in groups]
    return chosen
