"""The headline metrics alone, in one flat file: what `dvc metrics show`, `dvc metrics diff` and `dvc exp show` show.

Of detectors and proposals the stage reads the metrics files that its command names: a new detector, which joins
`evaluate_detections` in dvc.yaml by its name, joins `summary` there by its file. A new classifier needs no edit: what
every classifier said of its test images is one folder, and an accuracy follows from that.
"""

import json
from pathlib import Path

import pandas as pd

from src.evaluation import headline
from src.evaluation.headline import CLASSIFIER_KEY
from src.files.storage import write_json
from src.params import Sections
from stages.command import command


class Params(Sections):
    """What this stage reads of params.yaml: nothing."""


def run(params: Params, *, detections: list[str], proposals: list[str], predictions: Path, out: Path) -> None:
    """Write NAME.KEY -> value for each headline metric.

    Args:
        params: nothing.
        detections: metrics files of detectors.
        proposals: metrics files of proposals.
        predictions: a folder with a table `label`, `predicted` for each classifier.
        out: the summary.
    """
    metrics = {Path(path).stem: json.loads(Path(path).read_text()) for path in (*detections, *proposals)}
    names = [name for path in detections for name in headline.named(Path(path).stem, "detections")]
    for path in proposals:
        names += headline.named(Path(path).stem.removeprefix("proposals_"), "proposals")
    for table in sorted(predictions.glob("*.csv")):
        names += headline.named(table.stem, "predictions")
        metrics[table.stem] = {CLASSIFIER_KEY: _accuracy(table)}
    found = headline.summary(metrics, names)
    write_json(out, found)
    print(f"{len(found)} headline metrics")


def _accuracy(table: Path) -> float:
    rows = pd.read_csv(table, dtype=str, keep_default_na=False)
    return float((rows["label"] == rows["predicted"]).mean())


if __name__ == "__main__":
    command(run)
