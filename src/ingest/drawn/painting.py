"""The tools that paint the drawn samples: colours, light, and the faults of a camera.

Everything is painted at `SCALE` times the size, in whole pixels, and averaged down once, so that edges are smooth and
every machine makes the same picture. H, W are the sides of the given array, which is a canvas or an image.
"""

import colorsys

import cv2
import numpy as np

Colour = tuple[int, int, int]  # RGB, 0..255
Rng = np.random.Generator
SCALE = 2  # canvas pixels per image pixel, in x and in y
JPEG_QUALITY = 92


def colour(rng: Rng, value: tuple[float, float] = (0.3, 0.95)) -> Colour:
    """Choose a random colour of any hue; `value` bounds its brightness, 0..1."""
    red, green, blue = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.05, 0.85), rng.uniform(*value))
    return round(255 * red), round(255 * green), round(255 * blue)


def pick(rng: Rng, tones: tuple[Colour, ...], spread: int = 18) -> Colour:
    """Choose one of the tones, and change each channel at random by at most `spread`."""
    red, green, blue = (
        (np.array(tones[rng.integers(len(tones))]) + rng.integers(-spread, spread + 1, 3)).clip(0, 255).tolist()
    )
    return red, green, blue


def shade(base: Colour, factor: float) -> Colour:
    """Return a lighter (factor > 1) or darker tone of a colour."""
    red, green, blue = (min(255, round(channel * factor)) for channel in base)
    return red, green, blue


def disc(x: float, y: float, rx: float, ry: float | None = None, *, rng: Rng | None = None) -> np.ndarray:
    """Return an ellipse of 24 corners, [24, 2]; with `rng` its outline is uneven, like that of leaves or stone."""
    angles = np.arange(24) * (np.pi / 12)
    radius = 1.0 if rng is None else rng.uniform(0.8, 1.1, (24, 1))
    return np.array([x, y]) + radius * np.stack([rx * np.cos(angles), (ry or rx) * np.sin(angles)], axis=1)


def noise(rng: Rng, size: tuple[int, int], grid: tuple[int, int], amplitude: int) -> np.ndarray:
    """Return smooth noise of `grid` knots, int16 in -amplitude..amplitude, [size]."""
    knots = rng.integers(0, 2 * amplitude + 1, grid).astype(np.uint8)
    fine = cv2.resize(knots, size[::-1], interpolation=cv2.INTER_LINEAR_EXACT)
    return fine.astype(np.int16) - amplitude


def lit(pixels: np.ndarray, light: np.ndarray) -> np.ndarray:
    """Multiply pixels [H, W, 3] by 1 + light / 128, light int16 [H, W] in -128..128."""
    factor = (128 + light[:, :, None]).astype(np.uint16)
    return np.minimum((pixels * factor) >> 7, 255).astype(np.uint8)


def gradient(above: Colour, below: Colour, rows: int) -> np.ndarray:
    """Return rows of pixels that change from one colour to another, uint8 [rows, 1, 3]."""
    steps = np.arange(rows)[:, None, None] * 256 // rows
    return (((256 - steps) * above + steps * below) >> 8).astype(np.uint8)


def photograph(rng: Rng, canvas: np.ndarray) -> np.ndarray:
    """Reduce a canvas to the image's size, and add light, contrast, blur and noise."""
    height, width = canvas.shape[0] // SCALE, canvas.shape[1] // SCALE
    image = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    image = lit(image, noise(rng, (height, width), (2, 2), 40))  # light from one side
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.choice([0.6, 0.9, 1.2])))
    contrast, brightness, grain = rng.uniform([0.7, -20, 1], [1.1, 20, 7]).astype(np.float32)
    grains = grain * rng.standard_normal(image.shape, np.float32)
    exposed = (image.astype(np.float32) - 128) * contrast + 128 + brightness + grains
    return np.clip(np.round(exposed), 0, 255).astype(np.uint8)


def jpeg(image: np.ndarray) -> bytes:
    """Encode an RGB image as a JPEG file, the format of most cameras."""
    written, content = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not written:
        raise RuntimeError("OpenCV could not encode a JPEG: install the build of OpenCV in requirements.txt")
    return content.tobytes()
