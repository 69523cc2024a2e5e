"""The picture of a model card: some test images with the answers of the model."""

from pathlib import Path

import cv2
import numpy as np

from commands import trained
from commands.predict import SHOW_ABOVE, SHOW_ABOVE_RCNN
from commands.trained import RCNN
from src.files.boxed_images import BoxedImages
from src.files.labelled_images import LabelledImages
from src.prediction.drawing import above, draw_classes, draw_detections

NUMBER = 3  # images
HEIGHT, GAP = 260, 8  # pixels of the picture, and between two images
QUALITY = 85  # of the JPEG


def picture(params: trained.Params, name: str, prepared: Path, split: str) -> tuple[bytes, str]:
    """Run a trained method on test images, and return them side by side as JPEG, and a sentence on them.

    Detectors show on the first test images what `predict` shows; classifiers get images spread evenly over the test
    split, because its classes are in order. The method runs on the CPU, so that the same state gives the same bytes.

    Args:
        params: of the run.
        name: of the method.
        prepared: the zip of its data set.
        split: name of its test split; its images may be fewer than `NUMBER`.
    """
    import torch

    from src.prediction.classifier import Classifier

    method = trained.load(params, name, torch.device("cpu"))
    if isinstance(method, Classifier):
        labelled = LabelledImages(prepared)
        ids = labelled.ids(split)
        chosen = [ids[place] for place in np.linspace(0, len(ids) - 1, min(NUMBER, len(ids))).astype(int)]
        images = [labelled.image(image_id) for image_id in chosen]
        drawn = [draw_classes(image, method.probabilities(image), method.classes) for image in images]
        return beside(drawn), f"{len(drawn)} test images with the most probable classes"
    data = BoxedImages(prepared)
    least = SHOW_ABOVE_RCNN if name == RCNN else SHOW_ABOVE
    drawn = []
    for image_id in data.ids(split)[:NUMBER]:
        image = data.image(image_id)
        drawn.append(draw_detections(image, above(method.detect(image, image_id), least), method.classes))
    return beside(drawn), f"The first {len(drawn)} test images with all detections above a score of {least:g}"


def beside(pictures: list[np.ndarray]) -> bytes:
    """Return a JPEG of RGB pictures [H, W, 3], uint8, at one height side by side on white; at least one."""
    parts: list[np.ndarray] = []
    for picture in pictures:
        width = max(1, round(picture.shape[1] * HEIGHT / picture.shape[0]))
        method = cv2.INTER_AREA if picture.shape[0] > HEIGHT else cv2.INTER_CUBIC
        parts += [cv2.resize(picture, (width, HEIGHT), interpolation=method), np.full((HEIGHT, GAP, 3), 255, np.uint8)]
    row = np.hstack(parts[:-1])
    return cv2.imencode(".jpg", row[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
