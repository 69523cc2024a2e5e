"""Names and networks; types and ranges are those of tests/test_params.py."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from src.errors import InputError
from stages.check import Params, run
from tests.pipeline import ROOT


def check(out: Path, **changes: object) -> None:
    content = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    for key, value in changes.items():
        *parts, last = key.split("__")
        section = content
        for part in parts:
            section = section[part]
        section[last] = value
    run(Params.model_validate(content), out=out)


def test_the_committed_parameters_pass_and_the_output_is_always_the_same(tmp_path: Path) -> None:
    check(tmp_path / "one")
    check(tmp_path / "two", train__lr=0.5)  # or every change would make all stages stale
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("finetune.backbone", "resnet18", "finetune: backbone = 'resnet18' is not a torchvision model with"),
        (
            "features.proposals",
            "edge_boxes",
            "features.proposals = 'edge_boxes': it must be one of sel",
        ),
        ("features.proposals", "ssd300", "features.proposals = 'ssd300': it must be one of"),
        ("detectors.rpn.model.backbone", "vgg17", "detectors.rpn: there is no src/backbones/vgg17.py; known backbones"),
        ("detectors.ssd300.model.extra_channels", [8], "detectors.ssd300: model.aspect_ratios has 5 entries"),
        ("classifiers.mobilenet_v3.model.name", "mobile", "classifiers.mobilenet_v3: model.name = 'mobile'"),
        ("classifiers.resnet50.data", "voc", "classifiers.resnet50.data = 'voc': it must be one of gesture, mnist"),
        ("pretrain_alexnet.data", "flowers", "pretrain_alexnet.data = 'flowers': it must be one of gesture, mnist"),
        ("finetune.train.best_by", "accuracy", "finetune trains with best_by = 'accuracy': it must be last or"),
        ("finetune.weights", "/no/such.pth", "finetune.weights = '/no/such.pth': there is no such file"),
    ],
)
def test_a_name_of_nothing_is_refused_with_its_key(tmp_path: Path, key: str, value: object, words: str) -> None:
    with pytest.raises(InputError) as error:
        check(tmp_path / "checked", **{key.replace(".", "__"): value})
    assert str(error.value).startswith(f"params.yaml: {words}")
    assert not (tmp_path / "checked").exists()
