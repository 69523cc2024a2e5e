import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from src.datasets.mnist import parse, read_set, serialise
from src.errors import InputError
from src.ingest.archives import open_archive
from tests.ingest.test_archives import write_folder, write_tar, write_zip

IMAGES = np.arange(5 * 2 * 3, dtype=np.uint8).reshape(5, 2, 3)
LABELS = np.array([3, 0, 1, 1, 9], np.uint8)
FILES = {
    "train-images-idx3-ubyte": serialise(IMAGES),
    "train-labels-idx1-ubyte": serialise(LABELS),
    "t10k-images-idx3-ubyte": serialise(IMAGES[:2]),
    "t10k-labels-idx1-ubyte": serialise(LABELS[:2]),
}


@given(arrays(np.uint8, array_shapes(min_dims=1, max_dims=3, max_side=4)), st.booleans())
def test_what_is_written_is_read_back(array, packed) -> None:
    content = serialise(array)
    np.testing.assert_array_equal(parse(gzip.compress(content) if packed else content, array.ndim, "x"), array)


def test_the_header_is_that_of_the_published_format() -> None:
    assert serialise(IMAGES)[:16] == bytes.fromhex("00000803 00000005 00000002 00000003")
    assert serialise(LABELS) == bytes.fromhex("00000801 00000005 03 00 01 01 09")


@pytest.mark.parametrize("write", [write_folder, write_tar, write_zip])
@pytest.mark.parametrize(
    "rename",
    [
        lambda name: name,
        lambda name: f"MNIST/raw/{name}.gz",
        lambda name: name.replace("-idx", ".idx"),
        lambda name: f"emnist-letters-{name.replace('t10k', 'test')}.gz",
    ],
)
def test_any_set_in_the_format_gzipped_or_not(tmp_path: Path, write, rename) -> None:
    files = {
        rename(name): gzip.compress(content) if rename(name).endswith("gz") else content
        for name, content in FILES.items()
    }
    parts = read_set(open_archive(write(tmp_path / "set", {**files, "readme.txt": b"", "train-images.part": b""})))
    upright = (0, 2, 1) if "emnist" in rename("") else (0, 1, 2)  # EMNIST stores columns
    np.testing.assert_array_equal(parts["train"].images, IMAGES.transpose(upright))
    np.testing.assert_array_equal(parts["train"].labels, LABELS)
    np.testing.assert_array_equal(parts["test"].images, IMAGES[:2].transpose(upright))
    np.testing.assert_array_equal(parts["test"].labels, LABELS[:2])


def test_what_torchvision_leaves_raw_and_gzipped_is_one_set(tmp_path: Path) -> None:
    both = {f"MNIST/raw/{name}": content for name, content in FILES.items()}
    both |= {f"{name}.gz": gzip.compress(content) for name, content in both.items()}
    parts = read_set(open_archive(write_zip(tmp_path / "set.zip", both)))
    np.testing.assert_array_equal(parts["train"].images, IMAGES)
    other = {**both, "MNIST/raw/train-labels-idx1-ubyte.gz": gzip.compress(serialise(LABELS[::-1]))}
    with pytest.raises(InputError, match=r"set\.zip: .*ubyte and .*\.gz are both train labels: keep one"):
        read_set(open_archive(write_zip(tmp_path / "set.zip", other)))


TRAIN, TEST = "train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
HUGE = FILES[TRAIN][:4] + struct.pack(">3I", 2**32 - 1, 2**32 - 1, 2**32 - 1)
BAD = {
    "missing": ({TRAIN: None}, r"set has no train-images-idx3-ubyte, gzipped or not: add the file"),
    "test missing": ({TEST: None}, r"has no t10k-labels-idx1-ubyte.*add the file"),
    "twice": (
        {f"{TRAIN}.gz": b""},
        r"train-images-idx3-ubyte and train-images-idx3-ubyte\.gz are both train images: keep",
    ),
    "labels for images": ({TRAIN: FILES[TEST]}, r"train-images-idx3-ubyte begins with 00000801 instead of 00000803"),
    "a web page": ({TRAIN: b"<html>"}, r"train-images-idx3-ubyte begins with 3c68746d instead.*download it again"),
    "empty": ({TEST: b""}, r"t10k-labels-idx1-ubyte begins with nothing instead"),
    "numbers of another type": ({TEST: b"\0\0\x0d\x01" + bytes(8)}, "begins with 00000d01 instead"),
    "header cut": (
        {TRAIN: FILES[TRAIN][:9]},
        r"train-images-idx3-ubyte has 9 bytes.*truncated or damaged, so download it again",
    ),
    "truncated": ({TRAIN: FILES[TRAIN][:-1]}, r"has 45 bytes, which do not fit the sizes 5 x 2 x 3 in its header"),
    "too long": ({TRAIN: FILES[TRAIN] + b"x"}, r"has 47 bytes, which do not fit"),
    "no images": ({TRAIN: serialise(IMAGES[:0])}, r"the sizes 0 x 2 x 3 in its header"),
    "huge": ({TRAIN: HUGE}, "do not fit the sizes 4294967295 x"),
    "gzip cut": (
        {TEST: gzip.compress(FILES[TEST])[:-9]},
        r"t10k-labels-idx1-ubyte is truncated or damaged .*download it again",
    ),
    "gzip damaged": (
        {TEST: gzip.compress(FILES[TEST])[:-6] + b"wrong!"},
        r"is truncated or damaged .*download it again",
    ),
    "counts": (
        {TEST: serialise(LABELS)},
        r"t10k-images-idx3-ubyte has 2 images and t10k-labels-idx1-ubyte has 5 labels: use",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_error_that_names_file_and_remedy(tmp_path: Path, case) -> None:
    changes, message = BAD[case]
    files = {name: content for name, content in {**FILES, **changes}.items() if content is not None}
    with pytest.raises(InputError, match=message) as caught:
        read_set(open_archive(write_folder(tmp_path / "set", files)))
    assert str(tmp_path / "set") in str(caught.value)
    assert "\n" not in str(caught.value)
