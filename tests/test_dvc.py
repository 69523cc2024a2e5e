"""The pipeline itself, run by DVC in a small copy of this repository as a user would, from an empty cache."""

import json
import re
import resource
from collections.abc import Iterator

import pytest

from src import plugins
from src.evaluation.headline import LISTED
from tests.repository import Repository
from tests.test_pipeline import PLOTS, SEVERAL

PROPOSALS = ("selective_search", "rpn", "rpn_untrained")
PREPARED = ("prepare@voc", "prepare@mnist", "prepare@gesture")


@pytest.fixture
def unchanged(repository: Repository) -> Iterator[Repository]:
    """The repository for tests that change only params.yaml, which is restored after each test."""
    params = repository.path / "params.yaml"
    before = params.read_text()
    yield repository
    params.write_text(before)


def test_a_run_ends_with_metrics_and_the_next_finds_all_up_to_date(repository: Repository) -> None:
    metrics = json.loads((repository.path / "metrics/rcnn.json").read_text())
    assert list(metrics)[:5] == ["map_voc07", "map_voc12", "map_coco", "map_voc07_no_bbox", "map_voc07_random"]
    assert metrics["images"] == 6
    assert "</html>" in (repository.path / "report/report.html").read_text()
    shown = repository("dvc", "metrics", "show")
    assert all(metric.name in shown for metric in LISTED)
    assert "by_class" not in shown
    assert repository("python", "-m", "commands.compare").endswith(f"0 noise, {len(LISTED)} same.\n")
    assert re.findall(r"Running stage '(.+)'", repository("dvc", "repro")) == ["watch"]
    assert repository("git", "status", "--porcelain") == ""


def test_finding_all_up_to_date_takes_little_more_than_reading_the_stages(repository: Repository) -> None:
    """Compare two commands that alternate, because the seconds of a busy or slow processor tell nothing."""
    pairs = [(_seconds(repository, "repro"), _seconds(repository, "stage", "list")) for _ in range(3)]
    repro, listing = (min(seconds) for seconds in zip(*pairs, strict=True))
    # Measured with 44 stages: 4.4 to 4.9. The stage `watch` runs every time, and DVC then reads and writes dvc.lock
    # with the slow parser of ruamel that keeps comments; without that the ratio was 2.3 to 2.8.
    assert repro < 6 * listing


def _seconds(repository: Repository, *words: str) -> float:
    """Return the processor seconds of a DVC command; wall time would include tests that run in parallel."""
    start = resource.getrusage(resource.RUSAGE_CHILDREN)
    repository("dvc", *words)
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    return end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (
            ["train.lr=abc", "-S", "selective_search.max_proposals=-1", "-S", "+train.speed=1"],
            ["train.lr", "'abc'", "valid number", "greater than or equal to 1", "train.speed", "no such parameter"],
        ),
        (["train.nope=1"], ["nope"]),  # DVC itself refuses this key
        (
            ["detectors.ssd300.model.backbone=vgg17", "train_detector@ssd300"],
            ["detectors.ssd300.model.backbone = 'vgg17'", "it must be one of"],
        ),
    ],
)
def test_a_wrong_parameter_stops_at_check_and_loses_nothing(
    unchanged: Repository, flags: list[str], words: list[str]
) -> None:
    output = unchanged("dvc", "exp", "run", "-S", *flags, fails=True)
    for word in words:
        assert word in output
    assert "Traceback" not in output
    for path in ("models/svm.npz", "metrics/rcnn.json", "data/prepared/voc.zip", "models/ssd300.safetensors"):
        assert (unchanged.path / path).exists()


def test_one_number_changes_what_depends_on_it_and_the_diff_shows_it(copy: Repository) -> None:
    copy("dvc", "exp", "run", "-S", "train.lr=1e-5", "finetune")  # YAML 1.1 would read it back as a string
    assert "1e-05" in (copy.path / "params.yaml").read_text()
    assert "train.lr" in copy("dvc", "params", "diff")
    every = copy("python", "-m", "commands.compare", "--all")
    assert re.search(r"^finetune +lr .* -\d", every, re.MULTILINE)
    copy("dvc", "exp", "save", "-n", "slower")
    assert copy("python", "-m", "commands.compare", "HEAD", "slower").endswith(f"{len(LISTED)} same.\n")


@pytest.mark.parametrize(
    ("key", "value", "stages"),
    [
        ("detect_rcnn.nms_thresh", 0.45, {"check", "detect_rcnn"}),
        ("train_bbox.ridge_lambda", [10.0, 100.0], {"check", "train_bbox"}),
        ("evaluate.recall_at", [5], {"check", *(f"evaluate_proposals@{name}" for name in PROPOSALS)}),
        ("profile", "other", {"check"}),
        ("data.mnist.limit", 100, {"check", "download@mnist", "prepare@mnist"}),
        (
            "splits.detectors",
            "train",
            {
                *("check", "train_on_proposals@fast_rcnn", *PREPARED),
                *(f"train_detector@{name}" for name in plugins.names("detectors") if name != "fast_rcnn"),
            },
        ),
        ("detectors.ssd300.decode.nms_thresh", 0.4, {"check", "detect@ssd300"}),
        ("detectors.ssd300.loss.iou_thresh", 0.4, {"check", "train_detector@ssd300"}),
        ("detectors.faster_rcnn.decode.proposals.max_per_image", 50, {"check", "detect@faster_rcnn"}),
        (
            "detectors.fast_rcnn.proposals",
            "rpn",
            {"check", "train_on_proposals@fast_rcnn", "detect_on_proposals@fast_rcnn"},
        ),
        ("detectors.fast_rcnn.decode.max_proposals", 50, {"check", "detect_on_proposals@fast_rcnn"}),
        ("detectors.rpn.decode.nms_thresh", 0.5, {"check", "propose_rpn"}),
        ("detectors.rpn.model.channels", 24, {"check", "train_detector@rpn", "propose_rpn"}),
        ("features.proposals", "rpn", {"check", "finetune", "extract_features", "score_rcnn", "detect_rcnn"}),
        ("classifiers.mobilenet_v3.predict.flip", True, {"check", "evaluate_classifier@mobilenet_v3"}),
        ("classifiers.resnet50.loss.focal_gamma", 2.0, {"check", "train_classifier@resnet50"}),
        ("finetune.weights", "none", {"check", "pretrain_alexnet", "download_weights", "finetune"}),
    ],
)
def test_a_parameter_reaches_only_what_it_acts_on(
    unchanged: Repository, key: str, value: object, stages: set[str]
) -> None:
    unchanged.change(key, value)
    assert unchanged.stale() == stages


def test_a_data_set_can_change_without_the_others(repository: Repository) -> None:
    path = repository.path / "src/datasets/mnist.py"
    before = path.read_text()
    try:
        path.write_text(before + "# a change\n")
        assert repository.stale() == {"check", "download@mnist", "prepare@mnist"}
    finally:
        path.write_text(before)


def test_the_columns_of_a_plot_are_those_of_its_file(repository: Repository) -> None:
    """DVC draws nothing for a missing column, and joins the classes of a file into one line without `by_class`."""
    for path, options in PLOTS.items():
        columns = (repository.path / path).read_text().splitlines()[0].split(",")
        assert {options["x"], options["y"]} <= set(columns), path
        assert ("class" in columns) == (options.get("template") == "by_class"), path


def test_the_columns_of_a_plot_of_several_files_are_those_of_the_files(repository: Repository) -> None:
    for title, options in SEVERAL.items():
        for path, names in options["y"].items():
            columns = (repository.path / path).read_text().splitlines()[0].split(",")
            assert {options["x"], *names} <= set(columns), title
