"""The sizes of a cluster's tasks: many items that are quick go together, because each task costs Dask some 7 ms.

The results do not depend on the sizes. docs/cluster.md ("Speed") has what they save.
"""

SECONDS = 1.0  # that a task may take: a worker that dies loses no more than this work, or one item
AHEAD = 4  # tasks per worker that the scheduler knows: some wait for workers that come during the run
SHARES = 2  # per worker, into which the rest of the items is divided at least
LARGEST = 256  # items, so that a million of them do not lie in the memory of the scheduler


class Sizes:
    """The number of items of each next task. It grows from 1, at most twofold with each task that ends."""

    def __init__(self) -> None:
        self.size = 1

    def learn(self, items: int, seconds: float) -> None:
        """Take the time of a task that has ended into account: its items, at least 1, and its seconds."""
        fitting = SECONDS * items / max(seconds, 1e-6)
        self.size = max(1, min(2 * self.size, int(fitting), LARGEST))

    def next(self, left: int, workers: int) -> int:
        """Return the number of items for the next task, at least 1.

        The last tasks are smaller, so that all workers end at about the same time.

        Args:
            left: items that no task has yet, at least 1.
            workers: workers of the cluster; there may be none for the moment.
        """
        return max(1, min(self.size, left // (SHARES * max(1, workers))))
