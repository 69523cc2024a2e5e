import pytest

from src.errors import InputError
from src.files.prepared import DataSet
from src.ingest.split_checks import EXTRA, FEW, FEW_IN_ALL, check_splits, with_extra
from src.splits import Splits

CLASSES = ["car", "dog", "person"]


def data_of(**splits: list[list[int]]) -> DataSet:
    """Make a data set: per split the labels of the objects of each image; a negative label is a difficult object."""
    images = {
        f"{split}{number}": {"labels": [abs(label) for label in labels], "difficult": [label < 0 for label in labels]}
        for split, content in splits.items()
        for number, labels in enumerate(content)
    }
    ids = {split: [f"{split}{number}" for number in range(len(content))] for split, content in splits.items()}
    return DataSet(CLASSES, ids, images, iter([]))


def wanted(**changes: str | None) -> Splits:
    return Splits.model_validate(
        {"finetune": "train", "detectors": "train", "validation": None, "train": "train", "test": "test", **changes}
    )


def test_splits_with_every_class_and_many_images_pass_without_a_word() -> None:
    assert check_splits(wanted(), data_of(train=[[1, 2], [3]] * FEW, test=[[1, 2, 3]] * FEW)) == []


def test_all_classes_that_a_training_split_lacks_are_named_at_once_with_the_remedy() -> None:
    with pytest.raises(InputError) as caught:
        check_splits(wanted(), data_of(train=[[1], [], [-2]], test=[[1, 2, 3]]))
    assert str(caught.value) == (
        "params.yaml: splits.finetune and splits.detectors and splits.train = 'train' has no object of dog, person "
        "(difficult ones do not count), and nothing can learn these classes: set data.voc.classes to [car], choose "
        "splits with objects of every class, or raise data.voc.limit"
    )


@pytest.mark.parametrize("key", ["finetune", "detectors", "train"])
def test_each_split_that_teaches_must_have_every_class(key: str) -> None:
    data = data_of(train=[[1, 2, 3]], other=[[1], [3]], test=[[1, 2, 3]])
    with pytest.raises(
        InputError, match=rf"^params\.yaml: splits\.{key} = 'other' has no object of dog \(.*\[car, person\]"
    ):
        check_splits(wanted(**{key: "other"}), data)
    check_splits(wanted(test="other", validation="other"), data)  # these teach nothing


def test_two_splits_are_told_together_and_no_class_is_proposed_that_one_of_them_lacks() -> None:
    data = data_of(train=[[1], [2]], other=[[1], [3]], test=[[1]])
    with pytest.raises(InputError, match=r"of person; splits\.detectors = 'other' has no object of dog.*to \[car\],"):
        check_splits(wanted(finetune="train", detectors="other"), data)
    with pytest.raises(InputError, match=r"of car, dog, person .* learn these classes: choose splits"):
        check_splits(wanted(), data_of(train=[[]], test=[[1]]))


def test_every_split_without_images_is_named_at_once() -> None:
    with pytest.raises(InputError) as caught:
        check_splits(wanted(validation="val", test="exam"), data_of(train=[[1, 2, 3]], test=[[1]], val=[]))
    assert str(caught.value) == (
        "params.yaml: splits.validation = 'val'; splits.test = 'exam': the data have no such images, only "
        "train (1 images), test (1 images), val (0 images): add -S data.voc.split.rule=fraction -S splits.test=test"
    )


def test_classes_without_a_test_object_and_small_splits_are_mentioned_in_a_line_each() -> None:
    data = data_of(train=[[1, 2, 3]] * FEW_IN_ALL, val=[[1]], test=[[1], [-2]])
    unmeasured, small = check_splits(wanted(validation="val"), data)
    assert unmeasured.startswith("splits.test = 'test' has no object of dog, person that is not difficult: the average")
    assert small.endswith(": splits.validation = 'val' (1); splits.test = 'test' (2)")


@pytest.mark.parametrize(
    ("splits", "changes", "flags"),
    [
        (("train", "trainval", "val"), {}, "add -S data.voc.split.rule=fraction"),
        (("train", "trainval", "test"), {"validation": "val"}, "add -S data.voc.split.rule=fraction"),
        (
            ("train", "trainval", "test"),
            {"finetune": "train_extra", "detectors": "train_extra"},
            "add -S splits.finetune=trainval -S splits.detectors=trainval",
        ),
        (
            ("train", "trainval", "val", "test"),
            {"finetune": "train_extra", "detectors": "train_extra", "validation": "val"},
            "add -S splits.finetune=train -S splits.detectors=train",
        ),
        (("train", "test"), {"test": "tests"}, "add -S splits.test=test"),
        (("mine", "test"), {}, "add -S splits.finetune=mine -S splits.detectors=mine -S splits.train=mine"),
    ],
)
def test_a_missing_split_names_the_flag_to_add(splits, changes, flags) -> None:
    with pytest.raises(InputError) as caught:
        check_splits(wanted(**changes), data_of(**{name: [[1, 2, 3]] for name in splits}))
    assert str(caught.value).endswith(f": {flags}")


def test_extra_images_that_only_the_sample_has_are_the_training_images_of_another_set() -> None:
    data = data_of(train=[[1]], test=[[1]])
    assert with_extra(wanted(), data) == (data, [])  # nobody asks for them
    added, (note,) = with_extra(wanted(finetune=EXTRA), data)
    assert added.splits[EXTRA] == data.splits["train"]
    assert note == "splits.finetune = 'train_extra': the data have no extra images, so it is train"
    assert with_extra(wanted(finetune=EXTRA), added) == (added, [])
    other = data_of(mine=[[1]])
    assert with_extra(wanted(finetune=EXTRA), other) == (other, [])  # then `check_splits` names the flags


def overlapping(**splits: str) -> DataSet:
    """Make a data set from the letters of each split's images; each image has every class."""
    images = {
        letter: {"labels": [1, 2, 3], "difficult": [False] * 3} for letters in splits.values() for letter in letters
    }
    return DataSet(CLASSES, {name: list(letters) for name, letters in splits.items()}, images, iter([]))


def test_a_test_image_that_trains_is_refused_with_count_example_and_remedy() -> None:
    data = overlapping(train="abc", val="d", test="cbx", trainval="abcd")
    with pytest.raises(InputError) as caught:
        check_splits(wanted(detectors="trainval", validation="val"), data)
    assert str(caught.value) == (
        "params.yaml: 2 of the 3 images of splits.test = 'test' are also in splits.finetune and splits.train = "
        "'train', such as 'b'; "
        "2 of the 3 images of splits.test = 'test' are also in splits.detectors = 'trainval', such as 'b'; "
        "1 of the 1 images of splits.validation = 'val' are also in splits.detectors = 'trainval', such as 'd': choose "
        "other splits, correct the lists of the set, or add -S data.voc.split.rule=fraction, which takes other images "
        "from train"
    )
    with pytest.raises(InputError, match=r"of splits\.test = 'train' are also in splits\.finetune and"):
        check_splits(wanted(test="train"), data)


def test_svms_and_boxes_choose_no_epoch_so_they_may_train_on_the_validation_images() -> None:
    data = overlapping(train="abc", val="d", test="x", trainval="abcd")
    small, few = check_splits(wanted(validation="val", train="trainval"), data)
    assert small.startswith("fewer than")
    assert few == "5 images are few to train and to measure a detector: label 50 or more"


def test_test_images_that_choose_the_epoch_are_mentioned() -> None:
    shared, *_ = check_splits(wanted(validation="val"), overlapping(train="abc", val="de", test="ex"))
    assert shared == (
        "1 of the 2 images of splits.test = 'test' are also in splits.validation = 'val', such as 'e', so figures of "
        "the test are too good"
    )
