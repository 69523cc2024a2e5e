import json
from pathlib import Path

import numpy as np
import pytest

from commands.cross_validate import Params, run, split
from src.errors import InputError
from src.files.labelled_images import LabelledImages
from src.files.weights import write_tensors
from tests.labelled import digits
from tests.stages.classifiers import params


@pytest.fixture
def data(tmp_path: Path) -> LabelledImages:
    return digits(tmp_path / "digits.zip")


def test_folds_share_every_class_out_evenly_and_hold_each_image_out_once(data: LabelledImages) -> None:
    ids = np.array(data.ids("train", "val"))
    folds = split(data, ids, 3, seed=0)
    assert sorted(np.concatenate([held_out for _, held_out in folds])) == list(range(60))
    counts = [np.bincount([data.label(name) for name in ids[held_out]], minlength=10) for _, held_out in folds]
    assert np.ptp(counts, axis=0).max() <= 1
    for kept, held_out in folds:
        assert not set(kept) & set(held_out)


@pytest.mark.parametrize("folds", [1, 7])
def test_folds_that_a_class_does_not_reach_for_are_refused(data: LabelledImages, folds: int) -> None:
    with pytest.raises(InputError, match=rf"--folds {folds}: it must be between 2 and 4"):
        split(data, np.array(data.ids("train", "val")), folds, seed=0)


def test_figures_are_of_each_fold_and_no_test_image_is_seen(
    data: LabelledImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEVICE", "cpu")
    seen = set()
    image = LabelledImages.image
    monkeypatch.setattr(LabelledImages, "image", lambda self, name: seen.add(name) or image(self, name))
    write_tensors(tmp_path / "none", {}, {"source": "none"})
    run(
        params(Params),
        classifier="mobilenet_v3",
        images=data.path,
        weights=tmp_path / "none",
        out=tmp_path / "folds.json",
        folds=2,
    )
    found = json.loads((tmp_path / "folds.json").read_text())
    assert (found["folds"], found["images"], len(found["each"])) == (2, 60, 2)
    accuracies = [fold["accuracy"] for fold in found["each"]]
    assert found["mean"]["accuracy"] == pytest.approx(np.mean(accuracies), abs=1e-3)
    assert seen == set(data.ids("train", "val"))
