"""Start a classifier of any network, and predict the classes of images.

N images of a split, C classes.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from src.classification.batches import LabelledBatches
from src.files.labelled_images import LabelledImages
from src.networks import starting_weights
from src.training.loading import Loader

TRAIN, VALIDATION, TEST = "train", "val", "test"  # splits of a prepared data set
BATCH_SIZE = 64  # not a parameter: it changes the speed, not the scores


def start(net: Callable[[], nn.Module], weights: dict[str, Tensor], key: str, seed: int) -> tuple[nn.Module, list[str]]:
    """Build the network, and list the layers that start at random while others are pretrained.

    Args:
        net: builds the network with random weights.
        weights: weights by name; weights that do not fit are left out. Without any, all layers start at random.
        key: the parameter that names the weights, for the error message.
        seed: seed of the random values.
    """
    torch.manual_seed(seed)
    model = net().to(memory_format=torch.channels_last)  # faster on a CPU
    return model, starting_weights.load(model, weights, key) if weights else []


def predict(net: nn.Module, loader: Loader, *, flip: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return the ground-truth labels [N] and the predicted probabilities [N, C] of images, in their order.

    Args:
        net: the network, in eval mode on the loader's device.
        loader: the loader of `LabelledBatches` that are not augmented.
        flip: take the mean with the probabilities of the mirror images.
    """
    assert isinstance(loader.data, LabelledBatches)
    labels, scores = [], []
    for batch in loader.on_device(loader.data.epoch(0)):
        labels.append(batch["labels"].cpu().numpy())
        scores.append(probabilities(net, batch["images"], flip=flip))
    return np.concatenate(labels), np.concatenate(scores)


def predict_once(
    net: nn.Module,
    data: LabelledImages,
    image_ids: Sequence[str],
    section: Any,
    device: torch.device,
    workers: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Return what `predict` returns for images that are needed once: they are decoded, described and let go of.

    Args:
        net: the network; it is moved to the device.
        data: the images.
        image_ids: N of them.
        section: the classifier's parameters: `input`, and `predict.flip`.
        device: the device of the network.
        workers: processes that prepare the images; 0: this process prepares them itself.
    """
    batches = LabelledBatches(data, image_ids, section.input, batch_size=BATCH_SIZE)
    batches.keep_none()
    return predict(net.to(device).eval(), Loader(batches, workers, device), flip=section.predict.flip)


@torch.inference_mode()
def probabilities(net: nn.Module, images: Tensor, *, flip: bool = False) -> np.ndarray:
    """Return the probabilities [B, C] of normalised images [B, 3, H, W].

    Args:
        net: the network, in eval mode on the device of the images.
        images: images of the network's input size.
        flip: take the mean with the probabilities of the mirror images.
    """
    scores = net(images).double().softmax(1)
    if flip:
        scores = (scores + net(images.flip(3)).double().softmax(1)) / 2
    return np.asarray(scores.cpu().numpy())
