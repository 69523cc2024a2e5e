"""Two processes with one image and two have the loss of the batch as the mean of their losses, for every detector."""

from types import ModuleType
from typing import Any

import pytest
import torch

from src import plugins
from src.detection import sampling
from src.detection.running import forward
from src.detection.targets import padded
from src.training import processes
from tests.detectors.test_contract import OBJECTS, PROPOSED, SEEN, images, made
from tests.training.pair import both

ROWS = [0, 1, 0]  # of the images of the contract
LARGE = {name: value[2:] for name, value in OBJECTS[0].items()}
TARGETS = {
    **padded([OBJECTS[0], OBJECTS[1], LARGE]),  # four objects, none and two
    "sizes": SEEN[ROWS],
    "proposals": PROPOSED[ROWS],
}
SHARES = [[slice(0, 1), slice(1, 3)], [slice(0, 2), slice(2, 3)]]
NUMBERS = torch.rand(3, 100_000, generator=torch.Generator().manual_seed(1))


def losses(module: ModuleType, section: Any, model: torch.nn.Module, own: slice) -> dict[str, float]:
    """Compute the losses of some images of the batch; the network is in eval mode, so images do not mix."""
    targets = {name: value[own] for name, value in TARGETS.items()}
    with torch.no_grad():
        batch = {"images": images(section)[ROWS][own], "targets": targets}
        outputs = forward(module, model, batch, section, learning=True)
        return {name: float(value) for name, value in module.loss(outputs, targets, section.loss).items()}


@pytest.mark.parametrize("name", plugins.names("detectors"))
def test_the_mean_of_the_losses_is_the_loss_of_the_batch(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mean of means would be another number, at least for one of the ways to divide the batch."""
    module, section, model = made(name)
    model.eval()
    monkeypatch.setattr(sampling, "rand", lambda rows, columns: NUMBERS[:rows, :columns])
    whole = losses(module, section, model, slice(0, 3))
    naive = [[losses(module, section, model, own) for own in shares] for shares in SHARES]
    for shares in SHARES:

        def drawn(rows: int, columns: int, shares: list[slice] = shares) -> torch.Tensor:
            return NUMBERS[shares[processes.dist.get_rank()], :columns]

        monkeypatch.setattr(sampling, "rand", drawn)
        found = both(monkeypatch, lambda rank, shares=shares: losses(module, section, model, shares[rank]))
        assert mean(found) == pytest.approx(whole, rel=1e-5)
    assert not all(mean(found) == pytest.approx(whole, rel=1e-3) for found in naive)


def mean(found: list[dict[str, float]]) -> dict[str, float]:
    return {key: sum(one[key] for one in found) / 2 for key in found[0]}
