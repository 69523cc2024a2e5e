"""Measure the images a second of a training with one and with two processes, one thread each, native arithmetic.

    python -m benchmarks.processes [--network ssd300] [--profile local_cpu] [--steps 12] [--batch 16] [--rounds 5]

The first number is one process on core 0 alone, the second two processes on two cores; the global batch is the same.
Both run the trainer's own loop with its own batches, without validation, and take turns at going first. The images are
drawn scenes for a detector, and scikit-learn's digits, scaled to its input, for a classifier.
The seconds are wall-clock time of the steps after the first two, so other programs on the machine change them: beside
others, two processes also get a larger share of the cores than one. The load average is printed. The processor time of
an image, of both processes together, says what dividing costs: on idle cores two processes are at most 2 / (2 over 1)
times as fast as one. docs/performance.md has the figures.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from benchmarks.pairs import draw, in_turns
from stages import arithmetic, group
from tests.labelled import digits

SIDES = (300, 400)  # height, width of the scenes
IMAGES = 64
WARM = 2  # first steps that are not timed


def main() -> None:
    """Print the table, or be one process of a measured training."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="ssd300", help="a detector or a classifier of params.yaml [%(default)s]")
    parser.add_argument("--profile", help="an overlay of params.yaml, such as local_cpu")
    parser.add_argument("--steps", type=int, default=12, help="timed steps of a training [%(default)s]")
    parser.add_argument("--batch", type=int, default=16, help="images of a batch, of both together [%(default)s]")
    parser.add_argument("--rounds", type=int, default=5, help="[%(default)s]")
    parser.add_argument("--images", type=Path, help="a prepared set of images, in place of those")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)  # a process of a measured training
    options = parser.parse_args()
    if options.one:
        with group.member():
            trained(options)
        return
    if here := group.to_start():
        group.start("benchmarks.processes", [*sys.argv[1:], "--one"], here)
        return
    with tempfile.TemporaryDirectory() as folder:
        images = options.images or Path(folder) / "scenes.zip"
        if options.images is None and options.network in _content()["classifiers"]:
            digits(images, train=IMAGES)
        elif options.images is None:
            draw(images, IMAGES, SIDES)
        words = [f"--network={options.network}", f"--steps={options.steps}", f"--batch={options.batch}"]
        words += [f"--images={images}", *([f"--profile={options.profile}"] if options.profile else [])]
        print(f"load average before: {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
        rows: dict[str, list[dict[str, float]]] = {"1": [], "2": []}

        def run(count: str) -> float:
            rows[count].append(measured(int(count), words))
            return 0.0

        in_turns({count: lambda count=count: run(count) for count in rows}, options.rounds)  # type: ignore[misc]
        print(f"load average after: {os.getloadavg()[0]:.1f}")
    print(f"{options.network}, profile {options.profile or 'sample'}, batches of {options.batch}")
    print(f"median (range) of {options.rounds} rounds")
    for name in rows["1"][0]:
        one, two = (np.array([row[name] for row in rows[count]]) for count in ("1", "2"))
        figures = {"1 process": one, "2 processes": two, "2 over 1": two / one}
        print(f"{name}: " + ", ".join(f"{key} {_range(values)}" for key, values in figures.items()))


def _range(values: np.ndarray) -> str:
    return f"{np.median(values):.3g} ({values.min():.3g} to {values.max():.3g})"


def measured(count: int, words: list[str]) -> dict[str, float]:
    """Return the figures of a training with so many processes, on as many cores."""
    cores = sorted(os.sched_getaffinity(0))[:count]
    asked = {"ARITHMETIC": "native", "OMP_NUM_THREADS": "1", "DEVICE": "cpu", "WORKERS": "0", "DEVICES": str(count)}
    environment = {**arithmetic.unpinned(), **asked}
    command = [sys.executable, "-m", "benchmarks.processes", *words, *([] if count > 1 else ["--one"])]
    done = subprocess.run(
        command,
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


class Timed:
    """Batches that note the wall-clock and the processor time at the end of each step."""

    def __init__(self, batches: Any) -> None:
        self.batches, self.times = batches, [(0.0, 0.0)]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        self.times = [(time.perf_counter(), time.process_time())]
        for batch in self.batches:
            yield batch
            self.times.append((time.perf_counter(), time.process_time()))  # the step is over


def trained(options: argparse.Namespace) -> None:
    """Train for some steps; the first process prints the figures."""
    import torch

    from src.training.loop import Run, fit
    from src.training.processes import total
    from src.training.settings import Train
    from stages.environment import workers
    from stages.fabric import fabric

    assert torch.get_num_threads() == 1, "a process of the measurement has several threads"
    content = _content()
    steps = options.steps + WARM
    update = {"epochs": 1, "batches_per_epoch": steps, "best_by": "last", "batch_size": options.batch}
    settings = Train.model_validate({**content["train"], **update})
    run = Run(fabric(settings.precision), settings, 0, workers())
    if options.profile:
        _lay(content, YAML(typ="safe").load(Path(f"profiles/{options.profile}.yaml").read_text()))
    make = _classifier if options.network in content["classifiers"] else _detector
    model, batches, losses = make(options, content, batch_size=options.batch, batches_per_epoch=steps)
    loader = run.loader(batches)
    timed = Timed(loader.load(batches.epoch(0)))
    fit(run, model, lambda _: timed, losses)
    wall, processor = (end - start for start, end in zip(timed.times[WARM], timed.times[-1], strict=True))
    if run.share.world > 1:
        processor = float(total(torch.tensor(processor, dtype=torch.float64)))
    images = options.batch * options.steps
    print(json.dumps({"images a second": images / wall, "processor seconds per image": processor / images}))
    run.forget()


def _detector(options: argparse.Namespace, content: dict[str, Any], **sizes: int) -> tuple[Any, Any, Any]:
    """Return the network, its batches, and its losses."""
    from src import plugins
    from src.detection import running
    from src.detection.batches import DetectionBatches
    from src.detection.sizes import size_of
    from src.files.boxed_images import BoxedImages

    data = BoxedImages(options.images)
    module, section = plugins.section("detectors", content["detectors"], options.network)
    ids = [image_id for split in data.splits.values() for image_id in split]
    batches = DetectionBatches(data, ids, size_of(section.model), section.augment, **sizes)  # type: ignore[arg-type]
    model, _ = running.start(module, section, data.num_classes, {}, 0)

    def losses(net: Any, batch: dict[str, Any]) -> dict[str, Any]:
        outputs = running.forward(module, net, batch, section, learning=True)
        named: dict[str, Any] = module.loss(outputs, batch["targets"], section.loss)
        return named

    return model, batches, losses


def _classifier(options: argparse.Namespace, content: dict[str, Any], **sizes: int) -> tuple[Any, Any, Any]:
    """Return the network, its batches, and its losses."""
    from src import plugins
    from src.classification.batches import LabelledBatches
    from src.classification.loss import loss
    from src.files.labelled_images import LabelledImages

    data = LabelledImages(options.images)
    module, section = plugins.section("classifiers", content["classifiers"], options.network)
    batches = LabelledBatches(data, data.ids("train"), section.input, section.augment, **sizes)  # type: ignore[arg-type]
    model = module.build(len(data.classes), section.model)

    def losses(net: Any, batch: dict[str, Any]) -> dict[str, Any]:
        return {"loss": loss(net(batch["images"]), batch["labels"], section.loss, None)}

    return model, batches, losses


def _content() -> dict[str, Any]:
    return dict(YAML(typ="safe").load(Path("params.yaml").read_text()))


def _lay(content: dict[str, Any], overlay: dict[str, Any]) -> None:
    """Put the keys of a profile over those of params.yaml."""
    for key, value in overlay.items():
        if isinstance(value, dict) and isinstance(content.get(key), dict):
            _lay(content[key], value)
        else:
            content[key] = value


if __name__ == "__main__":
    main()
