"""Small prepared sets of labelled images for tests, from scikit-learn's real digits."""

from pathlib import Path

import cv2
import numpy as np
from sklearn.datasets import load_digits

from src.classification.params import Augment, Input, Loss, Recipe
from src.files.labelled_images import LabelledImages
from src.files.prepared import write_prepared

PLAIN = Augment(crop=1.0, rotate=0.0, shift=0.0, zoom=0.0, shear=0.0, photometric=0.0, flip=0.0, mixup=0.0, cutmix=0.0)
LOSS = Loss(label_smoothing=0.0, focal_gamma=0.0, balanced=False, class_weights={})
INPUT = Input(size=[32, 32], mean=None, std=None)
RECIPE = Recipe(input=INPUT, augment=PLAIN, loss=LOSS, new_layer_lr=1.0, freeze_epochs=0)


def digits(path: Path, *, train: int = 40, val: int = 20, test: int = 20) -> LabelledImages:
    """Write digits of 8 x 8 pixels, so many per split; the classes have the same file names, in different folders."""
    data, splits = load_digits(), {}
    seen = {str(name): 0 for name in range(10)}
    ids = []
    for label in data.target[: train + val + test]:
        ids.append(f"{label}/{seen[str(label)]}.png")
        seen[str(label)] += 1
    splits = {"train": ids[:train], "val": ids[train : train + val], "test": ids[train + val :]}
    images = {name: {"file": name, "label": int(name[0])} for name in ids}
    pixels = (data.images[: len(ids)] * 255 / 16).round().astype(np.uint8)
    contents = ((name, cv2.imencode(".png", image)[1].tobytes()) for name, image in zip(ids, pixels, strict=True))
    write_prepared(path, list(seen), splits, images, contents)
    return LabelledImages(path)
