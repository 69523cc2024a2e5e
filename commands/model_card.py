"""Write the card of a trained model: `python -m commands.model_card ssd300` writes cards/ssd300.md and its picture.

NAME is rcnn, or a section of `detectors` or `classifiers` in params.yaml. The card is made from the outputs of the
stages, so run `dvc repro` first. This is not a stage, because nothing depends on a card and it takes seconds. A stage
would need an entry in dvc.yaml per kind of model, with the outputs of half the pipeline among its deps.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

from commands import card_picture, trained
from commands.trained import MODELS, RCNN, existing, training_stage
from src import plugins
from src.cards import data, figures, hub, limits
from src.cards.data import Split
from src.cards.page import Card, markdown
from src.errors import InputError
from src.files.boxed_images import BoxedImages
from src.files.labelled_images import LabelledImages
from src.files.storage import atomic
from src.files.weights import read_tensors
from src.splits import Splits
from src.training.settings import Train
from stages.command import command

PREPARED = Path("data/prepared")
METRICS = Path("metrics")
SEARCH = "selective_search"  # the method of proposals, and its section
RCNN_SAYS = (
    "R-CNN (Girshick et al. 2014, arXiv:1311.2524): proposals, a network that describes each as a warped region, a "
    "linear SVM and a box regression for every class."
)
LOAD = """\
import cv2, torch
from src.params import read_params
from commands.trained import Params, load
model = load(read_params("params.yaml", Params), "{name}", torch.device("cpu"))
"""
DETECT = 'found = model.detect(cv2.imread("photo.jpg", cv2.IMREAD_COLOR_RGB), "photo")  # boxes, labels, scores\n'
CLASSIFY = 'found = model.probabilities(cv2.imread("photo.jpg", cv2.IMREAD_COLOR_RGB))  # of model.classes\n'


class Params(trained.Params):
    """The sections that a card shows."""

    profile: str
    data: dict[str, Any]
    splits: Splits
    train: Train
    finetune: dict[str, Any]
    train_svm: dict[str, Any]
    train_bbox: dict[str, Any]


def run(
    params: Params,
    name: Annotated[str, "rcnn, or a section of detectors or classifiers in params.yaml"],
    *,
    out: Annotated[Path | None, "the file [cards/NAME.md]"] = None,
) -> None:
    """Write the card of a trained model."""
    path = out or Path("cards") / f"{name}.md"  # not below models/, which the report depends on
    check_file(path)
    made = card(params, name)
    content, caption = _picture(params, name)
    beside = path.with_suffix(".jpg")
    for file, written in ((beside, content), (path, markdown(made._replace(picture=(beside.name, caption))).encode())):
        with atomic(file) as temporary:
            temporary.write_bytes(written)
    print(f"{path}, {beside}")


def _picture(params: Params, name: str) -> tuple[bytes, str]:
    from src.classification.running import TEST

    if name in params.classifiers:
        return card_picture.picture(params, name, _prepared(params.classifiers[name]["data"]), TEST)
    return card_picture.picture(params, name, _prepared("voc"), params.splits.test)


def check_file(path: Path) -> None:
    """Refuse the file of a card that cannot be written, before any work: an `InputError` names the reason."""
    if path.is_dir() or path.suffix == ".jpg":
        raise InputError(f"--out: {path} must be a file of Markdown, such as cards/card.md; its picture lies beside it")
    for folder in path.parents:
        if folder.exists() and not folder.is_dir():
            raise InputError(f"--out: {folder} is a file, and must be a folder: choose another name")


def card(params: Params, name: str) -> Card:
    """Make the card of a method; an unknown name or a missing file is an `InputError` with the remedy."""
    params.check(name)
    if name == RCNN:
        return rcnn(params)
    return detector(params, name) if name in params.detectors else classifier(params, name)


def rcnn(params: Params) -> Card:
    """Make the card of R-CNN, from its three files."""
    stages = {f"{RCNN}.safetensors": "finetune", "svm.npz": "train_svm", "bbox.npz": "train_bbox"}
    files = [existing(MODELS / file, stage) for file, stage in stages.items()]
    settings = {key: params.finetune[key] for key in ("backbone", "pool", "hidden")}
    facts = read_tensors(files[0])[1]
    _made_with(files[0], {key: facts[key] for key in settings}, settings, "finetune")
    method = params.features.proposals
    metrics, proposals = _metrics(RCNN, f"evaluate_detections@{RCNN}"), _proposals(method)
    names = params.splits
    section = _resolved(params, params.finetune)
    training = [(names.finetune, "the network"), (names.train, "the SVMs and the box regression")]
    splits, origin, source = _objects(params, training, section["train"])
    return Card(
        name=RCNN,
        what=RCNN_SAYS,
        origin=origin,
        splits=splits,
        classes=facts["classes"],
        first_label=1,
        figures=[
            *figures.of_detections(metrics),
            *(row._replace(measure=f"{method}: {row.measure}") for row in figures.of_proposals(proposals)),
        ],
        parameters={
            **params.model_dump(include={"seed", "selective_search", "warp", "features", "detect_rcnn"}),
            "finetune": section,
            "train_svm": params.train_svm,
            "train_bbox": params.train_bbox,
            "data": _shown(params, "voc"),
        },
        limits=[
            *limits.of_data(source, splits[-1].images),
            *limits.of_detector(facts["classes"], None, metrics["ap"]),
            "Its scores are distances from a plane, not probabilities; a score above 0 means the class.",
        ],
        files=_digests(files),
        loading=LOAD.format(name=RCNN) + DETECT,
        header=hub.header(RCNN, hub.DETECTION, "voc", source, figures.of_detections(metrics)),
    )


def detector(params: Params, name: str) -> Card:
    """Make the card of a dense detector; if it is class-agnostic, the figures are those of its proposals."""
    from src.detection.running import class_agnostic
    from src.detection.sizes import size_of
    from src.prediction.dense import OBJECT

    stage = training_stage(params.detectors[name], name)
    module, section, path, classes = _trained("detectors", params.detectors, name, stage)
    agnostic = class_agnostic(name)
    resolved = _resolved(params, params.detectors[name])
    splits, origin, source = _objects(params, [(params.splits.detectors, "training")], resolved["train"])
    if agnostic:
        rows = figures.of_proposals(_proposals(name), _proposals(f"{name}_untrained"))
        rows += figures.of_anchors(_metrics(name, f"propose_{name}"))
        ap: dict[str, float] = {}
    else:
        metrics = _metrics(name, f"evaluate_detections@{name}")
        rows, ap = figures.of_detections(metrics), metrics["ap"]
    return Card(
        name=name,
        what=_first_line(module.__doc__),
        origin=origin,
        splits=splits,
        classes=[OBJECT] if agnostic else classes,
        first_label=1,
        figures=rows,
        parameters={
            **params.model_dump(include={"seed", *([SEARCH] if resolved.get("proposals") == SEARCH else [])}),
            "detectors": {name: resolved},
            "data": _shown(params, "voc"),
        },
        limits=[
            *limits.of_data(source, splits[-1].images),
            *limits.of_detector(classes, size_of(section.model), ap),
        ],
        files=_digests([path]),
        loading=LOAD.format(name=name) + DETECT,
        header=hub.header(name, hub.DETECTION, "voc", source, rows),
    )


def classifier(params: Params, name: str) -> Card:
    """Make the card of a classifier."""
    from src.classification.running import TEST, TRAIN, VALIDATION

    module, section, path, classes = _trained("classifiers", params.classifiers, name, f"train_classifier@{name}")
    metrics, settings = _metrics(name, f"evaluate_classifier@{name}"), params.data[section.data]
    resolved = _resolved(params, params.classifiers[name])
    uses = [(TRAIN, "training"), (VALIDATION, _validation(resolved["train"])), (TEST, "the figures below")]
    splits = data.of_labels(LabelledImages(_prepared(section.data)), uses)
    return Card(
        name=name,
        what=_first_line(module.__doc__),
        origin=data.origin(section.data, settings),
        splits=splits,
        classes=classes,
        first_label=0,
        figures=figures.of_classifier(metrics),
        parameters={"seed": params.seed, "classifiers": {name: resolved}, "data": _shown(params, section.data)},
        limits=[
            *limits.of_data(
                data.source(settings), splits[-1].images, same_people=data.same_people(section.data, settings)
            ),
            *limits.of_classifier(classes, metrics["by_class"], flip=section.predict.flip),
        ],
        files=_digests([path]),
        loading=LOAD.format(name=name) + CLASSIFY,
        header=hub.header(
            name, hub.CLASSIFICATION, section.data, data.source(settings), figures.of_classifier(metrics)
        ),
    )


def _objects(params: Params, training: list[tuple[str, str]], train: dict[str, Any]) -> tuple[list[Split], str, str]:
    """Return the splits, the test split last; the origin in words; and the `source` of the images with boxes."""
    settings, names = params.data["voc"], params.splits
    validation = [(names.validation, _validation(train))] if names.validation else []
    uses = [*training, *validation, (names.test, "the figures below")]
    return data.of_objects(BoxedImages(_prepared("voc")), uses), data.origin("voc", settings), data.source(settings)


def _validation(train: dict[str, Any]) -> str:
    return "watching the training" if train["best_by"] == "last" else "choosing the epoch"


def _shown(params: Params, name: str) -> dict[str, Any]:
    """Return a data set's section without its path, which is private to the user."""
    settings = {**params.data[name], "source": data.source(params.data[name])}
    return {name: {key: value for key, value in settings.items() if key != "path"}}


def _prepared(name: str) -> Path:
    return existing(PREPARED / f"{name}.zip", f"prepare@{name}")


def _metrics(name: str, stage: str) -> dict[str, Any]:
    return json.loads(existing(METRICS / f"{name}.json", stage).read_text())


def _proposals(name: str) -> dict[str, Any]:
    return _metrics(f"proposals_{name}", f"evaluate_proposals@{name}")


def _trained(kind: str, sections: dict[str, Any], name: str, stage: str) -> tuple[ModuleType, Any, Path, list[str]]:
    """Return the file and the section of a plug-in, the path of its trained weights, and the classes in them."""
    module, section = plugins.section(kind, sections, name)
    path = existing(MODELS / f"{name}.safetensors", stage)
    facts = read_tensors(path)[1]
    _made_with(path, facts["model"], section.model.model_dump(), f"{kind}.{name}.model")
    return module, section, path, facts["classes"]


def _made_with(path: Path, stored: dict[str, Any], wanted: dict[str, Any], key: str) -> None:
    """Refuse a model file that was made with other parameters than the card would name."""
    if stored != wanted:
        raise InputError(f"{path} was made with another {key} than params.yaml has: run `dvc repro`")


def _resolved(params: Params, section: dict[str, Any]) -> dict[str, Any]:
    """Return a trainer's section, completed from the common `train`."""
    return {**section, "train": {**params.train.model_dump(), **section.get("train", {})}}


def _digests(files: list[Path]) -> dict[str, str]:
    return {path.as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line."""
    command(run, words)


if __name__ == "__main__":
    main()
