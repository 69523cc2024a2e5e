r"""Compare Faster R-CNN, or Fast R-CNN, with torchvision's: the same start, the same batches, step by step.

    python -m benchmarks.two_stage_race faster_rcnn --images data/prepared/voc.zip
    python -m benchmarks.two_stage_race fast_rcnn --images data/prepared/voc.zip \
      --proposals data/proposals/selective_search.npz

Numbers are those of the detector's section in params.yaml, for both networks; the RPN's convolution is as wide as the
backbone, and its box loss has a weight of 1, as in torchvision. All layers have the same values at the start: random
ones, and the backbone the weights of `--weights`. torchvision has no Fast R-CNN, so its RoIHeads get the proposals. In
each step both train on the same augmented batch, and then both detect in the same test images; they take turns at going
first. The printed ratios are medians over steps and over test batches. Errors are standard errors of a bootstrap over
the test images, and that of the difference is of the same resamples for both. They do not tell how far two trainings
differ by chance: for that take several `--seeds`. The last line then has the means over the seeds, and two errors of
the mean difference, one from the spread over the seeds and one from the bootstrap. Several `--params` put several of
ours into one race, such as two losses.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.race import Race
from benchmarks.two_stage_pair import Ours, Theirs, chosen
from src.boxes.matching import without_difficult
from src.detection.batches import DetectionBatches
from src.detection.running import read_proposals
from src.detection.sizes import size_of
from src.evaluation.average_precision import mean_ap, voc07, voc_curves
from src.evaluation.bootstrap import draws, standard_error
from src.evaluation.outcomes import voc_outcomes
from src.evaluation.resampled_detections import voc07_map
from src.files.boxed_images import BoxedImages
from src.files.records import Record
from src.networks import starting_weights

BATCH_SIZE = 16  # of the test


def detected(nets: list[nn.Module], batches: DetectionBatches) -> tuple[list[dict[str, Record]], np.ndarray]:
    """Detect with all networks in turns; return detections by image, and the seconds per image [batches, nets]."""
    records: list[dict[str, Record]] = [{} for _ in nets]
    seconds = []
    with torch.inference_mode():
        for index in batches.epoch(0):
            batch, taken = batches[index], [0.0 for _ in nets]
            sizes = [batches.data.size(image_id) for image_id in batch["ids"]]
            for which in range(len(nets)) if index % 2 == 0 else reversed(range(len(nets))):
                start = time.perf_counter()
                found = nets[which].eval().found(batch, sizes)  # type: ignore[operator]
                taken[which] = (time.perf_counter() - start) / len(sizes)
                for image_id, record in zip(batch["ids"], found, strict=True):
                    records[which][image_id] = {name: value.numpy() for name, value in record.items()}
            seconds.append(taken)
    return records, np.array(seconds)


def raced(options: argparse.Namespace, data: BoxedImages, seed: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Train all networks and detect with all.

    Returns:
        their figures, and the ratios of the times of ours to torchvision's; and by the name of each of ours the
        difference of its mAP and torchvision's in each resample of the test images.
    """
    nets: dict[str, nn.Module] = {}
    for number, path in enumerate(options.params):
        torch.manual_seed(seed)  # all of ours start with the same values
        module, section = chosen(path, options.detector)
        ours = Ours(module, section, data.num_classes)
        if options.weights:
            starting_weights.load(ours.net.get_submodule("backbone"), torch.load(options.weights, weights_only=True))
        nets[path.stem if number else "ours"] = ours
    first = nets["ours"]
    assert isinstance(first, Ours)
    module, section = first.module, first.section
    nets["torchvision"] = Theirs(first, data.num_classes)
    train, test, size = data.ids(options.train), data.ids(options.test), size_of(section.model)
    train = [name for name in train if without_difficult(data.target(name))["labels"].size]
    proposals = read_proposals(module, options.proposals, [*train, *test])
    race = Race(
        [net.train().to(memory_format=torch.channels_last) for net in nets.values()],
        options.lr,
        cosine=options.steps if options.cosine else None,
    )
    given: dict[str, Any] = {"seed": seed, "proposals": proposals}
    batches = DetectionBatches(data, train, size, section.augment, batch_size=options.batch_size, **given)
    race.run(batches, options.steps, torch.device("cpu"))
    records, seconds = detected(list(nets.values()), DetectionBatches(data, test, size, batch_size=BATCH_SIZE, **given))
    targets, counts = {name: data.target(name) for name in test}, draws(len(test))
    result: dict[str, Any] = {"detector": options.detector, "seed": seed, "steps": options.steps}
    resampled = {}
    for which, name in enumerate(nets):
        resampled[name] = voc07_map(voc_outcomes(records[which], targets, data.classes), counts)
        values = {
            "map_voc07": mean_ap(map(voc07, voc_curves(records[which], targets, data.classes).values())),
            "standard_error": standard_error(resampled[name]),
            "first_loss": race.losses[which][0],
            "last_losses": float(np.mean(race.losses[which][-max(1, options.steps // 10) :])),
            "training_images_per_second": options.batch_size / float(np.median(race.seconds[which])),
            "test_images_per_second": 1 / float(np.median(seconds[:, which])),
        }
        result[name] = {key: round(value, 4) for key, value in values.items()}
    theirs = resampled.pop("torchvision")
    differences = {name: values - theirs for name, values in resampled.items()}
    for which, (name, difference) in enumerate(differences.items()):
        values = {
            "error_of_difference": standard_error(difference),
            "step_ratio": float(np.median(np.divide(race.seconds[which], race.seconds[-1]))),
            "test_ratio": float(np.median(seconds[:, which] / seconds[:, -1])),
        }
        result[name] |= {key: round(value, 4) for key, value in values.items()}
    return result, differences


def over_seeds(results: Sequence[Mapping[str, Any]], differences: Sequence[Mapping[str, np.ndarray]]) -> dict[str, Any]:
    """Return the means of what `raced` gave for two or more seeds, and both errors of each mean difference."""

    def over_all(name: str) -> np.ndarray:
        return np.array([result[name]["map_voc07"] for result in results])

    means: dict[str, Any] = {"seeds": [result["seed"] for result in results]}
    for name in differences[0]:
        gaps = over_all(name) - over_all("torchvision")
        values = {
            "map_voc07": over_all(name).mean(),
            "difference": gaps.mean(),
            "error_by_seeds": gaps.std(ddof=1) / len(gaps) ** 0.5,
            "error_by_test_images": standard_error(np.mean([of_seed[name] for of_seed in differences], axis=0)),
        }
        means[name] = {key: round(float(value), 4) for key, value in values.items()}
    return {**means, "torchvision": {"map_voc07": round(float(over_all("torchvision").mean()), 4)}}


def main() -> None:
    """Print the figures as a line of JSON per seed, and the means over several seeds as one more."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("detector", choices=("fast_rcnn", "faster_rcnn"))
    parser.add_argument("--images", required=True)
    parser.add_argument(
        "--params",
        type=Path,
        nargs="+",
        default=[Path("params.yaml")],
        help="each file makes one more of ours; torchvision's, and the images of all, have the numbers of the first",
    )
    parser.add_argument("--weights", help="a state dict for the backbone; without it all layers start at random")
    parser.add_argument("--proposals", type=Path, help="of fast_rcnn")
    parser.add_argument("--train", default="train_extra")
    parser.add_argument("--test", default="test")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=0.02, help="of SGD with momentum, after 20 steps of warm-up")
    parser.add_argument("--cosine", action="store_true", help="the rate falls to 0 along a cosine; otherwise it stays")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    results, differences = [], []
    for seed in options.seeds:
        result, difference = raced(options, BoxedImages(options.images), seed)
        print(json.dumps(result), flush=True)
        results.append(result)
        differences.append(difference)
    if len(results) > 1:
        print(json.dumps(over_seeds(results, differences)))


if __name__ == "__main__":
    main()
