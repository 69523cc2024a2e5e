"""Two processes with an image each have the loss of the batch as the mean of their losses, for every detector."""

from types import ModuleType
from typing import Any

import pytest
import torch

from src import plugins
from src.detection import sampling
from src.detection.running import forward
from src.training import processes
from tests.detectors.test_contract import TARGETS, images, made
from tests.training.pair import both

NUMBERS = torch.rand(2, 100_000, generator=torch.Generator().manual_seed(1))


def losses(module: ModuleType, section: Any, model: torch.nn.Module, own: slice) -> dict[str, float]:
    """Compute the losses of some images of the batch; the network is in eval mode, so images do not mix."""
    targets = {name: value[own] for name, value in TARGETS.items()}
    with torch.no_grad():
        outputs = forward(module, model, {"images": images(section)[own], "targets": targets}, section, learning=True)
        return {name: float(value) for name, value in module.loss(outputs, targets, section.loss).items()}


@pytest.mark.parametrize("name", plugins.names("detectors"))
def test_the_mean_of_the_losses_is_the_loss_of_the_batch(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One image has four objects, the other none: a mean of means would be another number."""
    module, section, model = made(name)
    model.eval()
    monkeypatch.setattr(sampling, "rand", lambda rows, columns: NUMBERS[:rows, :columns])
    whole = losses(module, section, model, slice(0, 2))
    alone = [losses(module, section, model, slice(rank, rank + 1)) for rank in range(2)]

    def own(rank: int) -> dict[str, float]:
        return losses(module, section, model, slice(rank, rank + 1))

    monkeypatch.setattr(sampling, "rand", lambda rows, columns: NUMBERS[processes.dist.get_rank()][None, :columns])
    first, second = both(monkeypatch, own)
    means = {key: (first[key] + second[key]) / 2 for key in whole}
    assert means == pytest.approx(whole, rel=1e-4)
    naive = {key: (alone[0][key] + alone[1][key]) / 2 for key in whole}
    assert naive != pytest.approx(whole, rel=1e-2)
