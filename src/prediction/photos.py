"""Photos of a user: their files are found, decoded upright, and shrunk to a size that the methods process quickly."""

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, count
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps

from src.errors import InputError

SUFFIXES = (".bmp", ".jfif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
MAX_PIXELS = 100_000_000  # a larger image takes gigabytes of memory before there is any result
BROKEN = "this is not a readable image: its header is valid, but its content cannot be decoded"


def find(inputs: Sequence[Path]) -> dict[str, Path]:
    """Find photos by id, in the order given; those of a folder, with its subfolders, are sorted.

    A file that is named may have any suffix. From a folder, only files with one of `SUFFIXES` are used. An id is the
    path below the folder, or the file's name, without the suffix if that id is still free. No path occurs twice.

    Returns:
        id -> path; empty if the folders hold no photo.

    Raises:
        InputError: a path does not exist.
    """
    photos: dict[str, Path] = {}
    paths: set[Path] = set()
    for path, name in (item for given in inputs for item in _files(given)):
        if path in paths:
            continue
        paths.add(path)
        names = chain([name.with_suffix("").as_posix(), name.as_posix()], (f"{name.as_posix()}-{n}" for n in count(2)))
        photos[next(candidate for candidate in names if candidate not in photos)] = path
    return photos


def passed_over(inputs: Sequence[Path]) -> dict[str, int]:
    """Count the files that `find` ignores in folders, by suffix in lower case; a file without a suffix has "".

    Hidden files and folders, whose names begin with a dot, do not count. No folder gives an empty dictionary.
    """
    below = ((given, path) for given in inputs if given.is_dir() for path in given.rglob("*") if path.is_file())
    shown = (path for given, path in below if not any(part.startswith(".") for part in path.relative_to(given).parts))
    suffixes = Counter(path.suffix.lower() for path in shown)
    return {suffix: suffixes[suffix] for suffix in sorted(suffixes) if suffix not in SUFFIXES}


def _files(given: Path) -> Iterator[tuple[Path, Path]]:
    if given.is_dir():
        for path in sorted(given.rglob("*")):
            if path.suffix.lower() in SUFFIXES and path.is_file():
                yield path.resolve(), path.relative_to(given)
    elif given.exists() and not given.is_file():
        raise InputError(f"{given} is a pipe or a device: give an image, a video or a folder")
    elif given.exists():
        yield given.resolve(), Path(given.name)
    else:
        raise InputError(f"there is no file or folder {given}")


def decode(content: bytes, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode the bytes of a file into an upright RGB image, uint8 [H, W, 3].

    This function applies the EXIF rotation of a phone's photo, so that it is upright, as its owner sees it.
    `src.files.prepared.decode_image` ignores the rotation, because boxes of data sets refer to the stored pixels.
    Transparent pixels are laid on white: the colours that lie below transparency are invisible, and often black.

    Raises:
        InputError: the bytes are not an image, its header is incomplete, or it has more than `max_pixels`. The size is
            read from the header before anything is decoded.
    """
    try:
        with Image.open(io.BytesIO(content)) as header:  # OpenCV cannot read the header alone
            width, height = header.size
            transparent = header.has_transparency_data
    except Image.DecompressionBombError:
        raise InputError(f"the image has more than {max_pixels / 1e6:.0f} million pixels") from None
    except Exception:  # for broken files, Pillow raises OSError, ValueError, SyntaxError and others
        raise InputError("this is not a readable image; use JPEG, PNG, WebP, TIFF or BMP") from None
    if width * height > max_pixels:
        raise InputError(f"the image has {width} x {height} pixels; at most {max_pixels / 1e6:.0f} million are allowed")
    if transparent:
        return _on_white(content)
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error:  # it reads another size from the header than Pillow
        raise InputError(BROKEN) from None
    if image is None:
        raise InputError(BROKEN)
    return image


def _on_white(content: bytes) -> np.ndarray:
    """Decode an image with transparency into an upright RGB image on white paper, uint8 [H, W, 3]."""
    try:
        with Image.open(io.BytesIO(content)) as stored:
            image = ImageOps.exif_transpose(stored).convert("RGBA")
    except Exception:  # as in `decode`
        raise InputError(BROKEN) from None
    return np.array(Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB"))


def shrink(image: np.ndarray, max_side: int) -> np.ndarray:
    """Return the image; if a side is longer than `max_side` pixels, it is scaled down with its aspect ratio kept."""
    height, width = image.shape[:2]
    longest = max(height, width)
    if longest <= max_side:
        return image
    size = max(1, round(width * max_side / longest)), max(1, round(height * max_side / longest))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def enlarge(boxes: np.ndarray, shrunk: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Convert boxes [N, 4] from pixels of a shrunk image to pixels of its photo; N may be 0.

    Args:
        boxes: in the shrunk image.
        shrunk: (height, width) of the shrunk image.
        size: (height, width) of the photo.
    """
    if shrunk == size:
        return boxes
    return boxes * np.array([size[1] / shrunk[1], size[0] / shrunk[0]] * 2, np.float32)
