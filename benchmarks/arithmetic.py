"""Print hashes of results of the libraries, to compare processors without running the pipeline.

    python -m benchmarks.arithmetic [--batch 4]
    python -m benchmarks.arithmetic --seconds 10 --batch 32     # processor and clock time of a step, median of ten

Each line is a computation and a hash of its results: operations of NumPy, OpenCV and our kernels, and two training
steps of every network of params.yaml. In the pinned mode the lines are the same on every x86-64 processor with AVX2
(docs/reproducibility.md lists them).
"""

import argparse
import hashlib
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import stages  # noqa: F401  # pins the arithmetic, so it comes before torch and NumPy

import cv2  # isort: skip
import numpy as np
import torch
from ruamel.yaml import YAML
from torch import Tensor, nn

from src import plugins
from src.detection.running import forward
from src.detection.targets import padded
from src.proposals import selective_search
from src.rcnn import coordinate_descent, network
from src.rcnn.warp import warp
from stages.environment import computed_by

NUM_CLASSES = 5
STEPS = 2
WARP = 67  # pixels, the side of a warped region


def main() -> None:
    """Print the mode and the lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--seconds", type=int, default=0, help="print the time of this many steps instead")
    options = parser.parse_args()
    print(f"arithmetic: {computed_by()}", flush=True)
    if options.seconds:
        for name, subject in networks(options.batch):
            processor, clock = seconds(subject, options.seconds)
            print(f"{name:16} {processor:.4f} {clock:.4f}", flush=True)
        return
    for name, arrays in operations():
        print(f"{name:16} {digest(arrays)}", flush=True)
    for name, subject in networks(options.batch):
        print(f"{name:16} {digest(weights(subject))}", flush=True)


def digest(arrays: list[np.ndarray]) -> str:
    """Return the first eight digits of the MD5 of arrays."""
    md5 = hashlib.md5()
    for array in arrays:
        md5.update(np.ascontiguousarray(array).tobytes())
    return md5.hexdigest()[:8]


def operations() -> Iterator[tuple[str, list[np.ndarray]]]:
    """Run typical operations that the pipeline uses from NumPy, OpenCV and Numba."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(300, 200))
    yield "numpy", [np.exp(numbers), np.log(np.abs(numbers)), np.sin(numbers), numbers.sum(0), numbers.mean(1)]
    yield "blas", [numbers @ numbers.T, np.linalg.solve(numbers.T @ numbers, numbers[:200, :4])]
    y = np.where(rng.random(300) < 0.4, 1, -1).astype(np.float32)
    svm = coordinate_descent.fit(
        numbers.astype(np.float32), y, np.zeros(300), c=0.01, weight=2.0, bias_multiplier=10.0, seed=0
    )
    yield "svm", [svm.plane.weight, np.array(svm.plane.bias), svm.duals]
    image = cv2.GaussianBlur(rng.integers(0, 256, (120, 160, 3), np.uint8), (0, 0), 4)
    jpeg = cv2.imencode(".jpg", image)[1]
    yield "opencv", [cv2.resize(image, (67, 45), interpolation=cv2.INTER_AREA), jpeg, cv2.imdecode(jpeg, 1)]
    boxes = np.array([[10, 20, 90, 70], [-5.5, 3, 30, 119.25], [0, 0, 160, 120]])
    yield "warp", [warp(image, boxes, size=WARP, context=5)]
    for engine in ("own", "opencv"):
        yield f"search, {engine}", [selective_search.propose(image, engine=engine, min_side=5)]


class Subject(NamedTuple):
    """A network, a batch of images and the loss of its training."""

    net: nn.Module
    images: Tensor
    loss: Callable[[Tensor], Tensor]


def networks(batch: int) -> Iterator[tuple[str, Subject]]:
    """Build each network of params.yaml, with random weights and images."""
    params = YAML(typ="safe").load(Path("params.yaml").read_text())
    rules = params["finetune"]
    torch.manual_seed(0)
    net = network.build(
        rules["backbone"], NUM_CLASSES, pool=rules["pool"], hidden=rules["hidden"], dropout=rules["dropout"]
    )
    yield "alexnet", Subject(net, images(batch, WARP, WARP), _classify(net, batch))
    for name in plugins.names("classifiers"):
        module = plugins.load("classifiers", name)
        section = module.Params.model_validate(params["classifiers"][name])
        torch.manual_seed(0)
        net = module.build(NUM_CLASSES, section.model)
        yield name, Subject(net, images(batch, *section.input.size), _classify(net, batch))
    for name in plugins.names("detectors"):
        module = plugins.load("detectors", name)
        section = module.Params.model_validate(params["detectors"][name])
        torch.manual_seed(0)
        net = module.build(NUM_CLASSES, section.model)
        size = section.model.size
        one = {"boxes": torch.tensor([[10.0, 10, 60, 70]]), "labels": torch.tensor([1])}
        targets = {
            **padded([one] * batch),
            "sizes": torch.tensor([[size, size]] * batch),
            "proposals": torch.tensor([[[8.0, 12, 62, 66], [50, 50, 100, 110]]] * batch),
        }
        yield name, Subject(net, images(batch, size, size), _find(module, net, section, targets))


def images(batch: int, height: int, width: int) -> Tensor:
    """Return random images [B, 3, H, W], the same for every call."""
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(1))


def weights(subject: Subject) -> list[np.ndarray]:
    """Train for `STEPS` steps and return all weights."""
    for _ in zip(range(STEPS), steps(subject), strict=False):
        pass
    return [value.numpy() for value in subject.net.state_dict().values()]


def seconds(subject: Subject, count: int) -> tuple[float, float]:
    """Train for `count` steps after two that are left out; return the medians of their processor and clock times."""
    times = [(time.process_time(), time.perf_counter())]
    for _ in zip(range(count + 2), steps(subject), strict=False):
        times.append((time.process_time(), time.perf_counter()))
    processor, clock = (statistics.median(np.diff(column)[2:]) for column in np.transpose(times))
    return processor, clock


def steps(subject: Subject) -> Iterator[None]:
    """Train with AdamW on the single batch, one step per item."""
    net = subject.net.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    batch = subject.images.contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.001, fused=True)
    for step in itertools.count():
        torch.manual_seed(step)
        optimizer.zero_grad()
        subject.loss(batch).backward()
        optimizer.step()
        yield


def _classify(net: nn.Module, batch: int) -> Callable[[Tensor], Tensor]:
    labels = torch.arange(batch) % NUM_CLASSES
    return lambda images: nn.functional.cross_entropy(net(images), labels)


def _find(module: Any, net: nn.Module, section: Any, targets: dict[str, Tensor]) -> Callable[[Tensor], Tensor]:
    def loss(images: Tensor) -> Tensor:
        outputs = forward(module, net, {"images": images, "targets": targets}, section, learning=True)
        return sum(module.loss(outputs, targets, section.loss).values(), torch.zeros(()))

    return loss


if __name__ == "__main__":
    main()
