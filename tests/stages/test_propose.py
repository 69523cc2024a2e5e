from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from commands import trained
from src.errors import InputError
from src.files.boxed_images import BoxedImages
from src.files.prepared import write_prepared
from src.files.records import EXPECTED, Record, read_records
from src.params import read_params
from src.splits import Splits
from stages.propose import Params, run
from tests.files.test_room import leave

Proposed = Callable[[Params, str], dict[str, Record]]


@pytest.fixture
def params(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    monkeypatch.setenv("JOBS", "1")
    return read_params("params.yaml", Params)


@pytest.fixture
def proposed(checkout: Path, tmp_path: Path) -> Proposed:
    """Run the stage; return the records of the file of this name."""

    def proposed(params: Params, name: str = "proposals.npz") -> dict[str, Record]:
        run(params, images=checkout / "data/prepared/voc.zip", out=tmp_path / name)
        return read_records(tmp_path / name)

    return proposed


def search(params: Params, **changes: int) -> Params:
    return params.model_copy(update={"selective_search": params.selective_search.model_copy(update=changes)})


def test_the_images_of_r_cnn_have_proposals_inside_them_as_many_and_as_large_as_asked(
    proposed: Proposed, params: Params, checkout: Path
) -> None:
    data, found = BoxedImages(checkout / "data/prepared/voc.zip"), proposed(params, "proposals.npz")
    most, least = params.selective_search.max_proposals, params.selective_search.min_side
    assert most is not None
    assert list(found) == data.ids("train", "test")  # not of splits.detectors, which these data lack
    for image_id, record in found.items():
        height, width = data.size(image_id)
        assert record["boxes"].shape == (len(record["boxes"]), 4)
        assert 1 < len(record["boxes"]) <= most
        assert (record["boxes"] >= 0).all()
        assert (record["boxes"] <= [width, height, width, height]).all()
        assert (record["boxes"][:, 2:] - record["boxes"][:, :2] >= least).all()


@pytest.mark.parametrize("role", [None, "finetune", "validation", "train", "test"])
def test_the_images_are_those_of_all_splits_that_r_cnn_looks_at(
    proposed: Proposed, params: Params, checkout: Path, role: str | None
) -> None:
    """All parts see the split `train`, of one image, but for one part that sees the split `test`, of two."""
    splits = {"finetune": "train", "validation": "train", "train": "train", "test": "train"}
    splits |= {role: "test"} if role else {}
    found = proposed(params.model_copy(update={"splits": params.splits.model_copy(update=splits)}), "some.npz")
    assert list(found) == BoxedImages(checkout / "data/prepared/voc.zip").ids("test" if role else "train")


def test_the_drawn_rectangle_is_found(proposed: Proposed, params: Params, checkout: Path) -> None:
    """The scene is that of tests/trained.py, and the coordinates are those at which it draws the rectangle."""
    height, width = BoxedImages(checkout / "data/prepared/voc.zip").size("000001")
    rectangle = np.array([width // 2, height // 4, width - 7, height - 9])
    boxes = proposed(search(params, max_proposals=1000), "proposals.npz")["000001"]["boxes"]
    assert np.abs(boxes - rectangle).max(axis=1).min() <= 4


def test_the_bytes_depend_on_the_seed_and_not_on_the_number_of_processes(
    proposed: Proposed, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proposed(params, "one.npz")
    proposed(params.model_copy(update={"seed": 1}), "other.npz")
    monkeypatch.setenv("JOBS", "2")
    proposed(params, "two.npz")
    one, two, other = ((tmp_path / f"{name}.npz").read_bytes() for name in ("one", "two", "other"))
    assert one == two
    assert one != other


def test_predictions_search_at_the_width_of_the_stage(proposed: Proposed, params: Params, checkout: Path) -> None:
    params = search(params, width=50)
    data, found = BoxedImages(checkout / "data/prepared/voc.zip"), proposed(params)
    both = read_params("params.yaml", trained.Params).model_copy(update={"selective_search": params.selective_search})
    for image_id, record in found.items():
        alone = trained.proposer(both, torch.device("cpu"), "selective_search", "")(data.image(image_id), image_id)
        np.testing.assert_array_equal(alone, record["boxes"])
        assert (alone % 1 > 0).any()  # scaled back


def test_an_image_without_a_large_region_has_an_empty_record(proposed: Proposed, params: Params) -> None:
    found = proposed(search(params, min_side=500), "proposals.npz")
    assert [record["boxes"].shape for record in found.values()] == [(0, 4)] * 2


def test_no_image_at_all_is_refused(params: Params, tmp_path: Path) -> None:
    write_prepared(tmp_path / "voc.zip", ["car"], {"empty": []}, {}, [])
    splits = Splits(finetune="empty", detectors="empty", validation=None, train="empty", test="empty")
    with pytest.raises(InputError, match="there is no image"):
        run(params.model_copy(update={"splits": splits}), images=tmp_path / "voc.zip", out=tmp_path / "out.npz")
    assert not (tmp_path / "out.npz").exists()


def test_a_number_of_processes_that_is_none_is_refused(
    proposed: Proposed, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBS", "0")
    with pytest.raises(InputError, match="JOBS=0"):
        proposed(params, "proposals.npz")


@pytest.mark.parametrize("most", [10, None])
def test_proposals_that_do_not_fit_are_refused_before_the_search(
    proposed: Proposed, params: Params, checkout: Path, monkeypatch: pytest.MonkeyPatch, most: int | None
) -> None:
    """A box takes 16 bytes."""
    count = len(BoxedImages(checkout / "data/prepared/voc.zip").ids("train", "test"))
    monkeypatch.setattr("stages.propose.parallel_map", lambda *_: pytest.fail("the search began"))
    number, changed = most or EXPECTED, search(params, max_proposals=most)  # type: ignore[arg-type]
    leave(monkeypatch, count * number * 16 - 1)
    with pytest.raises(
        InputError, match=rf"for {count} images with at most {number} boxes each .*max_proposals to less"
    ):
        proposed(changed)
    leave(monkeypatch, 10**9, memory=count * number * 16)
    with pytest.raises(InputError, match=rf"{count} images with at most {number} boxes each need .* of memory"):
        proposed(changed)
