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
    from src.detection.running import detect, read_proposals, start

    data, (module, section) = BoxedImages(images), plugins.section("detectors", params.detectors, detector)
    net, _ = start(module, section, data.num_classes, read_tensors(weights)[0], params.seed)
    given = section, data, (ids := data.ids(params.splits.test)), device(), workers()
    more: dict[str, Any] = {"proposals": read_proposals(module, proposals, ids), "share": share_of_cluster()}
    with shards(f"detect_{detector}", params.model_dump(), [images, weights, model, proposals]) as parts:
        for name in ("untrained", "detections"):
            if name == "detections":
                net.load_state_dict(read_tensors(model)[0])
            write_records(out / f"{name}.npz", found := detect(module, net, *given, **more, parts=parts.below(name)))
    print(f"{sum(len(record['boxes']) for record in found.values())} detections in {len(found)} images")


if __name__ == "__main__":
    command(run)
