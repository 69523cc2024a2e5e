import re
from pathlib import Path

import pandas as pd
import pytest

from commands.write_deps import ROOT
from src.errors import InputError
from src.splits import Splits
from stages.report import NOTHING, Params, run
from tests.report.conftest import outputs  # noqa: F401 (a fixture)
from tests.report.outputs import SPLITS, Outputs


def page(
    outputs: Outputs,  # noqa: F811
    out: Path,
    *,
    splits: Splits = SPLITS,
    profile: str = "made up",
    times: Path = NOTHING,
    results: Path = ROOT / "docs/results",
) -> str:
    """Run the stage; return the text of the page."""
    run(
        Params(profile=profile, splits=splits, classifiers=outputs.params["classifiers"]),
        pipeline=outputs.root / "dvc.yaml",
        parameters=outputs.root / "params.yaml",
        images=outputs.images.path,
        results=results,
        out=out,
        times=times,
    )
    return out.read_text()


def test_the_page_names_the_profile_and_every_method(outputs: Outputs, tmp_path: Path) -> None:  # noqa: F811
    text = page(outputs, tmp_path / "report.html", profile="of this test")
    assert text.startswith("<!doctype html>") or text.startswith("<!DOCTYPE html>")
    for name in ("R-CNN", "SSD", "RPN", "selective search", "MobileNetV3 on mnist", "ResNet-50 on gesture"):
        assert re.search(rf"<t[dh][^>]*>{name}</t[dh]>", text), name
    assert "of this test" in text


def test_the_figures_are_those_of_the_metrics(outputs: Outputs, tmp_path: Path) -> None:  # noqa: F811
    pass


def test_times_are_on_the_page_only_when_they_are_given(outputs: Outputs, tmp_path: Path) -> None:  # noqa: F811
    pd.DataFrame({"stage": ["prepare@voc"], "seconds": [1234.5]}).to_csv(tmp_path / "times.csv", index=False)
    without = page(outputs, tmp_path / "without.html")
    assert without == page(outputs, tmp_path / "without.html")
    with_times = page(outputs, tmp_path / "with.html", times=tmp_path / "times.csv")
    assert "1234.5" in with_times
    assert "1234.5" not in without


def test_recorded_runs_are_on_the_page_if_the_folder_has_any(outputs: Outputs, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "none").mkdir()
    assert "Real data" in page(outputs, tmp_path / "with.html")
    assert "Real data" not in page(outputs, tmp_path / "without.html", results=tmp_path / "none")


def test_a_split_that_the_data_lack_is_refused_and_the_old_page_stays(
    outputs: Outputs,  # noqa: F811
    tmp_path: Path,
) -> None:
    (tmp_path / "report.html").write_text("old")
    with pytest.raises(InputError, match="no split 'held out'"):
        page(outputs, tmp_path / "report.html", splits=SPLITS.model_copy(update={"test": "held out"}))
    assert (tmp_path / "report.html").read_text() == "old"
