"""A tar, a zip or a folder as members that are read by name: nothing is ever unpacked to disk.

Members are plain files. One that points outside the archive, and a link, are refused for the whole archive; what macOS
adds (`__MACOSX/`, `._name`, `.DS_Store`) is left out.
"""

import gzip
import io
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath

from src.errors import InputError
from src.files.storage import atomic

Read = Callable[[], bytes]
ZIP_MAGIC, GZIP_MAGIC = b"PK\x03\x04", b"\x1f\x8b"
BLOCK = 512  # bytes; a tar ends with a block of zeros


class Archive:
    """Members by name, in sorted order; opened by `open_archive`."""

    def __init__(self, path: Path, members: Mapping[str, Read]) -> None:
        self.path = path
        self._members = {name: members[name] for name in sorted(members) if not _from_macos(name)}

    def names(self) -> list[str]:
        """Paths of the members inside the archive, sorted, without a leading `./`."""
        return list(self._members)

    def read(self, name: str) -> bytes:
        """Content of a member."""
        try:
            return self._members[name]()
        except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError) as error:  # a zip: damaged, or with a password
            raise InputError(f"{self.path}: {name} cannot be read ({error}): pack or fetch it anew") from None


def open_archive(path: str | Path) -> Archive:
    """The archive or folder at `path`.

    Raises:
        InputError: it is none of these, is truncated or damaged, or has a member that is refused. A compressed tar has
            no random access: `store` makes a plain one of it.
    """
    path = Path(path)
    if path.is_dir():
        return Archive(path, dict(_folder_members(path)))
    if _magic(path).startswith(ZIP_MAGIC):
        return Archive(path, dict(_zip_members(path)))
    return Archive(path, dict(_tar_members(path, path)))


def store(source: str | Path, folder: str | Path, stem: str) -> Path:
    """Keep a copy of an archive or folder in `folder`, as `<stem>.zip` or `<stem>.tar`.

    A folder is packed and a tar.gz decompressed, so that what is kept has random access. The copy takes its name only
    when all of it is there and can be opened; the source is read, and nothing else.

    Returns:
        the path of the copy.
    """
    source, folder = Path(source), Path(folder)
    target = folder / f"{stem}.{'zip' if source.is_file() and _magic(source).startswith(ZIP_MAGIC) else 'tar'}"
    if source.is_dir():
        pack_folder(source, target)
        return target
    with atomic(target) as temporary:
        if _magic(source).startswith(GZIP_MAGIC):
            _gunzip(source, temporary)
            dict(_tar_members(temporary, source))
        else:
            open_archive(source)
            shutil.copyfile(source, temporary)
    return target


def pack_folder(folder: str | Path, path: str | Path) -> None:
    """Write a tar of a folder's files, sorted."""
    archive = open_archive(folder)
    write_tar(path, ((name, archive.read(name)) for name in archive.names()))


def write_tar(path: str | Path, entries: Iterable[tuple[str, bytes]]) -> None:
    """A tar of entries in the order given, without dates and owners: the same bytes for the same content."""
    with atomic(path) as temporary, tarfile.open(temporary, "w") as tar:
        for name, content in entries:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def _gunzip(source: Path, target: Path) -> None:
    try:
        with gzip.open(source) as packed, target.open("wb") as file:
            shutil.copyfileobj(packed, file, 1 << 20)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{source} is truncated or damaged ({error}): fetch or pack it anew") from None


def _folder_members(folder: Path) -> Iterator[tuple[str, Read]]:
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise _not_plain(folder, name)
        if path.is_file():
            yield name, path.read_bytes


def _zip_members(path: Path) -> Iterator[tuple[str, Read]]:
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise InputError(f"{path} is a truncated or damaged zip ({error}): fetch or pack it anew") from None
    for member in archive.infolist():
        name = _inside(path, member.filename)
        if stat.S_ISLNK(member.external_attr >> 16):
            raise _not_plain(path, name)
        if not member.is_dir():
            yield name, partial(archive.read, member)


def _tar_members(path: Path, shown: Path) -> Iterator[tuple[str, Read]]:
    """Members of the plain tar at `path`; error messages name `shown`."""
    try:
        with tarfile.open(path, "r:") as tar:
            members, end = tar.getmembers(), tar.offset
    except (tarfile.TarError, EOFError) as error:
        raise InputError(
            f"{shown} is truncated or damaged, or no tar, tar.gz or zip at all ({error}): fetch or pack it anew"
        ) from None
    # tarfile takes a broken header or a cut between two members for the end, without a word: the real end is marked
    if _read_range(path, end, BLOCK) != bytes(BLOCK):
        raise InputError(f"{shown} is a truncated or damaged tar, after {len(members)} members: fetch or pack it anew")
    for member in members:
        name = _inside(shown, member.name)
        if not (member.isdir() or (member.isreg() and not member.issparse())):
            raise _not_plain(shown, name)
        if member.isreg():
            yield name, partial(_read_range, path, member.offset_data, member.size)


def _read_range(path: Path, begin: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(begin)
        return file.read(size)


def _magic(path: Path) -> bytes:
    return _read_range(path, 0, len(ZIP_MAGIC))


def _inside(archive: Path, name: str) -> str:
    # read as a Windows path, which knows both kinds of slash and drive letters
    if PureWindowsPath(name).anchor or ".." in PureWindowsPath(name).parts:
        raise InputError(f"{archive}: member '{name}' points outside the archive: pack it anew with relative paths")
    return str(PurePosixPath(name))


def _not_plain(archive: Path, name: str) -> InputError:
    return InputError(f"{archive}: '{name}' is a link or no plain file: put the file itself in its place")


def _from_macos(name: str) -> bool:
    path = PurePosixPath(name)
    return "__MACOSX" in path.parts or path.name.startswith("._") or path.name == ".DS_Store"
