import json
import re
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from commands.export import main
from commands.trained import Params, load
from commands.write_deps import ROOT
from src.params import read_params
from src.prediction.dense import Dense
from tests.export.methods import make_certain
from tests.prediction.conftest import made  # noqa: F401 (a fixture)
from tests.trained import encoded, scene

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def exported(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """A separate checkout with exports/ssd300.onnx and photo.jpg."""
    root = tmp_path_factory.mktemp("exported")
    shutil.copytree(made, root, dirs_exist_ok=True)
    make_certain(root / "models/ssd300.safetensors")
    (root / "photo.jpg").write_bytes(encoded(scene(90, 120), ".jpg"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        main(["ssd300"])
    return root


@pytest.fixture
def checkout(exported: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(exported)
    return exported


def snippet() -> str:
    found = re.search(r"```python\n(.*?)```", (ROOT / "docs/export.md").read_text(), re.DOTALL)
    assert found
    return found[1]


def test_the_lines_in_the_document_find_nothing_where_nothing_is(checkout: Path) -> None:
    """Without boxes, OpenCV returns an empty tuple, and an array indexed with an empty tuple is the whole array."""
    found: dict = {}
    exec(snippet().replace("0.5, 0.45", "1.0, 0.45"), found)
    assert found["boxes"][found["kept"]].shape == (0, 4)


def test_the_lines_in_the_document_find_what_predict_finds(checkout: Path) -> None:
    found: dict = {}
    exec(snippet(), found)  # noqa: S102 (our own code)
    method = load(read_params("params.yaml", Params), "ssd300", CPU)
    assert isinstance(method, Dense)
    photo = np.array(Image.open("photo.jpg").convert("RGB"))  # Pillow's decoder differs from OpenCV's by a grey level
    all_of_them = {"candidates": 10_000, "max_per_image": 10_000}  # the lines of the document have no such limits
    wanted = method.finish(method.outputs(photo), photo.shape[:2], score_thresh=0.5, **all_of_them)
    rows = [np.column_stack([found["boxes"], found["labels"] + 1, found["scores"]])[found["kept"]]]
    rows.append(np.column_stack([wanted["boxes"], wanted["labels"], wanted["scores"]]))
    assert len(rows[0]) == len(rows[1]) > 5
    gaps = np.abs(rows[0][:, None] - rows[1][None]).max(2)
    assert gaps.min(0).max() < 0.5  # pixels; Pillow resizes in the document, torchvision in `predict`
    assert gaps.min(1).max() < 0.5


def test_the_file_says_where_it_is_from(checkout: Path) -> None:
    metadata = onnxruntime.InferenceSession("exports/ssd300.onnx").get_modelmeta().custom_metadata_map
    assert json.loads(metadata["classes"]) == ["circle", "square"]
    source = json.loads(metadata["source"])
    assert source["file"] == "models/ssd300.safetensors"
    assert len(source["sha256"]) == 64
    assert source["model"]["backbone"] == "plain"
    assert json.loads(metadata["decode"])["nms_thresh"] == 0.45


def test_your_own_photos_and_torch_export(checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["rpn", "--format", "torch_export", "--images", "photo.jpg", "--out", str(tmp_path)])
    assert re.search(r"rpn\.pt2: .* MB; differs from PyTorch by .* on 1 images", capsys.readouterr().out)
    net, about = torch.export.load(tmp_path / "rpn.pt2", extra_files=(extra := {"about.json": ""})), extra["about.json"]
    assert json.loads(about)["classes"] == ["object"]
    with torch.inference_mode():
        boxes, scores = net.module()(torch.zeros(4, 3, *json.loads(about)["input"]["size"]))
    assert boxes.shape[0] == 4
    assert scores.shape[2] == 1


def test_a_file_that_differs_is_not_written(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.export.verify.TOLERANCE", -1.0)
    with pytest.raises(SystemExit, match=r"^export: the exported network differs .*: no file was written$"):
        main(["rpn", "--format", "torch_export", "--out", str(tmp_path)])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rcnn"], "R-CNN is not one network"),
        (["yolo"], "no trained method 'yolo'"),
        (["ssd300", "--images", "nowhere.jpg"], r"no file or folder nowhere\.jpg"),
        (["ssd300", "--images", "models"], "folders without a photo"),
        (["ssd300", "--images", "params.yaml"], r"params\.yaml: this is not a readable image"),
        (["mobilenet_v3"], r"mnist\.zip is missing: run `dvc repro prepare@mnist`, or name photos with --images"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(checkout: Path, words: list[str], message: str) -> None:
    with pytest.raises(SystemExit, match=f"^export: .*{message}"):
        main(words)


def test_a_model_that_is_missing_is_said_with_the_stage_that_makes_it(tmp_path: Path, checkout: Path) -> None:
    (checkout / "models/resnet50.safetensors").rename(tmp_path / "away")
    try:
        with pytest.raises(SystemExit, match="run `dvc repro train_classifier@resnet50`, which makes it"):
            main(["resnet50"])
    finally:
        (tmp_path / "away").rename(checkout / "models/resnet50.safetensors")
