"""Compare R-CNN's SVMs with the softmax of its own fine-tuned network, on the same features (R-CNN App. B).

    python -m benchmarks.softmax

It runs after `dvc repro detect_rcnn` with `features.layer: fc7`, which the network's last layer reads. Both have the
same proposals, box regression and suppression. Errors are standard errors of a bootstrap over the test images; that of
the difference is of the same resamples for both.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from src.errors import InputError
from src.evaluation.average_precision import mean_ap, voc07, voc_curves
from src.evaluation.bootstrap import draws, standard_error
from src.evaluation.outcomes import voc_outcomes
from src.evaluation.resampled_detections import voc07_map
from src.files.boxed_images import BoxedImages
from src.files.records import read_records
from src.params import read_params
from src.rcnn import network
from src.rcnn.detect import DetectRcnn, detect
from src.rcnn.extract import Result, extract
from src.rcnn.features import unlabelled
from src.rcnn.score import read_scores
from stages.environment import jobs
from stages.score_rcnn import BATCH_SIZE, Params

LAYER = "fc7"


class Both(Params):
    """The sections of both stages, score_rcnn and detect_rcnn."""

    detect_rcnn: DetectRcnn


def probabilities(weight: Tensor, bias: Tensor, features: np.ndarray) -> np.ndarray:
    """Return the softmax of regions [N, C] without background, from their features [N, D]."""
    return nn.functional.linear(torch.from_numpy(features).float(), weight, bias).softmax(dim=1)[:, 1:].numpy()


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, default=Path("data/prepared/voc.zip"))
    parser.add_argument("--proposals", type=Path, help="those of features.proposals by default")
    parser.add_argument("--scores", type=Path, default=Path("data/scores/rcnn.npy"))
    parser.add_argument("--model", type=Path, default=Path("models/rcnn.safetensors"))
    options = parser.parse_args()
    params, data = read_params("params.yaml", Both), BoxedImages(options.images)
    if params.features.layer != LAYER:
        raise InputError(f"features.layer = {params.features.layer!r}: the softmax reads {LAYER}, so set it to this")
    path = options.proposals or Path(f"data/proposals/{params.features.proposals}.npz")
    ids = data.ids(params.splits.test)
    proposals, targets = read_records(path, ids), {image_id: data.target(image_id) for image_id in ids}
    net, classes = network.read(options.model)
    last = [layer.detach() for layer in list(net.get_submodule("classifier"))[-1].parameters()]
    regions = {image_id: unlabelled(proposals[image_id]["boxes"]) for image_id in ids}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "softmax.npy"
        rules = {"layer": LAYER, "precision": params.features.precision, "settings": params.warp}
        given = {"map_side": params.features.side, "batch_size": BATCH_SIZE, "jobs": jobs()}
        result = Result(partial(probabilities, *last), len(classes))
        extract(net, data, regions, out, result=result, device=torch.device("cpu"), **rules, **given)
        rows = np.load(out)
    ends = np.cumsum([len(regions[image_id]["boxes"]) for image_id in ids])[:-1]
    softmax = dict(zip(ids, np.split(rows, ends), strict=True))
    svms = read_scores(options.scores, proposals, ids)
    resampled, counts = {}, draws(len(ids))
    print("| scores | mAP (VOC07) without box regression | with |\n|---|---|---|")
    for name, scored in (("SVMs", {image_id: svms[image_id].scores for image_id in ids}), ("softmax", softmax)):
        cells = []
        for moved in (False, True):
            found = {
                image_id: detect(
                    proposals[image_id]["boxes"],
                    np.array(scored[image_id]),
                    params.detect_rcnn,
                    size=data.size(image_id),
                    deltas=np.array(svms[image_id].deltas) if moved else None,
                )
                for image_id in ids
            }
            value = mean_ap(map(voc07, voc_curves(found, targets, data.classes).values()))
            resampled[name, moved] = voc07_map(voc_outcomes(found, targets, data.classes), counts)
            cells.append(f"{value:.3f} +- {standard_error(resampled[name, moved]):.3f}")
        print(f"| {name} | {cells[0]} | {cells[1]} |")
    errors = [standard_error(resampled["softmax", moved] - resampled["SVMs", moved]) for moved in (False, True)]
    print(f"| error of the difference | {errors[0]:.3f} | {errors[1]:.3f} |")


if __name__ == "__main__":
    main()
