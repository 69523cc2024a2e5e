"""A classifier, whatever its network: how it starts, and what it says of images.

N images of a split, C classes.
"""

from collections.abc import Callable

import numpy as np
import torch
from lightning_fabric.utilities import move_data_to_device
from torch import Tensor, nn

from src.classification.batches import LabelledBatches
from src.networks import starting_weights

TRAIN, VALIDATION, TEST = "train", "val", "test"  # splits of a prepared set
BATCH_SIZE = 64  # no parameter: it changes the speed, not the scores


def start(net: Callable[[], nn.Module], weights: dict[str, Tensor], key: str, seed: int) -> tuple[nn.Module, list[str]]:
    """The untrained network, and the layers that start at random although others do not.

    Args:
        net: builds it with random weights.
        weights: by name; none leaves all at random, those that do not fit are left out.
        key: the parameter that named them, for the error.
        seed: of the random values.
    """
    torch.manual_seed(seed)
    model = net().to(memory_format=torch.channels_last)  # faster on a CPU
    return model, starting_weights.load(model, weights, key) if weights else []


def predict(
    net: nn.Module, batches: LabelledBatches, device: torch.device, *, flip: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Labels [N] and probabilities [N, C] of images, in their order.

    Args:
        net: in eval mode on `device`.
        batches: not augmented.
        flip: take the mean with the probabilities of the mirror images.
    """
    labels, scores = [], []
    for index in batches.epoch(0):
        batch = move_data_to_device(batches[index], device)
        labels.append(batch["labels"].cpu().numpy())
        scores.append(probabilities(net, batch["images"], flip=flip))
    return np.concatenate(labels), np.concatenate(scores)


@torch.inference_mode()
def probabilities(net: nn.Module, images: Tensor, *, flip: bool = False) -> np.ndarray:
    """Return the probabilities [B, C] of normalised images [B, 3, H, W].

    Args:
        net: in eval mode, on the device of the images.
        images: of the network's size.
        flip: take the mean with the probabilities of the mirror images.
    """
    scores = net(images).double().softmax(1)
    if flip:
        scores = (scores + net(images.flip(3)).double().softmax(1)) / 2
    return np.asarray(scores.cpu().numpy())
