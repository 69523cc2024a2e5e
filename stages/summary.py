"""Write the headline metrics to one flat file, for `dvc metrics show`, `dvc metrics diff` and `dvc exp show`.

The stage reads the metrics files of detectors and proposals that its command names. In dvc.yaml, a new detector adds
its name to `evaluate_detections` and its metrics file to `summary`. A new classifier needs no edit: the predictions of
all classifiers are in one folder, and the accuracies are computed from them.
"""

import json
from pathlib import Path

from src.evaluation import headline
from src.evaluation.headline import CLASSIFIER_KEY
from src.files.storage import write_json
from src.params import Sections
from stages.command import command


class Params(Sections):
    """No section: this stage reads no parameters."""


def run(params: Params, *, detections: list[str], proposals: list[str], predictions: Path, out: Path) -> None:
    """Write NAME.KEY -> value for each headline metric.

    Args:
        params: no parameters.
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
    values = headline.summary(metrics, names)
    write_json(out, values)
    print(f"{len(values)} headline metrics")


def _accuracy(table: Path) -> float:
    import pandas as pd

    rows = pd.read_csv(table, dtype=str, keep_default_na=False)
    return float((rows["label"] == rows["predicted"]).mean())


if __name__ == "__main__":
    command(run)
