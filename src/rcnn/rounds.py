"""Tables of the rounds of hard-negative mining, which are passes over the pool, for the metrics."""

from collections.abc import Sequence

import pandas as pd

from src.rcnn.mining import Round


def table(history: Sequence[Round], classes: Sequence[str]) -> pd.DataFrame:
    """Tabulate every round of every class: counts, accuracy on the pool, and the parts of the objective."""
    rows = [
        {
            **{"round": row.round, "class": classes[row.label - 1], "positives": row.positives},
            **{"negatives": row.negatives, "newly_hard": row.newly_hard, "evicted": row.evicted},
            **{"crowded_out": row.crowded_out, "fits": row.fits, "unfinished": row.unfinished},
            **{"pool_accuracy": row.pool_accuracy, "objective": row.objective.total},
            **{f"objective_{name}": value for name, value in row.objective._asdict().items()},
        }
        for row in history
    ]
    return pd.DataFrame(rows)


def summary(history: Sequence[Round], classes: Sequence[str]) -> dict[str, object]:
    """Return newly hard negatives per round, sums over rounds and classes, and the last round's figures per class."""
    newly_hard = {number: 0 for number in dict.fromkeys(row.round for row in history)}
    for row in history:
        newly_hard[row.round] += row.newly_hard
    last = [row for row in history if row.round == history[-1].round]
    return {
        "rounds": len(newly_hard),
        "newly_hard": {f"round_{number}": count for number, count in newly_hard.items()},
        "crowded_out": sum(row.crowded_out for row in history),
        "fits": sum(row.fits for row in history),
        "unfinished_fits": sum(row.unfinished for row in history),
        "negatives": {classes[row.label - 1]: row.negatives for row in last},
        "pool_accuracy": {classes[row.label - 1]: row.pool_accuracy for row in last},
        "objective": sum(row.objective.total for row in last),
    }
