"""Propose regions with the trained RPN, in the format of selective search, and measure its labels of the anchors."""

from pathlib import Path
from typing import Any

from src import plugins
from src.files.boxed_images import BoxedImages
from src.files.records import Record, check_room, write_records
from src.files.storage import write_json
from src.files.weights import read_tensors
from src.params import Sections, Seed
from src.splits import Splits
from stages.cluster import share_of_cluster
from stages.command import command
from stages.environment import device, workers


class Params(Sections):
    """The sections that this stage reads; of `detectors` it uses only `rpn`."""

    seed: Seed
    splits: Splits
    detectors: dict[str, Any]


def run(params: Params, *, images: Path, weights: Path, model: Path, out: Path, untrained: Path, metrics: Path) -> None:
    """Write the proposals, best first, those of the same network before its training, and figures of the anchors.

    The figures are those of the test images: precision and recall of the anchors labelled as objects, and the accuracy.
    """
    import torch

    from src.detection.batches import DetectionBatches
    from src.detection.running import BATCH_SIZE, detect, measure, start
    from src.detection.sizes import size_of
    from src.training.loading import Loader

    data, (module, section) = BoxedImages(images), plugins.section("detectors", params.detectors, "rpn")
    net, _ = start(module, section, data.num_classes, read_tensors(weights)[0], params.seed)
    ids, torch_device = data.ids(*params.splits.of_regions()), torch.device(device())
    check_room(out, len(ids), section.decode.max_per_image, "lower detectors.rpn.decode.max_per_image", files=2)
    tested, size = data.ids(params.splits.test), size_of(section.model)
    batches = DetectionBatches(data, tested, size, batch_size=BATCH_SIZE, seed=params.seed)
    test, share = Loader(batches, workers(), torch_device), share_of_cluster()

    def proposals() -> tuple[dict[str, Record], dict[str, float]]:
        detections = detect(module, net, section, data, ids, torch_device, workers(), share=share)
        with torch.inference_mode():
            figures = measure(module, net, section, test)
        return {image_id: {"boxes": record["boxes"]} for image_id, record in detections.items()}, figures

    boxes, before = proposals()
    write_records(untrained, boxes)
    net.load_state_dict(read_tensors(model)[0])
    boxes, after = proposals()
    write_records(out, boxes)
    write_json(metrics, {**after, "untrained": before})
    count = sum(len(record["boxes"]) for record in boxes.values())
    print(f"{len(ids)} images, {count / len(ids):.0f} proposals per image")


if __name__ == "__main__":
    command(run)
