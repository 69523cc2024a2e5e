"""How a model is loaded in five lines, from the root of the repository."""

START = """\
import cv2, torch
from src.params import read_params
from stages.trained import Params, load
model = load(read_params("params.yaml", Params), "{name}", torch.device("cpu"))
"""
DETECTOR = 'found = model.detect(cv2.imread("photo.jpg", cv2.IMREAD_COLOR_RGB), "photo")  # boxes, labels, scores\n'
CLASSIFIER = 'found = model.probabilities(cv2.imread("photo.jpg", cv2.IMREAD_COLOR_RGB))  # of model.classes\n'


def lines(name: str, *, classifier: bool) -> str:
    """The code, which leaves the answer in `found`."""
    return START.format(name=name) + (CLASSIFIER if classifier else DETECTOR)
