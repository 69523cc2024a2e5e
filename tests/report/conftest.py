from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from commands.write_deps import ROOT
from src.report.blocks import Block, Columns, More
from src.report.inputs import Inputs
from src.report.stages import read_pipeline
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
        images=outputs.images,
        test_ids=outputs.images.ids(SPLITS.test),
        profile="made up",
        classifiers=outputs.params["classifiers"],
        results=ROOT / "docs/results",
        times=None,
    )


def flat(blocks: Sequence[Block]) -> Iterator[Block]:
    """Yield blocks, and in the place of columns and folded parts the blocks in them."""
    for block in blocks:
        if isinstance(block, Columns):
            for column in block.columns:
                yield from flat(column)
        elif isinstance(block, More):
            yield from flat(block.blocks)
        else:
            yield block
