import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from src.errors import InputError
from src.ingest.own_splits import OwnSplit, completed, limited, with_trainval

SPLIT = {
    "rule": None,
    "seed": 0,
    "fraction": {"val": 0.15, "test": 0.2},
    "pattern": {"regex": r"(.+)_\d+", "val": None, "test": None},
}
IDS = [f"day{day}/film{film}_{frame}" for day in (1, 2) for film in range(10) for frame in range(3)]


def make(splits: dict[str, list[str]], ids: list[str] = IDS, **changes: object) -> tuple[dict[str, list[str]], str]:
    return completed(splits, ids, OwnSplit.model_validate({**SPLIT, **changes}), "data.voc.split")


@pytest.mark.parametrize("splits", [{}, {"train": IDS}, {"default": IDS}, {"test": IDS}])
def test_a_set_with_one_split_or_none_gets_three(splits) -> None:
    made, note = make(splits)
    assert {name: len(ids) for name, ids in made.items()} == {"train": 39, "val": 9, "test": 12}
    assert sorted(image_id for ids in made.values() for image_id in ids) == sorted(IDS)
    assert note == "val and test made by data.voc.split (rule fraction, seed 0)"
    assert make(splits) == (made, note)
    assert make(splits, seed=1)[0] != made


def test_the_splits_of_a_set_stay_and_the_flag_is_named() -> None:
    splits = {"train": IDS[:40], "val": IDS[40:]}
    assert make(splits) == (
        splits,
        "no test (-S data.voc.split.rule=fraction takes them from the training images)",
    )
    whole = {"train": IDS[:40], "val": IDS[40:50], "test": IDS[50:]}
    assert make(whole, rule="fraction") == (whole, "")
    odd = {"first": IDS[:9], "second": IDS[9:]}
    assert make(odd)[0] == odd


def test_missing_splits_come_from_the_training_images_if_the_rule_is_given() -> None:
    made, note = make({"train": IDS[:40], "val": IDS[40:]}, rule="fraction")
    assert made["val"] == IDS[40:]
    assert (len(made["train"]), len(made["test"])) == (32, 8)
    assert set(made["train"]) | set(made["test"]) == set(IDS[:40])
    assert made["train"] == [image_id for image_id in IDS[:40] if image_id in made["train"]]
    assert note.startswith("test made by")


def test_trainval_gives_images_away_and_is_made_anew() -> None:
    made, _ = make({"trainval": IDS[:40], "test": IDS[40:]}, rule="fraction")
    assert set(made) == {"test", "train", "val"}
    assert set(with_trainval(made)["trainval"]) == set(IDS[:40])
    made, _ = make({"trainval": IDS}, rule="fraction")
    assert not set(with_trainval(made)["trainval"]) & set(made["test"])


def test_a_new_test_image_leaves_every_other_split() -> None:
    made, _ = make({"train": IDS[:30], "val": IDS[30:40], "train_extra": IDS}, rule="fraction")
    assert len(made["test"]) == 6
    assert set(made["train_extra"]) == set(IDS) - set(made["test"])


def test_a_group_is_never_in_two_splits() -> None:
    ids = [image_id.replace("day", "") for image_id in IDS]
    made, _ = make({}, ids, rule="pattern")
    films = {name: {image_id.partition("_")[0].partition("/")[2] for image_id in made[name]} for name in made}
    assert all(films.values())
    assert len(set.union(*films.values())) == sum(map(len, films.values())) == 10
    made, _ = make({}, ids, rule="pattern", pattern={"regex": r"film(\d+)_", "val": None, "test": [3, "4"]})
    assert {image_id.partition("/")[2] for image_id in made["test"]} == {
        f"film{k}_{f}" for k in (3, 4) for f in (0, 1, 2)
    }
    assert made["val"]


def test_splits_with_images_of_others_stay_without_the_rule_and_are_made_anew_with_it() -> None:
    one_folder = {"train": IDS, "val": IDS, "test": IDS}
    assert make(one_folder)[0] == one_folder
    made, note = make(one_folder, rule="fraction")
    assert made == make({})[0]
    assert note.endswith("(rule fraction, seed 0), the set's own val and test had images of other splits")
    made, _ = make({"train": IDS[:40], "val": IDS[40:], "test": IDS[40:]}, rule="fraction")
    assert made["val"] == IDS[40:]
    assert set(made["test"]) < set(IDS[:40])
    made, _ = make({"trainval": IDS[:50], "val": IDS[:9], "test": IDS[49:]}, rule="fraction")
    assert not set(with_trainval(made)["trainval"]) & set(made["test"])
    assert sorted(image_id for name in ("train", "val", "test") for image_id in made[name]) == sorted(IDS)


def test_a_group_of_the_sets_own_test_images_is_in_no_other_split() -> None:
    splits = {"train": ["a_1", "b_1", "b_2", "c_1", "d_1"], "test": ["a_2"], "all": ["a_1", "a_2", "b_1"]}
    ids = sorted(set(sum(splits.values(), [])))
    for seed in range(9):
        made, note = make(splits, ids, rule="pattern", seed=seed, fraction={"val": 0.4, "test": 0.2})
        assert sorted(made["train"] + made["val"]) == ["b_1", "b_2", "c_1", "d_1"]
        assert made["test"] == ["a_2"]
        assert "a_1" not in made["all"]
    assert note.endswith(", 1 training images left out, whose groups the set has in val or test")


@pytest.mark.parametrize(
    ("changes", "ids", "message"),
    [
        ({}, ["a", "b"], r"data.voc.split.rule = 'fraction' leaves no image for val \(there are 2 images.*add images"),
        ({"rule": "pattern"}, ["a_1", "b"], "pattern.regex = .* does not match the file name of b"),
        (
            {"rule": "pattern", "pattern": {"regex": "(.)_", "val": ["q"], "test": None}},
            ["a_1", "b_1"],
            "pattern.val names group 'q', which no file name has: choose from a, b",
        ),
    ],
)
def test_what_cannot_be_split_is_one_sentence(changes, ids, message) -> None:
    with pytest.raises(InputError, match=message) as caught:
        make({}, ids, **changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pattern": {"regex": "(", "val": None, "test": None}}, "no|not a regular expression"),
        ({"pattern": {"regex": "a", "val": None, "test": None}}, "one pair of parentheses"),
        ({"pattern": {"regex": "(a)", "val": ["a", 1], "test": ["1"]}}, "group '1' is in val and in test: remove it"),
        ({"rule": "every_nth"}, "'fraction' or 'pattern'"),
        ({"fraction": {"val": 0.5, "test": 0.5}}, "nothing to train on"),
    ],
)
def test_a_wrong_parameter_is_refused(changes, message) -> None:
    with pytest.raises(ValidationError, match=message):
        OwnSplit.model_validate({**SPLIT, **changes})


def test_trainval_and_the_limit() -> None:
    assert with_trainval({"train": ["b", "a"], "val": ["c"]})["trainval"] == ["b", "a", "c"]
    assert with_trainval({"train": ["b"]})["trainval"] == ["b"]
    assert with_trainval({"test": ["b"]}) == {"test": ["b"]}
    assert limited({"train": ["b", "a"], "val": ["c"], "trainval": ["a", "b", "c"]}, 1) == {
        "train": ["b"],
        "val": ["c"],
        "trainval": ["b", "c"],
    }


@given(st.integers(20, 60), st.integers(0, 9), st.floats(0.1, 0.4), st.floats(0.1, 0.4))
def test_every_image_is_in_one_split(number, seed, val, test) -> None:
    ids = [f"{k}_{k}" for k in range(number)]
    for rule in ("fraction", "pattern"):
        made, _ = make({}, ids, rule=rule, seed=seed, fraction={"val": val, "test": test})
        assert sorted(image_id for part in made.values() for image_id in part) == sorted(ids)
