"""A tar, a zip or a folder, whose members are read by name: nothing is ever unpacked to disk.

Members are plain files. An archive is refused if it has a member that points outside the archive, or a link that may be
a folder, because its name has no suffix. Any other link is refused when it is read: a set may have links that it does
not use, such as `latest.txt`. Hidden files and folders (`.git`, `.venv`, `._name`) and the folder `__MACOSX` are left
out, and `Archive.hidden` names them. Videos and weights of networks beside the images are packed by name alone.
"""

import gzip
import io
import lzma
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath

from src.errors import InputError
from src.files import room
from src.files.storage import atomic
from src.ingest import limits

Read = Callable[[], bytes]
Members = Iterator[tuple[str, Read | None]]  # None: hidden
ZIP_MAGIC, GZIP_MAGIC = b"PK\x03\x04", b"\x1f\x8b"
UTF8_FLAG = 0x800  # of a zip member
# What zipfile and its decompressors raise for versions, offsets, options of LZMA and encodings that are none.
BROKEN = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError),
    *(RuntimeError, ValueError, OverflowError, KeyError, OSError),
)
HEAVY = (  # no set of images needs what is in these files
    *(".3gp", ".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wmv"),
    *(".ckpt", ".h5", ".onnx", ".pt", ".pth", ".safetensors", ".weights"),
)
SHOWN = 5  # names of hidden files
BLOCK = 512  # bytes; a tar ends with a block of zeros
OF_A_MEMBER = 2 * BLOCK  # bytes in a tar beside the content: its name, and the rest of its last block


class Archive:
    """The members of an archive by name, in sorted order; made by `open_archive`."""

    def __init__(self, path: Path, members: Mapping[str, Read | None]) -> None:
        self.path = path
        self._members = {name: read for name, read in sorted(members.items()) if read is not None}
        self._hidden = [name for name, read in sorted(members.items()) if read is None]

    def hidden(self) -> str:
        """Return a sentence that names the hidden files and folders that are left out; empty if there are none."""
        names = sorted({_hidden_part(name) for name in self._hidden})
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        return f"hidden files and folders are left out: {', '.join(names[:SHOWN])}{more}" if names else ""

    def names(self) -> list[str]:
        """Return the paths of the members inside the archive, sorted, without a leading `./`."""
        return list(self._members)

    def has_link(self, name: str) -> bool:
        """Tell whether a member is a link, which cannot be read."""
        return isinstance(self._members[name], _Link)

    def read(self, name: str) -> bytes:
        """Return the content of a member; a link, or one that is damaged or encrypted, is an `InputError`."""
        try:
            return self._members[name]()
        except BROKEN as error:  # a damaged or encrypted zip
            raise InputError(f"{self.path}: {name} cannot be read ({error}): pack or download it again") from None


class _Link:
    """The content of a link or another special file: an error when it is read."""

    def __init__(self, archive: Path, name: str) -> None:
        self.message = f"{archive}: '{name}' is a link or another special file: replace it by the file itself"
        if not PurePosixPath(name).suffix:  # left out, a folder would be missing without a word
            raise InputError(self.message)

    def __call__(self) -> bytes:
        raise InputError(self.message)


def open_archive(path: str | Path, shown: str | Path | None = None) -> Archive:
    """Open the archive or folder at `path`; error messages name `shown`, if it is given.

    Raises:
        InputError: `path` is no tar, zip or folder, is truncated or damaged, or has a member that is refused. A
            compressed tar is refused too, because it has no random access: `store` decompresses it.
    """
    path = Path(path)
    shown = path if shown is None else Path(shown)
    if path.is_dir():
        return Archive(shown, dict(_folder_members(path)))
    _refuse_special(path, shown)
    if _magic(path).startswith(ZIP_MAGIC):
        return Archive(shown, dict(_zip_members(path, shown)))
    return Archive(shown, dict(_tar_members(path, shown)))


def store(source: str | Path, folder: str | Path, stem: str) -> Path:
    """Copy an archive or folder into `folder`, as `<stem>.zip` or `<stem>.tar`.

    A folder is packed and a tar.gz is decompressed, so that the copy has random access. The copy gets its name only
    when it is complete and can be opened. The source is not changed.

    Returns:
        the path of the copy.

    Raises:
        InputError: the source cannot be opened as an archive; an earlier copy is kept.
    """
    source, folder = Path(source), Path(folder)
    _refuse_special(source, source)
    target = folder / f"{stem}.{'zip' if source.is_file() and _magic(source).startswith(ZIP_MAGIC) else 'tar'}"
    if source.is_dir():
        pack_folder(source, target)
        return target
    with atomic(target) as temporary:
        room.disk(folder, source.stat().st_size, f"a copy of {source}")
        if _magic(source).startswith(GZIP_MAGIC):
            _gunzip(source, temporary)
            dict(_tar_members(temporary, source))
        else:
            open_archive(source)
            shutil.copyfile(source, temporary)
    return target


def pack_folder(folder: str | Path, path: str | Path) -> None:
    """Write a tar of a folder's files, sorted by name.

    A link stays one, so that it is refused if it is used. A file of `HEAVY` is written as a link, so that its name can
    be told.
    """
    archive = open_archive(folder)
    empty = {name for name in archive.names() if archive.has_link(name) or name.lower().endswith(HEAVY)}
    size = sum(Path(folder, name).stat().st_size for name in archive.names() if name not in empty)
    room.disk(Path(path).parent, size + len(archive.names()) * OF_A_MEMBER, f"a copy of {folder}")
    write_tar(path, ((name, None if name in empty else archive.read(name)) for name in archive.names()))


def write_tar(path: str | Path, entries: Iterable[tuple[str, bytes | None]]) -> None:
    """Write a tar of entries in the given order, without dates and owners: the same content gives the same bytes.

    Args:
        path: the tar.
        entries: names and contents; None is a link to nowhere.
    """
    with atomic(path) as temporary, tarfile.open(temporary, "w") as tar:
        for name, content in entries:
            member = tarfile.TarInfo(name)
            if content is None:
                member.type = tarfile.SYMTYPE
            else:
                member.size = len(content)
            tar.addfile(member, io.BytesIO(content or b""))


def _gunzip(source: Path, target: Path) -> None:
    try:
        with gzip.open(source) as packed, target.open("wb") as file:
            limits.copy(packed, file, source, source.stat().st_size)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{source} is truncated or damaged ({error}): pack or download it again") from None


def _folder_members(folder: Path) -> Members:
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if _is_hidden(name):
            yield name, None
            continue
        name = _utf8(folder, name)
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            yield name, _Link(folder, name)
        elif path.is_file():
            yield name, partial(_read_file, path, folder, name)


def _read_file(path: Path, folder: Path, name: str) -> bytes:
    limits.member(folder, name, path.stat().st_size)
    return path.read_bytes()


def _zip_members(path: Path, shown: Path) -> Members:
    try:
        archive = zipfile.ZipFile(path)
    except BROKEN as error:
        raise InputError(f"{shown} is a truncated or damaged zip ({error}): pack or download it again") from None
    entries = archive.infolist()
    limits.unpacked(shown, path.stat().st_size, sum(member.file_size for member in entries), len(entries))
    for member in entries:
        name = _inside(shown, _decoded(member)).replace("\\", "/")  # PowerShell 5 writes backslashes
        if _is_hidden(name):
            yield name, None
            continue
        if stat.S_ISLNK(member.external_attr >> 16):
            yield name, _Link(shown, name)
        elif not member.filename.endswith(("/", "\\")):
            yield name, partial(_read_zipped, archive, member, shown, name)


def _read_zipped(archive: zipfile.ZipFile, member: zipfile.ZipInfo, shown: Path, name: str) -> bytes:
    limits.member(shown, name, member.file_size)
    return archive.read(member)


def _decoded(member: zipfile.ZipInfo) -> str:
    """Return a member's name; macOS writes UTF-8 and does not say so, and Python then reads another encoding."""
    if member.flag_bits & UTF8_FLAG or member.filename.isascii():
        return member.filename
    try:
        return member.filename.encode("cp437").decode()
    except UnicodeError:
        return member.filename


def _tar_members(path: Path, shown: Path) -> Members:
    """Yield the members of the plain tar at `path`; error messages name `shown` instead."""
    try:
        with tarfile.open(path, "r:") as tar:
            members, end = tar.getmembers(), tar.offset
    except (tarfile.TarError, *BROKEN) as error:
        raise InputError(
            f"{shown} is truncated or damaged, or is no tar, tar.gz or zip ({error}): pack or download it again"
        ) from None
    # tarfile silently takes a broken header, or a cut between two members, for the end; a block of zeros marks the end
    if _read_range(path, end, BLOCK) != bytes(BLOCK):
        raise InputError(
            f"{shown} is a truncated or damaged tar (readable members: {len(members)}): pack or download it again"
        )
    for member in members:
        name = _inside(shown, member.name)
        if _is_hidden(name):
            yield name, None
            continue
        if not (member.isdir() or (member.isreg() and not member.issparse())):
            yield name, _Link(shown, name)
        elif member.isreg():
            yield name, partial(_read_tarred, path, member, shown, name)


def _read_tarred(path: Path, member: tarfile.TarInfo, shown: Path, name: str) -> bytes:
    limits.member(shown, name, member.size)
    return _read_range(path, member.offset_data, member.size)


def _read_range(path: Path, begin: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(begin)
        return file.read(size)


def _refuse_special(path: Path, shown: Path) -> None:
    """Refuse a pipe or a device: to read it may never end."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise InputError(f"{shown} is a pipe or a device, and must be a tar, a zip or a folder: give one of these")


def _magic(path: Path) -> bytes:
    return _read_range(path, 0, len(ZIP_MAGIC))


def _inside(archive: Path, name: str) -> str:
    # a Windows path recognises both kinds of slash, and drive letters
    if PureWindowsPath(name).anchor or ".." in PureWindowsPath(name).parts:
        raise InputError(f"{archive}: member '{name}' points outside the archive: pack it again with relative paths")
    return _utf8(archive, str(PurePosixPath(name)))


def _utf8(archive: Path, name: str) -> str:
    """Refuse a name with bytes that are not UTF-8, which Python reads as letters that no file can hold."""
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = name.encode(errors="surrogateescape").decode(errors="replace")
        raise InputError(f"{archive}: the name '{shown}' is not in UTF-8: rename it, or pack it again") from None
    return name


def _is_hidden(name: str) -> bool:
    """Tell whether a file, or a folder above it, begins with a dot or is one that macOS adds."""
    return any(map(_hides, PurePosixPath(name).parts))


def _hides(part: str) -> bool:
    return part.startswith(".") or part == "__MACOSX"


def _hidden_part(name: str) -> str:
    """Return the path of a hidden file, or of the outermost hidden folder above it."""
    parts = PurePosixPath(name.encode(errors="surrogateescape").decode(errors="replace")).parts
    return "/".join(parts[: 1 + next(place for place, part in enumerate(parts) if _hides(part))])
