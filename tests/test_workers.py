"""Every kind of batch, made by several processes at once, is the same as if this process alone made it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, Dataset, Subset

from src.classification.batches import LabelledBatches
from src.detection.augmentation import Augment
from src.detection.batches import DetectionBatches
from src.detection.sizes import Size
from src.files.boxed_images import BoxedImages
from src.files.records import Record
from src.rcnn.finetune import RegionBatches
from src.rcnn.finetune_settings import Finetune
from src.rcnn.warp import Warp
from src.training.loading import Loader
from tests.labelled import INPUT, PLAIN, digits
from tests.rcnn.conftest import finetune_rules, images, proposals  # noqa: F401 (fixtures)

WORKERS = 4
BATCHES = 24  # enough that four processes read the same file at the same time


@pytest.fixture(params=["regions", "whole images", "labelled images"])
def batches(
    request: pytest.FixtureRequest,
    images: BoxedImages,  # noqa: F811
    proposals: dict[str, Record],  # noqa: F811
    finetune_rules: Finetune,  # noqa: F811
    tmp_path: Path,
) -> Dataset:
    made: dict[str, Callable[[], Dataset]] = {
        "regions": lambda: RegionBatches(
            images,
            images.ids("train"),
            proposals,
            finetune_rules,
            Warp(size=63, context=8),
            batch_size=6,
            num_batches=BATCHES,
            seed=1,
            flip=True,
        ),
        "whole images": lambda: DetectionBatches(
            images,
            images.ids("train"),
            Size(63),
            Augment(photometric=True, zoom_out=0.5, crop=True, flip=0.5),
            batch_size=3,
            seed=1,
        ),
        "labelled images": lambda: LabelledBatches(
            digits(tmp_path / "digits.zip"),
            digits(tmp_path / "digits.zip").ids("train"),
            INPUT,
            PLAIN.model_copy(update={"rotate": 20.0, "crop": 0.5}),
            batch_size=8,
            seed=1,
        ),
    }
    return made[request.param]()


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than this machine may have CPUs
@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_make_the_batches_that_one_process_makes(batches: Dataset, method: str) -> None:
    """A forked worker inherits the file that this process has opened; a spawned worker imports everything itself.

    The project's loader forks its workers after it has filled the memory with images.
    """
    alone = list(Loader(batches).load(range(BATCHES)))
    together: Any = Loader(batches, WORKERS).load(range(BATCHES))
    if method == "spawn":
        subset = Subset(batches, range(BATCHES))
        together = DataLoader(subset, batch_size=None, num_workers=WORKERS, multiprocessing_context=method)
    for wanted, found in zip(alone, together, strict=True):
        assert _flat(found) == _flat(wanted)


def _flat(value: Any) -> Any:
    """Convert a batch to values that can be compared: tensors become their bytes."""
    if isinstance(value, torch.Tensor):
        return tuple(value.shape), value.contiguous().numpy().tobytes()
    if isinstance(value, dict):
        return {name: _flat(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_flat(item) for item in value]
    return value
