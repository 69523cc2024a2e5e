from itertools import product

import numpy as np
import pytest
import torch

from src.boxes.matching import without_difficult
from src.detection.augmentation import Augment
from src.detection.batches import DetectionBatches
from src.detection.sizes import Size
from src.files.boxed_images import BoxedImages
from src.training.places import Share
from tests.rcnn.conftest import images  # noqa: F401 (a fixture)

AUGMENT = Augment(photometric=True, zoom_out=0.5, crop=True, flip=0.5)


def batches(images: BoxedImages, **changes: object) -> DetectionBatches:  # noqa: F811
    options = {"batch_size": 2, "seed": 3} | changes
    return DetectionBatches(images, images.ids("train"), Size(63), AUGMENT, **options)  # type: ignore[arg-type]


def test_a_batch_is_of_seed_and_index_alone(images: BoxedImages) -> None:  # noqa: F811
    first = batches(images)
    seen = [first[index] for index in range(6)]
    torch.rand(5)
    state = torch.random.get_rng_state()
    again = batches(images)
    for index in (4, 0, 5):
        assert again[index]["ids"] == seen[index]["ids"]
        assert torch.equal(again[index]["images"], seen[index]["images"])
    assert torch.equal(torch.random.get_rng_state(), state)  # the loop's own random state is unchanged
    assert not all(torch.equal(batches(images, seed=4)[i]["images"], seen[i]["images"]) for i in range(6))


def test_difficult_objects_are_left_out_and_images_without_objects_are_not(images: BoxedImages) -> None:  # noqa: F811
    data = DetectionBatches(images, images.ids("train"), Size(63), batch_size=3)
    labels = dict(zip(data[0]["ids"], data[0]["targets"]["labels"].tolist(), strict=True))
    assert labels["empty"] == [0, 0]
    assert labels["difficult"] == [1, 0]
    assert 0 not in labels["two_classes"]


def test_a_kept_image_is_the_one_that_was_read(images: BoxedImages) -> None:  # noqa: F811
    plain = Augment(photometric=False, zoom_out=0.0, crop=False, flip=0.5)  # the resized image is kept
    data = DetectionBatches(images, images.ids("train"), Size(63), plain, batch_size=2, seed=3)
    first = [data[index] for index in range(data.per_epoch)]
    for index, before in enumerate(first):
        assert torch.equal(data[index]["images"], before["images"])
        assert torch.equal(data[index]["targets"]["boxes"], before["targets"]["boxes"])


def test_images_that_keep_their_aspect_ratio_are_padded_with_the_mean_colour(images: BoxedImages) -> None:  # noqa: F811
    square = DetectionBatches(images, images.ids("train"), Size(60), batch_size=3)[0]
    batch = DetectionBatches(images, images.ids("train"), Size(45, 100), batch_size=3)[0]  # of 60 x 80
    assert batch["images"].shape == (3, 3, 64, 64)
    assert batch["targets"]["sizes"].tolist() == [[45, 60]] * 3
    assert square["targets"]["sizes"].tolist() == [[60, 60]] * 3
    assert not batch["images"][:, :, 45:].any()
    assert not batch["images"][:, :, :, 60:].any()
    assert batch["images"][:, :, 44, 59].all()
    torch.testing.assert_close(batch["targets"]["boxes"], square["targets"]["boxes"] * torch.tensor([1, 0.75] * 2))


def test_proposals_are_moved_as_the_objects_are_and_change_no_crop(images: BoxedImages) -> None:  # noqa: F811
    ids = images.ids("train")
    proposals = {name: without_difficult(images.target(name))["boxes"] for name in ids}
    data = DetectionBatches(images, ids, Size(63), AUGMENT, batch_size=len(ids), proposals=proposals)
    without = DetectionBatches(images, ids, Size(63), AUGMENT, batch_size=len(ids))
    seen = 0
    for index in range(6):
        batch, same = data[index], without[index]
        assert torch.equal(batch["images"], same["images"])
        targets = batch["targets"]
        for boxes, objects, labels in zip(targets["proposals"], targets["boxes"], targets["labels"], strict=True):
            real = objects[labels > 0]
            assert torch.equal(boxes[: len(real)], real)
            assert not boxes[len(real) :].any()
            seen += len(real)
        assert torch.equal(targets["labels"], same["targets"]["labels"])
    assert seen


def test_an_image_without_proposals_is_no_special_case(images: BoxedImages) -> None:  # noqa: F811
    ids = images.ids("train")
    none = {name: np.zeros((0, 4), np.float32) for name in ids}
    batch = DetectionBatches(images, ids, Size(63), batch_size=2, proposals=none)[0]
    assert batch["targets"]["proposals"].shape == (2, 0, 4)


def test_a_proposal_that_reaches_over_the_border_by_a_rounding_stays(images: BoxedImages) -> None:  # noqa: F811
    ids = images.ids("train")
    height, width = images.size(ids[0])
    over = np.array([[-1e-5, 0, width + 1e-4, height + 1e-4]], np.float32)
    batch = DetectionBatches(images, ids[:1], Size(63), batch_size=1, proposals={ids[0]: over})[0]
    assert batch["targets"]["proposals"].tolist() == [[[0.0, 0.0, 63.0, 63.0]]]


PLAIN = Augment(photometric=False, zoom_out=0.0, crop=False, flip=0.0)
AUGMENTS = [
    PLAIN.model_copy(update={"photometric": photometric, "zoom_out": zoom, "crop": crop, "flip": flip})
    for photometric, zoom, crop, flip in product((False, True), (0.0, 0.5), (False, True), (0.0, 0.5))
]


@pytest.mark.parametrize("augment", AUGMENTS, ids=str)
def test_the_shares_of_processes_are_the_rows_of_the_batch(images: BoxedImages, augment: Augment) -> None:  # noqa: F811
    """The objects have the padding of their share, and the images that of the whole batch."""
    ids = images.ids("train")
    proposals = {image_id: np.array([[3.0 * row, 4, 50, 40] for row in range(1 + len(image_id))]) for image_id in ids}
    for size in (Size(63), Size(45, 100)):
        data = DetectionBatches(images, ids, size, augment, batch_size=3, seed=5, proposals=proposals)
        for index, world in product(range(4), (2, 3)):
            whole = data[index]
            parts = [data.part(index, Share(rank, world)) for rank in range(world)]
            assert all(part["ids"] == whole["ids"] for part in parts)
            assert torch.equal(torch.cat([part["images"] for part in parts]), whole["images"])
            for name in ("boxes", "labels", "sizes", "proposals"):
                rows = [row for part in parts for row in part["targets"][name]]
                for row, expected in zip(rows, whole["targets"][name], strict=True):
                    assert torch.equal(row, expected[: len(row)])
                    assert not expected[len(row) :].any()


def test_the_images_of_other_processes_are_not_decoded(images: BoxedImages, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    data = DetectionBatches(images, images.ids("train"), Size(63), AUGMENT, batch_size=3, seed=5)
    seen: list[str] = []
    plain = images.image
    monkeypatch.setattr(images, "image", lambda image_id: seen.append(image_id) or plain(image_id))
    data.part(0, Share(1, 3))
    assert seen == [data.ids(0)[1]]
