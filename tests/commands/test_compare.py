"""`python -m commands.compare` in a small repository of git and DVC, with made-up outputs of three methods."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from commands import second_page
from commands.compare import PAGE, ROWS, main
from src.evaluation.proposal_recall import Evaluate
from src.files.prepared import write_prepared
from src.files.records import write_records
from src.splits import Splits
from stages import evaluate_detections, evaluate_proposals, summary

SPLITS = Splits(finetune="train", detectors="train", validation=None, train="train", test="held out")
PIPELINE = """
stages:
  made:
    cmd: "true"
    outs:
      - data/prepared/voc.zip
      - data/detections/rcnn
      - data/proposals/rpn.npz
      - data/predictions/plain.csv
      - models/rcnn.safetensors
      - models/svm.npz
      - models/bbox.npz
      - models/rpn.safetensors
      - models/plain.safetensors
"""
PARAMS = "splits:\n  test: held out\n"
SEED = 0.005
IMAGES = 60
BOX = [10, 10, 50, 50]
MISSED = [70, 70, 90, 90]


class Repository:
    """A repository with outputs of a chosen quality; a hard image is hard for every method and in every revision."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self("git", "init", "-q", "-b", "main")
        self("dvc", "init", "-q")
        self("dvc", "config", "core.analytics", "false")
        for path, text in {
            "dvc.yaml": PIPELINE,
            "params.yaml": PARAMS,
            ".gitignore": "/data/\n/models/\n/report/\n",
            "docs/results/deviation.json": json.dumps({"rcnn.map_voc07": {"seed": SEED, "arithmetic": 0.001}}),
        }.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)

    def __call__(self, *command: str) -> str:
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            **{f"GIT_{who}_{what}": "t@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }
        done = subprocess.run(command, cwd=self.root, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def write(self, *, found: float, right: float = 0.7, model: str = "first", images: int = IMAGES) -> None:
        """Write all outputs and metrics.

        Args:
            found: share of the objects that the detector and the proposals find.
            right: share of the images that the classifier predicts correctly.
            model: content of the model files.
            images: number of images in the test split.
        """
        ids, hard = [f"{number:03}" for number in range(images)], np.random.default_rng(0).random(images)
        entry = {"file": "", "height": 100, "width": 100, "boxes": [BOX], "labels": [1], "difficult": [False]}
        data = self.root / "data"
        write_prepared(data / "prepared/voc.zip", ["car"], {"held out": ids}, dict.fromkeys(ids, entry), [])
        boxes = {
            image_id: np.array([BOX if at < found else MISSED], np.float32)
            for image_id, at in zip(ids, hard, strict=True)
        }
        records = {
            image_id: {"boxes": box, "labels": np.array([1]), "scores": np.array([1 - at], np.float32)}
            for (image_id, box), at in zip(boxes.items(), hard, strict=True)
        }
        write_records(data / "detections/rcnn/detections.npz", records)
        write_records(data / "proposals/rpn.npz", {image_id: {"boxes": box} for image_id, box in boxes.items()})
        table = pd.DataFrame({"path": ids, "label": "a", "predicted": np.where(hard < right, "a", "b"), "score": 0.9})
        (data / "predictions").mkdir(exist_ok=True)
        table.to_csv(data / "predictions/plain.csv", index=False)
        (self.root / "models").mkdir(exist_ok=True)
        for name in ("rcnn.safetensors", "svm.npz", "bbox.npz", "rpn.safetensors", "plain.safetensors"):
            (self.root / "models" / name).write_text(model)
        self._evaluate(data)

    def _evaluate(self, data: Path) -> None:
        metrics, images = self.root / "metrics", data / "prepared/voc.zip"
        curves = {name: data / f"{name}.csv" for name in ("curves", "counts")}
        evaluate_detections.run(
            evaluate_detections.Params(splits=SPLITS),
            images=images,
            detections=data / "detections/rcnn",
            out=metrics / "rcnn.json",
            curves=curves["curves"],
        )
        evaluate_proposals.run(
            evaluate_proposals.Params(splits=SPLITS, evaluate=Evaluate(recall_at=[10])),
            images=images,
            proposals=data / "proposals/rpn.npz",
            out=metrics / "proposals_rpn.json",
            **curves,
        )
        summary.run(
            summary.Params(),
            detections=[str(metrics / "rcnn.json")],
            proposals=[str(metrics / "proposals_rpn.json")],
            predictions=data / "predictions",
            out=metrics / "summary.json",
        )

    def commit(self, tag: str) -> None:
        self("dvc", "commit", "-q", "-f")
        self("git", "add", "-A")
        self("git", "commit", "-q", "-m", tag, "--allow-empty")
        self("git", "tag", tag)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """Tags `empty`, `base`, `other` (another test set) and `now`, which is HEAD; an experiment `mine`."""
    made = Repository(tmp_path_factory.mktemp("repository"))
    made("git", "add", "-A")
    made("git", "commit", "-q", "-m", "empty")
    made("git", "tag", "empty")
    made.write(found=0.6)
    made.commit("base")
    made.write(found=0.62, images=IMAGES - 10, model="second")
    made.commit("other")
    made.write(found=0.6, right=0.725, model="first")
    made.commit("now")
    made.write(found=0.95, right=0.725, model="third")
    made("dvc", "commit", "-q", "-f")
    made("dvc", "exp", "save", "-n", "mine")
    made("git", "reset", "-q", "--hard")
    made("dvc", "checkout", "-q", "--force")
    return made


@pytest.fixture
def here(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> Repository:
    monkeypatch.chdir(repository.root)
    return repository


@pytest.fixture
def compared(here: Repository, capsys: pytest.CaptureFixture[str]):
    """A function that runs the command and returns its output and its rows by metric; no file may change."""

    def compared(*words: str, status: int = 0) -> tuple[str, dict[str, list[str]]]:
        before = here("git", "status", "--porcelain")
        capsys.readouterr()
        try:
            main(list(words))
            found = 0
        except SystemExit as end:
            found = end.code
        out, err = capsys.readouterr()
        assert found == status, out + err
        assert here("git", "status", "--porcelain") == before
        rows = [re.split(r" {2,}", line) for line in out.splitlines() if re.match(r"\w+\.\w+ ", line)]
        return out + err, {row[0]: row[1:] for row in rows}

    return compared


def test_without_a_change_all_is_the_same(compared) -> None:
    text, rows = compared()
    assert rows["rcnn.map_voc07"][2:] == ["0", "0", "same model", "same"]
    assert text.endswith("Verdict: 0 better, 0 worse, 0 noise, 5 same.\n")
    assert "Note" not in text


def test_an_experiment_that_is_better_than_chance_makes_it(compared) -> None:
    text, rows = compared("now", "mine")
    old, new, change, interval, seed, word = rows["rcnn.map_voc07"]
    assert float(new) - float(old) == pytest.approx(float(change), abs=1e-4)
    low, high = map(float, interval.split(" .. "))
    assert 0 < low < float(change) < high
    assert (seed, word) == ("0.0050", "better")
    assert rows["plain.accuracy"][2:] == ["0", "0", "-", "same"]
    assert "4 better, 0 worse, 0 noise, 1 same" in text
    assert compared("mine", "now")[1]["rcnn.map_voc07"][-1] == "worse"


def test_the_page_gets_the_rows_of_the_table(here: Repository, compared, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(second_page, "write", lambda *words: asked.append(words))
    _, rows = compared("now", "mine", "--page")
    assert asked == [(PAGE, "--comparison", ROWS)]
    content = json.loads((here.root / ROWS).read_text())
    assert {row[0]: row[1:] for row in content["rows"]} == rows
    assert content["verdict"].startswith("Verdict: 4 better")
    assert content["old"].startswith("now (")
    assert content["new"].startswith("mine (")
    assert len(content["head"]) == len(content["rows"][0])
    assert "cannot be used together" in compared("--gate", "--page", status=2)[0]


def test_a_change_within_chance_is_noise(compared) -> None:
    _, rows = compared("base", "now")
    _, _, change, interval, _, word = rows["plain.accuracy"]
    low, high = map(float, interval.split(" .. "))
    assert low <= 0 < float(change) < high
    assert word == "noise"


def test_the_workspace_is_read_as_it_is_and_a_change_of_it_is_seen(here: Repository, compared) -> None:
    try:
        here.write(found=0.95, right=0.725, model="first")
        text, rows = compared()
        assert rows["rcnn.map_voc07"][-1] == "better"
        here.write(found=0.6, right=0.725, model="first")
        shutil.copy(here.root / "metrics/summary.json", here.root / "kept.json")
        here.write(found=0.95, right=0.725, model="first")
        shutil.move(here.root / "kept.json", here.root / "metrics/summary.json")
        here("dvc", "commit", "-q", "-f")
        text, rows = compared()
        assert "workspace has other figures than data/detections/rcnn gives" in text
    finally:
        here("git", "reset", "-q", "--hard")
        here("dvc", "checkout", "-q", "--force")


def test_another_test_set_has_no_paired_interval(compared) -> None:
    text, rows = compared("other", "now")
    assert "No paired interval for rcnn, rpn, plain: the test images or what is to be found in them differ." in text
    assert rows["rcnn.map_voc07"][3:] == ["-", "0.0050", "noise"]
    assert "1.96 standard errors" in text


def test_outputs_that_are_not_in_the_cache_leave_the_numbers(here: Repository, compared) -> None:
    cache, away = here.root / ".dvc/cache", here.root / ".dvc/away"
    cache.rename(away)
    try:
        text, rows = compared("base", "mine")
        assert "data/detections/rcnn of base" in text
        assert "is not in DVC's cache here" in text
        assert rows["rcnn.map_voc07"][3:] == ["-", "0.0050", "better"]
    finally:
        away.rename(cache)


def test_a_metric_of_one_side_is_new_or_gone(here: Repository, compared) -> None:
    try:
        path = here.root / "metrics/summary.json"
        content = json.loads(path.read_text())
        del content["plain.accuracy"]
        path.write_text(json.dumps({**content, "toy.map_coco": 0.5}))
        text, rows = compared()
        assert rows["plain.accuracy"][-1] == "gone"
        assert rows["toy.map_coco"][-1] == "new"
        assert "1 new, 1 gone" in text
        assert "plain.accuracy" in compared("--gate", status=1)[0]
    finally:
        here("git", "checkout", "-q", "metrics")


def test_a_commit_before_the_summary_has_the_figures_of_its_metrics(here: Repository, compared) -> None:
    here("git", "rm", "-q", "metrics/summary.json")
    try:
        _, rows = compared("now", "workspace")
        assert rows["rcnn.map_voc07"][-1] == "same"
        assert rows["plain.accuracy"][-1] == "gone"  # it is not in the list of headline metrics
    finally:
        here("git", "reset", "-q", "--hard")


def test_without_deviations_the_column_is_a_dash_and_that_is_said(here: Repository, compared) -> None:
    path = here.root / "docs/results/deviation.json"
    try:
        path.unlink()
        text, rows = compared("now", "mine")
        assert rows["rcnn.map_voc07"][4:] == ["-", "better"]
        assert "rests on the test images alone" in text
        path.write_text("{")
        assert "is not valid JSON" in compared(status=2)[0]
    finally:
        here("git", "checkout", "-q", "docs")


def test_markdown_is_a_table(compared) -> None:
    text, _ = compared("now", "mine", "--md")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert lines[0] == "| metric | old | new | change | 95 % interval | seed | verdict |"
    assert len({line.count("|") for line in lines}) == 1
    assert len(lines) == 2 + 5


def test_every_number(compared) -> None:
    text, _ = compared("now", "mine", "--all")
    assert re.search(r"^rcnn +ap\.car +0\.\d+ +0\.\d+ +\+0\.\d+$", text, re.MULTILINE)
    assert re.search(r"^rcnn +images +60 +60 +0$", text, re.MULTILINE)
    assert re.search(r"\d+ of \d+ numbers differ\.$", text.strip())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nothing-of-that-name"], "'nothing-of-that-name' names no commit, branch, tag or experiment"),
        (["base", "nothing-of-that-name"], "'nothing-of-that-name' names no commit, branch, tag or experiment"),
        (["empty"], "empty has no metrics"),
    ],
)
def test_a_revision_that_is_not_there_or_has_no_metrics_is_one_sentence(
    compared, words: list[str], sentence: str
) -> None:
    text, _ = compared(*words, status=2)
    assert sentence in text
    assert text.count("\n") == 1


def test_a_metrics_file_that_is_no_json_is_one_sentence(here: Repository, compared) -> None:
    try:
        (here.root / "metrics/rcnn.json").write_text("<<<<<<< HEAD")  # as after a merge conflict
        assert "metrics/rcnn.json of workspace is not valid JSON" in compared(status=2)[0]
    finally:
        here("git", "checkout", "-q", "metrics")


def test_outside_of_a_repository_it_is_one_sentence(
    here: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in (here.root / "docs", tmp_path):
        monkeypatch.chdir(folder)
        with pytest.raises(SystemExit, match="2"):
            main([])
        assert re.fullmatch(r"compare: .* is not the root of .*\n", capsys.readouterr().err)


def test_without_dvc_it_is_one_sentence(compared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dvc.repo", None)
    assert compared(status=2)[0].startswith("compare: DVC is not installed for this Python")


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        (-0.02, 0, "Gate: passed"),  # within 0.03
        (-0.05, 1, "Worse beyond the band, or gone: rcnn.map_voc07."),
        (+0.05, 1, "Better beyond the band: commit the new figures of rcnn.map_voc07"),
    ],
)
def test_the_gate_fails_beyond_the_band_and_only_there(
    here: Repository, compared, change: float, status: int, words: str
) -> None:
    path = here.root / "metrics/summary.json"
    try:
        content = json.loads(path.read_text())
        path.write_text(json.dumps({**content, "rcnn.map_voc07": content["rcnn.map_voc07"] + change}))
        text, rows = compared("--gate", status=status)
        assert words in text
        assert rows["rcnn.map_voc07"][3] == "0.0300"
    finally:
        here("git", "checkout", "-q", "metrics")


def test_the_band_of_the_gate_follows_a_large_deviation(here: Repository, compared) -> None:
    try:
        (here.root / "docs/results/deviation.json").write_text('{"rcnn.map_voc07": {"seed": 0.01, "arithmetic": 0.02}}')
        assert compared("--gate")[1]["rcnn.map_voc07"][3] == "0.0849"
    finally:
        here("git", "checkout", "-q", "docs")
