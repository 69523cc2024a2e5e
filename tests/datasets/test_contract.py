"""The contract of every file in src/datasets; it also runs over each new file."""

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ruamel.yaml import YAML

from commands.write_deps import ROOT
from src import plugins
from src.errors import InputError
from src.files.boxed_images import BoxedImages
from src.files.labelled_images import LabelledImages
from src.ingest.source import Source
from src.params import ParamsError
from tests.ingest.test_archives import write_zip

SECTIONS = YAML(typ="safe").load((ROOT / "params.yaml").read_text())["data"]
NAMES = plugins.names("datasets")
SMALLER: dict[str, Any] = {  # samples that take less than a second to draw
    "gesture": {"sample": {"per_class": 6, "people": 6}},
    "voc": {"sample": {"train": 4, "val": 2, "test": 2, "extra": 2}},
}
READERS = {"boxes": BoxedImages, "labels": LabelledImages}
each = pytest.mark.parametrize("name", NAMES)


def made(name: str, **changes: object) -> tuple[ModuleType, Any]:
    return plugins.section("datasets", {name: {**SECTIONS[name], **SMALLER.get(name, {}), **changes}}, name)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write the sample of each data set as its stage does."""
    folders = {}
    for name in NAMES:
        folders[name] = tmp_path_factory.mktemp(name)
        module, section = made(name)
        assert sorted(module.fetch(section, folders[name], seed=3, jobs=1)) == sorted(folders[name].iterdir())
    return folders


def test_there_is_a_section_for_each_file_and_a_file_for_each_section() -> None:
    assert set(SECTIONS) == set(NAMES)


@each
def test_the_section_says_where_the_data_come_from(name: str) -> None:
    module, section = made(name)
    assert issubclass(module.Params, Source)
    assert section.source == "sample", "a fresh clone must run without a network and without local files"
    assert made(name, source="local", path="x")[1].path == "x"
    with pytest.raises(ParamsError, match="path must name a tar, a zip or a folder .+"):
        made(name, source="local", path=None)
    with pytest.raises(ParamsError, match="speed"):
        made(name, speed=1)


@each
def test_what_is_prepared_can_be_read_and_no_image_is_in_two_splits(name: str, raw: dict, tmp_path: Path) -> None:
    module, section = made(name)
    data = module.prepare(raw[name], section, 1)
    data.write(tmp_path / "set.zip")
    read = READERS[module.TASK](tmp_path / "set.zip")
    assert read.classes == data.classes
    assert read.splits == data.splits
    assert len(read.ids("train", "val", "test")) == sum(len(read.ids(split)) for split in ("train", "val", "test"))
    assert set(read.ids(*read.splits)) == set(data.images)
    for split in ("train", "val", "test"):
        image = read.image(read.ids(split)[0])
        assert image.ndim == 3
        assert image.shape[2] == 3
    if module.TASK == "labels":
        assert {read.label(image_id) for image_id in read.ids("train")} == set(range(len(read.classes)))
    assert str(len(data.images)) in data.summary()
    assert "\n" not in data.summary()


@each
def test_the_same_seed_and_section_make_the_same_bytes(name: str, raw: dict, tmp_path: Path) -> None:
    module, section = made(name)
    again = tmp_path / "raw"
    again.mkdir()
    module.fetch(section, again, seed=3, jobs=1)
    assert {path.name: path.read_bytes() for path in again.iterdir()} == {
        path.name: path.read_bytes() for path in raw[name].iterdir()
    }
    for number, folder in enumerate((raw[name], again)):
        module.prepare(folder, section, 1).write(tmp_path / f"{number}.zip")
    assert (tmp_path / "0.zip").read_bytes() == (tmp_path / "1.zip").read_bytes()


@each
def test_an_archive_of_something_else_is_one_error_that_names_it(name: str, tmp_path: Path) -> None:
    write_zip(tmp_path / "local.zip", {"letters/a.txt": b"a", "letters/b.txt": b"b"})
    module, section = made(name, source="local", path="mine.zip")
    with pytest.raises(InputError, match=r"mine\.zip has no") as caught:
        module.prepare(tmp_path, section, 1)
    assert "\n" not in str(caught.value)
