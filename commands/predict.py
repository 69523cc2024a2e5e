"""Predict your own photos with a trained method: `python -m commands.predict ssd300 photo.jpg folder/`.

NAME is rcnn, or a section of `detectors` or `classifiers` in params.yaml. The command writes, below --out, annotated
pictures in NAME/, NAME.json (for detectors in COCO's result format) and NAME.csv. These two hold all detections that
pass the pipeline's own thresholds. The pictures show those with a score above --show-above, and NAME_coco.json has the
same detections as a data set in COCO's format, which labelling tools import.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from commands.trained import RCNN, Params, load
from src.errors import InputError
from src.files.records import Record
from src.files.storage import write_csv
from src.params import Count
from src.prediction.drawing import above, draw_classes, draw_detections
from src.prediction.photos import decode, enlarge, find, passed_over, shrink
from src.prediction.sentences import counted, ignored
from src.prediction.video import SUFFIXES, Frames, writer
from stages.command import command
from stages.environment import device

if TYPE_CHECKING:
    from src.prediction.classifier import Classifier
    from src.prediction.dense import Dense
    from src.prediction.rcnn import Rcnn
    from src.prediction.tables import Detected

SHOW_ABOVE = 0.5  # for probabilities
SHOW_ABOVE_RCNN = 0.0  # for SVM scores: a score above 0 means the class


class Options(NamedTuple):
    """The options of the command line that several functions use."""

    name: str
    out: Path
    max_side: int
    show_above: float  # a score
    frames: int | None


def run(
    params: Params,
    name: Annotated[str, "rcnn, or a section of detectors or classifiers in params.yaml"],
    inputs: Annotated[Sequence[Path], "photos, folders of photos, and for detectors video files"] = (),
    *,
    out: Annotated[Path, "folder of the results [predictions]"] = Path("predictions"),
    camera: Annotated[int | None, "number of a camera, 0 is the first; Ctrl-C ends it"] = None,
    frames: Annotated[Count | None, "largest number of frames of a camera or video"] = None,
    max_side: Annotated[Count, "longest side in pixels; larger photos are shrunk [1000]"] = 1000,
    show_above: Annotated[float | None, "score above which pictures show a detection [0.5; for rcnn 0]"] = None,
) -> None:
    """Predict photos, then videos and the camera; all results of one call are in the same two tables."""
    params.check(name)
    if show_above is None:
        show_above = SHOW_ABOVE_RCNN if name == RCNN else SHOW_ABOVE
    options = Options(name, out, max_side, show_above, frames)
    place = out / name
    check_folder(place)
    films = [path for path in inputs if path.suffix.lower() in SUFFIXES and not path.is_dir()]
    photos = find([path for path in inputs if path not in films])
    videos: dict[str, Path | int] = {**find(films)}
    if camera is not None:
        videos[f"camera{camera}"] = camera
    if sentence := ignored(passed_over(inputs)):
        print(sentence, file=sys.stderr)
    if not photos and not videos:
        raise InputError("there is no photo to look at: name photos, folders of photos, videos, or --camera 0")
    if videos and name in params.classifiers:
        raise InputError(f"{name} is a classifier, and takes photos; detectors take videos and cameras")

    import torch  # here, not above: --help and what is refused above do not wait for it

    from src.prediction import tables
    from src.prediction.classifier import Classifier

    method = load(params, name, torch.device(device()))
    table, results = out / f"{name}.csv", out / f"{name}.json"
    if isinstance(method, Classifier):
        scores = classify(method, photos, options)
        tables.write_json(results, tables.class_results(scores, method.classes))
        write_csv(table, tables.class_table(scores, method.classes))
        print(f"tables: {results}, {table}\n{counted(list(scores), len(scores), place)}")
        return
    detections = detect(method, photos, options)
    looked_at = len(detections)
    for video, source in videos.items():
        detections |= watch(method, video, source, options)
    tables.write_json(results, tables.coco_results(detections))
    tables.write_json(out / f"{name}_coco.json", tables.coco_set(detections, method.classes, options.show_above))
    write_csv(table, tables.detection_table(detections, method.classes))
    found = [detected.record["scores"] for detected in detections.values()]
    print(f"tables: {results}, {table}\n{counted(list(detections), looked_at, place, found, options.show_above)}")


def check_folder(folder: Path) -> None:
    """Refuse a folder that cannot be made, because it or a folder above it is a file, with an `InputError`."""
    for path in (folder, *folder.parents):
        if path.exists() and not path.is_dir():
            raise InputError(f"--out: {path} is a file, and must be a folder: choose another name")


def detect(method: "Rcnn | Dense", photos: dict[str, Path], options: Options) -> "dict[str, Detected]":
    """Return the detections by photo, in its own pixels; write a picture of each."""
    from src.prediction.tables import Detected

    detections: dict[str, Detected] = {}
    taken = set(photos.values())
    for image_id, image in readable(photos):
        record = located(method, image, Path(image_id).name, options.max_side)
        detections[image_id] = Detected(photos[image_id].name, image.shape[:2], record)
        shown = draw_detections(image, above(record, options.show_above), method.classes)
        write_picture(options.out / options.name / f"{image_id}.jpg", shown, taken)
    return detections


def classify(method: "Classifier", photos: dict[str, Path], options: Options) -> dict[str, np.ndarray]:
    """Return the probabilities of the classes [C] by photo; write a picture of each."""
    probabilities: dict[str, np.ndarray] = {}
    taken = set(photos.values())
    for image_id, image in readable(photos):
        probabilities[image_id] = method.probabilities(image)
        shown = draw_classes(shrink(image, options.max_side), probabilities[image_id], method.classes)
        write_picture(options.out / options.name / f"{image_id}.jpg", shown, taken)
    return probabilities


def watch(method: "Rcnn | Dense", name: str, source: Path | int, options: Options) -> "dict[str, Detected]":
    """Return the detections by frame; write `out/<method>/<name>.mp4`. Ctrl-C ends it, and keeps the frames so far."""
    from src.prediction.tables import Detected

    out = options.out / options.name / f"{name}.mp4"
    if isinstance(source, Path) and out.resolve() == source:
        raise InputError(f"{out} is the video itself: choose another folder with --out")
    frames, detections = Frames(name, source), dict[str, Detected]()
    bar = tqdm(total=options.frames or frames.length, desc=name, unit="frame")
    try:
        with writer(out, frames.fps) as video:
            for image_id, image in frames:
                record = located(method, image, image_id, options.max_side)
                detections[image_id] = Detected(image_id, image.shape[:2], record)
                video.add(draw_detections(image, above(record, options.show_above), method.classes))
                bar.update()
                if len(detections) == options.frames:
                    break
    except KeyboardInterrupt:
        print(f"\nstopped after {len(detections)} frames", file=sys.stderr)
    finally:
        frames.close()
        bar.close()
    return detections


def located(method: "Rcnn | Dense", image: np.ndarray, image_id: str, max_side: int) -> Record:
    """Return the detections in an image, in its own pixels; a large image is shrunk for the method."""
    shrunk = shrink(image, max_side)
    record = method.detect(shrunk, image_id)
    return {**record, "boxes": enlarge(record["boxes"], shrunk.shape[:2], image.shape[:2])}


def readable(photos: dict[str, Path]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (id, RGB image [H, W, 3]) per photo that decodes, and report the others; if none does, `InputError`."""
    read = 0
    for image_id, path in tqdm(photos.items(), desc="photos", disable=len(photos) < 2):
        try:
            image = decode(path.read_bytes())
        except (InputError, OSError) as error:
            tqdm.write(f"{path}: skipped: {error}", file=sys.stderr)
            continue
        read += 1
        yield image_id, image
    if photos and not read:
        raise InputError(f"not one of {len(photos)} photos could be read")


def write_picture(path: Path, picture: np.ndarray, taken: set[Path]) -> None:
    """Write a JPEG, but never over one of the photos of the command line, whose paths are `taken`."""
    if path.resolve() in taken:
        raise InputError(f"{path} is one of the photos: choose another folder with --out")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes())


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line."""
    command(run, words)


if __name__ == "__main__":
    main()
