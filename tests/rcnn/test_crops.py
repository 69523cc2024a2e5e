import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from src.files.boxed_images import BoxedImages
from src.files.records import Record
from src.rcnn.crops import Crops
from src.rcnn.warp import Warp, warp
from tests.rcnn.test_features import regions

__all__ = ["regions"]

SETTINGS = Warp(size=63, context=8)


@pytest.fixture
def mirrored(regions: dict[str, Record]) -> dict[str, Record]:
    """The regions, two of them mirrored, with images without regions at either end."""
    regions["difficult"]["flipped"][:2] = True
    return {"first": regions["empty"], **regions, "last": regions["empty"]}


def expected(images: BoxedImages, regions: dict[str, Record]) -> np.ndarray:
    return np.concatenate(
        [
            warp(images.image(image_id), record["boxes"], size=63, context=8, flipped=record["flipped"])
            for image_id, record in regions.items()
            if len(record["boxes"])
        ]
    )


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 7, 100])
def test_batches_are_full_and_hold_the_crops_of_all_images_in_order(
    images: BoxedImages, mirrored: dict[str, Record], batch_size: int
) -> None:
    found = list(DataLoader(Crops(images, mirrored, SETTINGS, batch_size=batch_size), batch_size=None))
    whole, rest = divmod(7, batch_size)
    assert [len(batch) for batch in found] == [batch_size] * whole + [rest] * (rest > 0)
    np.testing.assert_array_equal(torch.cat(found), expected(images, mirrored))


def test_batches_are_the_same_in_any_order(images: BoxedImages, mirrored: dict[str, Record]) -> None:
    crops, wanted = Crops(images, mirrored, SETTINGS, batch_size=2), expected(images, mirrored)
    for index in (3, 0, 2, 1):
        np.testing.assert_array_equal(crops[index], wanted[2 * index : 2 * index + 2])


def test_no_region_is_no_batch(images: BoxedImages, mirrored: dict[str, Record]) -> None:
    assert len(Crops(images, {}, SETTINGS, batch_size=2)) == 0
    assert len(Crops(images, {"empty": mirrored["empty"]}, SETTINGS, batch_size=2)) == 0


def test_an_image_is_decoded_once_and_none_without_regions(
    images: BoxedImages, mirrored: dict[str, Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    read, image = [], images.image
    monkeypatch.setattr(images, "image", lambda image_id: read.append(image_id) or image(image_id))
    list(DataLoader(Crops(images, mirrored, SETTINGS, batch_size=1), batch_size=None))
    assert read == ["two_classes", "difficult"]
