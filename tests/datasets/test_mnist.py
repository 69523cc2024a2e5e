import gzip
import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.datasets import load_digits
from torchvision.datasets import MNIST

from src.datasets import mnist
from src.datasets.mnist import read_set, serialise
from src.errors import InputError
from src.files.labelled_images import LabelledImages
from src.ingest.archives import open_archive
from tests.files.test_download import mirror  # noqa: F401 (a fixture)
from tests.ingest.test_archives import write_folder, write_tar

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (40, 5, 4), np.uint8)
LABELS = np.arange(40, dtype=np.uint8) % 4
SECTION = {
    "source": "local",
    "path": "mine",
    "split": {"rule": "fraction", "seed": 0, "fraction": {"val": 0.2}, "every_nth": 5},
    "limit": None,
}


def files(labels: np.ndarray = LABELS, test_labels: np.ndarray = LABELS[:8]) -> dict[str, bytes]:
    return {
        "train-images-idx3-ubyte": serialise(IMAGES[: len(labels)]),
        "train-labels-idx1-ubyte": serialise(labels),
        "t10k-images-idx3-ubyte": serialise(IMAGES[: len(test_labels)]),
        "t10k-labels-idx1-ubyte": serialise(test_labels),
    }


def prepared(path: Path, content: dict[str, bytes], **changes: object) -> LabelledImages:
    write_tar(path / "local.tar", content)
    mnist.prepare(path, mnist.Params.model_validate({**SECTION, **changes}), 1).write(path / "set.zip")
    (path / "local.tar").unlink()
    return LabelledImages(path / "set.zip")


def test_images_are_kept_as_they_are_under_the_numbers_they_have_in_the_files(tmp_path: Path) -> None:
    data = prepared(tmp_path, files())
    assert data.classes == ["0", "1", "2", "3"]
    assert {name: len(ids) for name, ids in data.splits.items()} == {"train": 32, "val": 8, "test": 8}
    assert data.ids("test")[:2] == ["test/00001", "test/00002"]
    assert sorted(data.ids("train", "val")) == [f"train/{number:05d}" for number in range(1, 41)]
    for image_id in data.ids("train", "val", "test"):
        number = int(image_id.split("/")[1]) - 1
        assert data.label(image_id) == LABELS[number]
        for channel in range(3):
            np.testing.assert_array_equal(data.image(image_id)[:, :, channel], IMAGES[number])


def test_classes_are_the_labels_that_are_there(tmp_path: Path) -> None:
    data = prepared(tmp_path, files(LABELS * 3 + 1, LABELS[:4] * 3 + 1))
    assert data.classes == ["1", "4", "7", "10"]
    assert data.label("train/00003") == 2
    with pytest.raises(InputError, match="label 4 is in the t10k files and not in the train files"):
        prepared(tmp_path, files(LABELS, LABELS[:4] + 1))


def test_the_rules_of_splitting(tmp_path: Path) -> None:
    data = prepared(tmp_path, files(), split={**SECTION["split"], "rule": "every_nth"}, limit=10)  # type: ignore[dict-item]
    assert data.ids("val") == [f"train/{number:05d}" for number in range(1, 41, 5)]
    assert len(data.ids("train")) == 10
    assert len(data.ids("test")) == 8
    with pytest.raises(InputError, match=r"data\.mnist\.limit = 3: there are 4 classes"):
        prepared(tmp_path, files(), limit=3)
    with pytest.raises(InputError, match=r"data\.mnist\.split\.rule = 'fraction' leaves no image for val"):
        prepared(tmp_path, files(LABELS[:4]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"path": None}, "path must name a tar, a zip or a folder with the four idx files"),
        ({"split": {**SECTION["split"], "rule": "pattern"}}, "'fraction' or 'every_nth'"),  # type: ignore[dict-item]
        ({"split": {**SECTION["split"], "fraction": {"val": 1.0}}}, "less than 1"),  # type: ignore[dict-item]
        ({"limit": 0}, "greater than or equal to 1"),
    ],
)
def test_a_wrong_parameter_is_refused(changes, message) -> None:
    with pytest.raises(ValidationError, match=message):
        mnist.Params.model_validate({**SECTION, **changes})


def test_the_sample_is_scikit_learns_digits_each_once(tmp_path: Path) -> None:
    parts = read_set(open_archive(write_folder(tmp_path, mnist.sample(0))))
    assert {part: len(examples.labels) for part, examples in parts.items()} == {"train": 1438, "test": 359}
    digits = load_digits()
    expected = sorted(zip((digits.images / 16).round(2).reshape(-1, 64).tolist(), digits.target.tolist(), strict=True))
    found = [
        ((image / 255).round(2).ravel().tolist(), int(label))
        for examples in parts.values()
        for image, label in zip(examples.images, examples.labels, strict=True)
    ]
    assert [label for _, label in sorted(found)] == [label for _, label in expected]
    np.testing.assert_allclose([image for image, _ in sorted(found)], [image for image, _ in expected], atol=0.011)
    shares = [
        Counter(parts["test"].labels.tolist())[label] / Counter(digits.target.tolist())[label] for label in range(10)
    ]
    assert max(abs(share - 0.2) for share in shares) < 0.005
    assert mnist.sample(0) == mnist.sample(0) != mnist.sample(1)


def test_official_files_are_fetched_once_from_the_mirror_that_has_them(mirror, tmp_path, monkeypatch) -> None:  # noqa: F811
    dead, server = mirror(), mirror()
    dead.status = 404
    published = f"md5:{hashlib.md5(server.content).hexdigest()}", len(server.content)
    monkeypatch.setattr(mnist, "OFFICIAL", dict.fromkeys(mnist.OFFICIAL, published))
    monkeypatch.setattr(mnist, "MIRRORS", [item.url.rsplit("/", 1)[0] + "/{name}" for item in (dead, server)])
    section = mnist.Params.model_validate({**SECTION, "source": "official"})
    for _ in range(2):
        kept = mnist.fetch(section, tmp_path, seed=0, jobs=1)
        assert sorted(path.name for path in kept) == sorted(mnist.OFFICIAL)
        assert {path.read_bytes() for path in kept} == {server.content}
    assert len(server.ranges) == len(dead.ranges) == 4
    server.status = 503
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(InputError, match=r"t10k-labels-idx1-ubyte\.gz.*503.*data\.mnist\.source to local"):
        mnist.fetch(section, tmp_path, seed=0, jobs=1)


def test_every_official_file_has_mirrors() -> None:
    urls = {url.format(name=name) for url in mnist.MIRRORS for name in mnist.OFFICIAL}
    assert len(urls) == 8
    assert "https://ossci-datasets.s3.amazonaws.com/mnist/t10k-labels-idx1-ubyte.gz" in urls


@pytest.mark.real
def test_the_real_files_have_the_published_checksums(shared_data: Path) -> None:
    for name, (checksum, size) in mnist.OFFICIAL.items():
        content = (shared_data / "mnist" / name).read_bytes()
        assert ("md5:" + hashlib.md5(content).hexdigest(), len(content)) == (checksum, size)


@pytest.mark.real
def test_the_real_images_are_those_that_torchvision_reads(shared_data: Path, tmp_path: Path) -> None:
    parts = read_set(open_archive(shared_data / "mnist"))
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for path in (shared_data / "mnist").glob("*.gz"):
        (raw / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    for part, count in (("train", 60_000), ("test", 10_000)):
        oracle = MNIST(str(tmp_path), train=part == "train")
        assert len(parts[part].images) == len(parts[part].labels) == count
        np.testing.assert_array_equal(parts[part].images, oracle.data.numpy())
        np.testing.assert_array_equal(parts[part].labels, oracle.targets.numpy())


@pytest.mark.real
def test_the_real_set_is_prepared_as_official_files_lie_loose_in_their_folder(
    shared_data: Path, tmp_path: Path
) -> None:
    section = mnist.Params.model_validate({**SECTION, "source": "official", "limit": 500})
    data = mnist.prepare(shared_data / "mnist", section, 1)
    assert data.summary() == "22500 images (train 500, val 12000, test 10000) of 10 classes"
    data.write(tmp_path / "mnist.zip")
    read = LabelledImages(tmp_path / "mnist.zip")
    image_id = read.ids("train")[0]
    oracle = read_set(open_archive(shared_data / "mnist"))["train"].images[int(image_id[6:]) - 1]
    np.testing.assert_array_equal(read.image(image_id)[:, :, 0], oracle)
    assert set(Counter(read.label(image_id) for image_id in read.ids("train")).values()) <= set(range(43, 58))
