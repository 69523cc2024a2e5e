import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from ruamel.yaml import YAML

from commands.model_card import main
from tests.labelled import digits
from tests.prediction.conftest import made  # noqa: F401 (a fixture)
from tests.repository import Repository
from tests.trained import CLASSES, HIDDEN, content, encoded, scene

NAMES = ["rcnn", "ssd300", "rpn", "fast_rcnn", "faster_rcnn", "mobilenet_v3", "resnet50"]


@pytest.fixture(scope="module")
def whole(made: Path, made_repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """A checkout with metrics and every prepared set, as after `dvc repro`."""
    root = tmp_path_factory.mktemp("whole")
    shutil.copytree(made, root, dirs_exist_ok=True)
    params = content()
    params["finetune"]["hidden"] = HIDDEN
    params["splits"]["detectors"] = "train"
    YAML().dump(params, root / "params.yaml")
    for name in ("mnist", "gesture"):
        digits(root / f"data/prepared/{name}.zip")
    (root / "metrics").mkdir()
    proposals = ("proposals_selective_search", "proposals_rpn", "proposals_rpn_untrained")
    for name in ("rcnn", "ssd300", "rpn", "fast_rcnn", "faster_rcnn", *proposals):
        shutil.copy(made_repository.path / f"metrics/{name}.json", root / "metrics")
    for name in ("mobilenet_v3", "resnet50"):
        (root / f"metrics/{name}.json").write_text(json.dumps(classifier_metrics()))
    (root / "photo.jpg").write_bytes(encoded(scene(90, 120), ".jpg"))
    return root


def classifier_metrics() -> dict[str, Any]:
    by_class = {str(number): {"precision": 0.5, "recall": 0.5 + number / 20, "images": 2} for number in range(10)}
    scores: dict[str, Any] = {"accuracy": 0.75, "macro_f1": 0.7, "loss": 0.5, "calibration_error": 0.1}
    scores["standard_error"] = {"accuracy": 0.02}
    return {**scores, "accuracy_most_frequent": 0.1, "most_frequent": "7", "by_class": by_class}


@pytest.fixture
def checkout(whole: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(whole)
    return whole


@pytest.mark.parametrize("name", NAMES)
def test_a_card_has_every_part_and_its_code_runs(checkout: Path, tmp_path: Path, name: str) -> None:
    main([name, "--out", str(tmp_path / "card.md")])
    page = (tmp_path / "card.md").read_text()
    heads = re.findall(r"^## (.*)", page, re.MULTILINE)
    assert heads == ["Data", "Classes", "Figures on the test split", "Parameters", "Limits", "Files", "Loading"]
    weights = checkout / f"models/{name}.safetensors"
    assert f"| `models/{name}.safetensors` | `{hashlib.sha256(weights.read_bytes()).hexdigest()}` |" in page
    assert re.search(r"\| test \| the figures below \| (2|20) \|", page)
    code = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert code
    assert len(code[1].splitlines()) == 5
    found: dict[str, Any] = {}
    exec(code[1], found)
    if name in ("mobilenet_v3", "resnet50"):
        assert found["found"].shape == (10,)
    else:
        assert found["found"]["boxes"].shape[1] == 4


@pytest.mark.parametrize("name", NAMES)
def test_a_card_has_a_header_for_hubs_and_a_picture_beside_it(checkout: Path, tmp_path: Path, name: str) -> None:
    for folder in ("first", "again"):
        main([name, "--out", str(tmp_path / folder / "card.md")])
    page = (tmp_path / "first/card.md").read_text()
    header = YAML(typ="safe").load(page.split("---\n")[1])
    assert header["license"] == "mit", "the sample"
    assert header["pipeline_tag"] in header["tags"]
    (model,) = header["model-index"]
    (result,) = model["results"]
    assert result["task"]["type"] == header["pipeline_tag"]
    detectors = {name: ["map"] for name in ("rcnn", "ssd300", "fast_rcnn", "faster_rcnn")}
    kinds = {**detectors, "rpn": ["recall", "mabo"]}.get(name, ["accuracy", "f1"])
    assert header["metrics"] == kinds
    for metric in result["metrics"]:
        assert f"| {metric['name']} | {metric['value']:.3f} |" in page
    assert "](card.jpg)" in page
    content = (tmp_path / "first/card.jpg").read_bytes()
    assert cv2.imdecode(np.frombuffer(content, np.uint8), 1).shape[0] == 260
    assert content == (tmp_path / "again/card.jpg").read_bytes()


def test_a_file_that_cannot_be_written_is_refused_before_any_work(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    for out in (tmp_path, tmp_path / "card.jpg", tmp_path / "taken/card.md"):
        with pytest.raises(SystemExit, match=r"model_card: --out: .* must be a f(ile|older)"):
            main(["rcnn", "--out", str(out)])


def test_parameters_are_those_that_the_training_had(checkout: Path, tmp_path: Path) -> None:
    main(["ssd300", "--out", str(tmp_path / "card.md")])
    code = re.search(r"```yaml\n(.*?)```", (tmp_path / "card.md").read_text(), re.DOTALL)
    assert code
    found, wanted = YAML(typ="safe").load(code[1]), content()
    assert found["detectors"]["ssd300"]["model"] == wanted["detectors"]["ssd300"]["model"]
    own = wanted["detectors"]["ssd300"]["train"]
    assert found["detectors"]["ssd300"]["train"] == {**wanted["train"], **own}
    assert found["data"]["voc"]["source"] == "sample"
    assert "path" not in found["data"]["voc"]
    assert "rcnn" not in found


def test_figures_have_their_baselines_beside_them(checkout: Path, tmp_path: Path) -> None:
    for name in NAMES:
        main([name, "--out", str(tmp_path / f"{name}.md")])
    assert "| accuracy | 0.750 | 0.020 | 0.100 (always 7) |" in (tmp_path / "mobilenet_v3.md").read_text()
    assert "(before training)" in (tmp_path / "ssd300.md").read_text()
    assert "(all background)" in (tmp_path / "rpn.md").read_text()
    assert "selective_search: recall at IoU 0.5, all proposals" in (tmp_path / "rcnn.md").read_text()
    assert f"1 {CLASSES[0]}, 2 {CLASSES[1]}." in (tmp_path / "rcnn.md").read_text()
    assert "1 object." in (tmp_path / "rpn.md").read_text()


def test_the_same_inputs_are_the_same_card_at_its_usual_place(checkout: Path, tmp_path: Path) -> None:
    main(["rcnn"])
    main(["rcnn", "--out", str(tmp_path / "again.md")])
    assert (checkout / "cards/rcnn.md").read_text() == (tmp_path / "again.md").read_text().replace(
        "again.jpg", "rcnn.jpg"
    )


def test_another_network_than_that_of_the_parameters_is_refused(checkout: Path) -> None:
    before = (checkout / "params.yaml").read_text()
    params = YAML(typ="safe").load(before)
    params["detectors"]["rpn"]["model"]["channels"] = 7
    params["finetune"]["hidden"] = HIDDEN + 1
    YAML().dump(params, checkout / "params.yaml")
    try:
        for name, key in (("rpn", r"detectors\.rpn\.model"), ("rcnn", "finetune")):
            with pytest.raises(SystemExit, match=f"was made with another {key} than params.yaml has: run `dvc repro`"):
                main([name])
    finally:
        (checkout / "params.yaml").write_text(before)


@pytest.mark.parametrize(
    ("name", "missing", "remedy"),
    [
        ("rcnn", "models/svm.npz", "dvc repro train_svm"),
        ("resnet50", "models/resnet50.safetensors", "dvc repro train_classifier@resnet50"),
        ("ssd300", "metrics/ssd300.json", "dvc repro evaluate_detections@ssd300"),
        ("rpn", "metrics/proposals_rpn_untrained.json", "dvc repro evaluate_proposals@rpn_untrained"),
        ("resnet50", "data/prepared/gesture.zip", "dvc repro prepare@gesture"),
    ],
)
def test_what_is_missing_is_said_with_the_stage_that_makes_it(
    checkout: Path, tmp_path: Path, name: str, missing: str, remedy: str
) -> None:
    (checkout / missing).rename(tmp_path / "away")
    try:
        with pytest.raises(SystemExit, match=f"^model_card: {re.escape(missing)} is missing: run `{remedy}`"):
            main([name])
    finally:
        (tmp_path / "away").rename(checkout / missing)


def test_an_unknown_name_is_said_with_those_there_are(checkout: Path) -> None:
    with pytest.raises(
        SystemExit, match="no trained method 'yolo'; params.yaml has rcnn, ssd300, rpn, fast_rcnn, faster_rcnn"
    ):
        main(["yolo"])
