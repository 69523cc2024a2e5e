from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from src.classification.batches import LabelledBatches
from src.errors import InputError
from src.files.labelled_images import LabelledImages
from src.training import epoch_batches
from src.training.places import Share
from tests.labelled import INPUT, PLAIN, digits

AUGMENT = PLAIN.model_copy(update={"rotate": 20.0, "crop": 0.5})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> LabelledImages:
    return digits(tmp_path_factory.mktemp("digits") / "digits.zip")


def training(data: LabelledImages, seed: int = 0) -> LabelledBatches:
    return LabelledBatches(data, data.ids("train"), INPUT, AUGMENT, batch_size=12, seed=seed)


def test_a_batch_is_images_labels_and_ids_side_by_side(data: LabelledImages) -> None:
    batch = LabelledBatches(data, data.ids("val"), INPUT, batch_size=8)[1]
    assert batch["images"].shape == (8, 3, 32, 32)
    assert batch["images"].dtype == torch.float32
    assert batch["ids"] == data.ids("val")[8:16]
    assert batch["labels"].tolist() == [int(image_id[0]) for image_id in batch["ids"]]


def test_an_epoch_of_training_has_no_image_twice_and_whole_batches_alone(data: LabelledImages) -> None:
    batches = training(data)
    first, second = ([name for i in batches.epoch(e) for name in batches[i]["ids"]] for e in (0, 1))
    assert len(first) == len(set(first)) == 36  # of 40
    assert first != second


def test_seed_and_index_alone_decide_what_is_in_a_batch(data: LabelledImages) -> None:
    first, second = training(data), training(data)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    expected = first[4]
    assert torch.equal(torch.get_rng_state(), before)
    for index in (0, 2):
        second[index]  # earlier batches, and their cached images, change nothing
    assert torch.equal(second[4]["images"], expected["images"])
    assert not torch.equal(training(data, seed=1)[4]["images"], expected["images"])
    (loaded,) = DataLoader(torch.utils.data.Subset(second, [4]), batch_size=None, num_workers=1)
    assert torch.equal(loaded["images"], expected["images"])


def test_images_without_room_to_be_kept_are_the_same(data: LabelledImages, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = training(data)[0]["images"]
    monkeypatch.setattr(epoch_batches, "MEMORY", 1000)
    batches = training(data)
    assert torch.equal(batches[0]["images"], expected)
    assert torch.equal(batches[0]["images"], expected)


def test_mixed_labels_are_shares_of_all_classes(data: LabelledImages) -> None:
    mixed = PLAIN.model_copy(update={"mixup": 1.0})
    labels = LabelledBatches(data, data.ids("train"), INPUT, mixed, batch_size=12)[0]["labels"]
    assert labels.shape == (12, 10)
    torch.testing.assert_close(labels.sum(1), torch.ones(12))


def test_no_images_is_an_error_that_names_the_file(data: LabelledImages, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"digits\.zip has no image"):
        LabelledBatches(data, [], INPUT, batch_size=4)


STEPS = {"rotate": 20.0, "shift": 0.1, "zoom": 0.2, "shear": 5.0, "photometric": 0.5, "flip": 0.5}


@pytest.mark.parametrize("crop", [1.0, 0.4])
@pytest.mark.parametrize("mixed", [{}, {"mixup": 0.5}, {"cutmix": 1.0}, {"mixup": 0.5, "cutmix": 1.0}])
@pytest.mark.parametrize("steps", [{}, STEPS, {"flip": 0.5}, {"photometric": 0.7}])
def test_the_shares_of_processes_are_the_rows_of_the_batch(
    data: LabelledImages, crop: float, mixed: dict[str, float], steps: dict[str, float]
) -> None:
    """A mixed image holds a part of the one before it, which may be of another process."""
    augment = PLAIN.model_copy(update={"crop": crop, **mixed, **steps})
    batches = LabelledBatches(data, data.ids("train"), INPUT, augment, batch_size=5, seed=2)
    for index in range(3):
        whole = batches[index]
        for world in (2, 5):
            parts = [batches.part(index, Share(rank, world)) for rank in range(world)]
            assert all(part["ids"] == whole["ids"] for part in parts)
            assert torch.equal(torch.cat([part["images"] for part in parts]), whole["images"])
            assert torch.equal(torch.cat([part["labels"] for part in parts]), whole["labels"])
