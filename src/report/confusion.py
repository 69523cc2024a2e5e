"""Confusion matrices of the classifiers, and their wrong answers with the highest scores."""

from pathlib import Path

import numpy as np
import pandas as pd

from src.errors import InputError
from src.files.labelled_images import LabelledImages
from src.report.blocks import Block, Columns, Grid, Paragraph, Picture, Section, Subheading, Table
from src.report.inputs import Inputs, title
from src.report.pictures import with_boxes

SHOWN = 8  # wrong answers per classifier
SIDE = 140  # pixels
SHORT, FEW = 2, 10  # letters of a class and number of classes, up to which a matrix takes half of the page


def section(inputs: Inputs) -> Section:
    """Show a matrix and pictures for each classifier."""
    predictions, prepared = inputs.tables("predictions/*.csv"), inputs.named("prepared/*.zip")
    text = "Rows: the class of the image. Columns: the predicted class. The shade is the share of the row."
    blocks: list[Block] = [Paragraph(text)]
    for name, table in inputs.tables("plots/confusion_*.csv").items():
        images = LabelledImages(_of_data(prepared, inputs.classifiers[name]["data"]))
        matrix, wrong = _matrix(name, table, images.classes), _wrong(name, predictions[name], images)
        blocks += [Subheading(title(name)), *([Columns([[matrix], wrong])] if matrix.narrow else [matrix, *wrong])]
    return Section("Confusion of classes", "confusion", blocks)


def _of_data(prepared: dict[str, Path], name: str) -> Path:
    if name not in prepared:
        raise InputError(f"no stage prepares the data set {name!r}; prepared data sets: {', '.join(prepared)}")
    return prepared[name]


def _matrix(name: str, table: pd.DataFrame, classes: list[str]) -> Table:
    place = {name: number for number, name in enumerate(classes)}
    matrix = np.zeros((len(classes), len(classes)), int)
    np.add.at(matrix, (table["actual"].map(place).to_numpy(), table["predicted"].map(place).to_numpy()), 1)
    shares = matrix / matrix.sum(axis=1, keepdims=True).clip(min=1)
    rows = [[actual, *(int(count) or None for count in row)] for actual, row in zip(classes, matrix, strict=True)]
    caption = f"{title(name)}: {int(matrix.trace())} of {int(matrix.sum())} test images right"
    narrow = len(classes) <= FEW and max(map(len, classes)) <= SHORT
    return Table(caption, ["class / predicted", *classes], rows, shares.tolist(), narrow=narrow)


def _wrong(name: str, predictions: pd.DataFrame, images: LabelledImages) -> list[Block]:
    """Show the wrong answers with the highest scores, the highest first; ties by path."""
    wrong = predictions[predictions["label"] != predictions["predicted"]]
    wrong = wrong.sort_values(["score", "path"], ascending=[False, True], kind="stable").head(SHOWN)
    if wrong.empty:
        return [Paragraph("No test image was taken for another class.")]
    return [Grid([_picture(row, images) for row in wrong.to_dict("records")], f"Surest mistakes of {title(name)}")]


def _picture(row: dict, images: LabelledImages) -> Picture:
    uri, size = with_boxes(images.image(row["path"]), [], SIDE)
    caption = f"{row['label']} taken for {row['predicted']}, score {row['score']:.2f}"
    return Picture(uri, f"Test image {row['path']}: {caption}", caption, size)
