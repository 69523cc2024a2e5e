"""Photos that a user hands over: found, decoded upright, and made no larger than the methods are quick on."""

import io
from collections.abc import Iterator, Sequence
from itertools import chain, count
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from src.errors import InputError

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
MAX_PIXELS = 100_000_000  # a larger one takes gigabytes before anything is seen of it


def find(inputs: Sequence[Path]) -> dict[str, Path]:
    """Photos by their ids, in the order given; those of a folder, and of the folders in it, are sorted.

    A file that is named is taken whatever its suffix, a folder's files where it is one of `SUFFIXES`. An id is the path
    below the folder, or the file's name, without suffix where that is not taken yet. No path comes twice.

    Returns:
        id -> path; empty where the folders hold no photo. A path that is not there is an `InputError`.
    """
    found: dict[str, Path] = {}
    seen: set[Path] = set()
    for path, name in (item for given in inputs for item in _files(given)):
        if path in seen:
            continue
        seen.add(path)
        free = chain([name.with_suffix("").as_posix(), name.as_posix()], (f"{name.as_posix()}-{n}" for n in count(2)))
        found[next(candidate for candidate in free if candidate not in found)] = path
    return found


def _files(given: Path) -> Iterator[tuple[Path, Path]]:
    if given.is_dir():
        for path in sorted(given.rglob("*")):
            if path.suffix.lower() in SUFFIXES and path.is_file():
                yield path.resolve(), path.relative_to(given)
    elif given.exists():
        yield given.resolve(), Path(given.name)
    else:
        raise InputError(f"there is no file or folder {given}")


def decode(content: bytes, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Encoded bytes as an upright RGB image, uint8 [H, W, 3].

    Differs: `src.files.prepared.decode_image` ignores the EXIF rotation, for boxes of data sets lie on the stored pixels.
    A photo of a telephone is turned upright here, as its owner sees it.

    Raises:
        InputError: no image, one that breaks off in its header, or one of more than `max_pixels`. The size is read from
            the header before anything is decoded.
    """
    try:
        with Image.open(io.BytesIO(content)) as header:  # OpenCV reads no header alone
            width, height = header.size
    except Image.DecompressionBombError:
        raise InputError(f"the image has more than {max_pixels / 1e6:.0f} million pixels") from None
    except Exception:  # Pillow's readers raise what they like at broken files: OSError, ValueError, SyntaxError, ...
        raise InputError("this is no image that can be read: JPEG, PNG, WebP, TIFF or BMP will do") from None
    if width * height > max_pixels:
        raise InputError(f"the image has {width} x {height} pixels, and {max_pixels / 1e6:.0f} million is the most")
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise InputError("this is no image that can be read: its header is one, what follows is not")
    return image


def shrink(image: np.ndarray, max_side: int) -> np.ndarray:
    """The image, or where a side is longer than `max_side` pixels, the image made smaller, its shape kept."""
    height, width = image.shape[:2]
    longest = max(height, width)
    if longest <= max_side:
        return image
    size = max(1, round(width * max_side / longest)), max(1, round(height * max_side / longest))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def enlarge(boxes: np.ndarray, seen: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Boxes [N, 4] of an image of `seen` (height, width) in the pixels of the photo of `size` that it was made from."""
    if seen == size:
        return boxes
    return boxes * np.array([size[1] / seen[1], size[0] / seen[0]] * 2, np.float32)
