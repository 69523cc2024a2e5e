import numpy as np
import pytest
import torch
from torch import nn

from src.errors import InputError
from src.export.graph import Probabilities
from src.export.verify import BATCHES, TOLERANCE, Run, check


@pytest.fixture
def graph() -> Probabilities:
    torch.manual_seed(0)
    return Probabilities(nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, 5)), flip=False).eval()


def answer(graph: Probabilities, change: float = 0.0) -> Run:
    def run(images: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            return [graph(torch.from_numpy(images)).numpy() + np.float32(change)]

    return run


def test_the_same_outputs_do_not_differ(graph: Probabilities) -> None:
    assert check(graph, answer(graph), torch.rand(4, 3, 4, 4)) == 0


@pytest.mark.parametrize("change", [2 * TOLERANCE, float("nan"), float("inf")])
def test_other_outputs_are_an_error_that_says_how_far_off(graph: Probabilities, change: float) -> None:
    with pytest.raises(InputError, match="differs from PyTorch's by .* on 4 images, more than the allowed 0.0001"):
        check(graph, answer(graph, change), torch.rand(4, 3, 4, 4))


def test_a_file_that_is_right_for_one_image_alone_is_an_error(graph: Probabilities) -> None:
    def only_the_first(images: np.ndarray) -> list[np.ndarray]:
        return [one[:1] for one in answer(graph)(images)]

    with pytest.raises(InputError, match="differs"):
        check(graph, only_the_first, torch.rand(4, 3, 4, 4))


@pytest.mark.parametrize("count", [1, 2, 7])
def test_every_image_is_seen_and_every_batch_is_full(graph: Probabilities, count: int) -> None:
    lengths, seen = set(), set()

    def watched(images: np.ndarray) -> list[np.ndarray]:
        lengths.add(len(images))
        seen.update(images[:, 0, 0, 0].tolist())
        return answer(graph)(images)

    images = torch.rand(count, 3, 4, 4)
    check(graph, watched, images)
    assert lengths == set(BATCHES)
    assert seen == set(images[:, 0, 0, 0].tolist())
