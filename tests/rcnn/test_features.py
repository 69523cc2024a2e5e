import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from src.errors import InputError
from src.files.boxed_images import BoxedImages
from src.files.records import Record
from src.files.shards import Shards, write_records
from src.rcnn import maps, network
from src.rcnn.extract import Result, check_space, extract
from src.rcnn.features import Features, read_described, rows, to_describe, unit_scale, unlabelled
from src.rcnn.warp import Warp, normalize, warp
from tests.elsewhere import DEVICE, There, elsewhere
from tests.rcnn.regions import target
from tests.stages.described import RULES

SETTINGS = Warp(size=63, context=8)
CPU = torch.device("cpu")


@pytest.fixture
def regions() -> dict[str, Record]:
    """Regions of three images: 3 of the first, none of the second, 4 of the last. One rectangle is in two images."""
    first = [[10, 10, 40, 40], [50, 20, 70, 50], [0, 0, 80, 60]]
    last = [[10, 10, 40, 40], [5, 5, 25, 35], [-3, 40, 20, 70], [60, 1, 79, 9]]
    boxes = {"two_classes": first, "empty": [], "difficult": last}
    return {
        name: {
            "boxes": np.array(found, np.float32).reshape(-1, 4),
            "is_gt": np.arange(len(found)) < 1,
            "flipped": np.zeros(len(found), bool),
        }
        for name, found in boxes.items()
    }


def one_by_one(model: nn.Module, images: BoxedImages, image_id: str, boxes: np.ndarray, layer: str) -> np.ndarray:
    crops = [pixels(images, image_id, box[None]) for box in boxes]
    with torch.inference_mode():
        return torch.cat([network.describe(model.eval(), crop, layer) for crop in crops]).numpy()


def pixels(images: BoxedImages, image_id: str, boxes: np.ndarray, flipped: np.ndarray | None = None) -> torch.Tensor:
    return normalize(torch.from_numpy(warp(images.image(image_id), boxes, size=63, context=8, flipped=flipped)))


def extracted(
    model: nn.Module,
    images: BoxedImages,
    regions: dict[str, Record],
    path: Path,
    layer: str = "fc7",
    batch_size: int = 4,
) -> np.ndarray:
    extract(model, images, regions, path, layer=layer, settings=SETTINGS, batch_size=batch_size, device=CPU)
    return np.load(path)


@pytest.mark.parametrize("layer", ["pool5", "fc6", "fc7", "pool5+fc7"])
def test_rows_are_those_of_their_regions_across_images(
    tiny_net: nn.Module, images: BoxedImages, regions: dict[str, Record], tmp_path: Path, layer: str
) -> None:
    found = extracted(tiny_net, images, regions, tmp_path / "f.npy", layer)
    assert found.dtype == np.float16
    assert found.shape == (7, sum(network.widths(tiny_net, layer)))
    assert {name: (at.start, at.stop) for name, at in rows(regions).items()} == {
        "two_classes": (0, 3),
        "empty": (3, 3),
        "difficult": (3, 7),
    }
    for image_id in ("two_classes", "difficult"):
        alone = one_by_one(tiny_net, images, image_id, regions[image_id]["boxes"], layer)
        np.testing.assert_allclose(found[rows(regions)[image_id]], alone, atol=2e-3)
    assert np.abs(found[0] - found[3]).max() > 0.01  # the same rectangle in two images


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 100])
def test_where_a_batch_ends_has_no_influence(
    tiny_net: nn.Module, images: BoxedImages, regions: dict[str, Record], tmp_path: Path, batch_size: int
) -> None:
    sizes: list[int] = []
    tiny_net.features.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    found = extracted(tiny_net, images, regions, tmp_path / "f.npy", batch_size=batch_size)
    np.testing.assert_allclose(found, extracted(tiny_net, images, regions, tmp_path / "g.npy"), atol=2e-3)
    whole, rest = divmod(7, batch_size)
    assert sizes[:-2] == [batch_size] * whole + [rest] * (rest > 0)


def test_extraction_has_no_dropout_even_from_a_network_that_was_being_trained(
    tiny_net: nn.Module, images: BoxedImages, regions: dict[str, Record], tmp_path: Path
) -> None:
    boxes = regions["two_classes"]["boxes"]
    expected = one_by_one(tiny_net, images, "two_classes", boxes, "fc7")
    tiny_net.train()
    with torch.inference_mode():
        dropped = network.describe(tiny_net, pixels(images, "two_classes", boxes), "fc7")
    assert np.abs(dropped.numpy() - expected).max() > 0.01  # the bug
    found = extracted(tiny_net, images, regions, tmp_path / "f.npy")
    np.testing.assert_allclose(found[:3], expected, atol=2e-3)


def test_extraction_flips_nothing_and_is_the_same_again(
    tiny_net: nn.Module, images: BoxedImages, regions: dict[str, Record], tmp_path: Path
) -> None:
    torch.manual_seed(1)
    extracted(tiny_net, images, regions, tmp_path / "f.npy")
    torch.manual_seed(2)
    extracted(tiny_net, images, regions, tmp_path / "g.npy")
    assert (tmp_path / "f.npy").read_bytes() == (tmp_path / "g.npy").read_bytes()
    with torch.inference_mode():
        crops = pixels(images, "difficult", regions["difficult"]["boxes"], np.ones(4, bool))
        mirrored = network.describe(tiny_net, crops, "fc7").numpy()
    assert (np.abs(np.load(tmp_path / "f.npy")[3:] - mirrored).max(axis=1) > 5e-3).all()
    regions["difficult"]["flipped"][:] = [False, True, True, False]
    some = extracted(tiny_net, images, regions, tmp_path / "h.npy", batch_size=2)[3:]
    np.testing.assert_allclose(some[1:3], mirrored[1:3], atol=2e-3)
    np.testing.assert_array_equal(some[[0, 3]], np.load(tmp_path / "f.npy")[[3, 6]])


def test_the_network_is_given_rgb_normalised_as_imagenet(
    tiny_net: nn.Module,
    images: BoxedImages,
    regions: dict[str, Record],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    red = np.zeros((60, 80, 3), np.uint8)
    red[..., 0] = 255
    monkeypatch.setattr(images, "image", lambda _: red)
    seen: list[torch.Tensor] = []
    tiny_net.features.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    extracted(tiny_net, images, regions, tmp_path / "f.npy")
    pixel = seen[0][0, :, 31, 31]
    torch.testing.assert_close(pixel, torch.tensor([(1 - 0.485) / 0.229, -0.456 / 0.224, -0.406 / 0.225]))


def test_no_region_at_all_is_an_array_without_rows(tiny_net: nn.Module, images: BoxedImages, tmp_path: Path) -> None:
    none: dict[str, Record] = {"empty": unlabelled(np.zeros((0, 4), np.float32))}
    assert extracted(tiny_net, images, none, tmp_path / "f.npy").shape == (0, 8)
    assert extracted(tiny_net, images, {}, tmp_path / "g.npy").shape == (0, 8)


def test_features_are_the_same_bytes_from_any_number_of_processes(
    tiny_net: nn.Module,
    images: BoxedImages,
    regions: dict[str, Record],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("src.rcnn.extract.CHUNK", 1)
    threads_before = torch.get_num_threads()
    for jobs in (1, 2):
        path = tmp_path / f"{jobs}.npy"
        extract(tiny_net, images, regions, path, layer="fc7", settings=SETTINGS, batch_size=2, device=CPU, jobs=jobs)
    assert (tmp_path / "1.npy").read_bytes() == (tmp_path / "2.npy").read_bytes()
    assert np.load(tmp_path / "1.npy").any(axis=1).all()
    assert torch.get_num_threads() == threads_before
    np.testing.assert_allclose(extracted(tiny_net, images, regions, tmp_path / "f.npy"), np.load(path), atol=2e-3)


def test_a_run_that_was_stopped_goes_on_and_ends_with_the_same_bytes(
    tiny_net: nn.Module,
    images: BoxedImages,
    regions: dict[str, Record],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("src.rcnn.extract.CHUNK", 1)
    options: dict[str, Any] = {"layer": "fc7", "settings": SETTINGS, "batch_size": 2, "device": CPU}
    extract(tiny_net, images, regions, tmp_path / "whole.npy", **options)
    parts, described = Shards(tmp_path / "parts"), []
    image = images.image

    def stopping(image_id: str) -> np.ndarray:
        described.append(image_id)
        if described.count("difficult") == 1 and image_id == "difficult":
            raise KeyboardInterrupt
        return image(image_id)

    monkeypatch.setattr(images, "image", stopping)
    with pytest.raises(KeyboardInterrupt):
        extract(tiny_net, images, regions, tmp_path / "f.npy", **options, parts=parts)
    assert parts.found() == 2
    assert not (tmp_path / "f.npy").exists()
    described.append("difficult")
    extract(tiny_net, images, regions, tmp_path / "f.npy", **options, parts=parts)
    assert described.count("two_classes") == 1
    assert (tmp_path / "f.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than this machine may have CPUs
@pytest.mark.parametrize("batch_size", [2, 100])
def test_features_are_the_same_bytes_from_any_number_of_workers(
    tiny_net: nn.Module, images: BoxedImages, regions: dict[str, Record], tmp_path: Path, batch_size: int
) -> None:
    options: dict[str, Any] = {"layer": "fc7", "settings": SETTINGS, "batch_size": batch_size, "device": CPU}
    for workers in (0, 1, 3):
        extract(tiny_net, images, regions, tmp_path / f"{workers}.npy", **options, workers=workers)
        assert (tmp_path / f"{workers}.npy").read_bytes() == (tmp_path / "0.npy").read_bytes()


def test_on_another_device_batches_are_full_across_images_and_the_rows_are_those_of_their_regions(
    tiny_net: nn.Module,
    images: BoxedImages,
    regions: dict[str, Record],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The network is left out: a crop's feature is its sum."""
    sizes = []

    def sums(model: nn.Module, crops: torch.Tensor, layer: str, precision: str) -> torch.Tensor:
        assert isinstance(crops, There)
        sizes.append(len(crops))
        return crops.mean((1, 2, 3))[:, None].expand(-1, network.widths(tiny_net, layer)[0])

    monkeypatch.setattr("src.rcnn.extract.network.describe", sums)
    options: dict[str, Any] = {"layer": "fc7", "settings": SETTINGS, "batch_size": 4, "jobs": 2}
    with elsewhere():
        extract(tiny_net, images, regions, tmp_path / "f.npy", **options, device=DEVICE)
    total = sum(len(record["boxes"]) for record in regions.values())
    assert sizes == [4] * (total // 4) + [total % 4] * (total % 4 > 0)
    crops = [pixels(images, image_id, record["boxes"], record["flipped"]) for image_id, record in regions.items()]
    wanted = torch.cat(crops).mean((1, 2, 3)).half().numpy()
    np.testing.assert_allclose(np.load(tmp_path / "f.npy")[:, 0], wanted, atol=2e-3)


def _disk(free: int) -> Any:
    return lambda _: namedtuple("Usage", "total used free")(10**12, 0, free)


def test_a_disk_that_would_not_hold_the_features_is_refused_with_the_numbers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", _disk(3_000_000_000))
    with pytest.raises(InputError, match=r"needs 36\.9 GB for 2000000 regions of 9216 numbers and has 3\.0 GB free"):
        check_space(tmp_path, 2_000_000, 9216)
    check_space(tmp_path / "new", 1000, 9216)
    monkeypatch.setattr(shutil, "disk_usage", _disk(2 * 1000 * 9216))
    check_space(tmp_path, 1000, 9216)  # exactly enough
    with pytest.raises(InputError, match=r"lower selective_search\.max_proposals"):
        check_space(tmp_path, 1001, 9216)


def test_a_refusal_comes_before_any_work_and_leaves_the_old_file(
    tiny_net: nn.Module,
    images: BoxedImages,
    regions: dict[str, Record],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "f.npy").write_bytes(b"old")
    monkeypatch.setattr(shutil, "disk_usage", _disk(10))
    monkeypatch.setattr(images, "image", lambda _: pytest.fail("an image was read"))
    with pytest.raises(InputError, match="make room"):
        extracted(tiny_net, images, regions, tmp_path / "f.npy")
    assert (tmp_path / "f.npy").read_bytes() == b"old"


def test_a_failure_half_way_leaves_the_old_file_and_no_rest(
    tiny_net: nn.Module,
    images: BoxedImages,
    regions: dict[str, Record],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "f.npy").write_bytes(b"old")
    image = images.image
    monkeypatch.setattr(images, "image", lambda name: image(name) if name == "two_classes" else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        extracted(tiny_net, images, regions, tmp_path / "f.npy", batch_size=2)
    assert (tmp_path / "f.npy").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["f.npy"]


def test_regions_of_an_image_are_its_true_boxes_its_proposals_and_those_of_them_that_are_mirrored() -> None:
    cars = target([[0, 0, 10, 10], [20, 0, 30, 10], [50, 50, 60, 60]], [1, 2, 1], [False, False, True])
    proposals = np.array([[0, 0, 10, 9], [0, 0, 10, 4], [20, 0, 30, 6], [50, 50, 60, 60]], np.float32)
    found = to_describe(proposals, cars, 0.6)
    np.testing.assert_array_equal(found["boxes"][:6], [*cars["boxes"][:2], *proposals])
    np.testing.assert_array_equal(found["boxes"][6:], [*cars["boxes"][:2], proposals[0], proposals[2]])
    assert found["is_gt"].tolist() == [True, True, *[False] * 4, True, True, False, False]
    assert found["flipped"].tolist() == [False] * 6 + [True] * 4
    for alone in (unlabelled(proposals), to_describe(proposals, target([], []), 0.6)):  # test, empty image
        np.testing.assert_array_equal(alone["boxes"], proposals)
        assert not alone["is_gt"].any()
        assert not alone["flipped"].any()
    assert not to_describe(proposals, cars, None)["flipped"].any()


def test_the_scale_brings_the_mean_norm_to_1_with_an_equal_share_for_each_layer() -> None:
    rng = np.random.default_rng(0)
    layers = [rng.normal(size=(500, 30)) * 50, rng.normal(size=(500, 4)) * 0.1]
    described = np.concatenate(layers, axis=1).astype(np.float16)
    scaled = described * unit_scale(described, [30, 4])
    for part in np.split(scaled, [30], axis=1):
        assert np.linalg.norm(part, axis=1).mean() == pytest.approx(0.5**0.5, rel=1e-3)
    assert np.linalg.norm(scaled, axis=1).mean() == pytest.approx(1, abs=0.05)
    alone = unit_scale(described[:, :30], [30])
    assert np.linalg.norm(described[:, :30] * alone, axis=1).mean() == pytest.approx(1, rel=1e-3)
    assert np.isfinite(unit_scale(np.zeros((3, 34), np.float16), [30, 4])).all()
    assert np.isfinite(unit_scale(described[:0], [30, 4])).all()


def test_the_scale_lets_go_of_the_pages_that_it_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released: list[object] = []
    monkeypatch.setattr("src.rcnn.planes.release", released.append)
    np.save(tmp_path / "features.npy", np.ones((9, 3), np.float16))
    unit_scale(np.load(tmp_path / "features.npy", mmap_mode="r"), [3])
    assert released


@pytest.mark.parametrize("layer", ["pool6", "", "pool5+", "fc6 + fc7"])
def test_an_unknown_layer_is_refused_with_those_there_are(layer: str) -> None:
    with pytest.raises(ValidationError, match=r"must be one of pool5, fc6, fc7, or some of them joined by \+"):
        Features(**{**RULES, "layer": layer})
    assert Features(**{**RULES, "layer": "fc6+pool5"}).side is None


def test_regions_on_a_map_have_the_side_of_its_image() -> None:
    rules = Features(**{**RULES, "from": "map"})
    assert rules.side == 600
    assert rules.model_dump()["from"] == "map"


@pytest.mark.parametrize("jobs", [1, 2])
def test_regions_on_one_map_are_in_the_order_of_the_images(
    images: BoxedImages,
    regions: dict[str, Record],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    jobs: int,
) -> None:
    monkeypatch.setattr("src.rcnn.extract.CHUNK", 1)
    net = network.build("alexnet", 3, hidden=8).eval()
    options: Any = {"layer": "fc7", "settings": SETTINGS, "batch_size": 2, "device": CPU, "jobs": jobs}
    extract(net, images, regions, tmp_path / "f.npy", map_side=64, **options)
    found = np.load(tmp_path / "f.npy")
    with torch.inference_mode():
        expected = [
            maps.describe(net, maps.scene(images.image(name), record["boxes"], record["flipped"], 64), SETTINGS, "fc7")
            for name, record in regions.items()
        ]
    np.testing.assert_allclose(found, torch.cat(expected).numpy(), atol=2e-3)


def test_features_are_read_as_a_view_of_the_file(
    tiny_net: nn.Module, images: BoxedImages, regions: dict[str, Record], tmp_path: Path
) -> None:
    every = extracted(tiny_net, images, regions, tmp_path / "f.npy")
    write_records(tmp_path / "r.npz", regions)
    found, table = read_described(tmp_path / "f.npy", tmp_path / "r.npz", list(regions))
    assert isinstance(found, np.memmap)
    np.testing.assert_array_equal(found, every)
    assert list(table) == list(regions)
    for others in (["two_classes", "empty"], ["empty", "two_classes", "difficult"]):
        with pytest.raises(InputError, match=r"r\.npz is not of the training images"):
            read_described(tmp_path / "f.npy", tmp_path / "r.npz", others)


def test_numbers_made_of_the_features_are_written_in_their_place(
    tiny_net: nn.Module,
    images: BoxedImages,
    regions: dict[str, Record],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("src.rcnn.extract.CHUNK", 1)
    features = extracted(tiny_net, images, regions, tmp_path / "f.npy")
    options = {"layer": "fc7", "settings": SETTINGS, "batch_size": 4, "device": CPU}
    for jobs in (1, 2):
        path = tmp_path / f"{jobs}.npy"
        extract(tiny_net, images, regions, path, result=Result(twice_two, 2), jobs=jobs, **options)
    found = np.load(path)
    assert (found.shape, found.dtype) == ((7, 2), np.float32)
    np.testing.assert_allclose(found, twice_two(features), atol=5e-3)
    assert (tmp_path / "1.npy").read_bytes() == path.read_bytes()
    monkeypatch.setattr(shutil, "disk_usage", _disk(7 * 2 * 4 - 1))
    with pytest.raises(InputError, match="7 regions of 2 numbers"):
        extract(tiny_net, images, regions, path, result=Result(twice_two, 2), **options)


def twice_two(features: np.ndarray) -> np.ndarray:
    return 2 * features[:, :2].astype(np.float32)
