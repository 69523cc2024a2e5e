import json
from pathlib import Path
from typing import Any

import cv2
import pandas as pd
import pytest

from commands.predict import main
from src.prediction.video import writer
from tests.prediction.conftest import checkout, made  # noqa: F401 (fixtures)
from tests.trained import encoded, scene


@pytest.fixture
def photos(checkout: Path, tmp_path: Path) -> Path:  # noqa: F811
    """Two photos, one of them large and in a subfolder, and a file that is not a photo."""
    (tmp_path / "in/deep").mkdir(parents=True)
    (tmp_path / "in/a.png").write_bytes(encoded(scene(90, 120)))
    (tmp_path / "in/deep/b.jpg").write_bytes(encoded(scene(400, 600), ".jpg"))
    (tmp_path / "in/broken.jpg").write_text("no photo")
    return tmp_path / "in"


def read(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.mark.parametrize("name", ["rcnn", "ssd300", "rpn", "fast_rcnn", "faster_rcnn"])
def test_a_detector_writes_pictures_results_and_a_table(
    photos: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main([name, str(photos), "--out", str(tmp_path / "out"), "--max-side", "150", "--show-above", "0.9"])
    results = read(tmp_path / f"out/{name}.json")
    table = pd.read_csv(tmp_path / f"out/{name}.csv")
    assert {row["image_id"] for row in results} == {1, 2}
    found = read(tmp_path / f"out/{name}_coco.json")
    assert [row["file_name"] for row in found["images"]] == ["a.png", "b.jpg"]
    assert len(found["annotations"]) == sum(row["score"] > 0.9 for row in results)
    assert set(table.image) == {"a", "deep/b"}
    assert len(table) == len(results)
    assert table[table.image == "deep/b"].x2.max() > 300, "boxes are in the photo's own pixels"
    assert cv2.imread(str(tmp_path / f"out/{name}/a.jpg")).shape == (90, 120, 3)
    assert cv2.imread(str(tmp_path / f"out/{name}/deep/b.jpg")).shape == (400, 600, 3)
    assert "broken.jpg: skipped: this is not a readable image" in capsys.readouterr().err


def test_a_classifier_writes_what_it_says_of_each_photo(photos: Path, tmp_path: Path) -> None:
    main(["mobilenet_v3", str(photos / "a.png"), "--out", str(tmp_path / "out")])
    (row,) = read(tmp_path / "out/mobilenet_v3.json")
    assert row["image"] == "a"
    assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-3)
    assert pd.read_csv(tmp_path / "out/mobilenet_v3.csv").predicted.astype(str).tolist() == [row["predicted"]]
    assert (tmp_path / "out/mobilenet_v3/a.jpg").exists()


def test_a_video_has_detections_by_frame_and_comes_back_as_one(photos: Path, tmp_path: Path) -> None:
    with writer(tmp_path / "film.mp4", 5.0) as film:
        for _ in range(4):
            film.add(scene(64, 80))
    main(["ssd300", str(tmp_path / "film.mp4"), "--out", str(tmp_path / "out"), "--frames", "3"])
    names = [f"film_{number:06d}" for number in range(3)]
    assert [row["file_name"] for row in read(tmp_path / "out/ssd300_coco.json")["images"]] == names
    assert set(pd.read_csv(tmp_path / "out/ssd300.csv").image) == set(names)
    made = cv2.VideoCapture(str(tmp_path / "out/ssd300/film.mp4"))  # noqa: F811
    assert made.get(cv2.CAP_PROP_FRAME_COUNT) == 3
    made.release()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rcnn"], "no photo to look at"),
        (["ssd300", "nowhere.jpg"], r"no file or folder nowhere\.jpg"),
        (["ssd300", "params.yaml"], "not one of 1 photos could be read"),
        (["resnet50", "film.mp4"], r"no file or folder film\.mp4"),
        (["resnet50", "--camera", "0"], "is a classifier, and takes photos"),
        (["yolo", "params.yaml"], "no trained method 'yolo'"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(photos: Path, words: list[str], message: str) -> None:
    with pytest.raises(SystemExit, match=f"^predict: .*{message}"):
        main(words)


def test_no_photo_is_written_over(photos: Path, tmp_path: Path) -> None:
    before = (photos / "deep/b.jpg").read_bytes()
    (tmp_path / "in/deep").rename(tmp_path / "in/rpn")
    with pytest.raises(SystemExit, match=r"rpn/b\.jpg is one of the photos"):
        main(["rpn", str(photos / "rpn/b.jpg"), "--out", str(photos)])
    assert (photos / "rpn/b.jpg").read_bytes() == before


def test_the_last_line_counts_photos_and_boxes_and_names_the_picture(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    main(["ssd300", str(photos / "a.png"), "--out", str(out), "--show-above", "2"])
    *_, last = capsys.readouterr().out.splitlines()
    count = len(read(out / "ssd300.json"))
    assert last == f"1 photo: 0 boxes above 2 ({count} in all) -> {out}/ssd300/a.jpg"
    main(["mobilenet_v3", str(photos), "--out", str(out)])
    assert capsys.readouterr().out.splitlines()[-1] == f"2 photos -> {out}/mobilenet_v3/"


def test_files_that_are_passed_over_are_named_by_suffix(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("b.heic", "c.gif", "d.heic", "clip.3gp"):
        (photos / name).touch()
    main(["mobilenet_v3", str(photos), "--out", str(tmp_path / "out")])
    assert "4 files in the folders were passed over (1 .3gp, 1 .gif, 2 .heic)" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="is a classifier, and takes photos"):
        main(["mobilenet_v3", str(photos / "clip.3gp")])  # a video, not an image that does not decode


@pytest.mark.parametrize("below", ["", "/deeper"])
def test_a_file_as_folder_of_the_results_is_refused_before_the_work(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: str
) -> None:
    monkeypatch.setattr("commands.predict.load", None)  # no method is loaded
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(SystemExit, match=r"^predict: --out: .*taken is a file, and must be a folder"):
        main(["ssd300", str(photos), "--out", f"{tmp_path}/taken{below}"])
    assert (tmp_path / "taken").read_text() == "mine"
