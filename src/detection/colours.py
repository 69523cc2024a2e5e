"""SSD's photometric distortion (Liu et al. 2016, Sec. 2.2) on bytes, with the ranges of the released code.

Two tables hold all of it, since each step maps a byte to a byte: one for the three colours, and one for hue, saturation
and value. All random numbers come from PyTorch's generator.
"""

import cv2
import numpy as np
import torch

BRIGHTNESS = 32.0  # largest number that is added to the bytes, and taken off them
FACTORS = 0.5, 1.5  # of contrast and saturation
HUE = 18.0  # OpenCV's units, of which the circle has 180
PROBABILITY = 0.5  # of each of the four steps


def distort(image: np.ndarray) -> np.ndarray:
    """Change brightness, contrast, saturation and hue of an image, each with a probability of one half.

    Contrast comes after brightness or, as often, last. Differs: the hue goes round its circle; in the released code it
    stops at both ends, which are the same red. The channels keep their order; the released code can shuffle them, and
    its settings for VOC do so with a probability of 0.

    Args:
        image: RGB, uint8 [H, W, 3]; it stays as it is.

    Returns:
        RGB, uint8 [H, W, 3].
    """
    sizes, chosen, contrast_last = draws()
    between = (FACTORS[0] + (FACTORS[1] - FACTORS[0]) * sizes).tolist()
    around = (2 * sizes - 1).tolist()
    brightness, contrast, saturation, hue = chosen.tolist()
    first = last = np.arange(256, dtype=np.float32)
    if brightness:
        first = _bytes(first + BRIGHTNESS * around[0])
    if contrast and contrast_last:
        last = _bytes(last * between[1])
    elif contrast:
        first = _bytes(first * between[1])
    if brightness or (contrast and not contrast_last):
        image = cv2.LUT(image, first.astype(np.uint8))
    if saturation or hue:
        image = _hue_and_saturation(image, HUE * around[3] * hue, between[2] if saturation else 1.0)
    return cv2.LUT(image, last.astype(np.uint8)) if contrast and contrast_last else image


def draws() -> tuple[torch.Tensor, torch.Tensor, bool]:
    """Draw the numbers of a distortion: sizes [4] from 0 to 1, which steps there are [4], and if contrast is the last.

    Each step has its draw, even one that is left out, so that the later draws stay the same.
    """
    return torch.rand(4), torch.rand(4) < PROBABILITY, bool(torch.rand(()) < 0.5)


def _hue_and_saturation(image: np.ndarray, turn: float, factor: float) -> np.ndarray:
    values = np.arange(256, dtype=np.float32)
    table = np.stack([(values + round(turn)) % 180, _bytes(values * factor), values], axis=1)
    hsv = cv2.LUT(cv2.cvtColor(image, cv2.COLOR_RGB2HSV), table.astype(np.uint8)[None])
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def _bytes(values: np.ndarray) -> np.ndarray:
    return values.round().clip(0, 255)
