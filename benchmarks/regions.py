"""Regions to fc7: ours beside the tutorial's way, AlexNet with 227 pixels and layers of 4,096 numbers.

    python -m benchmarks.all --parts regions

The tutorial cuts each region out of its image, resizes it with PIL, and gives the network one region at a time, or all
regions of an image at once. Ours warps in NumPy and describes in one process per core (`src/rcnn/extract.py`). Both
start from the files of the images, and both leave the features in memory or in a file. The weights are random.
"""

import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.transforms import Compose, Normalize, Resize, ToPILImage, ToTensor

from benchmarks.pairs import NO_GPU, OURS, Row, Setting, missing, photos, raced
from src.files.boxed_images import BoxedImages
from src.files.records import Record
from src.networks.imagenet import MEAN, STD
from src.rcnn import network
from src.rcnn.extract import CHUNK, extract
from src.rcnn.features import unlabelled
from src.rcnn.warp import Warp
from stages.environment import jobs

SIZE, LAYER = 227, "fc7"
STEPS = Compose([ToPILImage(), Resize((SIZE, SIZE)), ToTensor(), Normalize(MEAN, STD)])


def rows(setting: Setting) -> Iterator[Row]:
    """Yield the rows of `make bench`, on the CPU and on a GPU."""
    torch.manual_seed(0)
    net = network.build("alexnet", 21).eval()
    count = setting.size(40, 2)
    with photos(setting, CHUNK * jobs()) as (data, ids), tempfile.TemporaryDirectory() as folder:
        table = {image_id: unlabelled(spread_boxes(data.size(image_id), count)) for image_id in ids}
        for kind in ("cpu", "cuda"):
            task = f"{len(ids) * count} regions to fc7, {SIZE} pixels{'' if kind == 'cpu' else ', GPU'}"
            if kind == "cuda" and not torch.cuda.is_available():
                yield missing(task, "the tutorial's way", NO_GPU)
                continue
            device = torch.device(kind)
            settings = {"layer": LAYER, "settings": Warp(size=SIZE, context=16), "batch_size": 128, "device": device}
            ours = partial(extract, net, data, table, Path(folder) / "fc7.npy", **settings, jobs=jobs())
            for _ in range(2):
                ours()  # every process imports PyTorch at its first chunk
            tutorial = partial(described, net.to(device), data, table, device)
            sides = {
                OURS: ours,
                "one region at a time": partial(tutorial, together=False),
                "all regions of an image": partial(tutorial, together=True),
            }
            yield from raced(task, sides, setting.rounds)


def spread_boxes(size: tuple[int, int], count: int) -> np.ndarray:
    """Draw boxes [N, 4] inside an image of (height, width) `size`, with sides from a tenth to a half of its own."""
    rng, sides = np.random.default_rng(0), np.array(size[::-1])
    lengths = rng.uniform(sides / 10, sides / 2, (count, 2))
    corners = rng.uniform(0, sides - lengths)
    return np.concatenate([corners, corners + lengths], axis=1).astype(np.float32)


def described(
    net: nn.Module, data: BoxedImages, table: Mapping[str, Record], device: torch.device, *, together: bool
) -> np.ndarray:
    """Compute features [R, 4096] in the tutorial's way."""
    found = []
    with torch.inference_mode():
        for image_id, record in table.items():
            crops = cut(data.image(image_id), record["boxes"])
            batches = [torch.stack(crops)] if together else [crop[None] for crop in crops]
            found += [network.describe(net, batch.to(device), LAYER).cpu().numpy() for batch in batches]
    return np.concatenate(found)


def cut(image: np.ndarray, boxes: np.ndarray) -> list[Tensor]:
    """Cut regions out of an image and resize them: float32 [3, S, S] each."""
    return [STEPS(image[y1:y2, x1:x2]) for x1, y1, x2, y2 in boxes.astype(int)]
