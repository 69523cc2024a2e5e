from pathlib import Path

import pytest

from commands.write_deps import ROOT
from src.errors import InputError
from src.report.stages import graph, read_pipeline

PIPELINE = """
stages:
  get:
    foreach: ${sets}
    do:
      desc: Get ${key} at ${item.path}
      cmd: get
      outs: ["data/${key}": {persist: true}]
  train:
    foreach: [one, two]
    do:
      cmd: train
      deps: ["data/${of.data}/part.bin", code.py]
      outs: ["models/${item}.bin"]
      metrics: ["metrics/${item}.json": {cache: false}]
  show:
    cmd: show
    deps: [models, data, code.py]
    outs: [page.html]
  alone:
    cmd: alone
"""
PARAMS = "sets: {a: {path: x}, b: {path: y}}\nof: {data: b}\n"


def stages(folder: Path, params: str = PARAMS):
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "params.yaml").write_text(params)
    return read_pipeline(folder / "dvc.yaml", folder / "params.yaml")


def test_stages_are_those_that_dvc_runs(tmp_path: Path) -> None:
    found = {stage.name: stage for stage in stages(tmp_path)}
    assert list(found) == ["get@a", "get@b", "train@one", "train@two", "show", "alone"]
    assert found["get@b"].desc == "Get b at y"
    assert found["train@two"].deps == ["data/b/part.bin", "code.py"]
    assert found["train@two"].outs == ["models/two.bin", "metrics/two.json"]
    assert found["train@two"].group == "train"


def test_the_graph_joins_folders_and_what_is_in_them_and_leaves_out_what_follows(tmp_path: Path) -> None:
    found = graph(stages(tmp_path))
    assert list(found) == ["get", "train", "show", "alone"]
    assert list(found.edges) == [("get", "train"), ("train", "show")]  # get -> show is implied


def test_a_variable_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"of\.data"):
        stages(tmp_path, "sets: {a: {path: x}}\n")


def test_the_repositorys_stages_are_those_of_dvc() -> None:
    """They are compared with dvc.lock, which DVC wrote. A stage that was not run yet may be missing there."""
    from ruamel.yaml import YAML

    locked = YAML(typ="safe").load((ROOT / "dvc.lock").read_text())["stages"]
    found = {stage.name: stage for stage in read_pipeline(ROOT / "dvc.yaml", ROOT / "params.yaml")}
    for name, content in locked.items():
        assert {out["path"] for out in content.get("outs", [])} == set(found[name].outs)
