"""The SVM of one class: `src.rcnn.solvers` beside scikit-learn's LinearSVC, which is liblinear.

python -m benchmarks.all --parts svm_fit
"""

from collections.abc import Iterator

import numpy as np
import sklearn
from sklearn.svm import LinearSVC

from benchmarks.pairs import OURS, Row, Setting, raced
from src.rcnn import solvers
from src.rcnn.planes import Plane

RULES = {"c": 0.001, "weight": 2.0, "bias_multiplier": 10.0, "seed": 0}  # of rcnn's code
WIDTH = 4096


def rows(setting: Setting) -> Iterator[Row]:
    """Yield the row of `make bench`: features like those of fc7, an eleventh of them positives."""
    negatives = setting.size(5000, 500)
    kinds = sparse(negatives // 10, WIDTH, 0.3), sparse(negatives, WIDTH, 0.0)
    sides = {
        OURS: lambda: solvers.liblinear(*kinds, **RULES),
        f"LinearSVC {sklearn.__version__}": lambda: _peer(*kinds),
    }
    ours, theirs = (
        solvers.objective(side(), *kinds, c=RULES["c"], weight=RULES["weight"]).total for side in sides.values()
    )
    note = f"objective {ours:.5g}, peer {theirs:.5g}"
    yield from raced(f"SVM of a class, {sum(map(len, kinds))} regions of {WIDTH} numbers", sides, setting.rounds, note)


def sparse(count: int, width: int, shift: float) -> np.ndarray:
    """Draw features [N, D] like those after a ReLU: a quarter of them is above 0, and the mean norm is about 20."""
    rng = np.random.default_rng(count)
    x = np.maximum(rng.standard_normal((count, width), np.float32) - 0.7 + shift * (np.arange(width) % 8 == 0), 0)
    return x * np.float32(20 / np.linalg.norm(x, axis=1).mean())


def _peer(positives: np.ndarray, negatives: np.ndarray) -> Plane:
    solver = LinearSVC(
        loss="hinge",
        C=RULES["c"],
        class_weight={1: RULES["weight"]},
        intercept_scaling=RULES["bias_multiplier"],
        random_state=0,
        max_iter=20_000,
    )
    solver.fit(np.concatenate([positives, negatives]), np.repeat([1, -1], [len(positives), len(negatives)]))
    return Plane(solver.coef_[0].astype(np.float32), float(solver.intercept_[0]))
