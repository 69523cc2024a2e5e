import gzip
import io
import os
import random
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from src.errors import InputError
from src.ingest.archives import open_archive, pack_folder, store

MEMBERS = {
    "VOCdevkit/VOC2007/Annotations/000005.xml": b"<annotation/>",
    "VOCdevkit/VOC2007/JPEGImages/000005.jpg": bytes(range(256)) * 9,
    "VOCdevkit/VOC2007/ImageSets/Main/test.txt": b"",
}

NOISE = random.Random(0).randbytes(9999)


def write_folder(path: Path, members: dict[str, bytes]) -> Path:
    for name, content in members.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def write_tar(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def contents(path: Path) -> dict[str, bytes]:
    archive = open_archive(path)
    return {name: archive.read(name) for name in archive.names()}


FORMS = {"folder": write_folder, "set.tar": write_tar, "set.zip": write_zip}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_members_in_sorted_order(tmp_path, form) -> None:
    archive = open_archive(FORMS[form](tmp_path / form, MEMBERS))
    assert archive.names() == sorted(MEMBERS)
    assert {name: archive.read(name) for name in reversed(archive.names())} == MEMBERS


@pytest.mark.parametrize("form", FORMS)
def test_reading_leaves_nothing_on_disk(tmp_path, form) -> None:
    path = FORMS[form](tmp_path / form, MEMBERS)
    before = sorted(tmp_path.rglob("*"))
    contents(path)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("form", FORMS)
def test_what_macos_adds_is_left_out(tmp_path, form) -> None:
    added = {"__MACOSX/VOC2007/Annotations/000005.xml": b"?", "Annotations/._000005.xml": b"?", ".DS_Store": b"?"}
    assert contents(FORMS[form](tmp_path / form, {**MEMBERS, **added})) == MEMBERS


def test_a_tar_of_the_present_folder_has_the_same_names(tmp_path) -> None:
    write_tar(tmp_path / "set.tar", {f"./{name}": content for name, content in MEMBERS.items()})
    assert contents(tmp_path / "set.tar") == MEMBERS


@pytest.mark.parametrize("form", ["set.tar", "set.zip"])
@pytest.mark.parametrize(
    "name", ["../outside.jpg", "/etc/outside.jpg", "a/../../outside", "..\\outside", "C:\\outside"]
)
def test_a_member_outside_the_archive_is_refused(tmp_path, form, name) -> None:
    path = FORMS[form](tmp_path / form, {**MEMBERS, name: b"x"})
    with pytest.raises(InputError) as caught:
        open_archive(path)
    assert str(path) in str(caught.value)
    assert f"'{name}' points outside" in str(caught.value)


def tar_with_link(path: Path, name: str, kind: bytes = tarfile.SYMTYPE) -> Path:
    link = tarfile.TarInfo(name)
    link.type, link.linkname = kind, "/etc/passwd"
    with tarfile.open(path, "w") as tar:
        tar.addfile(link)
    return path


def zip_with_link(path: Path, name: str) -> Path:
    link = zipfile.ZipInfo(name)
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    return path


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_a_link_in_a_tar_is_refused_when_it_is_read_or_may_be_a_folder(tmp_path, kind) -> None:
    archive = open_archive(tar_with_link(tmp_path / "set.tar", "JPEGImages/link.jpg", kind))
    with pytest.raises(InputError, match=r"set\.tar: 'JPEGImages/link\.jpg' is a link"):
        archive.read("JPEGImages/link.jpg")
    with pytest.raises(InputError, match=r"set\.tar: 'JPEGImages' is a link"):
        open_archive(tar_with_link(tmp_path / "set.tar", "JPEGImages", kind))


def test_a_link_in_a_zip_is_refused_when_it_is_read_or_may_be_a_folder(tmp_path) -> None:
    archive = open_archive(zip_with_link(tmp_path / "set.zip", "JPEGImages/link.jpg"))
    with pytest.raises(InputError, match=r"set\.zip: 'JPEGImages/link\.jpg' is a link"):
        archive.read("JPEGImages/link.jpg")
    with pytest.raises(InputError, match=r"set\.zip: 'JPEGImages' is a link"):
        open_archive(zip_with_link(tmp_path / "set.zip", "JPEGImages"))


@pytest.mark.parametrize("target", ["../set/VOCdevkit/VOC2007/ImageSets/Main/test.txt", "/etc/hostname", "nowhere"])
def test_a_link_that_nobody_reads_does_not_matter_and_the_copy_has_it_too(tmp_path, target) -> None:
    folder = write_folder(tmp_path / "set", MEMBERS)
    (folder / "latest.txt").symlink_to(target)
    copy = open_archive(store(folder, tmp_path, "local"), folder)
    assert copy.names() == [*sorted(MEMBERS), "latest.txt"]
    assert {name: copy.read(name) for name in MEMBERS} == MEMBERS
    with pytest.raises(InputError, match=r"set: 'latest\.txt' is a link"):
        copy.read("latest.txt")


@pytest.mark.parametrize("target", ["VOCdevkit", "/etc/hostname", "nowhere"])
def test_a_link_in_a_folder_is_refused(tmp_path, target) -> None:
    folder = write_folder(tmp_path / "set", MEMBERS)
    (folder / "link").symlink_to(target)
    with pytest.raises(InputError, match=r"set: 'link' is a link"):
        open_archive(folder)


def test_a_link_to_the_folder_itself_is_fine(tmp_path) -> None:
    write_folder(tmp_path / "set", MEMBERS)
    (tmp_path / "link").symlink_to("set")
    assert contents(tmp_path / "link") == MEMBERS


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), form=st.sampled_from(["set.tar", "set.zip"]))
def test_no_truncation_passes_unseen(tmp_path, data, form) -> None:
    # the cut may also be between two members of a tar, which tarfile takes for the end
    sound = FORMS[form](tmp_path / f"sound-{form}", MEMBERS).read_bytes()
    whole = len(sound.rstrip(b"\0")) if form == "set.zip" else tarfile_end(tmp_path / f"sound-{form}")
    cut = data.draw(st.one_of(st.integers(0, whole - 1), st.integers(0, (whole - 1) // 512).map(lambda n: n * 512)))
    (tmp_path / form).write_bytes(sound[:cut])
    with pytest.raises(InputError, match=rf"{form} is .*truncated.*pack or download it again"):
        open_archive(tmp_path / form)


def tarfile_end(path: Path) -> int:
    """Return the end of the first of the two blocks of zeros that end a tar."""
    with tarfile.open(path) as tar:
        last = tar.getmembers()[-1]
    return last.offset_data + -(-last.size // 512) * 512 + 512


def test_a_damaged_header_does_not_hide_the_members_behind_it(tmp_path) -> None:
    path = write_tar(tmp_path / "set.tar", MEMBERS)
    damaged = bytearray(path.read_bytes())
    with tarfile.open(path) as tar:
        damaged[tar.getmembers()[1].offset + 150] ^= 1  # in its checksum
    path.write_bytes(damaged)
    with pytest.raises(InputError, match=r"damaged tar \(readable members: 1\)"):
        open_archive(path)


def test_a_damaged_member_of_a_zip_is_named(tmp_path) -> None:
    path = write_zip(tmp_path / "set.zip", {"a.jpg": NOISE[:999], "b.jpg": b"b"})
    damaged = bytearray(path.read_bytes())
    damaged[500] ^= 1
    path.write_bytes(damaged)
    archive = open_archive(path)
    assert archive.read("b.jpg") == b"b"
    with pytest.raises(InputError, match=r"set\.zip: a\.jpg cannot be read"):
        archive.read("a.jpg")


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"\x89PNG" * 400])
def test_a_file_of_another_kind_is_refused(tmp_path, content) -> None:
    (tmp_path / "set.tar").write_bytes(content)
    with pytest.raises(InputError, match=r"set\.tar is .*no tar, tar\.gz or zip"):
        open_archive(tmp_path / "set.tar")


def test_pack_folder_depends_on_names_and_contents_alone(tmp_path) -> None:
    first = write_folder(tmp_path / "first", MEMBERS)
    second = write_folder(tmp_path / "second", dict(reversed(MEMBERS.items())))
    for path in second.rglob("*.jpg"):
        os.utime(path, (1e9, 1e9))
        path.chmod(0o600)
    pack_folder(first, tmp_path / "first.tar")
    pack_folder(second, tmp_path / "second.tar")
    assert (tmp_path / "first.tar").read_bytes() == (tmp_path / "second.tar").read_bytes()
    assert contents(tmp_path / "first.tar") == MEMBERS


@pytest.mark.parametrize("form", ["folder", "set.tar", "set.zip", "set.tgz"])
def test_store_keeps_the_members_and_does_not_touch_the_source(tmp_path, form) -> None:
    source = tmp_path / form
    write_tar(source, MEMBERS, "w:gz") if form == "set.tgz" else FORMS[form](source, MEMBERS)
    before = {path: path.read_bytes() for path in [source, *source.rglob("*")] if path.is_file()}
    kept = store(source, tmp_path / "raw", "local")
    assert kept.name == ("local.zip" if form == "set.zip" else "local.tar")
    assert [path.name for path in (tmp_path / "raw").iterdir()] == [kept.name]
    assert contents(kept) == MEMBERS
    assert {path: path.read_bytes() for path in before} == before
    assert not kept.is_symlink()
    assert kept.stat().st_nlink == 1


def test_store_refuses_a_truncated_tar_gz_by_its_own_name_and_keeps_the_earlier_copy(tmp_path) -> None:
    earlier = store(write_tar(tmp_path / "good.tar", MEMBERS), tmp_path / "raw", "local").read_bytes()
    whole = gzip.compress(write_tar(tmp_path / "bad.tar", {"a.jpg": NOISE}).read_bytes())
    for content in (whole[:5000], gzip.compress(gzip.decompress(whole)[:5000]), gzip.compress(b"no tar")):
        (tmp_path / "set.tar.gz").write_bytes(content)
        with pytest.raises(InputError, match=r"set\.tar\.gz is .*truncated or damaged"):
            store(tmp_path / "set.tar.gz", tmp_path / "raw", "local")
        assert [path.read_bytes() for path in (tmp_path / "raw").iterdir()] == [earlier]


def test_store_refuses_a_truncated_tar_or_zip_and_keeps_the_earlier_copy(tmp_path) -> None:
    for form in ("set.tar", "set.zip"):
        good = FORMS[form](tmp_path / form, {"a.jpg": NOISE}).read_bytes()
        earlier = store(tmp_path / form, tmp_path / "raw", "local")
        (tmp_path / form).write_bytes(good[:5000])
        with pytest.raises(InputError, match=rf"{form} is .*truncated or damaged"):
            store(tmp_path / form, tmp_path / "raw", "local")
        assert earlier.read_bytes() == good


def test_a_zip_of_powershell_has_backslashes_in_its_names(tmp_path) -> None:
    windows = {name.replace("/", "\\"): content for name, content in MEMBERS.items()} | {"empty\\": b""}
    archive = open_archive(write_zip(tmp_path / "set.zip", windows))
    assert {name: archive.read(name) for name in archive.names()} == MEMBERS


@pytest.mark.parametrize("form", FORMS)
def test_messages_name_the_file_that_is_shown(tmp_path, form) -> None:
    path = FORMS[form](tmp_path / form, MEMBERS)
    assert open_archive(path, "/data/mine.zip").path == Path("/data/mine.zip")
    if path.is_file():
        path.write_bytes(path.read_bytes()[:100])
        with pytest.raises(InputError, match=r"^/data/mine\.zip is a?.*truncated"):
            open_archive(path, "/data/mine.zip")


def test_names_in_utf8_without_the_flag_for_it(tmp_path) -> None:
    path = write_zip(tmp_path / "set.zip", {"müll.txt": b"x"})
    content = path.read_bytes()
    header, entry = content.index(b"PK\x03\x04") + 6, content.index(b"PK\x01\x02") + 8
    flags = bytearray(content)
    flags[header : header + 2] = flags[entry : entry + 2] = b"\x00\x00"
    path.write_bytes(bytes(flags))
    assert open_archive(path).names() == ["müll.txt"]


@pytest.mark.parametrize("form", FORMS)
def test_hidden_files_and_folders_are_left_out(tmp_path, form) -> None:
    hidden = {".git/HEAD": b"?", "VOCdevkit/.ipynb_checkpoints/a.jpg": b"?", ".labels.swp": b"?"}
    path = FORMS[form](tmp_path / form, {**MEMBERS, **hidden})
    assert contents(path) == MEMBERS
    named = ".git, .labels.swp, VOCdevkit/.ipynb_checkpoints"
    assert open_archive(path).hidden() == f"hidden files and folders are left out: {named}"
    assert open_archive(FORMS[form](tmp_path / f"other {form}", MEMBERS)).hidden() == ""


def test_videos_and_weights_of_a_folder_are_packed_by_name_alone(tmp_path) -> None:
    heavy = {"film.MP4": NOISE, "runs/best.pt": NOISE}
    pack_folder(write_folder(tmp_path / "set", {**MEMBERS, **heavy}), tmp_path / "set.tar")
    archive = open_archive(tmp_path / "set.tar")
    assert archive.names() == sorted({**MEMBERS, **heavy})
    assert {name: archive.read(name) for name in MEMBERS} == MEMBERS
    assert NOISE[:99] not in (tmp_path / "set.tar").read_bytes()


def test_a_link_in_a_hidden_folder_does_not_matter(tmp_path) -> None:
    folder = write_folder(tmp_path / "set", {**MEMBERS, ".venv/pyvenv.cfg": b"?"})
    (folder / ".venv" / "python").symlink_to("/usr/bin/python3")
    assert contents(folder) == MEMBERS


def test_a_name_in_another_encoding_than_utf8_is_told(tmp_path) -> None:
    """Python reads its bytes as letters that no file can hold, and writing the prepared set would fail."""
    folder = tmp_path / "set"
    folder.mkdir()
    name = "照片.jpg".encode("gbk")
    (Path(os.fsdecode(os.fsencode(folder) + b"/" + name))).write_bytes(b"a")
    with tarfile.open(tmp_path / "set.tar", "w", encoding="gbk", format=tarfile.GNU_FORMAT) as tar:
        tar.addfile(tarfile.TarInfo("照片.jpg"))
    for path in (folder, tmp_path / "set.tar"):
        with pytest.raises(InputError, match=r"set.*: the name '.*\.jpg' is not in UTF-8: rename it, or pack it again"):
            open_archive(path)
