import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import classification_report, f1_score, log_loss

from src.evaluation.classification import by_class, calibration_error, figures

NAMES = ["a", "b", "c", "d"]


def said(labels: list[int], confident: float = 0.7) -> np.ndarray:
    rest = (1 - confident) / 3
    return np.full((len(labels), 4), rest) + np.eye(4)[labels] * (confident - rest)


def test_f1_is_the_mean_over_all_classes_not_of_one_against_the_rest() -> None:
    """The tutorial computes F1 of class 0 against all others, which is perfect for these predictions."""
    labels, predicted = np.array([0, 0, 1, 1, 2, 2]), [0, 0, 2, 2, 1, 1]
    found = figures(labels, said(predicted))
    assert found["macro_f1"] == pytest.approx(1 / 4)  # one of four classes is right; the fourth does not occur
    assert f1_score(labels == 0, np.array(predicted) == 0) == 1.0


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_figures_by_class_are_those_of_scikit_learns_report(pairs: list[tuple[int, int]]) -> None:
    labels, predicted = (np.array(column) for column in zip(*pairs, strict=True))
    report = classification_report(
        labels, predicted, labels=range(4), target_names=NAMES, output_dict=True, zero_division=0
    )
    found = by_class(labels, predicted, NAMES)
    for name in NAMES:
        assert found[name]["precision"] == pytest.approx(report[name]["precision"])
        assert found[name]["recall"] == pytest.approx(report[name]["recall"])
        assert found[name]["images"] == report[name]["support"]
    all_of_them = figures(labels, said(predicted.tolist()))
    assert all_of_them["macro_f1"] == pytest.approx(report["macro avg"]["f1-score"])
    assert all_of_them["accuracy"] == pytest.approx((labels == predicted).mean())


def test_the_loss_is_a_mean_over_images() -> None:
    labels = np.array([0, 1, 2, 3, 0])
    scores = said([0, 1, 1, 3, 0], 0.8)
    expected = -np.log(scores[np.arange(5), labels]).mean()
    assert figures(labels, scores)["loss"] == pytest.approx(expected)
    assert figures(np.tile(labels, 9), np.tile(scores, (9, 1)))["loss"] == pytest.approx(expected)
    assert log_loss(labels, scores, labels=range(4)) == pytest.approx(expected)


def test_a_score_of_1_or_0_has_a_finite_loss() -> None:
    found = figures(np.array([0, 1]), np.array([[1.0, 0.0], [1.0, 0.0]]))
    assert np.isfinite(found["loss"])
    assert found["calibration_error"] == pytest.approx(0.5)


def test_calibration_is_perfect_where_scores_say_how_often_they_are_right() -> None:
    labels = np.array([0, 0, 0, 1])
    assert calibration_error(labels, np.tile([0.75, 0.25], (4, 1))) == pytest.approx(0.0)
    assert calibration_error(labels, np.tile([0.95, 0.05], (4, 1))) == pytest.approx(0.2)


def test_calibration_is_measured_bin_by_bin_so_that_errors_do_not_cancel() -> None:
    labels = np.array([1, 0])  # a score that is too high for a wrong answer, and one that is too low for a right answer
    scores = np.array([[0.9, 0.1], [0.6, 0.4]])
    assert calibration_error(labels, scores) == pytest.approx((0.9 + 0.4) / 2)
