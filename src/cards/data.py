"""The data of a model card: where they are from, and how many images and objects each split has."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from src.files.boxed_images import BoxedImages
from src.files.labelled_images import LabelledImages

SOURCES = {
    ("voc", "sample"): "scenes that the project draws itself, in the layout of Pascal VOC",
    ("voc", "official"): "Pascal VOC (Everingham et al. 2010), photos from flickr under flickr's terms of use",
    ("mnist", "sample"): "scikit-learn's copy of the UCI set optdigits (Alpaydin and Kaynak 1998), 8 x 8 pixels",
    ("mnist", "official"): "MNIST (LeCun et al. 1998), which has no verified free licence",
    ("gesture", "sample"): "hands that the project draws itself",
}


class Split(NamedTuple):
    """What a model sees of a split."""

    name: str
    use: str
    images: int
    classes: Mapping[str, int]  # objects, or images of a classifier, by class; difficult objects are not counted


def origin(name: str, settings: Mapping[str, Any]) -> str:
    """Where a data set is from, in words; of a set of the user's own no more than the file's name.

    Args:
        name: of the section below `data` in params.yaml.
        settings: the section.
    """
    source = settings["source"]
    if source == "local" and settings.get("path"):
        return f"a set of its user's own, `{Path(settings['path']).name}`"
    return SOURCES.get((name, source), f"`data.{name}.source: {source}`")


def same_people(name: str, settings: Mapping[str, Any]) -> bool:
    """Whether one person may have made images of the test split and of the training.

    scikit-learn's digits are split by chance, and so are folders of photos where no pattern in the names is the rule.
    """
    if "pattern" in settings.get("split", {}):
        return bool(settings["split"]["rule"] != "pattern")
    return (name, settings["source"]) == ("mnist", "sample")


def of_objects(data: BoxedImages, uses: Iterable[tuple[str, str]]) -> list[Split]:
    """Splits of a set with boxes; `uses` are (split, what it is for), and a split may have several."""
    found = []
    for name, use in _joined(uses).items():
        count: Counter[str] = Counter()
        for image_id in data.ids(name):
            target = data.target(image_id)
            count.update(data.classes[label - 1] for label in target["labels"][~target["difficult"]])
        found.append(Split(name, use, len(data.ids(name)), _ordered(count, data.classes)))
    return found


def of_labels(data: LabelledImages, uses: Iterable[tuple[str, str]]) -> list[Split]:
    """Splits of a set of labelled images."""
    found = []
    for name, use in _joined(uses).items():
        count = Counter(data.classes[data.label(image_id)] for image_id in data.ids(name))
        found.append(Split(name, use, len(data.ids(name)), _ordered(count, data.classes)))
    return found


def _joined(uses: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, use in uses:
        found[name] = f"{found[name]}; {use}" if name in found else use
    return found


def _ordered(count: Counter[str], classes: Sequence[str]) -> dict[str, int]:
    return {name: count[name] for name in classes}
