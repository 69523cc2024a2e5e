import json

from commands.write_deps import ROOT
from src.evaluation import headline
from src.evaluation.headline import LISTED, Baseline


def test_the_files_keys_and_baselines_of_the_list_are_those_of_the_committed_metrics() -> None:
    metrics = {path.stem: json.loads(path.read_text()) for path in (ROOT / "metrics").glob("*.json")}
    for metric in LISTED:
        assert isinstance(metrics[metric.file][metric.key], float), metric.name
        if metric.baseline:
            assert isinstance(metrics[metric.baseline.file][metric.baseline.key], float), metric.name


def test_what_a_metric_stands_on() -> None:
    rpn, toy = headline.of(["rpn.recall_50", "toy.map_coco"])
    assert (rpn.file, rpn.output, rpn.models) == ("proposals_rpn", "proposals/rpn.npz", ("rpn.safetensors",))
    assert rpn.baseline == Baseline("proposals_rpn_untrained", "recall_50", "before training")
    assert (toy.file, toy.output, toy.models, toy.baseline) == ("toy", "detections/toy", ("toy.safetensors",), None)
    assert headline.of(["rcnn.map_coco"])[0].models == ("rcnn.safetensors", "svm.npz", "bbox.npz")
    assert headline.of(["selective_search.mabo"])[0].models == ()
    assert headline.of(["plain.accuracy"])[0].output == "predictions/plain.csv"


def test_the_order_is_that_of_the_list_and_then_that_of_the_names() -> None:
    names = ["toy.map_coco", "resnet50.accuracy", "rcnn.map_coco", "other.accuracy", "rcnn.map_coco"]
    found = [metric.name for metric in headline.of(names)]
    assert found == ["rcnn.map_coco", "resnet50.accuracy", "toy.map_coco", "other.accuracy"]
    assert headline.of([]) == []


def test_a_metric_that_its_file_lacks_is_left_out() -> None:
    metrics = {"rcnn": {"map_voc07": 0.5, "map_coco": None}}
    names = [metric.name for metric in LISTED]
    assert headline.summary(metrics, names) == {"rcnn.map_voc07": 0.5, "rcnn.map_coco": None}


def test_names_are_different_and_words_too() -> None:
    assert len({metric.name for metric in LISTED}) == len({metric.words for metric in LISTED}) == len(LISTED)
