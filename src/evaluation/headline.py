"""The headline metrics: the test-set figures by which a change is judged, declared only here.

This list decides `metrics/summary.json`, which DVC shows and compares, the README's table, `python -m commands.compare`
and its gate. All other figures are in other files of `metrics/`. For every headline metric, higher is better.
A method that is not in `LISTED` needs no entry: a detector then has `DETECTOR_KEYS`, a classifier `CLASSIFIER_KEY`. The
list holds what cannot be derived from names: words, baselines, and the recalls of each proposal method.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

Kind = Literal["detections", "proposals", "predictions"]  # the folder of the outputs that the metric is computed from

DETECTOR_KEYS = ("map_voc07", "map_coco")
CLASSIFIER_KEY = "accuracy"
UNTRAINED = "before training"
MODELS = {"rcnn": ("rcnn.safetensors", "svm.npz", "bbox.npz"), "selective_search": ()}  # others: NAME.safetensors
Metrics = Mapping[str, Mapping[str, Any]]  # the content of metrics files, by name without .json


class Baseline(NamedTuple):
    """The figure that a trivial method reaches."""

    file: str
    key: str
    words: str


class Headline(NamedTuple):
    """One headline metric."""

    method: str
    key: str  # in the metrics file
    kind: Kind
    words: str  # for a reader
    baseline: Baseline | None = None

    @property
    def name(self) -> str:
        """The key in summary.json, such as `rcnn.map_voc07`."""
        return f"{self.method}.{self.key}"

    @property
    def file(self) -> str:
        """The metrics file that holds it and its standard error, without .json."""
        return f"proposals_{self.method}" if self.kind == "proposals" else self.method

    @property
    def output(self) -> str:
        """The output that the metric is computed from, below data/."""
        suffix = {"detections": "", "proposals": ".npz", "predictions": ".csv"}[self.kind]
        return f"{self.kind}/{self.method}{suffix}"

    @property
    def models(self) -> tuple[str, ...]:
        """The model files that the metric depends on, below models/; empty for a method that learns nothing."""
        return MODELS.get(self.method, (f"{self.method}.safetensors",))


def _detector(method: str, key: str, words: str, baseline: tuple[str, str] | None = None) -> Headline:
    return Headline(method, key, "detections", words, baseline and Baseline(method, *baseline))


def _searched(key: str, words: str, *, baseline: bool = True) -> Headline:
    window = Baseline("proposals_selective_search", f"{key}_sliding_window", "sliding window") if baseline else None
    return Headline("selective_search", key, "proposals", f"selective search, {words}", window)


def _rpn(key: str, words: str) -> Headline:
    return Headline("rpn", key, "proposals", f"RPN, {words}", Baseline("proposals_rpn_untrained", key, UNTRAINED))


def _classifier(method: str, words: str) -> Headline:
    always = Baseline(method, f"{CLASSIFIER_KEY}_most_frequent", "most frequent class")
    return Headline(method, CLASSIFIER_KEY, "predictions", words, always)


RANDOM = ("map_voc07_random", "random ranking")
LISTED = (
    _detector("rcnn", "map_voc07", "R-CNN, VOC07 mAP at IoU 0.5", RANDOM),
    _detector("rcnn", "map_voc07_no_bbox", "... without box regression", RANDOM),
    _detector("rcnn", "map_coco", "R-CNN, COCO mAP at IoU 0.50:0.95"),
    _detector("ssd300", "map_voc07", "SSD, VOC07 mAP at IoU 0.5", ("map_voc07_untrained", UNTRAINED)),
    _detector("ssd300", "map_coco", "SSD, COCO mAP at IoU 0.50:0.95"),
    _detector("fast_rcnn", "map_voc07", "Fast R-CNN, VOC07 mAP at IoU 0.5", ("map_voc07_untrained", UNTRAINED)),
    _detector("fast_rcnn", "map_coco", "Fast R-CNN, COCO mAP at IoU 0.50:0.95"),
    _detector("faster_rcnn", "map_voc07", "Faster R-CNN, VOC07 mAP at IoU 0.5", ("map_voc07_untrained", UNTRAINED)),
    _detector("faster_rcnn", "map_coco", "Faster R-CNN, COCO mAP at IoU 0.50:0.95"),
    _searched("recall_50", "recall at IoU 0.5"),
    _searched("recall_70", "recall at IoU 0.7"),
    _searched("mabo", "MABO", baseline=False),
    _rpn("recall_50_at_10", "recall at IoU 0.5 of the first 10"),
    _rpn("recall_50_at_100", "recall at IoU 0.5 of the first 100"),
    _rpn("recall_50", "recall at IoU 0.5 of all"),
    _classifier("mobilenet_v3", "MobileNetV3, accuracy on digits"),
    _classifier("resnet50", "ResNet-50, accuracy on hands"),
)


def of(names: Iterable[str]) -> list[Headline]:
    """Return the headline metrics with these names: those of `LISTED` in its order, then the others in theirs."""
    wanted = dict.fromkeys(names)
    listed = [headline for headline in LISTED if headline.name in wanted]
    known = {headline.name for headline in listed}
    return [*listed, *(_other(name) for name in wanted if name not in known)]


def named(method: str, kind: Kind) -> list[str]:
    """Return the names of a method's headline metrics."""
    if listed := [headline.name for headline in LISTED if (headline.method, headline.kind) == (method, kind)]:
        return listed
    keys = {"detections": DETECTOR_KEYS, "predictions": (CLASSIFIER_KEY,), "proposals": ("recall_50",)}[kind]
    return [f"{method}.{key}" for key in keys]


def summary(metrics: Metrics, names: Iterable[str]) -> dict[str, float | None]:
    """Return the content of summary.json. A metric that its file lacks, such as a recall not asked for, is left out."""
    return {
        headline.name: metrics[headline.file][headline.key]
        for headline in of(names)
        if headline.key in metrics.get(headline.file, {})
    }


def _other(name: str) -> Headline:
    method, _, key = name.partition(".")
    if key == CLASSIFIER_KEY:
        return _classifier(method, f"{method}, accuracy")
    kind: Kind = "detections" if key.startswith("map_") else "proposals"
    return Headline(method, key, kind, f"{method}, {key.replace('_', ' ')}")
