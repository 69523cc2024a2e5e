import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from src.errors import InputError
from src.files.boxed_images import BoxedImages
from src.files.records import Record, write_records
from src.files.weights import read_tensors
from src.params import read_params
from src.rcnn import network
from src.rcnn.score import Scorer, Scores, read_scores
from stages.score_rcnn import Params, run
from tests.rcnn.test_features import SETTINGS, one_by_one
from tests.stages.test_extract_features import PROPOSALS, precisions

IDS = ["000001", "000002"]  # the test split
Scored = Callable[..., dict[str, Scores]]


@pytest.fixture
def params(checkout: Path) -> Params:
    return read_params("params.yaml", Params).model_copy(update={"warp": SETTINGS})


@pytest.fixture
def scored(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scored:
    """Run the stage; return the scores by image."""

    def scored(params: Params, proposals: dict[str, Record] = PROPOSALS, jobs: int = 1) -> dict[str, Scores]:
        monkeypatch.setenv("JOBS", str(jobs))
        write_records(tmp_path / "proposals.npz", proposals)
        files = {"svm": checkout / "models/svm.npz", "bbox": checkout / "models/bbox.npz", "out": tmp_path / "out.npy"}
        voc, model = checkout / "data/prepared/voc.zip", checkout / "models/rcnn.safetensors"
        run(params, images=voc, proposals=tmp_path / "proposals.npz", model=model, **files)
        return read_scores(files["out"], proposals, IDS)

    return scored


def test_every_proposal_of_the_test_images_gets_the_scores_and_deltas_of_its_features(
    scored: Scored, params: Params, checkout: Path
) -> None:
    found = scored(params)
    tensors, facts = read_tensors(checkout / "models/rcnn.safetensors")
    model = network.build("alexnet", 3, pool=facts["pool"], hidden=facts["hidden"])
    model.load_state_dict(tensors)
    scorer = Scorer(checkout / "models/svm.npz", checkout / "models/bbox.npz", facts["hidden"], "fc7")
    data = BoxedImages(checkout / "data/prepared/voc.zip")
    assert list(found) == IDS  # in the order of the split, not in that of the proposals
    for image_id in IDS:
        features = one_by_one(model, data, image_id, PROPOSALS[image_id]["boxes"], "fc7").astype(np.float16)
        for values, wanted in zip(found[image_id], scorer(features), strict=True):
            assert values.shape == wanted.shape
            np.testing.assert_allclose(values, wanted, rtol=5e-3, atol=5e-3)


def test_the_bytes_do_not_depend_on_the_number_of_processes(
    scored: Scored, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("src.rcnn.extract.CHUNK", 1)
    contents = []
    for jobs in (1, 2):
        scored(params, jobs=jobs)
        contents.append((tmp_path / "out.npy").read_bytes())
    assert contents[0] == contents[1]


def test_an_image_without_proposals_is_there_without_rows(scored: Scored, params: Params) -> None:
    found = scored(params, {**PROPOSALS, "000002": {"boxes": np.zeros((0, 4), np.float32)}})
    assert found["000002"].scores.shape == (0, 2)
    assert len(found["000001"].scores) == 3


def test_a_disk_that_is_too_full_is_refused_before_any_work(
    scored: Scored, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=5 * 2 * 5 * 4 - 1))
    with pytest.raises(InputError, match="5 regions of 10 numbers"):
        scored(params)
    assert not (tmp_path / "out.npy").exists()


def test_an_svm_of_another_layer_is_refused(scored: Scored, params: Params, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"svm\.npz was trained on features of 8 numbers, .* pool5 .* gives 256"):
        scored(params.model_copy(update={"features": params.features.model_copy(update={"layer": "pool5"})}))
    assert not (tmp_path / "out.npy").exists()


def test_proposals_that_lack_an_image_are_refused(scored: Scored, params: Params) -> None:
    with pytest.raises(InputError, match=r"proposals\.npz has no record of image 000002"):
        scored(params, {"000001": PROPOSALS["000001"]})


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_the_precision_of_the_section_is_the_networks(
    scored: Scored, params: Params, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    seen = precisions(monkeypatch)
    scored(params.model_copy(update={"features": params.features.model_copy(update={"precision": precision})}))
    assert seen == {precision}
