"""Texture: the derivatives of an image in eight directions around each pixel (Uijlings et al. 2013, Sec. 3.2.2, Eq. 4).

Differs: the paper uses Gaussian derivatives. Like OpenCV, this module uses Scharr's derivatives along x and y, of the
image and of the image turned by 45 degrees. The sign splits these four derivatives into eight directions.

H, W, C: height, width and channels of a colour space.
"""

import cv2
import numpy as np

from src.selective_search.compiled import compiled

BINS = 10  # per direction and channel
ROUNDING = np.float32(1.5 * 2**23)  # adding and subtracting it rounds a small float32 to a whole number, like np.rint


def texture_bins(space: np.ndarray) -> np.ndarray:
    """Sort the derivatives into bins of equal width, from 0 to the most extreme value of each sign in the image.

    Args:
        space: uint8 [H, W, C].

    Returns:
        uint8 [4, H, W, C], the index of each derivative's bin in a histogram of 4 * C * 20 bins. Each derivative has
        twenty bins: ten from 0 to its highest value, and ten from its lowest value to just below 0.
    """
    height, width, channels = space.shape
    slopes = derivatives(space).reshape(4, height, width * channels)
    highest, lowest = slopes.max(axis=1), -slopes.min(axis=1)  # per column here, per image in the next line
    up, down = (_levels(extreme.reshape(4, width, channels).max(axis=1)) for extreme in (highest, lowest))
    first = np.arange(4 * channels, dtype=np.float32).reshape(4, channels) * (2 * BINS)
    bins = _bins(slopes, *(np.tile(row, width) for row in (up, down, first)))
    return bins.reshape(4, height, width, channels)


def both_signs(histograms: np.ndarray) -> np.ndarray:
    """Turn histograms of `texture_bins` into histograms of all eight directions.

    A positive derivative counts as 0 in the negative direction, and a negative one as 0 in the positive direction.

    Args:
        histograms: [R, 4 * C * 20], pixels in each bin.

    Returns:
        the same shape; the ten bins of each direction add up to the number of pixels of the region.
    """
    parts = histograms.reshape(len(histograms), -1, 2, BINS)
    whole = parts.copy()
    whole[:, :, 0, 0] += parts[:, :, 1].sum(axis=2, dtype=parts.dtype)
    whole[:, :, 1, -1] += parts[:, :, 0].sum(axis=2, dtype=parts.dtype)
    return whole.reshape(histograms.shape)


def _levels(extreme: np.ndarray) -> np.ndarray:
    """Return the factor that scales derivatives from 0..extreme to 0..255; 0 if the extreme is not positive."""
    return np.where(extreme > 0, np.float32(255) / np.where(extreme > 0, extreme, 1), 0).astype(np.float32)


def derivatives(space: np.ndarray) -> np.ndarray:
    """Return the derivatives along x, y and both diagonals: float32 [4, H, W, C].

    The derivatives along the diagonals are computed in the turned image and turned back.
    """
    height, width, channels = space.shape
    slopes = np.zeros((4, height, width, channels), np.float32)
    _scharr(_mirrored(space), channels, slopes[:2].reshape(2, height, -1), 0)
    _, _, columns, rows = cv2.RotatedRect((width / 2, height / 2), (width, height), 45.0).boundingRect()
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 45.0, 1.0)
    turn[:, 2] += columns / 2 - width / 2, rows / 2 - height / 2
    turn_back = cv2.getRotationMatrix2D((float(columns // 2), float(rows // 2)), -45.0, 1.0)
    turn_back[:, 2] -= (columns - width) // 2, (rows - height) // 2  # keep the part that lies on the image
    turned = np.zeros((1, rows, columns, channels), np.float32)
    padded = np.pad(space, ((1, 1), (1, 1), (0, 0))).astype(np.float32)
    _interpolate(padded[None], cv2.invertAffineTransform(turn), turned)
    np.rint(turned, out=turned)
    turned_slopes = np.zeros((2, rows + 2, columns + 2, channels), np.float32)
    _scharr(_mirrored(turned[0]), channels, turned_slopes.reshape(2, rows + 2, -1), 1)
    _interpolate(turned_slopes, cv2.invertAffineTransform(turn_back), slopes[2:])
    return slopes


def _mirrored(image: np.ndarray) -> np.ndarray:
    """Pad an image by one mirrored pixel on each side: float32 [H + 2, (W + 2) * C]."""
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode="reflect").astype(np.float32, copy=False)
    return padded.reshape(len(padded), -1)


@compiled
def _scharr(padded: np.ndarray, channels: int, slopes: np.ndarray, margin: int) -> None:
    """Compute Scharr's derivatives along x and y; they are whole numbers if the pixels are.

    Args:
        padded: float32 [H + 2, (W + 2) * C], rows of interleaved channels.
        slopes: float32 [2, H + 2 * margin, (W + 2 * margin) * C], the output; the margin is not written.
    """
    length = padded.shape[1] - 2 * channels
    three, ten = np.float32(3), np.float32(10)
    for i in range(padded.shape[0] - 2):
        along_x, along_y = slopes[0, i + margin, margin * channels :], slopes[1, i + margin, margin * channels :]
        above, row, below = padded[i], padded[i + 1], padded[i + 2]
        above_middle, below_middle = above[channels:], below[channels:]
        above_right, right, below_right = above[2 * channels :], row[2 * channels :], below[2 * channels :]
        for n in range(length):
            falling = below_right[n] - above[n]
            rising = above_right[n] - below[n]
            along_x[n] = three * (falling + rising) + ten * (right[n] - row[n])
            along_y[n] = three * (falling - rising) + ten * (below_middle[n] - above_middle[n])


@compiled
def _interpolate(padded: np.ndarray, source: np.ndarray, result: np.ndarray) -> None:
    """Interpolate planes bilinearly.

    Args:
        padded: float32 [D, h + 2, w + 2, C], with a border of 0.
        source: float64 [2, 3]; (x, y) of the result is read at source @ (x, y, 1) of the plane without its border.
        result: float32 [D, H, W, C], the output; 0 beyond the border.
    """
    planes, rows, columns, channels = padded.shape
    flat = padded.reshape(planes, rows * columns * channels)
    line, pixel = np.uint64(columns * channels), np.uint64(channels)
    width = result.shape[2]
    corner = np.zeros(width, np.uint64)  # index in a plane of the pixel above left of each point
    right, low = np.zeros(width, np.float32), np.zeros(width, np.float32)  # weights of the pixels right and below
    for i in range(result.shape[1]):
        for j in range(width):
            x = source[0, 0] * j + source[0, 1] * i + source[0, 2] + 1
            y = source[1, 0] * j + source[1, 1] * i + source[1, 2] + 1
            inside = x >= 0 and y >= 0 and x < columns - 1 and y < rows - 1
            left, top = (int(x), int(y)) if inside else (0, 0)  # if outside, a corner of the border, which is 0
            corner[j] = (top * columns + left) * channels
            right[j], low[j] = (x - left, y - top) if inside else (0.0, 0.0)
        for d in range(planes):
            plane = flat[d]
            for c in range(channels):
                for j in range(width):
                    upper = corner[j] + np.uint64(c)
                    lower = upper + line
                    above = plane[upper] + right[j] * (plane[upper + pixel] - plane[upper])
                    below = plane[lower] + right[j] * (plane[lower + pixel] - plane[lower])
                    result[d, i, j, c] = above + low[j] * (below - above)


@compiled
def _bins(slopes: np.ndarray, up: np.ndarray, down: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return the bins of slopes [D, H, W * C], uint8 of the same shape.

    Args:
        up, down: [D, W * C], factors that scale positive and negative slopes to levels of 0 to 255.
        first: float32 [D, W * C], index of the first of the twenty bins.
    """
    bins = np.empty(slopes.shape, np.uint8)
    zero, top, width, other = np.float32(0), np.float32(255), np.float32(BINS / 256), np.float32(BINS)
    for d in range(slopes.shape[0]):
        rising, falling, start = up[d], down[d], first[d]
        for i in range(slopes.shape[1]):
            row, out = slopes[d, i], bins[d, i]
            for n in range(len(row)):
                falls = row[n] < zero
                level = (row[n] * (falling[n] if falls else rising[n]) + ROUNDING) - ROUNDING
                within = (top + level if falls else level) * width + (other if falls else zero)
                out[n] = np.int32(start[n] + within)
    return bins
