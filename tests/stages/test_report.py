import json
import re
from pathlib import Path

import pandas as pd
import pytest

from commands.write_deps import ROOT
from src.errors import InputError
from src.report import page as whole
from src.report import results, sizes
from src.splits import Splits
from stages.report import NOTHING, Params, Ranking, run
from tests.report.conftest import outputs  # noqa: F401 (a fixture)
from tests.report.outputs import SPLITS, Outputs


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the sections with pictures and charts, which take seconds; tests/report has the whole page."""
    monkeypatch.setattr(whole, "SECTIONS", [results, sizes])


def page(
    outputs: Outputs,  # noqa: F811
    *,
    profile: str = "made up",
    splits: Splits = SPLITS,
    results: Path = ROOT / "docs/results",
    times: Path = NOTHING,
) -> str:
    """Run the stage on the outputs; return the text of the page."""
    run(
        Params(
            profile=profile,
            splits=splits,
            selective_search=Ranking(ranked=False),
            classifiers=outputs.params["classifiers"],
        ),
        pipeline=outputs.root / "dvc.yaml",
        parameters=outputs.root / "params.yaml",
        images=outputs.images.path,
        results=results,
        out=out(outputs),
        times=times,
    )
    return out(outputs).read_text()


def out(outputs: Outputs) -> Path:  # noqa: F811
    return outputs.root / "report/report.html"


def cells(text: str, row: str) -> list[str]:
    """The cells of the first table row with this heading, without the names of columns that a phone shows."""
    text = re.sub(r'<span class="of">.*?</span>', "", text)
    found = re.search(rf'<tr><th scope="row">{row}</th>(.*?)</tr>', text, re.DOTALL)
    return re.findall(r"<td[^>]*>(.*?)</td>", found[1]) if found else []


def test_the_page_names_the_profile_and_shows_the_figures_of_every_method(outputs: Outputs) -> None:  # noqa: F811
    text = page(outputs, profile="of this test")
    assert "of this test" in text
    rows = {
        "R-CNN": ("rcnn", "map_voc07"),
        "SSD": ("ssd300", "map_voc07"),
        "selective search": ("proposals_selective_search", "proposals_per_image"),
        "RPN": ("proposals_rpn", "proposals_per_image"),
        "MobileNetV3 on mnist": ("mobilenet_v3", "images"),
        "ResNet-50 on gesture": ("resnet50", "images"),
    }
    for row, (name, key) in rows.items():
        value = json.loads((outputs.root / f"metrics/{name}.json").read_text())[key]
        assert float(cells(text, row)[0]) == pytest.approx(value, abs=0.5 if value > 1 else 5e-4), row


def test_another_metric_is_another_page_and_the_same_outputs_are_the_same(outputs: Outputs) -> None:  # noqa: F811
    before = page(outputs)
    assert page(outputs) == before
    metrics = outputs.root / "metrics/ssd300.json"
    content = metrics.read_text()
    metrics.write_text(json.dumps({**json.loads(content), "map_voc07": 0.98765}))
    try:
        assert cells(page(outputs), "SSD")[0] == "0.988"
    finally:
        metrics.write_text(content)


def test_times_are_on_the_page_only_if_they_are_given(outputs: Outputs, tmp_path: Path) -> None:  # noqa: F811
    times = pd.DataFrame({"stage": ["prepare@voc", "summary"], "seconds": [1234.5, 1.0]})
    times.to_csv(tmp_path / "times.csv", index=False)
    assert cells(page(outputs, times=tmp_path / "times.csv"), "prepare@voc")[-2] == "1234.5"
    assert "1234.5" not in page(outputs)


def test_recorded_runs_are_on_the_page_only_if_the_folder_has_any(
    outputs: Outputs,  # noqa: F811
    tmp_path: Path,
) -> None:
    assert "Real data" in page(outputs)
    assert "Real data" not in page(outputs, results=tmp_path)


def test_a_split_that_the_data_lack_is_refused_and_the_old_page_stays(outputs: Outputs) -> None:  # noqa: F811
    before = page(outputs)
    with pytest.raises(InputError, match="no split 'held out'"):
        page(outputs, splits=SPLITS.model_copy(update={"test": "held out"}))
    assert out(outputs).read_text() == before


def test_an_output_that_is_missing_is_named(outputs: Outputs) -> None:  # noqa: F811
    metrics = outputs.root / "metrics/rcnn.json"
    content = metrics.read_text()
    metrics.unlink()
    try:
        with pytest.raises(InputError, match=r"rcnn\.json is missing"):
            page(outputs)
    finally:
        metrics.write_text(content)
