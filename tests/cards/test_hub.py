from src.cards.figures import Figure
from src.cards.hub import CLASSIFICATION, DETECTION, header

ROWS = [
    Figure("mAP at IoU 0.5, VOC 2007's 11 points", 0.71234, {}, 0.01),
    Figure("... without box regression", 0.7, {}),
    Figure("AP of car, VOC 2007", 0.5, {}),
    Figure("recall of cat", 0.4, {}),
    Figure("accuracy over the anchors", 0.9, {}),
]


def test_only_figures_of_the_whole_test_split_are_in_the_index() -> None:
    found = header("rcnn", DETECTION, "voc", "sample", ROWS)
    (result,) = found["model-index"][0]["results"]
    assert result["metrics"] == [{"type": "map", "name": "mAP at IoU 0.5, VOC 2007's 11 points", "value": 0.7123}]
    assert found["metrics"] == ["map"]
    assert result["dataset"]["type"] == "voc"


def test_only_models_of_the_samples_have_the_projects_licence() -> None:
    assert header("x", DETECTION, "voc", "sample", [])["license"] == "mit"
    for source in ("official", "local"):
        found = header("x", CLASSIFICATION, "mnist", source, [])
        assert found["license"] == "other"
        assert found["license_name"]
        assert found["datasets"] == [f"mnist-{source}"]
