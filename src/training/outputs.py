"""Write the outputs of a training: the network, the figures of the kept epoch, and those of every epoch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

from src.files.storage import write_csv, write_json
from src.files.weights import write_tensors
from src.training.loop import Run, kept_row
from src.training.progress import Row


def write_training(
    model: nn.Module,
    history: Sequence[Row],
    run: Run,
    *,
    facts: Mapping[str, Any],
    figures: Mapping[str, Any],
    columns: Sequence[str],
    out: Path,
    metrics: Path,
    curve: Path,
) -> None:
    """Write the three files of a trained network, and then remove the checkpoint.

    Of several processes that train together, the first one writes, and the others wait for it.

    Args:
        model: the network, with the weights that are kept.
        history: a row of figures per epoch, from `src.training.loop.fit`; may be empty.
        run: circumstances of the training; `best_by` of its settings decides which epoch is kept.
        facts: facts that a reader of the weights needs, such as the classes; written beside the weights.
        figures: further figures, written beside those of the kept epoch.
        columns: columns of the curve if there is no epoch, so that its plot has axes.
        out: file for the weights.
        metrics: file for the figures.
        curve: file for the table of all epochs.
    """
    if run.fabric.is_global_zero:
        write_tensors(out, model.state_dict(), facts)
        write_json(metrics, {**kept_row(history, run.settings), **figures})
        write_csv(curve, pd.DataFrame(history, columns=None if history else list(columns)))
    run.forget()
