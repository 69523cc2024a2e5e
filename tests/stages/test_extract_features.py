from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.errors import InputError
from src.files.boxed_images import BoxedImages
from src.files.records import Record, read_records, write_records
from src.files.storage import read_npz
from src.files.weights import read_tensors
from src.params import read_params
from src.rcnn import network
from src.rcnn.features import rows
from stages.extract_features import Params, run
from tests.rcnn.test_features import SETTINGS, one_by_one

BOXES = {  # in another order than that of the splits
    "000002": [[5, 40, 70, 110], [1, 1, 30, 30]],
    "000001": [[10, 10, 60, 70], [2, 1, 31, 30], [60, 20, 110, 80]],
}
PROPOSALS: dict[str, Record] = {name: {"boxes": np.array(boxes, np.float32)} for name, boxes in BOXES.items()}
OBJECT = [1, 1, 30, 30]  # of both images
Extracted = Callable[..., dict[str, Any]]


@pytest.fixture
def params(checkout: Path) -> Params:
    return read_params("params.yaml", Params).model_copy(update={"warp": SETTINGS})


@pytest.fixture
def extracted(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Extracted:
    """Run the stage with changes of its section; return the content of its outputs by option."""
    monkeypatch.setenv("JOBS", "1")

    def extracted(params: Params, proposals: dict[str, Record] = PROPOSALS, **changes: Any) -> dict[str, Any]:
        write_records(tmp_path / "proposals.npz", proposals)
        outs = {name: tmp_path / name for name in ("out", "regions", "scale")}
        run(
            params.model_copy(update={"features": params.features.model_copy(update=changes)}),
            **{"images": checkout / "data/prepared/voc.zip", "proposals": tmp_path / "proposals.npz"},
            **{"model": checkout / "models/rcnn.safetensors", **outs},
        )
        return {
            "out": np.load(outs["out"]),
            "regions": read_records(outs["regions"]),
            "scale": read_npz(outs["scale"])["scale"],
        }

    return extracted


def test_training_images_alone_are_described_with_their_objects(extracted: Extracted, params: Params) -> None:
    regions = extracted(params)["regions"]
    assert list(regions) == ["000001"]  # 000002 is of the test split
    assert regions["000001"]["boxes"].tolist() == [OBJECT, *BOXES["000001"]]
    assert regions["000001"]["is_gt"].tolist() == [True, False, False, False]
    assert not regions["000001"]["flipped"].any()


@pytest.mark.parametrize("layer", ["fc7", "pool5+fc6"])
def test_rows_are_the_networks_features_of_the_regions_and_the_scale_has_a_number_for_each_column(
    extracted: Extracted, params: Params, checkout: Path, layer: str
) -> None:
    found = extracted(params, layer=layer)
    tensors, facts = read_tensors(checkout / "models/rcnn.safetensors")
    model = network.build("alexnet", 3, pool=facts["pool"], hidden=facts["hidden"])
    model.load_state_dict(tensors)
    widths = network.widths(model, layer)
    assert found["out"].dtype == np.float16
    assert found["out"].shape == (4, sum(widths))
    assert found["scale"].shape == (sum(widths),)
    data = BoxedImages(checkout / "data/prepared/voc.zip")
    for image_id, place in rows(found["regions"]).items():
        wanted = one_by_one(model, data, image_id, found["regions"][image_id]["boxes"], layer)
        np.testing.assert_allclose(found["out"][place], wanted, rtol=5e-3, atol=5e-3)


def test_the_scale_brings_the_mean_norm_of_the_training_regions_to_1(extracted: Extracted, params: Params) -> None:
    found = extracted(params)
    norms = np.linalg.norm(found["out"] * found["scale"], axis=1)
    assert norms.mean() == pytest.approx(1, abs=1e-3)


def test_regions_near_an_object_of_a_training_image_are_described_mirrored_too(
    extracted: Extracted, params: Params
) -> None:
    found = extracted(params, flip_iou_thresh=0.6)
    record = found["regions"]["000001"]
    assert record["flipped"].tolist() == [False] * 4 + [True] * 2
    assert record["boxes"][4:].tolist() == [OBJECT, BOXES["000001"][1]]
    assert len(found["out"]) == 6
    assert np.abs(found["out"][4] - found["out"][0]).max() > 1e-3  # one box, another picture


def test_a_training_image_without_proposals_has_its_objects_alone(extracted: Extracted, params: Params) -> None:
    found = extracted(params, {"000001": {"boxes": np.zeros((0, 4), np.float32)}})
    assert found["regions"]["000001"]["boxes"].tolist() == [OBJECT]
    assert len(found["out"]) == 1


def test_proposals_that_lack_an_image_are_refused(extracted: Extracted, params: Params, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"proposals\.npz has no record of image 000001"):
        extracted(params, {"000002": PROPOSALS["000002"]})
    assert not (tmp_path / "out").exists()


def precisions(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return a set that takes the precision of every batch that R-CNN's network describes from now on."""
    seen: set[str] = set()
    describe = network.describe

    def recorded(model: Any, crops: Any, layer: str, precision: str = "32-true") -> Any:
        seen.add(precision)
        return describe(model, crops, layer, precision)

    monkeypatch.setattr(network, "describe", recorded)
    return seen


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_the_precision_of_the_section_is_the_networks(
    extracted: Extracted, params: Params, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    seen = precisions(monkeypatch)
    extracted(params, precision=precision)
    assert seen == {precision}
