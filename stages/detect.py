"""Detect with a trained dense detector on the test images."""

from pathlib import Path
from typing import Any

from src import plugins
from src.files.boxed_images import BoxedImages
from src.files.records import write_records
from src.files.weights import read_tensors
from src.params import Sections, Seed
from src.splits import Splits
from stages.cluster import share_of_cluster
from stages.command import command
from stages.environment import device, shards, workers


class Params(Sections):
    """The sections that this stage reads; of `detectors` it uses only the detector's own part."""

    seed: Seed
    splits: Splits
    detectors: dict[str, Any]


def run(
    params: Params, *, detector: str, images: Path, weights: Path, model: Path, out: Path, proposals: Path | None = None
) -> None:
    """Write `detections.npz`, and `untrained.npz` with the detections of the same network before its training."""
    import torch

    from src.detection.running import detect, read_proposals, start

    data, (module, section) = BoxedImages(images), plugins.section("detectors", params.detectors, detector)
    net, _ = start(module, section, data.num_classes, read_tensors(weights)[0], params.seed)
    given = section, data, (ids := data.ids(params.splits.test)), torch.device(device()), workers()
    boxes, share = read_proposals(module, proposals, ids), share_of_cluster()
    read = [images, weights, model, *([proposals] if proposals else [])]
    computed = {**params.model_dump(exclude={"detectors"}), "detector": section.model_dump(exclude={"loss", "train"})}
    before, after = (shards(f"{name}_{detector}", computed, read) for name in ("detect_untrained", "detect"))
    write_records(out / "untrained.npz", detect(module, net, *given, proposals=boxes, share=share, parts=before))
    net.load_state_dict(read_tensors(model)[0])
    detections = detect(module, net, *given, proposals=boxes, share=share, parts=after)
    write_records(out / "detections.npz", detections)
    before.forget()
    after.forget()
    print(f"{sum(len(record['boxes']) for record in detections.values())} detections in {len(detections)} images")


if __name__ == "__main__":
    command(run)
