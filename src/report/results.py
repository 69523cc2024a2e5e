"""The figures of every method and of its trivial baselines, and then the recorded runs on real data."""

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from src.report.blocks import Block, Columns, More, Paragraph, Section, Subheading, Table, number
from src.report.inputs import UNTRAINED, Inputs, title

Figures = dict[str, dict[str, Any]]  # metrics by name of the run
MAP = "map_voc07"
VARIANTS = {"random": "random ranking", "untrained": "before training", "no_bbox": "without box regression"}
PROPOSAL_HEAD = ["proposals per image", "recall at IoU 0.5", "recall at IoU 0.7", "MABO"]
PUBLISHED = "published.csv"


def section(inputs: Inputs) -> Section:
    """Show the tables; a kind of method that the pipeline does not have is left out."""
    figures = inputs.figures("*.json")
    detectors = {name: figures[name] for name in inputs.named("plots/pr_*.csv")}
    proposals = {name: figures[f"proposals_{name}"] for name in inputs.named("plots/recall_by_count_*.csv")}
    classifiers = {name: figures[name] for name in inputs.named("plots/confusion_*.csv")}
    tables = [_detectors(detectors)] if detectors else []
    tables += [_classifiers(classifiers, inputs.classifiers)] if classifiers else []
    tables += [_proposals(proposals)] if proposals else []
    return Section("Results", "results", [*_halves(tables), *_arithmetic(figures), *_real(inputs)])


def _halves(tables: Sequence[Table], folded: bool = False) -> list[Block]:
    """Put tables into two columns of about the same number of rows, in their order; no block without tables.

    `folded` ones begin closed on a narrow window.
    """
    sizes = [len(table.rows) + 3 for table in tables]  # a caption and a head of two lines
    cuts = range(len(tables), 0, -1)  # of two that divide as well, the one with more in the first column
    cut = min(cuts, key=lambda cut: abs(sum(sizes[:cut]) - sum(sizes[cut:])), default=0)
    shown = [More(table.caption, [table], wide=True) if folded else table for table in tables]
    halves = [half for half in (shown[:cut], shown[cut:]) if half]
    return [Columns(halves)] if halves else []


def _arithmetic(figures: Figures) -> list[Block]:
    """Name the arithmetic of each network's training in one sentence; no block if no training recorded it."""
    trained: dict[str, list[str]] = {}
    for name, metrics in figures.items():
        if "arithmetic" in metrics:
            trained.setdefault(metrics["arithmetic"], []).append(title(name.removesuffix("_training")))
    if not trained:
        return []
    modes = "; ".join(f"{mode}: {', '.join(names)}" for mode, names in trained.items())
    return [Paragraph(f"Arithmetic of the trainings (docs/reproducibility.md): {modes}.")]


def _detectors(detectors: dict[str, dict[str, Any]]) -> Table:
    rows: list[list[str | None]] = []
    for name, metrics in detectors.items():
        rows.append([title(name), *(number(metrics[key]) for key in (MAP, "map_voc12", "map_coco"))])
        for key in metrics:
            variant = key.removeprefix(f"{MAP}_")
            if variant != key:
                kind = VARIANTS.get(variant, variant.replace("_", " "))
                rows.append([f"{title(name)}, {kind}", number(metrics[key]), None, None])
    first = next(iter(detectors.values()))
    caption = f"Detectors: mean average precision on {first['images']} test images, {first['objects']} objects"
    return Table(caption, ["detector", "VOC07, IoU 0.5", "VOC12, IoU 0.5", "COCO, IoU 0.50:0.95"], rows)


def _proposals(proposals: dict[str, dict[str, Any]]) -> Table:
    rows: list[list[str | None]] = []
    for name, metrics in proposals.items():
        count = number(metrics["proposals_per_image"], 0)
        rows.append([title(name), count, *(number(metrics[key]) for key in ("recall_50", "recall_70", "mabo"))])
        if name.endswith(UNTRAINED):
            continue
        windows = [number(metrics[f"{key}_sliding_window"]) for key in ("recall_50", "recall_70")]
        rows.append([f"sliding window, as many as {title(name)}", count, *windows, None])
    return Table("Region proposals: share of the objects that they cover", ["method", *PROPOSAL_HEAD], rows)


def _classifiers(classifiers: dict[str, dict[str, Any]], sections: Any) -> Table:
    rows = [
        [
            f"{title(name)} on {sections[name]['data']}",
            metrics["images"],
            number(metrics["accuracy"]),
            number(metrics["accuracy_most_frequent"]),
            number(metrics["macro_f1"]),
            number(metrics["calibration_error"]),
        ]
        for name, metrics in classifiers.items()
    ]
    head = ["classifier", "test images", "accuracy", "always the most frequent", "macro F1", "calibration error"]
    return Table("Classifiers", head, rows)


def _real(inputs: Inputs) -> list[Block]:
    """Show recorded runs on real data and the published figures; no block if no run is recorded."""
    runs = {path.stem: json.loads(path.read_text()) for path in sorted(inputs.results.glob("*.*.json"))}
    if not runs:
        return []
    detectors = {name: metrics for name, metrics in runs.items() if MAP in metrics}
    proposals = {name: metrics for name, metrics in runs.items() if "recall_50" in metrics}
    classifiers = {name: metrics for name, metrics in runs.items() if "accuracy" in metrics}
    text = (
        "These runs are recorded beside the code. The last part of a name is the data set; docs/results.md says how "
        "each run was made. They are not outputs of this run of the pipeline."
    )
    tables = [*_recorded(detectors, proposals, classifiers), *_published(inputs)]
    return [Subheading("Real data"), Paragraph(text), *_halves(tables, folded=True)]


def _recorded(detectors: Figures, proposals: Figures, classifiers: Figures) -> list[Table]:
    tables = []
    if detectors:
        rows = [
            [
                *_name(name),
                metrics["images"],
                number(metrics[MAP]),
                number(metrics.get(f"{MAP}_random", metrics.get(f"{MAP}_untrained"))),
            ]
            for name, metrics in detectors.items()
        ]
        head = ["run", "data", "test images", "VOC07 mAP", "random ranking, or before training"]
        tables.append(Table("Detectors on real photos", head, rows))
    if proposals:
        rows = [
            [*_name(name.removeprefix("proposals_")), number(metrics["proposals_per_image"], 0)]
            + [number(metrics[key]) for key in ("recall_50", "recall_70", "mabo", "recall_50_sliding_window")]
            for name, metrics in proposals.items()
        ]
        head = ["run", "data", *PROPOSAL_HEAD, "sliding window, IoU 0.5"]
        tables.append(Table("Region proposals on real photos", head, rows))
    if classifiers:
        rows = [
            [*_name(name), metrics["images"]]
            + [number(metrics[key]) for key in ("accuracy", "accuracy_most_frequent", "macro_f1")]
            for name, metrics in classifiers.items()
        ]
        head = ["run", "data", "test images", "accuracy", "always the most frequent", "macro F1"]
        tables.append(Table("Classifiers on real images", head, rows))
    return tables


def _name(stem: str) -> tuple[str, str]:
    """Split the name of a recorded file into run and data.

    >>> _name("rcnn_fc7.voc2007_subset")
    ('rcnn fc7', 'voc2007 subset')
    """
    run, data = stem.split(".", 1)
    return run.replace("_", " "), data.replace("_", " ")


def _published(inputs: Inputs) -> list[Table]:
    path = inputs.results / PUBLISHED
    if not path.exists():
        return []
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    caption = "Published figures, on the official VOC 2007 test set: another set than that of any run above"
    return [Table(caption, list(table.columns), table.to_numpy().tolist())]
