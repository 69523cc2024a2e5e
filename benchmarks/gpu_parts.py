"""The parts of the GPU benchmark. Each runs in a process of its own and writes its figures as lines of JSON.

    python -m benchmarks.gpu_parts PART FOLDER

The folder has `options.json`, and what the part `prepare` has made. All training code is that of the stages: a part
calls a stage's function, and puts a watch in the place of its `Run` (`benchmarks.watching`).
"""

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import stages  # noqa: F401  # sets the arithmetic, so it comes before any import of torch or NumPy

# isort: split
import torch

from benchmarks import gpu_params
from benchmarks.gpu_bench import Bench
from benchmarks.gpu_params import DETECTORS, section_of
from benchmarks.gpu_resume import resume
from benchmarks.timing import timed
from benchmarks.watching import Watch, watched
from src import plugins
from src.detection.batches import DetectionBatches
from src.detection.running import detect, start
from src.detection.sizes import size_of
from src.files.boxed_images import BoxedImages
from src.files.versions import installed
from src.files.weights import read_tensors
from src.rcnn import training as rcnn_training
from src.rcnn.extract import extract
from src.rcnn.features import table_of
from src.training.loading import Loader
from stages import detect as detect_stage
from stages import (
    download,
    download_weights,
    environment,
    evaluate_detections,
    evaluate_proposals,
    extract_features,
    finetune,
    propose,
    propose_rpn,
)
from stages.fabric import fabric

BATCHES = (1, 8)  # of the inference
PRECISIONS = ("32-true", "bf16-mixed")


def prepare_inputs(bench: Bench) -> None:
    """Prepare photos, drawn hands, digits, proposals and starting weights with the code of the pipeline's stages."""
    for dataset in ("voc", "mnist", "gesture"):
        raw = bench.folder / "raw" / dataset
        download.run(bench.read(download, bench.content), dataset=dataset, out=raw)
        module, section = plugins.section("datasets", bench.content["data"], dataset)
        # Not the stage, which refuses photos without an object of each class: a few photos do for a rehearsal.
        module.prepare(raw, section, environment.jobs()).write(bench.folder / f"{dataset}.zip")
    for name in gpu_params.trainers(bench.content):
        source = section_of(bench.content, name)["weights"]
        download_weights.run(
            download_weights.Params(), backbone="", weights=source, out=bench.out(f"weights/{name}.safetensors")
        )
    begin = time.perf_counter()
    propose.run(bench.read(propose, bench.content), images=bench.images, out=bench.proposals)
    data = BoxedImages(bench.images)
    bench.emit(kind="proposals", images=len(data.ids("trainval", "test")), seconds=time.perf_counter() - begin)


def train(name: str) -> Callable[[Bench], None]:
    """Return the part that times the steps of a trainer: in two precisions, and with and without workers."""

    def part(bench: Bench) -> None:
        own = section_of(bench.content, name)["train"].get("precision", bench.content["train"]["precision"])
        other = next(precision for precision in PRECISIONS if precision != own)
        default = environment.workers()
        for precision, workers in dict.fromkeys([(own, default), (other, default), (own, 0)]):
            os.environ["WORKERS"] = str(workers)
            count = 2 * bench.options.steps
            changes = {"precision": precision, "epochs": 1, "batches_per_epoch": count}
            figures = _watched_training(bench, name, changes, warm_up=bench.options.steps, out="steps")
            bench.emit(kind="training", trainer=name, precision=precision, workers=workers, **figures)

    return part


def _watched_training(
    bench: Bench, name: str, changes: Mapping[str, Any], *, warm_up: int, out: str
) -> dict[str, float]:
    content = gpu_params.merged(bench.content, {})
    section = section_of(content, name)
    section["train"] = {**section["train"], **changes}
    batch_size = section["train"]["batch_size"]
    stage, arguments = bench.training(name, out)
    if torch.cuda.is_initialized():
        gc.collect()  # the network of the training before
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(environment.device())
    watch = Watch(warm_up)
    with mock.patch.object(stage, "Run", watched(watch)):
        stage.run(bench.read(stage, content), **arguments)
    return {"batch_size": batch_size, **watch.figures(batch_size)}


def features(bench: Bench) -> None:
    """Time AlexNet's features of regions, from the photos in memory to the file, with and without workers."""
    params, data = bench.read(finetune, bench.content), BoxedImages(bench.images)
    stage = bench.read(extract_features, bench.content)
    tensors, _ = read_tensors(bench.weights("finetune"))
    net, _ = rcnn_training.start(params.finetune, data.num_classes, tensors, 0)
    train_ids, test = data.ids(stage.splits.train), data.ids(stage.splits.test)
    table = table_of(data, bench.proposals, train_ids, test, stage.features)
    wanted, regions, count = bench.options.steps * 10 * extract_features.BATCH_SIZE, {}, 0
    first = dict([next(iter(table.items()))])
    for image_id, record in table.items():
        if count < wanted:
            regions[image_id] = record
            count += len(record["boxes"])
    default = 0 if environment.device() == "cpu" else environment.workers()
    for workers in dict.fromkeys([default, 0]):
        for part in (first, regions):  # the first warms the device up
            begin = time.perf_counter()
            extract(
                net,
                data,
                part,
                bench.out("features.npy"),
                layer=stage.features.layer,
                settings=stage.warp,
                batch_size=extract_features.BATCH_SIZE,
                device=torch.device(environment.device()),
                jobs=environment.jobs(),
                workers=workers,
            )
        seconds = time.perf_counter() - begin
        bench.emit(kind="features", workers=workers, regions=count, images=len(regions), per_second=count / seconds)


def inference(bench: Bench) -> None:
    """Time SSD and the RPN on photos: from the file to boxes, and network and decoding alone, on a batch in memory."""
    data = BoxedImages(bench.images)
    for name in DETECTORS:
        module, section = plugins.section("detectors", bench.content["detectors"], name)
        net, _ = start(module, section, data.num_classes, read_tensors(bench.weights(name))[0], 0)
        for precision in PRECISIONS:
            lightning = fabric(precision)
            model = lightning.setup_module(net).eval()
            for batch_size in BATCHES:
                ids = data.ids("test")[: batch_size * bench.options.steps]
                figures = {"alone": _alone(bench, module, section, model, data, ids[:batch_size], lightning.device)}
                begin = time.perf_counter()
                detect(
                    module, model, section, data, ids, lightning.device, environment.workers(), batch_size=batch_size
                )
                figures["from_file"] = len(ids) / (time.perf_counter() - begin)
                bench.emit(kind="inference", detector=name, precision=precision, batch_size=batch_size, **figures)


def _alone(
    bench: Bench, module: ModuleType, section: Any, model: Any, data: BoxedImages, ids: list[str], device: torch.device
) -> float:
    """Return the images per second of network and decoding."""
    batches = DetectionBatches(data, ids, size_of(section.model), batch_size=len(ids))
    batch = next(iter(Loader(batches, 0, device).on_device(range(1))))
    sizes = [data.size(image_id) for image_id in ids]
    with torch.inference_mode():
        step = timed(
            lambda: module.decode(model(batch["images"]), sizes, section.decode), bench.options.steps, device=device
        )
    return len(ids) / step.median


def long(name: str) -> Callable[[Bench], None]:
    """Return the part that trains a detector with the profile's settings for `--long` steps, and evaluates it."""

    def part(bench: Bench) -> None:
        changes = gpu_params.for_steps(section_of(bench.content, name)["train"], bench.options.long)
        steps = changes["epochs"] * changes["batches_per_epoch"]
        begin = time.perf_counter()
        figures = _watched_training(bench, name, changes, warm_up=steps // 10, out="long")
        minutes = (time.perf_counter() - begin) / 60
        bench.emit(kind="long training", trainer=name, all_steps=steps, minutes=minutes, **figures)
        metrics = (_average_precision if name == "ssd300" else _recall)(bench)
        chosen = {key: value for key, value in metrics.items() if isinstance(value, float)}
        bench.emit(kind="scores", trainer=name, all_steps=steps, **chosen)

    return part


def _average_precision(bench: Bench) -> dict[str, Any]:
    found, out = bench.out("long", "detections", "detections.npz").parent, bench.out("long", "map.json")
    inputs = {"images": bench.images, "weights": bench.weights("ssd300"), "model": bench.out("long/ssd300.safetensors")}
    detect_stage.run(bench.read(detect_stage, bench.content), detector="ssd300", **inputs, out=found)
    evaluate_detections.run(
        bench.read(evaluate_detections, bench.content),
        images=bench.images,
        detections=found,
        out=out,
        curves=bench.out("long", "curves.csv"),
    )
    return json.loads(out.read_text())


def _recall(bench: Bench) -> dict[str, Any]:
    files = {name: bench.out("long", file) for name, file in (("out", "rpn.npz"), ("untrained", "before.npz"))}
    inputs = {"images": bench.images, "weights": bench.weights("rpn"), "model": bench.out("long/rpn.safetensors")}
    metrics = bench.out("long", "anchors.json")
    propose_rpn.run(bench.read(propose_rpn, bench.content), **inputs, **files, metrics=metrics)
    out = bench.out("long", "recall.json")
    evaluate_proposals.run(
        bench.read(evaluate_proposals, bench.content),
        images=bench.images,
        proposals=files["out"],
        out=out,
        curves=bench.out("long", "by_iou.csv"),
        counts=bench.out("long", "by_count.csv"),
    )
    return json.loads(out.read_text())


def machine(bench: Bench) -> None:
    """Write what the figures depend on: the device, the libraries, and the processors."""
    bench.emit(
        kind="machine",
        device=environment.computed_by(),
        cuda=torch.version.cuda,
        cudnn=torch.backends.cudnn.version() if torch.cuda.is_available() else None,
        versions=installed(),
        cpus=len(os.sched_getaffinity(0)),
        workers=environment.workers(),
    )


PARTS: dict[str, Callable[[Bench], None]] = {
    "machine": machine,
    "prepare": prepare_inputs,
    **{name: train(name) for name in ("finetune", "ssd300", "rpn", "mobilenet_v3", "resnet50")},
    "features": features,
    "inference": inference,
    "resume": resume,
    "long_ssd300": long("ssd300"),
    "long_rpn": long("rpn"),
}


def main() -> None:
    """Run a part."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    os.chdir(folder)  # the stages put their checkpoints into the present folder
    PARTS[name](Bench(folder, folder / f"{name}.jsonl"))


if __name__ == "__main__":
    main()
