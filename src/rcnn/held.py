"""The negatives that a class holds while its SVM is trained (rcnn's `rcnn_train.m`): hard ones, and never too many.

A region is identified by its row in the features, that is by image *and* box: the same rectangle in another image is
another negative. Only rows and scores are held; the features stay in their file.
"""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Held:
    """The negatives that one class holds, and the counts of the present pass over the pool."""

    rows: np.ndarray  # [N], sorted
    scores: np.ndarray = field(init=False)  # [N], by the plane of the last fit
    waiting: int = 0  # new ones since the last fit
    fitted: int = 0  # negatives in the last fit
    newly_hard: int = 0
    evicted: int = 0  # dropped because they became easy
    crowded_out: int = 0  # dropped because `max_held` were harder
    fits: int = 0

    def __post_init__(self) -> None:
        self.scores = np.full(len(self.rows), np.inf, np.float32)

    def start_pass(self) -> None:
        """Set the counts of a pass to 0."""
        self.newly_hard = self.evicted = self.crowded_out = self.fits = 0

    def add(self, rows: np.ndarray, scores: np.ndarray, max_held: int) -> None:
        """Add hard negatives that are not held yet. If there are more than `max_held` then, the easiest leave first.

        Args:
            rows: [K], sorted; K may be 0.
            scores: [K], by the plane of the last fit.
            max_held: largest number of rows to hold.
        """
        new = ~np.isin(rows, self.rows, assume_unique=True)
        count = int(new.sum())
        if not count:
            return
        self.newly_hard += count
        self.waiting += count
        every, their_scores = np.r_[self.rows, rows[new]], np.r_[self.scores, scores[new]]
        hardest = np.lexsort((every, -their_scores))[:max_held]  # the lower row wins a tie
        hardest = hardest[np.argsort(every[hardest])]
        self.crowded_out += len(every) - len(hardest)
        self.rows, self.scores = every[hardest], their_scores[hardest]

    def fit_done(self, scores: np.ndarray, easy_margin: float) -> None:
        """Take the scores [N] of the held negatives after a fit, and drop those below `easy_margin`.

        If all are easy, the first stays, because the solver needs at least one negative.
        """
        self.waiting, self.fitted, self.fits = 0, len(self.rows), self.fits + 1
        kept = scores >= easy_margin
        if not kept.any():
            kept[:1] = True
        self.evicted += int((~kept).sum())
        self.rows, self.scores = self.rows[kept], scores[kept]
