"""Every method's figures beside those of its trivial baselines; then real data, where a run on them is recorded."""

import json
from typing import Any

import pandas as pd

from src.report.blocks import Block, Paragraph, Section, Subheading, Table, number
from src.report.inputs import UNTRAINED, Inputs, title

Figures = dict[str, dict[str, Any]]  # of runs, by name
MAP = "map_voc07"
VARIANTS = {"random": "random ranking", "untrained": "before training", "no_bbox": "without box regression"}
PROPOSAL_HEAD = ["proposals an image", "recall at IoU 0.5", "recall at IoU 0.7", "MABO"]
PUBLISHED = "published.csv"


def section(inputs: Inputs) -> Section:
    """The tables; a kind of method that the pipeline has none of is left out."""
    figures = inputs.figures("*.json")
    detectors = {name: figures[name] for name in inputs.named("plots/pr_*.csv")}
    proposals = {name: figures[f"proposals_{name}"] for name in inputs.named("plots/recall_by_count_*.csv")}
    classifiers = {name: figures[name] for name in inputs.named("plots/confusion_*.csv")}
    blocks: list[Block] = [_detectors(detectors)] if detectors else []
    blocks += [_proposals(proposals)] if proposals else []
    blocks += [_classifiers(classifiers, inputs.classifiers)] if classifiers else []
    return Section("Results", "results", [*blocks, *_arithmetic(figures), *_real(inputs)])


def _arithmetic(figures: Figures) -> list[Block]:
    """One sentence on how each network's training computed; none where no training says so."""
    trained: dict[str, list[str]] = {}
    for name, found in figures.items():
        if "arithmetic" in found:
            trained.setdefault(found["arithmetic"], []).append(title(name.removesuffix("_training")))
    if not trained:
        return []
    modes = "; ".join(f"{mode}: {', '.join(names)}" for mode, names in trained.items())
    return [Paragraph(f"Arithmetic of the trainings (docs/reproducibility.md): {modes}.")]


def _detectors(detectors: dict[str, dict[str, Any]]) -> Table:
    rows: list[list[str | None]] = []
    for name, found in detectors.items():
        rows.append([title(name), *(number(found[key]) for key in (MAP, "map_voc12", "map_coco"))])
        for key in found:
            variant = key.removeprefix(f"{MAP}_")
            if variant != key:
                kind = VARIANTS.get(variant, variant.replace("_", " "))
                rows.append([f"{title(name)}, {kind}", number(found[key]), None, None])
    first = next(iter(detectors.values()))
    caption = f"Detectors: mean average precision on {first['images']} test images, {first['objects']} objects"
    return Table(caption, ["detector", "VOC07, IoU 0.5", "VOC12, IoU 0.5", "COCO, IoU 0.50:0.95"], rows)


def _proposals(proposals: dict[str, dict[str, Any]]) -> Table:
    rows: list[list[str | None]] = []
    for name, found in proposals.items():
        many = number(found["proposals_per_image"], 0)
        rows.append([title(name), many, *(number(found[key]) for key in ("recall_50", "recall_70", "mabo"))])
        if name.endswith(UNTRAINED):
            continue
        windows = [number(found[f"{key}_sliding_window"]) for key in ("recall_50", "recall_70")]
        rows.append([f"sliding window, as many as {title(name)}", many, *windows, None])
    return Table("Region proposals: share of the objects that they cover", ["method", *PROPOSAL_HEAD], rows)


def _classifiers(classifiers: dict[str, dict[str, Any]], sections: Any) -> Table:
    rows = [
        [
            f"{title(name)} on {sections[name]['data']}",
            found["images"],
            number(found["accuracy"]),
            number(found["accuracy_most_frequent"]),
            number(found["macro_f1"]),
            number(found["calibration_error"]),
        ]
        for name, found in classifiers.items()
    ]
    head = ["classifier", "test images", "accuracy", "always the most frequent", "macro F1", "calibration error"]
    return Table("Classifiers", head, rows)


def _real(inputs: Inputs) -> list[Block]:
    """Recorded runs on real data, and beside them what was published; nothing where no run is recorded."""
    runs = {path.stem: json.loads(path.read_text()) for path in sorted(inputs.results.glob("*.*.json"))}
    if not runs:
        return []
    detectors = {name: found for name, found in runs.items() if MAP in found}
    proposals = {name: found for name, found in runs.items() if "recall_50" in found}
    classifiers = {name: found for name, found in runs.items() if "accuracy" in found}
    text = (
        "Runs that were recorded beside the code, on the data that the name's last part says; how each was made "
        "stands in docs/results.md. They are no outputs of this run of the pipeline."
    )
    return [
        Subheading("Real data"),
        Paragraph(text),
        *_recorded(detectors, proposals, classifiers),
        *_published(inputs),
    ]


def _recorded(detectors: Figures, proposals: Figures, classifiers: Figures) -> list[Block]:
    tables: list[Block] = []
    if detectors:
        rows = [
            [
                *_name(name),
                found["images"],
                number(found[MAP]),
                number(found.get(f"{MAP}_random", found.get(f"{MAP}_untrained"))),
            ]
            for name, found in detectors.items()
        ]
        head = ["run", "data", "test images", "VOC07 mAP", "random ranking, or before training"]
        tables.append(Table("Detectors on real photos", head, rows))
    if proposals:
        rows = [
            [*_name(name), number(found["proposals_per_image"], 0)]
            + [number(found[key]) for key in ("recall_50", "recall_70", "mabo", "recall_50_sliding_window")]
            for name, found in proposals.items()
        ]
        head = ["run", "data", *PROPOSAL_HEAD, "sliding window, IoU 0.5"]
        tables.append(Table("Region proposals on real photos", head, rows))
    if classifiers:
        rows = [
            [*_name(name), found["images"]]
            + [number(found[key]) for key in ("accuracy", "accuracy_most_frequent", "macro_f1")]
            for name, found in classifiers.items()
        ]
        head = ["run", "data", "test images", "accuracy", "always the most frequent", "macro F1"]
        tables.append(Table("Classifiers on real images", head, rows))
    return tables


def _name(stem: str) -> tuple[str, str]:
    """Run and data of a recorded file.

    >>> _name("rcnn_fc7.voc2007_subset")
    ('rcnn fc7', 'voc2007 subset')
    """
    run, data = stem.split(".", 1)
    return run.replace("_", " "), data.replace("_", " ")


def _published(inputs: Inputs) -> list[Block]:
    path = inputs.results / PUBLISHED
    if not path.exists():
        return []
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    caption = "Published figures, on the official VOC 2007 test set: another set than that of any run above"
    return [Table(caption, list(table.columns), table.to_numpy().tolist())]
