from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from src.files.boxed_images import BoxedImages
from src.files.records import Record
from src.rcnn import network
from src.rcnn.described_batches import DescribedBatches, Extract
from src.rcnn.extract import extract
from src.rcnn.finetune import RegionBatches, logits_of
from src.rcnn.finetune_settings import Finetune
from src.rcnn.warp import Warp, normalize
from src.training.places import Share

SETTINGS = Warp(size=63, context=8)


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(0)
    return network.build("alexnet", 3, pool=1, hidden=8).eval()


@pytest.fixture
def regions(images: BoxedImages, proposals: dict[str, Record], finetune_rules: Finetune) -> RegionBatches:
    options: dict[str, Any] = {"batch_size": 8, "num_batches": 6, "seed": 0, "flip": True}
    return RegionBatches(images, images.ids("train"), proposals, finetune_rules, SETTINGS, **options)


def extractor(net: nn.Module, images: BoxedImages, map_side: int | None = None) -> Extract:
    device = torch.device("cpu")
    return partial(
        extract, net, images, layer="pool5", settings=SETTINGS, map_side=map_side, batch_size=4, device=device
    )


def test_the_batches_are_those_of_the_crops(
    net: nn.Module, images: BoxedImages, regions: RegionBatches, tmp_path: Path
) -> None:
    described = DescribedBatches(regions, tmp_path / "pool5.npy", extractor(net, images))
    assert len(described) == len(regions) == 6
    for crops, batch in zip(
        (regions[index] for index in range(6)), (described[index] for index in range(6)), strict=True
    ):
        assert batch["ids"] == crops["ids"]
        assert batch["labels"].equal(crops["labels"])
        with torch.inference_mode():
            pool5 = network.describe(net, normalize(crops["crops"]), "pool5")
            torch.testing.assert_close(batch["pool5"].float(), pool5, atol=1e-3, rtol=1e-3)  # half precision
            torch.testing.assert_close(logits_of(net, batch), logits_of(net, crops), atol=1e-3, rtol=1e-2)


def test_a_region_that_comes_again_is_described_once(
    net: nn.Module, images: BoxedImages, regions: RegionBatches, tmp_path: Path
) -> None:
    described = DescribedBatches(regions, tmp_path / "pool5.npy", extractor(net, images))
    drawn = sum(len(described[index]["labels"]) for index in range(6))
    assert len(np.load(tmp_path / "pool5.npy")) < drawn  # two sides of the few regions of three images


def test_a_training_that_goes_on_takes_the_features_that_are_there(
    net: nn.Module, images: BoxedImages, regions: RegionBatches, tmp_path: Path
) -> None:
    first = DescribedBatches(regions, tmp_path / "pool5.npy", extractor(net, images))

    def never(regions: Any, path: Path) -> None:
        raise AssertionError("described again")

    again = DescribedBatches(regions, tmp_path / "pool5.npy", never)
    assert again[3]["pool5"].equal(first[3]["pool5"])


def test_regions_on_maps_differ_from_crops_and_mirrored_ones_from_both(
    net: nn.Module, images: BoxedImages, regions: RegionBatches, tmp_path: Path
) -> None:
    crops = DescribedBatches(regions, tmp_path / "crops.npy", extractor(net, images))
    maps = DescribedBatches(regions, tmp_path / "maps.npy", extractor(net, images, map_side=64))
    assert maps[0]["pool5"].shape == crops[0]["pool5"].shape
    assert not maps[0]["pool5"].equal(crops[0]["pool5"])
    assert len(np.unique(np.load(tmp_path / "maps.npy"), axis=0)) > len(np.unique(maps.known // 2))


def test_without_batches_nothing_is_described(
    net: nn.Module, images: BoxedImages, regions: RegionBatches, tmp_path: Path
) -> None:
    regions.num_batches = 0
    assert len(DescribedBatches(regions, tmp_path / "pool5.npy", extractor(net, images))) == 0
    assert len(np.load(tmp_path / "pool5.npy")) == 0


def test_the_shares_of_processes_are_the_rows_of_the_batch(
    net: nn.Module, images: BoxedImages, regions: RegionBatches, tmp_path: Path
) -> None:
    described = DescribedBatches(regions, tmp_path / "pool5.npy", extractor(net, images))
    for data, value in ((regions, "crops"), (described, "pool5")):
        assert data.rows == 8
        for index in range(3):
            whole = data[index]
            parts = [data.part(index, Share(rank, 3)) for rank in range(3)]
            assert [len(part["labels"]) for part in parts] == [2, 3, 3]
            assert all(part["ids"] == whole["ids"] for part in parts)
            for name in (value, "labels"):
                assert torch.equal(torch.cat([part[name] for part in parts]), whole[name])
