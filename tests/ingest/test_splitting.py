import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from src.errors import InputError
from src.ingest.splitting import Split, ValSplit, by_fraction, by_group, cut, every_nth, limited

KEY = "data.gesture.split"
SECTION = {
    "rule": "fraction",
    "seed": 0,
    "fraction": {"val": 0.2, "test": 0.3},
    "every_nth": 5,
    "pattern": {"regex": r"hand(\d+)_", "val": ["2"], "test": ["3"]},
}


def section(**changes: object) -> Split:
    return Split.model_validate({**SECTION, **changes})


def hands(people: int = 3, per_person: int = 4, classes: int = 3) -> dict[str, int]:
    return {
        f"{label:03d}-x/hand{person}_{k}.jpg": label
        for label in range(classes)
        for person in range(1, people + 1)
        for k in range(per_person)
    }


labelled = st.dictionaries(st.text("abc", min_size=1, max_size=6), st.integers(0, 4), min_size=30, max_size=80)
shares = st.floats(0.05, 0.45)


@given(labelled, st.sampled_from(["fraction", "every_nth"]), shares, shares, st.integers(3, 9), st.randoms())
def test_three_sets_without_an_image_in_common_whatever_the_order(labels, rule, val, test, n, shuffle) -> None:
    split = section(rule=rule, fraction={"val": val, "test": test}, every_nth=n)
    try:
        splits = cut(labels, split, KEY)
    except InputError:  # a small share of small classes may be empty; another test is about that
        return
    assert list(splits) == ["train", "val", "test"]
    every = [image_id for ids in splits.values() for image_id in ids]
    assert sorted(every) == sorted(labels)
    assert all(ids and ids == sorted(ids) for ids in splits.values())
    listed = list(labels.items())
    shuffle.shuffle(listed)
    assert cut(dict(listed), split, KEY) == splits


@pytest.mark.parametrize("rule", ["fraction", "every_nth", "pattern"])
def test_a_folder_listed_in_another_order_is_split_alike(rule) -> None:
    listed = list(hands().items())
    random.Random(0).shuffle(listed)
    assert list(dict(listed)) != list(hands())
    assert cut(dict(listed), section(rule=rule), KEY) == cut(hands(), section(rule=rule), KEY)


@given(labelled, shares, shares, st.integers(0, 9))
def test_a_fraction_is_that_of_each_class(labels, val, test, seed) -> None:
    drawn = by_fraction(labels, {"val": val, "test": test}, seed)
    for label, count in Counter(labels.values()).items():
        taken = {name: sum(labels[image_id] == label for image_id in ids) for name, ids in drawn.items()}
        assert sum(taken.values()) < count
        if sum(taken.values()) < count - 1:
            assert abs(taken["val"] - val * count) <= 0.5
            assert abs(taken["test"] - test * count) <= 0.5


def test_a_fraction_of_another_seed_is_another_one() -> None:
    labels = hands(per_person=20)
    drawn = [by_fraction(labels, {"val": 0.5}, seed)["val"] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_what_is_drawn_of_a_class_does_not_depend_on_the_others() -> None:
    few, many = hands(classes=1), hands(classes=3)
    drawn = by_fraction(many, {"val": 0.5}, 0)["val"]
    assert [image_id for image_id in drawn if image_id in few] == by_fraction(few, {"val": 0.5}, 0)["val"]


def test_every_nth_is_the_tutorials_rule_on_a_sorted_list() -> None:
    labels = dict.fromkeys([f"{k:02d}" for k in range(12)], 0)
    splits = cut(labels, section(rule="every_nth"), KEY)
    assert splits["val"] == ["00", "05", "10"]
    assert splits["test"] == ["01", "06", "11"]
    assert every_nth(labels, 6, ("val",)) == {"val": ["00", "06"]}


def test_no_person_is_in_two_sets() -> None:
    splits = cut(hands(people=5), section(rule="pattern"), KEY)
    people = {name: {image_id.split("hand")[1][0] for image_id in ids} for name, ids in splits.items()}
    assert people == {"train": {"1", "4", "5"}, "val": {"2"}, "test": {"3"}}


def test_the_pattern_is_searched_in_the_file_name_and_not_in_its_folder() -> None:
    labels = {"hand3_wave/hand1_0.jpg": 0, "hand3_wave/hand2_0.jpg": 0, "hand1_fist/hand3_0.jpg": 0}
    assert cut(labels, section(rule="pattern"), KEY) == {
        name: [image_id] for name, image_id in zip(["train", "val", "test"], labels, strict=True)
    }


def test_groups_may_be_numbers_as_the_command_line_gives_them() -> None:
    pattern = {**SECTION["pattern"], "val": [2], "test": [3]}  # type: ignore[dict-item]
    assert cut(hands(), section(rule="pattern", pattern=pattern), KEY) == cut(hands(), section(rule="pattern"), KEY)


def test_without_a_group_for_validation_a_share_of_the_training_groups_validates() -> None:
    pattern = {**SECTION["pattern"], "val": None}  # type: ignore[dict-item]
    splits = cut(hands(per_person=10), section(rule="pattern", pattern=pattern), KEY)
    assert {image_id.split("hand")[1][0] for image_id in splits["test"]} == {"3"}
    assert len(splits["test"]) == 30
    assert len(splits["val"]) == 0.2 * 60
    assert not any("hand3" in image_id for image_id in splits["train"] + splits["val"])


@pytest.mark.parametrize(
    ("rule", "changes", "message"),
    [
        (
            "fraction",
            {"fraction": {"val": 0.01, "test": 0.3}},
            r"split\.rule = 'fraction' leaves no image for val \(the set has 36 images\)",
        ),
        ("pattern", {"pattern": {"regex": r"hand(\d)", "val": [2], "test": [1, 3]}}, "leaves no image for train"),
        ("pattern", {"pattern": {"regex": r"hand(\d)", "val": [], "test": [1]}}, "leaves no image for val"),
        (
            "pattern",
            {"pattern": {"regex": r"hand(\d)", "val": [2], "test": [7]}},
            "test names group '7'.*choose from 1, 2, 3",
        ),
        ("pattern", {"pattern": {"regex": r"foot(\d)", "val": [2], "test": [1]}}, r"000-x/hand1_0\.jpg: correct it"),
        ("pattern", {"pattern": {"regex": r"hand|x(\d)", "val": [2], "test": [1]}}, "does not match the file name"),
    ],
)
def test_what_comes_out_empty_or_does_not_fit_is_an_error_that_names_the_key(rule, changes, message) -> None:
    with pytest.raises(InputError, match=message) as caught:
        cut(hands(), section(rule=rule, **changes), KEY)
    assert KEY in str(caught.value)
    assert "\n" not in str(caught.value)


def test_too_few_images_for_three_sets_are_an_error() -> None:
    for labels in ({}, {"a": 0}, {"a": 0, "b": 0}):
        for rule in ("fraction", "every_nth"):
            with pytest.raises(InputError, match="leaves no image for"):
                cut(labels, section(rule=rule), KEY)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fraction": {"val": 0.5, "test": 0.5}}, "leave nothing to train on: lower one"),
        ({"fraction": {"val": 0.0, "test": 0.5}}, "greater than 0"),
        ({"every_nth": 2}, "greater than or equal to 3"),
        ({"rule": "random"}, "'fraction', 'every_nth' or 'pattern'"),
        ({"pattern": {"regex": "hand(", "val": [], "test": []}}, "is not a regular expression.*correct it"),
        ({"pattern": {"regex": "hand", "val": [], "test": []}}, "one pair of parentheses"),
        ({"pattern": {"regex": "(h)(a)", "val": [], "test": []}}, "one pair of parentheses"),
        ({"pattern": {"regex": "(h)", "val": ["1"], "test": [1]}}, "group '1' is in val and in test"),
        ({"n": 5}, "Extra inputs"),
    ],
)
def test_a_wrong_parameter_is_refused(changes, message) -> None:
    with pytest.raises(ValidationError, match=message):
        section(**changes)


def test_validation_alone_is_cut_from_a_set_that_has_its_test_images() -> None:
    labels = hands(per_person=20)
    rules = {"rule": "fraction", "seed": 0, "fraction": {"val": 0.1}, "every_nth": 2}
    splits = cut(labels, ValSplit.model_validate(rules), KEY)
    assert {name: len(ids) for name, ids in splits.items()} == {"train": 162, "val": 18}
    splits = cut(labels, ValSplit.model_validate({**rules, "rule": "every_nth"}), KEY)
    assert {name: len(ids) for name, ids in splits.items()} == {"train": 90, "val": 90}


def test_groups_are_taken_whole() -> None:
    groups = by_group(hands(), r"(hand\d)", {"a": ["hand1", "hand2"]}, "key")
    assert len(groups["a"]) == 24


@given(labelled, st.integers(5, 100), st.integers(5, 100), st.integers(0, 3))
def test_a_limit_takes_as_large_a_share_of_each_class_and_smaller_ones_lie_in_larger_ones(
    labels, one, other, seed
) -> None:
    small, large = (limited(list(labels), labels, limit, seed, KEY) for limit in sorted((one, other)))
    assert len(small) == min(one, other, len(labels))
    assert set(small) <= set(large)
    assert small == sorted(small)
    classes, drawn = Counter(labels.values()), Counter(labels[image_id] for image_id in small)
    for label, count in classes.items():
        assert drawn[label] >= 1
        assert abs(drawn[label] - len(small) * count / len(labels)) <= len(classes)
    assert limited(list(labels), labels, None, seed, KEY) == sorted(labels)


def test_a_limit_keeps_the_classes_equal_where_they_are() -> None:
    labels = hands(per_person=20)
    drawn = Counter(labels[image_id] for image_id in limited(list(labels), labels, 30, 0, KEY))
    assert set(drawn.values()) == {10}


def test_a_limit_below_the_number_of_classes_is_an_error() -> None:
    with pytest.raises(InputError, match=r"data\.gesture\.limit = 2: there are 3 classes.*set it to 3 or more"):
        limited(list(hands()), hands(), 2, 0, "data.gesture.limit")


def test_a_class_without_a_training_image_is_an_error_that_names_one_of_its_images() -> None:
    labels = {**hands(), "003-x/hand3_0.jpg": 3}
    with pytest.raises(InputError, match=r"no training image for the class of 003-x/hand3_0\.jpg"):
        cut(labels, section(rule="pattern"), KEY)
