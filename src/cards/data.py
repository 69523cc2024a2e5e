"""The data of a model card: the origin of the data set, and the numbers of images and objects per split."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from src.files.boxed_images import BoxedImages
from src.files.labelled_images import LabelledImages
from src.ingest.source import resolved

SOURCES = {
    ("voc", "sample"): "scenes that the project draws itself, in the layout of Pascal VOC",
    ("voc", "official"): "Pascal VOC (Everingham et al. 2010), photos from flickr under flickr's terms of use",
    ("mnist", "sample"): "scikit-learn's copy of the UCI set optdigits (Alpaydin and Kaynak 1998), 8 x 8 pixels",
    ("mnist", "official"): "MNIST (LeCun et al. 1998), which has no verified free licence",
    ("gesture", "sample"): "hands that the project draws itself",
}


class Split(NamedTuple):
    """A split of the data set: its use for the model, and its numbers of images and objects."""

    name: str
    use: str
    images: int
    classes: Mapping[str, int]  # objects per class without difficult ones; for a classifier, images per class


def source(settings: Mapping[str, Any]) -> str:
    """Return the `source` of a section below `data` in params.yaml, in place of `auto` the one that it means."""
    return resolved(settings["source"], settings.get("path"))


def origin(name: str, settings: Mapping[str, Any]) -> str:
    """Describe the origin of a data set in words; for a user's own set, only its file name is given.

    Args:
        name: of the section below `data` in params.yaml.
        settings: that section.
    """
    if source(settings) == "local" and settings.get("path"):
        return f"the user's own data set, `{Path(settings['path']).name}`"
    return SOURCES.get((name, source(settings)), f"`data.{name}.source: {source(settings)}`")


def same_people(name: str, settings: Mapping[str, Any]) -> bool:
    """Tell whether one person may have made images of both the training and the test split.

    scikit-learn's digits are split at random, and so are folders of photos unless the split's rule is `pattern`.
    """
    if "pattern" in settings.get("split", {}):
        return bool(settings["split"]["rule"] != "pattern")
    return (name, source(settings)) == ("mnist", "sample")


def of_objects(data: BoxedImages, uses: Iterable[tuple[str, str]]) -> list[Split]:
    """Describe the splits of a set with boxes.

    Args:
        data: the set.
        uses: pairs (name of the split, its use); a split may have several uses.
    """
    splits = []
    for name, use in _joined(uses).items():
        counts: Counter[str] = Counter()
        for image_id in data.ids(name):
            target = data.target(image_id)
            counts.update(data.classes[label - 1] for label in target["labels"][~target["difficult"]])
        splits.append(Split(name, use, len(data.ids(name)), _ordered(counts, data.classes)))
    return splits


def of_labels(data: LabelledImages, uses: Iterable[tuple[str, str]]) -> list[Split]:
    """Describe the splits of a set of labelled images; `uses` as for `of_objects`."""
    splits = []
    for name, use in _joined(uses).items():
        counts = Counter(data.classes[data.label(image_id)] for image_id in data.ids(name))
        splits.append(Split(name, use, len(data.ids(name)), _ordered(counts, data.classes)))
    return splits


def _joined(uses: Iterable[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, use in uses:
        joined[name] = f"{joined[name]}; {use}" if name in joined else use
    return joined


def _ordered(counts: Counter[str], classes: Sequence[str]) -> dict[str, int]:
    return {name: counts[name] for name in classes}
