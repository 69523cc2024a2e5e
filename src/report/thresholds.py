"""One score threshold per detector: F1 at each threshold, and which class it takes for which above the best one."""

import numpy as np

from src.evaluation.thresholds import Curve, confusion, f1_curve
from src.report.blocks import Block, Chart, Columns, Paragraph, Section, Subheading, Table
from src.report.charts import SHARE, Line, line_chart
from src.report.inputs import Inputs, title

POINTS = 200  # of a line, at most
NOTHING, MISSED = "nothing", "missed"
ABOUT = (
    "mAP rates a ranking, but whoever uses a detector keeps the detections from some score on. A high threshold gives "
    "few and mostly right detections (precision), a low one finds more objects (recall), and F1 balances both. One "
    "threshold serves all classes here; scores of two detectors have different scales."
)
OPTIMISTIC = (
    "The thresholds were chosen on these test images, so on other images F1 at them is likely a little lower. The "
    "tables count the detections from the threshold on. A row is the true class, a column the predicted one; a "
    "detection belongs to an object if their IoU is 0.5 or more. The row nothing has boxes without an object and "
    "second boxes on one object; the column missed has objects without a box. The shade is the share of the row."
)


def section(inputs: Inputs) -> Section:
    """Show for each detector a sentence, a chart of F1 and a table of classes; a detector without hits has neither."""
    blocks: list[Block] = [Paragraph(ABOUT), Paragraph(OPTIMISTIC)]
    for name, records in inputs.detections.items():
        curve = f1_curve(records, inputs.targets, inputs.images.classes)
        best = curve.best()
        blocks.append(Subheading(title(name)))
        if best is None:
            blocks.append(Paragraph(f"{title(name)} finds no object at any threshold."))
            continue
        counts = confusion(records, inputs.targets, inputs.images.classes, float(curve.thresholds[best]))
        blocks.append(Paragraph(sentence(title(name), curve, best)))
        words = Paragraph(confused(counts, inputs.images.classes))
        blocks.append(Columns([[_chart(name, curve, best)], [_table(name, curve, best, counts, inputs), words]]))
    return Section("Choosing a threshold", "thresholds", blocks)


def sentence(name: str, curve: Curve, best: int) -> str:
    """Say where F1 is highest, and what is right and found there."""
    true, kept = int(curve.true[best]), int(curve.kept[best])
    return (
        f"{name} has its best F1, {curve.f1[best]:.3f}, at a score of {curve.thresholds[best]:.2f}: {true} of {kept} "
        f"detections are right (precision {curve.precision[best]:.3f}), and {true} of {curve.objects} objects are "
        f"found (recall {curve.recall[best]:.3f})."
    )


def confused(counts: np.ndarray, classes: list[str]) -> str:
    """Name the pair of classes that is confused most, of equal ones the first, and count all such detections.

    >>> confused(np.array([[5, 2, 1], [0, 7, 0], [1, 1, 0]]), ["car", "cat"])
    '2 detections have the wrong class, most often car taken for cat (2).'
    """
    between = counts[:-1, :-1] * ~np.eye(len(classes), dtype=bool)
    if not between.any():
        return "No object was taken for another class."
    true, predicted = np.unravel_index(between.argmax(), between.shape)
    number = int(between.sum())
    start = (
        "1 detection has the wrong class:" if number == 1 else f"{number} detections have the wrong class, most often"
    )
    return f"{start} {classes[true]} taken for {classes[predicted]} ({between.max()})."


def _chart(name: str, curve: Curve, best: int) -> Chart:
    places = np.unique(np.append(np.linspace(0, len(curve.thresholds) - 1, POINTS).round().astype(int), best))[::-1]
    shares = {"F1": curve.f1, "precision": curve.precision, "recall": curve.recall}
    lines = [
        Line(word, curve.thresholds[places].tolist(), values[places].tolist(), style, style)
        for style, (word, values) in enumerate(shares.items())
    ]
    threshold = float(curve.thresholds[best])
    lines.append(Line(f"best F1, at {threshold:.2f}", [threshold, threshold], [0.0, float(curve.f1[best])], 7, 2))
    svg = line_chart(f"f1-{name}", lines, "score threshold", "share", y_limits=SHARE, size=(4.8, 3.2))
    caption = f"{title(name)}: F1, precision and recall by score threshold, all classes together"
    return Chart(svg, f"{caption}. F1 is highest, {curve.f1[best]:.3f}, at {threshold:.2f}.", caption)


def _table(name: str, curve: Curve, best: int, counts: np.ndarray, inputs: Inputs) -> Table:
    classes = inputs.images.classes
    shares = counts / counts.sum(axis=1, keepdims=True).clip(min=1)
    rows = [
        [row, *(int(count) or None for count in of_row)]
        for row, of_row in zip([*classes, NOTHING], counts, strict=True)
    ]
    caption = f"{title(name)}: detections with a score of {curve.thresholds[best]:.2f} or more, and all objects"
    return Table(caption, ["true / predicted", *classes, MISSED], rows, shares.tolist(), narrow=True)
