from pathlib import Path
from typing import Any

import pytest
from lightning_fabric import Fabric
from torch import nn

from src.training.loop import Run
from src.training.outputs import write_training
from tests.training.test_loop import SETTINGS


@pytest.mark.parametrize("figures", [{}, {"val_recall": float("nan")}])
def test_the_checkpoint_goes_when_the_outputs_are_written_and_not_before(
    tmp_path: Path, figures: dict[str, Any]
) -> None:
    """A full disk, or a figure that JSON cannot hold, would lose the training."""
    run = Run(Fabric(accelerator="cpu", devices=1), SETTINGS, checkpoint=tmp_path / "state.pt")
    assert run.checkpoint is not None
    run.checkpoint.touch()
    files = {name: tmp_path / name for name in ("out", "metrics", "curve")}
    options: dict[str, Any] = {"facts": {}, "figures": figures, "columns": ["epoch"], **files}
    history = [{"epoch": 1.0, "val": 0.5}]
    if figures:
        with pytest.raises(ValueError, match="JSON"):
            write_training(nn.Linear(2, 1), history, run, **options)
    else:
        write_training(nn.Linear(2, 1), history, run, **options)
        assert all(file.exists() for file in files.values())
    assert run.checkpoint.exists() == bool(figures)
