from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from src.errors import InputError
from src.files.storage import write_npz
from src.rcnn.score import Scorer, corrections, read_scores

WIDTH, CLASSES = 6, 3


@pytest.fixture
def scorer(tmp_path: Path) -> Callable[..., Scorer]:
    """Write an SVM and a regression of random numbers; read them for a number of features."""
    rng = np.random.default_rng(0)
    numbers = [("svm", (CLASSES, WIDTH), (CLASSES,)), ("bbox", (CLASSES, WIDTH, 4), (CLASSES, 4))]
    for name, weights, biases in numbers:
        arrays = {"weights": rng.normal(size=weights), "biases": rng.normal(size=biases), "scale": rng.random(WIDTH)}
        write_npz(tmp_path / f"{name}.npz", {key: value.astype(np.float32) for key, value in arrays.items()})
    return lambda width=WIDTH: Scorer(tmp_path / "svm.npz", tmp_path / "bbox.npz", width, "fc7")


def test_corrections_are_each_classes_own_regression() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(5, 6)).astype(np.float16)
    regression = {"weights": rng.normal(size=(3, 6, 4)), "biases": rng.normal(size=(3, 4)), "scale": rng.random(6)}
    wanted = np.einsum("nd,cdk->nck", features * regression["scale"], regression["weights"]) + regression["biases"]
    np.testing.assert_allclose(corrections(features, regression), wanted, rtol=1e-5)
    assert corrections(features[:0], regression).shape == (0, 3, 4)


@pytest.mark.parametrize("count", [0, 1, 7])
def test_rows_are_read_as_the_scores_and_deltas_that_were_written(
    scorer: Callable[..., Scorer], tmp_path: Path, count: int
) -> None:
    features = np.random.default_rng(1).normal(size=(count, WIDTH)).astype(np.float16)
    made = scorer()
    rows = made.rows(features)
    assert (rows.shape, rows.dtype) == ((count, made.width), np.float32)
    np.save(tmp_path / "rows.npy", rows)
    sizes = {"a": count // 2, "none": 0, "b": count - count // 2}
    proposals = {name: {"boxes": np.zeros((size, 4), np.float32)} for name, size in sizes.items()}
    found = read_scores(tmp_path / "rows.npy", proposals, list(proposals))
    wanted = made(features)
    for at, values in enumerate(wanted):
        parts = [found[name][at] for name in proposals]
        np.testing.assert_array_equal(np.concatenate(parts), values)
        assert [len(part) for part in parts] == list(sizes.values())
    assert found["none"].deltas.shape == (0, CLASSES, 4)


def test_scores_of_other_proposals_are_refused(scorer: Callable[..., Scorer], tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", scorer().rows(np.zeros((3, WIDTH), np.float16)))
    with pytest.raises(InputError, match=r"rows\.npy holds 3 regions and the proposals 2: run `dvc repro score_rcnn`"):
        read_scores(tmp_path / "rows.npy", {"a": {"boxes": np.zeros((2, 4), np.float32)}}, ["a"])


def test_an_svm_of_another_layer_is_refused(scorer: Callable[..., Scorer]) -> None:
    with pytest.raises(InputError, match=r"svm\.npz was trained on features of 6 numbers, but features\.layer = fc7"):
        scorer(8)
