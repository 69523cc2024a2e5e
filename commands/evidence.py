"""Read the outputs that a headline metric is computed from, and compute it again for resampled test images."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from commands.revisions import Revision
from src.errors import InputError
from src.evaluation.bootstrap import accuracy, draws, interval
from src.evaluation.headline import CLASSIFIER_KEY, Headline
from src.evaluation.resampled_detections import match, of_detections
from src.evaluation.resampled_proposals import of_proposals
from src.files.boxed_images import BoxedImages
from src.files.records import read_records

if TYPE_CHECKING:
    import pandas as pd

PREPARED = "data/prepared/voc.zip"
AT = "recall_50_at_"
ROUNDING = 1e-4  # of the numbers in a metrics file


class Missing(Exception):
    """The reason why there is no interval, as a sentence."""


class Evidence(NamedTuple):
    """The outputs of a method for the test images of a revision."""

    test_set: Any  # the images and their ground truth; two figures may be paired if these are equal
    images: int
    resample: Callable[[np.ndarray], dict[str, np.ndarray]]  # counts [B, I] -> each metric [B], by its key


def paired(metrics: Sequence[Headline], old: Revision, new: Revision) -> dict[str, tuple[float, float]]:
    """Return the 95 % interval of new - old per metric of one method, by name, over the same resampled test images.

    A metric that one side does not have, or that has no value, is left out.

    Raises:
        Missing: the outputs of a side are not available, the test images differ, or the outputs of a side do not give
            the figures that it states, because it was run in part or older code evaluated them differently.
    """
    try:
        sides = [_evidence(metrics, revision) for revision in (old, new)]
    except InputError as error:
        raise Missing(str(error)) from None
    if sides[0].test_set != sides[1].test_set:
        raise Missing("the test images or what is to be found in them differ")
    counts = draws(sides[0].images)
    once = np.ones((1, sides[0].images))
    values = [side.resample(np.concatenate([once, counts])) for side in sides]
    intervals = {}
    for metric in metrics:
        pair = [side.get(metric.key) for side in values]
        if pair[0] is None or pair[1] is None or np.isnan([pair[0][0], pair[1][0]]).any():
            continue
        for resampled, revision in zip(pair, (old, new), strict=True):
            stated = revision.summary.get(metric.name)
            if stated is not None and resampled is not None and abs(resampled[0] - stated) > ROUNDING:
                raise Missing(
                    f"{revision.label} has other figures than data/{metric.output} gives, or gave to older code"
                )
        intervals[metric.name] = interval((pair[1] - pair[0])[1:])
    return intervals


def _evidence(metrics: Sequence[Headline], revision: Revision) -> Evidence:
    first = metrics[0]
    files = _files(revision, f"data/{first.output}")
    if first.kind == "predictions":
        import pandas as pd

        return _predictions(pd.read_csv(files[""], dtype=str, keep_default_na=False))
    data = BoxedImages(_files(revision, PREPARED)[""])
    ids = sorted(data.ids(revision.params["splits"]["test"]))
    targets = {image_id: data.target(image_id) for image_id in ids}
    objects = {
        image_id: [data.size(image_id), *(target[key].tolist() for key in ("boxes", "labels", "difficult"))]
        for image_id, target in targets.items()
    }
    test_set = (data.classes, objects)
    if first.kind == "detections":
        matched = match({name.removesuffix(".npz"): path for name, path in files.items()}, targets, data.classes)
        return Evidence(test_set, len(ids), lambda counts: of_detections(matched, counts))
    boxes = {image_id: record["boxes"] for image_id, record in read_records(files[""], ids).items()}
    recall_at = [int(metric.key.removeprefix(AT)) for metric in metrics if metric.key.startswith(AT)]
    return Evidence(test_set, len(ids), lambda counts: of_proposals(boxes, targets, recall_at, counts))


def _predictions(table: "pd.DataFrame") -> Evidence:
    rows = table.sort_values("path")
    right = (rows["label"] == rows["predicted"]).to_numpy()
    test_set = list(zip(rows["path"], rows["label"], strict=True))
    return Evidence(test_set, len(rows), lambda counts: {CLASSIFIER_KEY: accuracy(right, counts)})


def _files(revision: Revision, output: str) -> dict[str, Any]:
    if not (files := revision.files(output)):
        raise Missing(f"{output} of {revision.label} is not in DVC's cache here")
    return files
