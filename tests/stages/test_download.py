import hashlib
from functools import partial
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from commands.write_deps import ROOT
from src.datasets import voc
from src.errors import InputError
from src.ingest.drawn import voc as drawn_voc
from stages import download
from tests.files.test_download import CONTENT, mirror  # noqa: F401 (a fixture)
from tests.files.test_room import leave
from tests.ingest.test_archives import contents, write_folder, write_tar, write_zip
from tests.ingest.test_own_splits import SPLIT
from tests.ingest.voc.test_reader import members


def params(**changes: object) -> download.Params:
    section = {
        "source": "local",
        "path": None,
        "format": "auto",
        "split": SPLIT,
        "years": [2007],
        "classes": None,
        "other_classes": "drop",
        "limit": None,
        "tolerance": 2.0,
        "bad": "error",
        "sample": {"train": 1, "val": 1, "test": 1, "extra": 1},
    }
    return download.Params.model_validate({"sample_seed": 3, "data": {"voc": {**section, **changes}}})


def run(out: Path, **changes: object) -> list[str]:
    download.run(params(**changes), dataset="voc", out=out)
    return sorted(path.name for path in out.iterdir())


@pytest.fixture
def official(mirror, monkeypatch):  # noqa: F811
    """The official files, as another content at a server of our own."""
    server = mirror()
    published = f"md5:{hashlib.md5(CONTENT).hexdigest()}", len(CONTENT)
    files = {year: dict.fromkeys(names, published) for year, names in voc.OFFICIAL.items()}
    monkeypatch.setattr(voc, "OFFICIAL", files)
    monkeypatch.setattr(voc, "MIRRORS", [server.url.replace("voc2007", "voc{year}").rsplit("/", 1)[0] + "/{name}"])
    return server


@pytest.mark.parametrize("write", [write_folder, write_tar, write_zip, partial(write_tar, mode="w:gz")])
def test_local_is_copied_and_not_altered(tmp_path, write) -> None:
    source = write(tmp_path / "mine", members())
    before = {path: (path.stat().st_mtime_ns, path.stat().st_nlink) for path in [source, *source.rglob("*")]}
    names = run(tmp_path / "raw", path=str(source))
    assert names == (["local.zip"] if write is write_zip else ["local.tar"])
    assert contents(tmp_path / "raw" / names[0]) == members()
    assert {path: (path.stat().st_mtime_ns, path.stat().st_nlink) for path in before} == before


@pytest.mark.parametrize("write", [write_folder, write_tar, write_zip])
def test_local_is_the_same_for_every_data_set(tmp_path, write) -> None:
    section = YAML(typ="safe").load((ROOT / "params.yaml").read_text())["data"]["mnist"]
    source = write(tmp_path / "mine", {"train-images-idx3-ubyte": b"1"})
    for path in (str(source), "nowhere"):
        data = {"mnist": {**section, "source": "local", "path": path}}
        here = download.Params.model_validate({"sample_seed": 0, "data": data})
        if path == "nowhere":
            with pytest.raises(InputError, match=r"data\.mnist\.path = nowhere: there is no such file"):
                download.run(here, dataset="mnist", out=tmp_path / "raw")
        else:
            download.run(here, dataset="mnist", out=tmp_path / "raw")
    (stored,) = (tmp_path / "raw").iterdir()
    assert contents(stored) == {"train-images-idx3-ubyte": b"1"}


def test_an_unknown_data_set_is_an_error_that_lists_those_there_are(tmp_path) -> None:
    with pytest.raises(InputError, match=r"there is no src/datasets/cifar\.py; known datasets: gesture, mnist, voc"):
        download.run(params(), dataset="cifar", out=tmp_path)


def test_a_path_that_is_not_there_is_an_error_that_says_how_to_give_it(tmp_path) -> None:
    with pytest.raises(InputError, match=r"data\.voc\.path = data/mine\.tar: .*absolute path"):
        run(tmp_path / "raw", path="data/mine.tar")


def test_data_of_ones_own_in_the_folder_that_is_cleared_are_refused_and_stay(tmp_path) -> None:
    source = write_tar(tmp_path / "mine.tar", members())
    for path, out in ((source, tmp_path), (tmp_path, tmp_path / "raw")):
        with pytest.raises(InputError, match="overlaps"):
            run(out, path=str(path))
    assert source.exists()


def test_official_files_are_fetched_once(official, tmp_path) -> None:
    expected = ["VOCtest_06-Nov-2007.tar", "VOCtrainval_06-Nov-2007.tar"]
    for _ in range(2):
        assert run(tmp_path, source="official") == expected
    assert len(official.ranges) == 2
    assert run(tmp_path, source="official", years=[2012, 2007]) == [*expected, "VOCtrainval_11-May-2012.tar"]
    assert len(official.ranges) == 3


def test_an_official_part_is_resumed(official, tmp_path) -> None:
    (tmp_path / "VOCtrainval_06-Nov-2007.tar.part").write_bytes(CONTENT[:1000])
    run(tmp_path, source="official")
    assert official.ranges == ["bytes=1000-", None]


def test_all_mirrors_dead_says_how_to_use_local_and_leaves_everything(official, tmp_path) -> None:
    official.status = 404
    before = {"sample.tar": b"sample", "VOCtest_06-Nov-2007.tar.part": b"part"}
    write_folder(tmp_path, before)
    with pytest.raises(InputError, match=r"VOCtrainval_06-Nov-2007\.tar.*404.*data\.voc\.source to local"):
        run(tmp_path, source="official")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_another_source_left_is_removed_at_the_end(official, tmp_path) -> None:
    raw = tmp_path / "raw"
    run(raw, source="official")
    write_folder(raw, {"VOCtest_06-Nov-2007.tar.part": b"part", ".local.tar.7.tmp": b"killed"})
    broken = tmp_path / "broken.tar"
    broken.write_bytes(b"no tar")
    with pytest.raises(InputError, match=r"broken\.tar"):
        run(raw, path=str(broken))
    assert len(list(raw.iterdir())) == 4
    assert run(raw, path=str(write_zip(tmp_path / "mine.zip", members()))) == ["local.zip"]
    assert run(raw, path=str(write_tar(tmp_path / "mine.tar", members()))) == ["local.tar"]


def test_the_sample_is_drawn_in_the_layout(tmp_path) -> None:
    assert run(tmp_path, source="sample") == ["sample.tar"]
    data = voc.prepare(tmp_path, voc.Params.model_validate(params(source="sample").data["voc"]), 1)
    counts = {"train": 1, "val": 1, "trainval": 2, "test": 1, "extra": 1, "train_extra": 2}
    assert {name: len(ids) for name, ids in data.splits.items()} == counts


def test_the_sample_depends_on_the_seed_alone(tmp_path, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(
        drawn_voc, "draw", lambda path, sizes, seed, jobs: asked.append((sizes, seed)) or path.write_bytes(b"")
    )
    run(tmp_path, source="sample")
    assert asked == [({"train": 1, "val": 1, "test": 1, "extra": 1}, 3)]


@pytest.mark.parametrize("write", [write_folder, write_zip])
def test_what_is_hidden_is_told(tmp_path, capsys, write) -> None:
    hidden = {".git/HEAD": b"?", ".git/config": b"?", "VOCdevkit/.DS_Store": b"?"}
    run(tmp_path / "raw", path=str(write(tmp_path / "mine", {**members(), **hidden})))
    assert "hidden files and folders are left out: .git, VOCdevkit/.DS_Store\n" in capsys.readouterr().out


@pytest.mark.parametrize("write", [write_folder, write_tar, partial(write_tar, mode="w:gz")])
def test_a_copy_that_does_not_fit_is_refused_before_it_is_begun(tmp_path, monkeypatch, write) -> None:
    source = write(tmp_path / "mine", members())
    for free in (10, 10**9):
        leave(monkeypatch, free)
        if free == 10:
            with pytest.raises(InputError, match=r"raw needs .* for a copy of .*mine and has 10 bytes free: make room"):
                run(tmp_path / "raw", path=str(source))
            assert list((tmp_path / "raw").iterdir()) == []
        else:
            assert run(tmp_path / "raw", path=str(source)) == ["local.tar"]


def test_a_download_that_does_not_fit_is_refused_before_a_byte_comes(official, tmp_path, monkeypatch) -> None:
    (tmp_path / "VOCtrainval_06-Nov-2007.tar.part").write_bytes(CONTENT[:100_000])
    leave(monkeypatch, len(CONTENT) - 100_001)
    with pytest.raises(InputError, match=r"needs 300\.0 kB for the download of VOCtrainval_\S+ and has 300\.0 kB"):
        run(tmp_path, source="official")
    assert official.ranges == []
    leave(monkeypatch, len(CONTENT))
    assert run(tmp_path, source="official")


def test_a_sample_that_does_not_fit_is_refused_before_an_image_is_drawn(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(drawn_voc, "_drawn", lambda *_: pytest.fail("an image was drawn"))
    many = {"train": 100_000, "val": 1, "test": 1, "extra": 1}
    leave(monkeypatch, 10**9)
    with pytest.raises(InputError, match=r"needs 1\.6 GB for the drawn images .* or lower data\.voc\.sample"):
        run(tmp_path, source="sample", sample=many)
    leave(monkeypatch, 10**10, memory=10**9)
    with pytest.raises(InputError, match=r"the drawn images need 1\.6 GB of memory and 1\.0 GB are free"):
        run(tmp_path, source="sample", sample=many)
