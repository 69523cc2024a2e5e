"""Every parameter of `params.yaml`: read this file, and the sections that it names, to see what can be set.

Each section is declared beside the code that uses it. Data sets, detectors and classifiers bring their own sections,
one per file of their folder. Only `check` reads all of them; a stage reads its own, so a new method makes no other
stage stale.
"""

from typing import Any

from pydantic import create_model

from src import plugins
from src.classification.params import Pretrain
from src.evaluation.proposal_recall import Evaluate
from src.params import Section, Seed
from src.proposals.selective_search import SelectiveSearch
from src.rcnn.bbox import TrainBbox
from src.rcnn.detect import DetectRcnn
from src.rcnn.features import Features
from src.rcnn.finetune_settings import Finetune
from src.rcnn.mining import TrainSvm
from src.rcnn.warp import Warp
from src.splits import Splits
from src.training.settings import Train


def _sections(kind: str) -> Any:
    """The `Params` of every file in src/<kind>, as fields of a model."""
    return {name: (plugins.load(kind, name).Params, ...) for name in plugins.names(kind)}


class Data(create_model("Data", __base__=Section, **_sections("datasets"))):  # type: ignore[misc]
    """The section `data`: one part per file in src/datasets."""


class Detectors(create_model("Detectors", __base__=Section, **_sections("detectors"))):  # type: ignore[misc]
    """The section `detectors`: one part per file in src/detectors."""


class Classifiers(create_model("Classifiers", __base__=Section, **_sections("classifiers"))):  # type: ignore[misc]
    """The section `classifiers`: one part per file in src/classifiers."""


class Params(Section):
    """All of params.yaml; a section or a key that is not declared here is an error."""

    profile: str
    seed: Seed
    sample_seed: Seed
    data: Data
    splits: Splits
    selective_search: SelectiveSearch
    warp: Warp
    train: Train
    pretrain_alexnet: Pretrain
    finetune: Finetune
    features: Features
    train_svm: TrainSvm
    train_bbox: TrainBbox
    detect_rcnn: DetectRcnn
    detectors: Detectors
    classifiers: Classifiers
    evaluate: Evaluate
