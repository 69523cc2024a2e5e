import os
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from src.boxes.target import Target
from src.errors import InputError
from src.files.boxed_images import BoxedImages
from src.files.records import Record
from src.params import validated
from src.rcnn.finetune import RegionBatches, label_regions, region_loss
from src.rcnn.finetune_settings import Finetune
from src.rcnn.warp import Warp, normalize, warp

IDS = ["empty", "two_classes", "difficult"]
SETTINGS = Warp(size=63, context=8)
Regions = dict[str, Record]


def target(boxes: list[list[float]], labels: list[int], difficult: list[bool]) -> Target:
    return {
        "boxes": np.array(boxes, np.float32).reshape(-1, 4),
        "labels": np.array(labels, np.int64),
        "difficult": np.array(difficult, bool),
        "image_id": "",
    }


def batches(
    images: BoxedImages, proposals: Regions, rules: Finetune, ids: list[str] = IDS, **changes: Any
) -> RegionBatches:
    options: dict[str, Any] = {"batch_size": 8, "num_batches": 6, "seed": 0, "flip": True, **changes}
    return RegionBatches(images, ids, proposals, rules, SETTINGS, **options)


BOXES = np.array(
    [[0, 0, 10, 10], [0, 0, 10, 5], [0, 0, 10, 4.9], [0, 0, 10, 1], [70, 70, 80, 80], [30, 30, 50, 49]], np.float32
)
TARGET = target([[0, 0, 10, 10], [30, 30, 50, 50]], [1, 3], [False, False])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [1, 1, 0, 0, 0, 3]),
        ({"bg_iou_min": 0.1}, [1, 1, 0, 0, -1, 3]),
        ({"bg_iou_zero": False}, [1, 1, 0, 0, -1, 3]),
        ({"bg_min_area": 0.2}, [1, 1, -1, -1, 0, 3]),  # 20 % of 400 is 80: areas 49 and 10 are not above it, 100 is
        ({"fg_iou_thresh": 0.6}, [1, 0, 0, 0, 0, 3]),
    ],
)
def test_regions_are_labelled_by_the_rules(finetune_rules: Finetune, changes: dict, expected: list[int]) -> None:
    assert label_regions(BOXES, TARGET, finetune_rules.model_copy(update=changes)).tolist() == expected


def test_a_gap_between_background_and_object_is_left_out(finetune_rules: Finetune) -> None:
    boxes = np.array([[0, 0, 10, 0.5], [0, 0, 10, 3]], np.float32)  # IoU 0.05 and 0.3
    rules = finetune_rules.model_copy(update={"bg_iou_min": 0.1})
    assert label_regions(boxes, TARGET, rules).tolist() == [-1, 0]


@pytest.mark.parametrize("changes", [{}, {"bg_min_area": 0.2}, {"fg_iou_thresh": 0.0}])
def test_an_image_without_objects_is_all_background(finetune_rules: Finetune, changes: dict) -> None:
    labels = label_regions(BOXES, target([], [], []), finetune_rules.model_copy(update=changes))
    assert labels.tolist() == ([-1] * 6 if changes.get("fg_iou_thresh") == 0 else [0] * 6)
    assert label_regions(BOXES[:0], target([], [], []), finetune_rules).tolist() == []
    assert label_regions(BOXES[:0], TARGET, finetune_rules).tolist() == []


def test_difficult_objects_are_neither_object_nor_background(finetune_rules: Finetune) -> None:
    difficult = target([[0, 0, 10, 10], [30, 30, 50, 50]], [1, 3], [True, False])
    assert label_regions(BOXES, difficult, finetune_rules).tolist() == [-1, -1, 0, 0, 0, 3]


def test_pure_background_and_images_without_objects_reach_the_training(
    images: BoxedImages, proposals: Regions, finetune_rules: Finetune, tutorial_rules: Finetune
) -> None:
    far = [0.0, 48, 20, 60]  # overlaps no object of any image
    paper, tutorial = (batches(images, proposals, rules) for rules in (finetune_rules, tutorial_rules))
    assert sum(paper.boxes[row].tolist() == far for row in paper.backgrounds) == 3
    assert sum(tutorial.boxes[row].tolist() == far for row in tutorial.backgrounds) == 0
    assert paper.image_ids == IDS
    assert tutorial.image_ids == ["two_classes", "difficult"]
    assert len(paper.objects) == 3 + len(tutorial.objects)  # the ground-truth boxes that are not difficult


def test_labels_and_boxes_are_those_of_their_image_in_spite_of_images_without_objects_or_regions(
    images: BoxedImages, proposals: Regions, finetune_rules: Finetune
) -> None:
    """The published code shifts all images that come after one without negatives."""
    proposals["difficult"] = {"boxes": np.zeros((0, 4), np.float32)}
    ids = ["empty", "difficult", "two_classes"]
    found = batches(images, proposals, finetune_rules, ids)
    for image, image_id in enumerate(ids):
        mine = found.image_index == image
        gt_boxes = images.target(image_id)["boxes"][~images.target(image_id)["difficult"]]
        expected = np.concatenate([gt_boxes, proposals[image_id]["boxes"]])
        np.testing.assert_array_equal(found.boxes[mine], expected)
        labels = label_regions(expected, images.target(image_id), finetune_rules)
        np.testing.assert_array_equal(found.labels[mine], labels)


def test_a_batch_holds_its_share_of_objects_and_no_region_twice(
    images: BoxedImages, proposals: Regions, finetune_rules: Finetune
) -> None:
    data = batches(images, proposals, finetune_rules)
    for index in range(6):
        batch = data[index]
        assert (batch["labels"] > 0).sum() == 2
        assert (batch["labels"] == 0).sum() == 6
        rows, _ = data.chosen(index)
        assert len(set(rows)) == 8
        np.testing.assert_array_equal(batch["labels"], data.labels[rows])


def test_where_there_are_too_few_objects_background_fills_the_batch(
    images: BoxedImages, proposals: Regions, finetune_rules: Finetune
) -> None:
    rules = finetune_rules.model_copy(update={"include_gt": False, "fg_iou_thresh": 0.7, "fg_fraction": 0.9})
    data = batches(images, proposals, rules)
    labels = data[0]["labels"]
    assert 0 < (labels > 0).sum() == len(data.objects) < 7
    assert len(labels) == 8


def test_each_crop_of_a_batch_is_the_one_of_its_label(
    images: BoxedImages, proposals: Regions, finetune_rules: Finetune
) -> None:
    data = batches(images, proposals, finetune_rules)
    flips = []
    for index in range(6):
        batch = data[index]
        rows, flipped = data.chosen(index)
        ids = [data.image_ids[image] for image in data.image_index[rows]]
        assert batch["ids"] == list(dict.fromkeys(ids))
        assert batch["crops"].shape == (8, 63, 63, 3)
        for crop, label, row, image_id, turned in zip(
            batch["crops"].numpy(), batch["labels"], rows, ids, flipped, strict=True
        ):
            box = data.boxes[row : row + 1]
            assert label == label_regions(box, images.target(image_id), finetune_rules)[0]
            alone = warp(images.image(image_id), box, size=63, context=8)[0]
            np.testing.assert_array_equal(crop, alone[:, ::-1] if turned else alone)
        flips.append(flipped)
    assert 0.25 < np.concatenate(flips).mean() < 0.75


def same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return first["ids"] == second["ids"] and all(torch.equal(first[name], second[name]) for name in ("crops", "labels"))


def test_a_batch_is_of_seed_and_index_alone(images: BoxedImages, proposals: Regions, finetune_rules: Finetune) -> None:
    first, second = (batches(images, proposals, finetune_rules) for _ in range(2))
    expected = [first[index] for index in range(6)]
    np.random.seed(5)
    torch.manual_seed(5)
    for index in (5, 0, 3):  # in any order, as with a resumed training or several workers
        assert same(second[index], expected[index])
    assert not same(expected[0], expected[1])
    assert not same(expected[0], batches(images, proposals, finetune_rules, seed=1)[0])
    assert len(first) == 6


def test_validation_batches_are_the_same_again_and_not_flipped(
    images: BoxedImages, proposals: Regions, finetune_rules: Finetune
) -> None:
    data = batches(images, proposals, finetune_rules, flip=False)
    for index in range(6):
        assert not data.chosen(index)[1].any()
        assert same(data[index], data[index])


@pytest.mark.parametrize("only_images_with_objects", [False, True])
def test_no_object_region_is_an_error_that_names_the_remedies(
    images: BoxedImages, proposals: Regions, finetune_rules: Finetune, only_images_with_objects: bool
) -> None:
    rules = finetune_rules.model_copy(update={"only_images_with_objects": only_images_with_objects})
    with pytest.raises(InputError, match=r"tiny\.zip hold 0 object regions and .* background regions") as error:
        batches(images, proposals, rules, ["empty"])
    for remedy in ("splits", "data.voc.classes", "finetune.fg_iou_thresh", "selective_search.min_side"):
        assert remedy in str(error.value)


def test_images_are_decoded_once_and_not_once_per_batch(
    images: BoxedImages, proposals: Regions, finetune_rules: Finetune, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, image = [], images.image
    monkeypatch.setattr(images, "image", lambda image_id: read.append(image_id) or image(image_id))
    data = batches(images, proposals, finetune_rules)
    for index in range(6):
        data[index]
    assert sorted(read) == sorted(IDS)


def test_a_batch_is_two_tensors_whatever_its_number_of_images(
    images: BoxedImages, proposals: Regions, finetune_rules: Finetune
) -> None:
    """A worker shares each tensor by an open file, and a tensor per image left a process without files."""
    batch = batches(images, proposals, finetune_rules)[0]
    assert set(batch) == {"ids", "crops", "labels"}
    assert len(batch["ids"]) == 3
    assert (batch["crops"].dtype, batch["labels"].dtype) == (torch.uint8, torch.int64)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than this machine may have CPUs
@pytest.mark.parametrize("workers", [2, 8])
def test_open_files_do_not_grow_over_batches(
    images: BoxedImages, proposals: Regions, finetune_rules: Finetune, workers: int
) -> None:
    data = batches(images, proposals, finetune_rules, num_batches=200)
    counts = []
    for _ in DataLoader(data, batch_size=None, num_workers=workers):
        counts.append(len(os.listdir("/proc/self/fd")))
    assert len(counts) == 200
    held = 2 * workers + 1  # batches that the loader has at most ahead, and the present one
    running = counts[:150]  # later the workers end one by one, and their queues are closed
    assert max(running) <= min(running) + 2 * held


def test_no_image_and_no_background_are_the_same_error(
    images: BoxedImages, proposals: Regions, finetune_rules: Finetune
) -> None:
    with pytest.raises(InputError, match="0 images of .* hold 0 object regions and 0 background"):
        batches(images, proposals, finetune_rules, [])
    none = {name: {"boxes": np.zeros((0, 4), np.float32)} for name in IDS}
    with pytest.raises(InputError, match="hold 3 object regions and 0 background"):
        batches(images, none, finetune_rules)


def test_the_loss_is_the_cross_entropy_of_the_crops(
    images: BoxedImages, proposals: Regions, finetune_rules: Finetune, tiny_net: nn.Module
) -> None:
    batch = batches(images, proposals, finetune_rules)[0]
    tiny_net.eval()
    loss = region_loss(tiny_net, batch)["loss"]
    chance = torch.softmax(tiny_net(normalize(batch["crops"])), 1)[torch.arange(8), batch["labels"]]
    torch.testing.assert_close(loss, -chance.log().mean())


@pytest.mark.parametrize("overrides", [{}, {"batches_per_epoch": None}])
def test_an_epoch_of_regions_needs_a_number_of_batches(finetune_rules: Finetune, overrides: dict) -> None:
    section = {**finetune_rules.model_dump(exclude={"train"}), "train": overrides}
    with pytest.raises(InputError, match=r"train\.batches_per_epoch must be a number"):
        validated(section, Finetune, "params.yaml: finetune.")
