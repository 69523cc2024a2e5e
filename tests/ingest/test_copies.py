import pytest

from src.errors import InputError
from src.ingest.own_splits import OwnSplit
from src.ingest.problems import ProblemsError
from tests.ingest.boxed_sets import drawn, labelimg_yolo, plain_voc
from tests.ingest.test_formats import load
from tests.ingest.test_own_splits import SPLIT


def with_copies(*pairs: tuple[str, str], number: int = 24) -> dict[str, bytes]:
    """Make a set in which the first image of each pair has the bytes, and so the objects, of the second."""
    images = {image.stem: image for image in drawn(number)}
    for copy, original in pairs:
        images[copy] = images[copy]._replace(size=images[original].size, objects=images[original].objects)
    files = plain_voc(list(images.values()))
    return files | {f"JPEGImages/{copy}.png": files[f"JPEGImages/{original}.png"] for copy, original in pairs}


def test_test_images_that_are_copies_of_training_images_under_other_names_are_refused(tmp_path) -> None:
    files = with_copies(("im2", "im0"), ("im5", "im4"), ("im6", "im3"))  # im2 and im5 test, im4 validates
    with pytest.raises(InputError) as caught:
        load(tmp_path, files)
    assert str(caught.value).endswith(
        "set.zip: 2 of the 8 test images are copies of images that train or choose the epoch, such as 'im2' of 'im0': "
        "remove one of the two, or add -S data.voc.split.rule=fraction, which keeps copies together"
    )
    assert isinstance(caught.value, ProblemsError)
    assert [problem.split("'")[1::2] for problem in caught.value.problems] == [["im2", "im0"], ["im5", "im4"]]


def test_copies_leave_the_test_images_if_the_user_says_so_and_are_counted(tmp_path) -> None:
    data, note = load(tmp_path, with_copies(("im2", "im0"), ("im6", "im3")), bad="skip")
    assert len(data.splits["test"]) == 7
    assert {"im0", "im3", "im6"} < set(data.splits["train"])
    assert "1 problem, whose image is left out because data.voc.bad is skip: " in note
    assert "\n2 images are copies of others, such as im6 of im3\n" in note


@pytest.mark.parametrize("seed", range(5))
def test_splits_that_are_made_keep_copies_together(tmp_path, seed) -> None:
    pairs = [("im2", "im0"), ("im5", "im4"), ("im7", "im3"), ("im8", "im3")]
    split = OwnSplit.model_validate({**SPLIT, "rule": "fraction", "seed": seed})
    data, note = load(tmp_path, with_copies(*pairs), split=split)
    split_of = {image_id: name for name in ("train", "val", "test") for image_id in data.splits[name]}
    assert len(split_of) == 24
    assert all(split_of[copy] == split_of[original] for copy, original in pairs)
    assert "the set's own val and test had images of other splits" in note


def test_images_without_content_are_no_copies(tmp_path) -> None:
    files = labelimg_yolo(drawn(20)) | {"im1.png": b"", "im2.png": b""}
    with pytest.raises(ProblemsError, match=r"im1\.png does not decode .*im2\.png does not decode"):
        load(tmp_path, files)
