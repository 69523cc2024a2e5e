"""The SVM of one class: our dual coordinate descent beside liblinear, from `benchmarks.svm`.

python -m benchmarks.all --parts svm_fit
"""

from collections.abc import Iterator

import sklearn

from benchmarks import svm
from benchmarks.pairs import OURS, Row, Setting, raced

WIDTH = 4096


def rows(setting: Setting) -> Iterator[Row]:
    """Yield the row of `make bench`: features like those of fc7, an eleventh of them positives."""
    x, y = svm.drawn(setting.size(5500, 550), WIDTH)
    sides = {OURS: lambda: svm.descend(x, y)[0], f"LinearSVC {sklearn.__version__}": lambda: svm.liblinear(x, y)}
    ours, theirs = (svm.value(side(), x, y) for side in sides.values())
    note = f"objective {ours:.5g}, peer {theirs:.5g}"
    yield from raced(f"SVM of a class, {len(y)} regions of {WIDTH} numbers", sides, setting.rounds, note)
