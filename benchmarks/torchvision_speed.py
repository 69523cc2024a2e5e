"""The speed of SSD300 and the RPN beside torchvision's, on random images: inference, and a step of training.

    python -m benchmarks.all --parts torchvision_speed

Both networks are VGG16 at 300 pixels with the same weights (`benchmarks.against_torchvision`). Ours has the layout of
the pipeline, channels-last. torchvision's takes part twice: as it comes, and in channels-last. The time of inference is
from the batch to the boxes.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.against_torchvision import SIZE, pair
from benchmarks.pairs import NO_GPU, OURS, Row, Setting, in_turns, missing, row
from benchmarks.timing import Timer
from src.detection.targets import padded

CLASSES = 21  # with background
PEERS = ("torchvision", "torchvision, channels-last")


def rows(setting: Setting) -> Iterator[Row]:
    """Yield the rows of `make bench`, on the CPU and on a GPU."""
    for kind in ("cpu", "cuda"):
        for detector in ("ssd300", "rpn"):
            if kind == "cuda" and not torch.cuda.is_available():
                yield missing(f"{detector} with VGG16, GPU", "torchvision", NO_GPU)
                continue
            yield from _of(detector, torch.device(kind), setting)


def _of(detector: str, device: torch.device, setting: Setting) -> Iterator[Row]:
    nets = networks(detector, device)
    small, large = (1, setting.size(8, 2))
    where = "" if device.type == "cpu" else f", {torch.cuda.get_device_name(device)}"
    works: dict[str, tuple[int, Callable[[nn.Module, Any], Callable[[], object]]]] = {
        f"inference, batch {small}": (small, inference),
        f"inference, batch {large}": (large, inference),
        f"training step, batch {setting.size(2, 1)}": (setting.size(2, 1), training),
    }
    for words, (size, work) in works.items():
        batches = {name: batch(size, device, last=name != PEERS[0]) for name in nets}
        actions = {name: work(net, batches[name]) for name, net in nets.items()}
        for action in actions.values():
            action()  # the first run allocates memory
        timers = {name: Timer(device, warm_up=0) for name in nets}

        def timed(name: str, timers: Any = timers, actions: Any = actions) -> float:
            timers[name].step(actions[name])
            return timers[name].seconds[-1]

        times = in_turns({name: lambda name=name, run=timed: run(name) for name in nets}, setting.rounds)  # type: ignore[misc]
        for peer in PEERS:
            yield row(f"{detector} with VGG16, {words}{where}", peer, times[OURS], times[peer])


def networks(detector: str, device: torch.device) -> dict[str, nn.Module]:
    """Build our network and torchvision's in both layouts, with the same weights."""
    torch.manual_seed(0)
    ours, theirs = pair(detector, CLASSES, {})
    other = pair(detector, CLASSES, {})[1]
    other.load_state_dict(theirs.state_dict())
    last = {"memory_format": torch.channels_last}
    return {OURS: ours.to(device, **last), PEERS[0]: theirs.to(device), PEERS[1]: other.to(device, **last)}


def batch(size: int, device: torch.device, *, last: bool) -> dict[str, Any]:
    """Draw a batch: normalised images [B, 3, 300, 300] with two objects each."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(size, 3, SIZE, SIZE, generator=generator)
    layout = torch.channels_last if last else torch.contiguous_format
    boxes = torch.tensor([[20.0, 30, 140, 200], [150, 100, 290, 280]])
    targets = padded([{"boxes": boxes, "labels": torch.tensor([1, 2])}] * size)
    on_device: dict[str, Tensor] = {name: value.to(device) for name, value in targets.items()}
    sizes = torch.tensor([[SIZE, SIZE]] * size, device=device)
    return {"images": images.contiguous(memory_format=layout).to(device), "targets": {**on_device, "sizes": sizes}}


def inference(net: nn.Module, inputs: dict[str, Any]) -> Callable[[], object]:
    """Return an action that finds the boxes of a batch."""
    sizes = [(SIZE, SIZE)] * len(inputs["images"])

    def run() -> None:
        net.eval()
        with torch.inference_mode():
            net.found(inputs["images"], sizes)  # type: ignore[operator]

    return run


def training(net: nn.Module, inputs: dict[str, Any]) -> Callable[[], object]:
    """Return an action that trains one step of SGD; the rate is so small that repeated steps stay finite."""
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-6, momentum=0.9)

    def run() -> None:
        net.train()
        optimizer.zero_grad()
        torch.stack(list(net.losses(inputs).values())).sum().backward()  # type: ignore[operator]
        optimizer.step()

    return run
