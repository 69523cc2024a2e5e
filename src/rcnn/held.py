"""The negatives that a class holds while its SVM is trained (rcnn's `rcnn_train.m`): hard ones, and never too many.

A region is identified by its row in the features, that is by image *and* box: the same rectangle in another image is
another negative. Only rows, scores and duals are held; the features stay in their file.
"""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Held:
    """The negatives that one class holds, and the counts of the present pass over the pool."""

    rows: np.ndarray  # [N], sorted
    scores: np.ndarray = field(init=False)  # [N], by the plane of the last fit
    duals: np.ndarray = field(init=False)  # [N], of the last fit; 0 for a row that has come since
    new: np.ndarray = field(init=False)  # [N], whether a row has come since the last fit
    fitted: int = 0  # negatives in the last fit
    newly_hard: int = 0  # new ones that were held; 0 if no held row changed
    evicted: int = 0  # dropped because they became easy
    crowded_out: int = 0  # dropped because `max_held` were harder
    fits: int = 0
    unfinished: int = 0  # fits that came to the limit of their sweeps

    def __post_init__(self) -> None:
        self.scores = np.full(len(self.rows), np.inf, np.float32)
        self.duals = np.zeros(len(self.rows))
        self.new = np.zeros(len(self.rows), bool)

    @property
    def waiting(self) -> int:
        """The number of held rows that have come since the last fit."""
        return int(self.new.sum())

    def start_pass(self) -> None:
        """Set the counts of a pass to 0."""
        self.newly_hard = self.evicted = self.crowded_out = self.fits = self.unfinished = 0

    def add(self, rows: np.ndarray, scores: np.ndarray, max_held: int) -> None:
        """Add hard negatives that are not held yet. If there are more than `max_held` then, the easiest leave first.

        One that leaves at once is neither waiting nor newly hard. Else a class with `max_held` negatives would be
        fitted again and again to the same ones, since those that it has no room for are found in every pass.

        Args:
            rows: [K], sorted; K may be 0.
            scores: [K], by the plane of the last fit.
            max_held: largest number of rows to hold.
        """
        unknown = ~np.isin(rows, self.rows, assume_unique=True)
        if not unknown.any():
            return
        waiting = self.waiting
        every, their_scores = np.r_[self.rows, rows[unknown]], np.r_[self.scores, scores[unknown]]
        new = np.r_[self.new, np.ones(int(unknown.sum()), bool)]
        duals = np.r_[self.duals, np.zeros(int(unknown.sum()))]
        hardest = np.lexsort((every, -their_scores))[:max_held]  # the lower row wins a tie
        hardest = hardest[np.argsort(every[hardest])]
        self.crowded_out += len(every) - len(hardest)
        self.rows, self.scores, self.new = every[hardest], their_scores[hardest], new[hardest]
        self.duals = duals[hardest]
        self.newly_hard += self.waiting - waiting

    def fit_done(self, scores: np.ndarray, duals: np.ndarray, easy_margin: float, *, finished: bool = True) -> None:
        """Take the scores [N] and duals [N] of the held negatives after a fit, and drop those below `easy_margin`.

        If all are easy, the first stays, because sgd needs at least one negative. `finished` is that of the fit.
        """
        self.fitted, self.fits = len(self.rows), self.fits + 1
        self.unfinished += not finished
        kept = scores >= easy_margin
        if not kept.any():
            kept[:1] = True
        self.evicted += int((~kept).sum())
        self.rows, self.scores, self.duals = self.rows[kept], scores[kept], duals[kept]
        self.new = np.zeros(len(self.rows), bool)
