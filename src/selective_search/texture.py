"""Texture: how much an image rises in eight directions around each pixel (Uijlings et al. 2013, Sec. 3.2.2, Eq. 4).

The paper takes Gaussian derivatives. As OpenCV does, this takes Scharr's derivatives along x and y, of the image and of
the image turned by 45 degrees. The four are split by their sign into eight directions.

H, W, C: height, width and channels of a colour space.
"""

import cv2
import numpy as np

from src.selective_search.compiled import compiled

BINS = 10  # of each direction and channel


def texture_bins(space: np.ndarray) -> np.ndarray:
    """Sort the derivatives into bins, of equal width for each sign between 0 and the most extreme value in the image.

    Args:
        space: uint8 [H, W, C].

    Returns:
        uint8 [4, H, W, C], the bin's place in a histogram of 4 * C * 20. Each derivative has twenty bins: ten from 0 to
        its highest value, and ten from its lowest to just below 0.
    """
    height, width, channels = space.shape
    slopes = np.stack([*_slopes(space), *_diagonal_slopes(space)]).reshape(4, height, width * channels)
    highest, lowest = slopes.max(axis=1), -slopes.min(axis=1)  # of each column, and then of the image
    up, down = (_levels(extreme.reshape(4, width, channels).max(axis=1)) for extreme in (highest, lowest))
    first = np.arange(4 * channels, dtype=np.uint8).reshape(4, channels) * (2 * BINS)
    bins = _bins(slopes, *(np.tile(row, width) for row in (up, down, first)))
    return bins.reshape(4, height, width, channels)


def both_signs(histograms: np.ndarray) -> np.ndarray:
    """Make histograms of all eight directions of those of the bins above.

    A positive derivative is 0 in the negative direction, and the other way round.

    Args:
        histograms: [R, 4 * C * 20], pixels in each bin.

    Returns:
        the same shape, in which the ten bins of each direction add up to all pixels of the region.
    """
    parts = histograms.reshape(len(histograms), -1, 2, BINS)
    whole = parts.copy()
    whole[:, :, 0, 0] += parts[:, :, 1].sum(axis=2, dtype=parts.dtype)
    whole[:, :, 1, -1] += parts[:, :, 0].sum(axis=2, dtype=parts.dtype)
    return whole.reshape(histograms.shape)


def _levels(extreme: np.ndarray) -> np.ndarray:
    """Return the factor that brings derivatives up to an extreme value to 0..255; 0 where there are none."""
    return np.where(extreme > 0, np.float32(255) / np.where(extreme > 0, extreme, 1), 0).astype(np.float32)


def _slopes(image: np.ndarray) -> np.ndarray:
    """Return Scharr's derivatives along x and y: float32 [2, H, W, C], whole numbers."""
    height, width, channels = image.shape
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode="reflect").astype(np.float32)
    return _scharr(padded.reshape(height + 2, -1), channels).reshape(2, height, width, channels)


def _diagonal_slopes(image: np.ndarray) -> list[np.ndarray]:
    """Return the derivatives along both diagonals, float32 [H, W, C] each: those of the turned image, turned back."""
    height, width = image.shape[:2]
    _, _, columns, rows = cv2.RotatedRect((width / 2, height / 2), (width, height), 45.0).boundingRect()
    there = cv2.getRotationMatrix2D((width / 2, height / 2), 45.0, 1.0)
    there[:, 2] += columns / 2 - width / 2, rows / 2 - height / 2
    turned = _turned(image, cv2.invertAffineTransform(there), rows, columns)
    back = cv2.getRotationMatrix2D((float(columns // 2), float(rows // 2)), -45.0, 1.0)
    back[:, 2] -= (columns - width) // 2, (rows - height) // 2  # the part that lies on the image
    source = cv2.invertAffineTransform(back)
    return [_turned(slope, source, height, width) for slope in _slopes(np.rint(turned).astype(np.uint8))]


def _turned(image: np.ndarray, source: np.ndarray, height: int, width: int) -> np.ndarray:
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0))).astype(np.float32)
    return _sampled(padded, source, height, width)


@compiled
def _scharr(padded: np.ndarray, channels: int) -> np.ndarray:
    """Filter rows of interleaved channels: float32 [H + 2, (W + 2) * C] to [2, H, W * C]."""
    height, length = padded.shape[0] - 2, padded.shape[1] - 2 * channels
    slopes = np.empty((2, height, length), np.float32)
    three, ten = np.float32(3), np.float32(10)
    for i in range(height):
        along_x, along_y = slopes[0, i], slopes[1, i]
        above, here, below = padded[i], padded[i + 1], padded[i + 2]
        above_middle, below_middle = above[channels:], below[channels:]
        above_right, right, below_right = above[2 * channels :], here[2 * channels :], below[2 * channels :]
        for n in range(length):
            falling = below_right[n] - above[n]
            rising = above_right[n] - below[n]
            along_x[n] = three * (falling + rising) + ten * (right[n] - here[n])
            along_y[n] = three * (falling - rising) + ten * (below_middle[n] - above_middle[n])
    return slopes


@compiled
def _sampled(padded: np.ndarray, source: np.ndarray, height: int, width: int) -> np.ndarray:
    """Sample a picture bilinearly.

    Args:
        padded: float32 [h + 2, w + 2, C], with a border of 0; beyond it all is 0.
        source: float64 [2, 3]; (x, y) of the result is at source @ (x, y, 1) of the picture without its border.
        height, width: of the result.

    Returns:
        float32 [height, width, C].
    """
    rows, columns, channels = padded.shape
    result = np.zeros((height, width, channels), np.float32)
    for i in range(height):
        for j in range(width):
            x = source[0, 0] * j + source[0, 1] * i + source[0, 2] + 1
            y = source[1, 0] * j + source[1, 1] * i + source[1, 2] + 1
            if x < 0 or y < 0 or x >= columns - 1 or y >= rows - 1:
                continue
            left, top = np.uint32(x), np.uint32(y)
            right_share, lower_share = np.float32(x - left), np.float32(y - top)
            right, bottom = left + np.uint32(1), top + np.uint32(1)
            for c in range(channels):
                above = padded[top, left, c] + right_share * (padded[top, right, c] - padded[top, left, c])
                below = padded[bottom, left, c] + right_share * (padded[bottom, right, c] - padded[bottom, left, c])
                result[i, j, c] = above + lower_share * (below - above)
    return result


@compiled
def _bins(slopes: np.ndarray, up: np.ndarray, down: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return the bins of slopes [D, H, W * C], uint8 of the same shape.

    Args:
        up, down: [D, W * C], factors that bring what is positive, or negative, to levels of 0 to 255.
        first: uint8 [D, W * C], place of the first of the twenty bins.
    """
    bins = np.empty(slopes.shape, np.uint8)
    for d in range(slopes.shape[0]):
        for i in range(slopes.shape[1]):
            row, out = slopes[d, i], bins[d, i]
            for n in range(len(row)):
                level = np.int32(np.rint(row[n] * (up[d, n] if row[n] >= 0 else down[d, n])))
                within = level * 10 >> 8 if row[n] >= 0 else 10 + ((255 + level) * 10 >> 8)
                out[n] = first[d, n] + within
    return bins
