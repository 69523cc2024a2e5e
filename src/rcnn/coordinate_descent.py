"""Linear SVMs by dual coordinate descent (Hsieh et al. 2008, ICML) on dense float32 rows, without a copy of them.

    objective = |w|^2 / 2 + (b / B)^2 / 2 + sum_i C_i max(0, 1 - y_i (w x_i + b)),   y_i = +1 or -1

As in liblinear, the bias b is the weight of a constant feature B, so it is regularised too; the larger B is, the less.
Each row has a dual variable a_i between 0 and C_i. The duals determine the plane:

    w = sum_i a_i y_i x_i,   b = B^2 sum_i a_i y_i

A sweep visits the rows in random order and sets one dual after the other to its best value (Alg. 1). Rows whose dual is
at a bound that it will hardly leave are skipped (Sec. 3.2). The duality gap bounds how far the objective is above its
minimum. The descent ends when the gap over all rows is small: a thousandth of the objective, and a millionth of that of
a plane of zeros, which is sum_i C_i, because single precision computes the losses no better than that.

N is the number of rows, D of features of a row. The kernels follow the rules of `src.selective_search.compiled`.
"""

import numpy as np

from src.errors import InputError
from src.rcnn.planes import Plane
from src.rcnn.solvers import Fit
from src.selective_search.compiled import compiled

GAP = 1e-3  # largest duality gap as a share of the objective, to which comes
ROUNDING = 1e-6  # this share of the objective of a plane of zeros
MAX_SWEEPS = 20_000
LANES = 64  # sums that a scalar product keeps side by side, so that the processor's vectors do not change their order


def fit(
    x: np.ndarray,
    y: np.ndarray,
    duals: np.ndarray,
    *,
    c: float,
    weight: float,
    bias_multiplier: float,
    seed: int,
    gap: float = GAP,
    max_sweeps: int = MAX_SWEEPS,
) -> Fit:
    """Fit a plane; params.yaml has the settings of rcnn's code.

    Beside `x` it needs some 60 bytes per row and 4 per feature.

    Args:
        x: float32 [N, D], contiguous, not changed. N may be 0, which gives a plane of zeros.
        y: float32 [N], +1 or -1; there may be rows of one kind only.
        duals: [N], from which the descent starts: 0, or those of an earlier fit for rows that it had too.
        c: C of the objective, which is C_i of the negatives.
        weight: weight of the positives, whose C_i is c * weight.
        bias_multiplier: B.
        seed: seed of the order of the rows.
        gap: largest duality gap, as a share of the objective.
        max_sweeps: after this many sweeps the descent ends, and `finished` of the result is False.

    Returns:
        The plane, the scores of the rows, their duals, and whether the gap was reached.

    Raises:
        InputError: a feature is not a finite number.
        ValueError: `x` is not contiguous float32.
    """
    if x.dtype != np.float32 or not x.flags.c_contiguous:
        raise ValueError(f"rows must be contiguous float32: these are {x.dtype}, contiguous: {x.flags.c_contiguous}")
    upper = np.where(y > 0, c * weight, c)
    duals = np.clip(duals, 0, upper)
    constant, rounding = float(bias_multiplier) ** 2, ROUNDING * upper.sum()
    w, b = _plane(x, y, duals, constant)
    squares, scores = np.zeros(len(y)), np.empty(len(y))
    rng, every = np.random.default_rng(seed), np.arange(len(y))
    active, bounds, finished = every, (-np.inf, np.inf), False
    for sweep in range(1, max_sweeps + 1):
        order = rng.permutation(active)
        count, estimate, value, lowest, highest = _sweep(x, y, upper, squares, duals, order, w, b, constant, *bounds)
        if not np.isfinite(estimate + value):
            raise InputError("a feature of a region is not a finite number: run extract_features again")
        active = order[:count]
        bounds = lowest if lowest < 0 else -np.inf, highest if highest > 0 else np.inf
        if estimate <= gap * value + rounding or sweep == max_sweeps:  # rows may have been skipped, so look at all
            exact, total = _gap(x, y, upper, duals, w, b, constant, scores)
            if finished := exact <= gap * total + rounding:
                break
            active, bounds = every, (-np.inf, np.inf)
    return Fit(Plane(w, float(b[0])), scores, duals, finished)


@compiled
def _plane(x: np.ndarray, y: np.ndarray, duals: np.ndarray, constant: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the plane of the duals: w, float32 [D], and b, float64 [1]."""
    w, b = np.zeros(x.shape[1], np.float32), np.zeros(1)
    for row in range(len(y)):
        if duals[row] > 0:
            _add(w, duals[row] * y[row], x[row])
            b[0] += duals[row] * y[row] * constant
    return w, b


@compiled
def _sweep(
    x: np.ndarray,
    y: np.ndarray,
    upper: np.ndarray,
    squares: np.ndarray,
    duals: np.ndarray,
    rows: np.ndarray,
    w: np.ndarray,
    b: np.ndarray,
    constant: float,
    lowest_before: float,
    highest_before: float,
) -> tuple[int, float, float, float, float]:
    """Set the duals of the rows one by one (Alg. 1), and move the rows that stay active to the front of `rows`.

    A row is left out if its gradient is outside those that the last sweep could still reduce (Eq. 13). `squares` takes
    |x|^2 + B^2 of each row that moved.

    Returns:
        The number of active rows; the duality gap of the rows, each when it was visited; the value of the dual problem
        after the sweep; the lowest and the highest projected gradient.
    """
    lanes = np.empty(LANES, np.float32)
    count, gap, lowest, highest = 0, 0.0, np.inf, -np.inf
    for row in rows:
        dual = duals[row]
        gradient = y[row] * (_dot(x[row], w, lanes) + b[0]) - 1
        if (dual == 0 and gradient > highest_before) or (dual == upper[row] and gradient < lowest_before):
            continue
        rows[count] = row
        count += 1
        gap += upper[row] * max(-gradient, 0.0) + dual * gradient
        if (dual == 0 and gradient >= 0) or (dual == upper[row] and gradient <= 0):
            lowest, highest = min(lowest, 0.0), max(highest, 0.0)
            continue
        lowest, highest = min(lowest, gradient), max(highest, gradient)
        if squares[row] == 0:
            squares[row] = _dot(x[row], x[row], lanes) + constant
        duals[row] = min(max(dual - gradient / squares[row], 0.0), upper[row])
        step = (duals[row] - dual) * y[row]
        _add(w, step, x[row])
        b[0] += step * constant
    value = -(_dot(w, w, lanes) + b[0] * b[0] / constant) / 2
    for row in range(len(duals)):
        value += duals[row]
    return count, gap, value, lowest, highest


@compiled
def _gap(
    x: np.ndarray,
    y: np.ndarray,
    upper: np.ndarray,
    duals: np.ndarray,
    w: np.ndarray,
    b: np.ndarray,
    constant: float,
    scores: np.ndarray,
) -> tuple[float, float]:
    """Score all rows, and return the duality gap and the objective."""
    lanes = np.empty(LANES, np.float32)
    gap, value = 0.0, (_dot(w, w, lanes) + b[0] * b[0] / constant) / 2
    for row in range(len(y)):
        scores[row] = _dot(x[row], w, lanes) + b[0]
        gradient = y[row] * scores[row] - 1
        loss = upper[row] * max(-gradient, 0.0)
        gap += loss + duals[row] * gradient
        value += loss
    return gap, value


@compiled
def _dot(a: np.ndarray, b: np.ndarray, lanes: np.ndarray) -> float:
    """Return the scalar product of two float32 vectors; `lanes` [LANES] is scratch memory."""
    for lane in range(LANES):
        lanes[lane] = 0
    whole = len(a) // LANES * LANES
    for start in range(0, whole, LANES):
        for lane in range(LANES):
            lanes[lane] += a[start + lane] * b[start + lane]
    for n in range(whole, len(a)):
        lanes[n - whole] += a[n] * b[n]
    half = LANES // 2
    while half:
        for lane in range(half):
            lanes[lane] += lanes[half + lane]
        half //= 2
    return np.float64(lanes[0])


@compiled
def _add(total: np.ndarray, factor: float, row: np.ndarray) -> None:
    """Add factor * row to the total, in single precision."""
    single = np.float32(factor)
    for n in range(len(total)):
        total[n] += single * row[n]
