from pathlib import Path

import pytest

from src.report.inputs import Inputs
from src.report.pipeline import read_pipeline
from tests.pipeline import ROOT
from tests.report.outputs import SPLITS, Outputs


@pytest.fixture(scope="session")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Outputs:
    return Outputs(tmp_path_factory.mktemp("outputs"))


@pytest.fixture(scope="session")
def built(outputs: Outputs) -> Path:
    return outputs.build()


@pytest.fixture
def inputs(outputs: Outputs) -> Inputs:
    return inputs_of(outputs)


def inputs_of(outputs: Outputs) -> Inputs:
    return Inputs(
        root=outputs.root,
        out=outputs.root / "report/report.html",
        stages=read_pipeline(outputs.root / "dvc.yaml", outputs.root / "params.yaml"),
        samples=outputs.samples,
        test_ids=outputs.samples.ids(SPLITS.test),
        profile="made up",
        classifiers=outputs.params["classifiers"],
        results=ROOT / "docs/results",
        times=None,
    )
