import re

import pytest
from ruamel.yaml import YAML

from commands.parameters import PAGE, comments, current, declared, described, tracked
from commands.write_deps import ROOT
from src.schema import Params

SCHEMA = Params.model_json_schema()


def test_the_page_is_current() -> None:
    assert (ROOT / PAGE).read_text() == current(), "run `python -m commands.parameters`"


def test_every_parameter_has_a_row_with_a_meaning() -> None:
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in current().splitlines() if line.startswith("| `")]
    assert len(rows) > 200
    for key, kind, _, default, meaning, *_ in rows:
        assert all(cell.strip() for cell in (key, kind, default, meaning)), f"{key}: give it a comment in params.yaml"


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("seed", ("integer", "≥ 0, < 2^32")),
        ("train.lr", ("number", "> 0, ≤ 1e+09")),
        ("train.grad_clip", ("number, null", "> 0, ≤ 1e+09")),
        ("selective_search.mode", ("`fast`, `quality`", "")),
        ("warp.size", ("integer", "63 to 4096")),
        ("detectors.ssd300.model.variances", ("list of 4 x number", "> 0, ≤ 1e+09")),
        ("detectors.ssd300.augment.flip", ("number", "0 to 1")),
        ("classifiers.resnet50.loss.class_weights", ("mapping to number", "> 0, ≤ 1e+09")),
        ("finetune.flip", ("true, false", "")),
    ],
)
def test_types_and_ranges_are_those_of_the_models(key: str, words: tuple[str, str]) -> None:
    assert described(declared(SCHEMA, key), SCHEMA) == words


def test_comments_of_a_section_stand_on_its_line_or_above_it() -> None:
    text = "# Of the file.\n\n# Of a.\na:\n  b: 'x'  # of b\n  c:\n    - 1\n  d: {}  # of d\n"
    assert comments(text) == {"a": "Of a.", "a.b": "of b", "a.d": "of d"}


def test_stages_are_found_by_params_and_by_command() -> None:
    content = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    found = tracked(YAML(typ="safe").load((ROOT / "dvc.yaml").read_text()), content)
    assert found["detect_rcnn"] == ["detect_rcnn"]
    assert found["detectors.rpn.decode"] == ["propose_rpn"]
    on_proposals = {"train_on_proposals@fast_rcnn", "detect_on_proposals@fast_rcnn"}
    assert set(found["detectors.fast_rcnn.proposals"]) == on_proposals
    assert found["classifiers.resnet50.weights"] == ["download_classifier@resnet50"]
    assert "train_classifier@mobilenet_v3" in found["classifiers.mobilenet_v3.data"]
    assert "download_weights" in found["finetune.weights"]


def test_a_stage_follows_every_parameter_but_the_label_of_the_run() -> None:
    assert re.findall(r"^\| `(\S+)` .*\| none \|$", current(), re.MULTILINE) == ["profile"]
