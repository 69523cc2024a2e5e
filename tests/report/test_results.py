import dataclasses
import json
import shutil
from pathlib import Path

from src.report.blocks import Paragraph, Subheading, Table
from src.report.inputs import Inputs
from src.report.results import section
from tests.report.conftest import flat


def tables(inputs: Inputs) -> dict[str, Table]:
    """The tables by the start of their caption, also those that fold."""
    return {block.caption.split(":")[0]: block for block in flat(section(inputs).blocks) if isinstance(block, Table)}


def test_every_method_stands_beside_its_baselines(inputs: Inputs) -> None:
    found = tables(inputs)
    assert [row[0] for row in found["Detectors"].rows] == [
        "R-CNN",
        "R-CNN, before training",
        "SSD",
        "SSD, before training",
        "Fast R-CNN",
        "Fast R-CNN, before training",
        "Faster R-CNN",
        "Faster R-CNN, before training",
    ]
    assert [row[0] for row in found["Region proposals"].rows] == [
        "selective search",
        "sliding window, as many as selective search",
        "RPN",
        "sliding window, as many as RPN",
        "RPN before training",
    ]
    assert [row[0] for row in found["Classifiers"].rows] == ["MobileNetV3 on mnist", "ResNet-50 on gesture"]


def test_figures_are_those_of_the_metrics(inputs: Inputs) -> None:
    figures = json.loads((inputs.root / "metrics/ssd300.json").read_text())
    row = next(row for row in tables(inputs)["Detectors"].rows if row[0] == "SSD")
    assert row[1:] == [f"{figures[key]:.3f}" for key in ("map_voc07", "map_voc12", "map_coco")]


def test_the_arithmetic_of_each_training_is_said(inputs: Inputs, tmp_path: Path) -> None:
    root = shutil.copytree(inputs.root, tmp_path / "outputs")
    modes = {"finetune": "pinned", "ssd300_training": "pinned", "rpn_training": "native: AVX2, 4 threads"}
    for name, mode in modes.items():
        path = root / f"metrics/{name}.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "arithmetic": mode}))
    blocks = section(dataclasses.replace(inputs, root=root)).blocks
    said = next(block.text for block in blocks if isinstance(block, Paragraph))
    assert "pinned: R-CNN's network, SSD; native: AVX2, 4 threads: RPN." in said


def test_runs_on_real_photos_and_published_figures_are_shown_where_a_run_is_recorded(inputs: Inputs) -> None:
    found = tables(inputs)
    recorded = json.loads((inputs.results / "rcnn_pool5_fc7.voc2007_subset.json").read_text())
    row = next(row for row in found["Detectors on real photos"].rows if row[0] == "rcnn pool5 fc7")
    assert row == ["rcnn pool5 fc7", "voc2007 subset", 190, f"{recorded['map_voc07']:.3f}", "0.001"]
    assert ["SSD300", "VOC 2007 trainval", "mAP", "0.680", "Liu et al. 2016, Table 1"] in next(
        table for caption, table in found.items() if caption.startswith("Published")
    ).rows


def test_without_a_recorded_run_nothing_of_it_is_there(inputs: Inputs, tmp_path: Path) -> None:
    blocks = section(dataclasses.replace(inputs, results=tmp_path)).blocks
    assert not [block for block in blocks if isinstance(block, Subheading)]
    assert len(blocks) == 1


def test_a_recorded_classifier_is_shown_too(inputs: Inputs, tmp_path: Path) -> None:
    found = {"accuracy": 0.75, "accuracy_most_frequent": 0.5, "macro_f1": 0.7, "images": 4}
    (tmp_path / "resnet50.hands.json").write_text(json.dumps(found))
    row = tables(dataclasses.replace(inputs, results=tmp_path))["Classifiers on real images"].rows
    assert row == [["resnet50", "hands", 4, "0.750", "0.500", "0.700"]]
