"""Compare this project's SVM solver with liblinear (scikit-learn's LinearSVC), in turns and on one thread.

    python -m benchmarks.svm --rows 5000 20000 --width 4096

The rows are drawn like features after a ReLU; one in eleven is a positive. A pair is one fit of each, and the pairs
take turns at going first. For each number of rows it prints the processor seconds of both (median and range), the
ratio, liblinear's over ours, the difference of the objectives, and the peak memory as a multiple of that of the rows.
"Warm" is a fit of all rows from the duals of a fit of half of them, as a round of mining leaves them. `make bench` has
the pair, too.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.pairs import OURS, Row, Setting, raced, sparse
from src.parallel import one_thread
from src.rcnn.coordinate_descent import fit
from src.rcnn.planes import Plane
from src.rcnn.solvers import hinge

BENCH_WIDTH = 4096  # numbers of fc7
C, WEIGHT, BIAS = 0.001, 2.0, 10.0  # rcnn's settings, as in params.yaml
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def main() -> None:
    """Print a table with a row per number of rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[5000, 20_000])
    parser.add_argument("--width", type=int, default=4096)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    descend(*drawn(44, options.width))  # compiles the kernels, or loads them if they are compiled
    liblinear(*drawn(44, options.width))  # imports it
    print(f"{options.width} features, {options.pairs} pairs; seconds are the processor's: median (lowest to highest)\n")
    print("| rows | ours | warm | liblinear | ratio | ratio, warm | objective | memory, ours | liblinear |")
    print("|---|---|---|---|---|---|---|---|---|")
    with one_thread():
        for count in options.rows:
            print(row(*drawn(count, options.width), options.pairs), flush=True)


def rows(setting: Setting) -> Iterator[Row]:
    """Yield the row of `make bench`: features like those of fc7, an eleventh of them positives."""
    import sklearn  # imported here: it takes a second

    x, y = drawn(setting.size(5500, 550), BENCH_WIDTH)
    sides = {OURS: lambda: descend(x, y)[0], f"LinearSVC {sklearn.__version__}": lambda: liblinear(x, y)}
    ours, theirs = (value(side(), x, y) for side in sides.values())
    note = f"objective {ours:.5g}, peer {theirs:.5g}"
    yield from raced(f"SVM of a class, {len(y)} regions of {BENCH_WIDTH} numbers", sides, setting.rounds, note)


def drawn(count: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw rows [N, D] and +1 or -1 for each, in random order."""
    positives = np.arange(count) < count // 11
    x = sparse(count, width, 0.0)
    x[positives] = sparse(count // 11, width, 0.3)
    order = np.random.default_rng(0).permutation(count)
    return x[order], np.where(positives[order], 1, -1).astype(np.float32)


def row(x: np.ndarray, y: np.ndarray, pairs: int) -> str:
    """Time the pairs and return the row of the table."""
    half = len(y) // 2
    start = np.r_[descend(x[:half], y[:half])[1], np.zeros(len(y) - half)]
    ways: dict[str, Callable[[], tuple[Plane, np.ndarray]]] = {
        "ours": lambda: descend(x, y),
        "warm": lambda: descend(x, y, start),
        "liblinear": lambda: (liblinear(x, y), start),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    values, memory = {}, {}
    for number in range(pairs):
        for name in ways if number % 2 == 0 else reversed(ways):
            before, resident = time.process_time(), reset_peak()
            plane, _ = ways[name]()
            seconds[name].append(time.process_time() - before)
            memory[name], values[name] = (1 + (peak() - resident) / x.nbytes), value(plane, x, y)
    theirs = np.array(seconds["liblinear"])
    times = " | ".join(shown(seconds[name], ".3f", " s") for name in ways)
    ratios = " | ".join(shown(theirs / seconds[name], ".1f") for name in ("ours", "warm"))
    difference = max(abs(values[name] / values["liblinear"] - 1) for name in ("ours", "warm"))
    kept = max(memory["ours"], memory["warm"]), memory["liblinear"]
    return f"| {len(y)} | {times} | {ratios} | {difference:.1e} | {kept[0]:.2f} | {kept[1]:.2f} |"


def shown(values: list[float] | np.ndarray, form: str, unit: str = "") -> str:
    """Format the median and the range."""
    return f"{np.median(values):{form}}{unit} ({min(values):{form}} to {max(values):{form}})"


def descend(x: np.ndarray, y: np.ndarray, duals: np.ndarray | None = None) -> tuple[Plane, np.ndarray]:
    """Fit with our solver, from duals of 0 by default; return the plane and the duals."""
    start = np.zeros(len(y)) if duals is None else duals
    found = fit(x, y, start, c=C, weight=WEIGHT, bias_multiplier=BIAS, seed=0)
    assert found.finished
    return found.plane, found.duals


def liblinear(x: np.ndarray, y: np.ndarray) -> Plane:
    """Fit with liblinear, to LinearSVC's usual tolerance."""
    from sklearn.svm import LinearSVC  # imported here: it takes a second

    solver = LinearSVC(
        loss="hinge", C=C, class_weight={1: WEIGHT}, intercept_scaling=BIAS, random_state=0, max_iter=20_000
    )
    solver.fit(x.astype(np.float64), y)  # in single precision LinearSVC would copy it once more
    return Plane(solver.coef_[0].astype(np.float32), float(solver.intercept_[0]))


def value(plane: Plane, x: np.ndarray, y: np.ndarray) -> float:
    """Compute the objective that both minimise, with the bias in the regulariser."""
    losses = np.where(y > 0, C * WEIGHT, C) * hinge(y * (x @ plane.weight + plane.bias))
    return float(losses.sum() + plane.weight @ plane.weight / 2 + (plane.bias / BIAS) ** 2 / 2)


def reset_peak() -> int:
    """Set Linux's record of the peak memory to what is in use, and return that; bytes."""
    RESET.write_text("5")
    return peak()


def peak() -> int:
    """Return the peak memory of the process since the record was set; bytes."""
    return int(STATUS.read_text().split("VmHWM:")[1].split()[0]) * 1024


if __name__ == "__main__":
    main()
