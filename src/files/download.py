"""The download of large files from a list of mirrors: resumed, verified, bounded, and complete or absent."""

import hashlib
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import requests
from filelock import FileLock, Timeout
from tqdm import tqdm

from src.errors import InputError
from src.files import room, unfinished
from src.files.storage import make_folder

TIMEOUT = (10, 60)  # seconds to connect, and between two parts of the answer
CHUNK = 1 << 16  # bytes; a broken connection loses at most this many
RETRIES = 4  # broken connections in a row without new bytes, before the next mirror is tried
PAUSE = 1.0  # seconds before a mirror is tried again
CHECKSUM = re.compile(r"md5:[0-9a-f]{8,32}|sha256:[0-9a-f]{8,64}")
WHOLE = {"md5": 32, "sha256": 64}  # digits
LOOPBACK = {"127.0.0.1", "::1", "localhost"}  # nobody is between this machine and itself


class _TooLongError(Exception):
    """An answer has more bytes than the file."""


def download(urls: Sequence[str], path: str | Path, *, checksum: str, size: int, remedy: str) -> None:
    """Download one file from the first mirror that has it.

    If a connection breaks, the bytes received so far stay beside `path` as `<name>.part`. An HTTP range request resumes
    them: at the same mirror, at the next one, or in the next run. An existing file with the right checksum is kept. Of
    two processes that want the same file, one downloads it, and the other waits.

    Args:
        urls: the mirrors, in the order in which they are tried. A mirror that fails is skipped with a line on stderr.
        path: the file to write; it gets this name only when it is complete and has the checksum.
        checksum: `md5:<hex>` or `sha256:<hex>`, the digest or its beginning, of at least 8 digits. Over http, which
            anybody on the way can change, it must be the whole digest.
        size: bytes of the file, or a few more if it is not known exactly. No more than these are ever written.
        remedy: the end of the error message: what the user can do if no mirror has the file.

    Raises:
        InputError: no mirror sent the right file; the message lists the answer of each mirror. Or the disk has too
            little space, is full, or refuses the file. Or the checksum is none, or too short for a mirror.
    """
    path = Path(path)
    _check_trust(urls, path, checksum)
    make_folder(path.parent)
    if _problem(path, checksum) is None:
        return
    with _alone(path):
        if _problem(path, checksum) is not None:  # the process that this one waited for may have brought it
            _from_mirrors(urls, path, checksum, size, remedy)


def _check_trust(urls: Sequence[str], path: Path, checksum: str) -> None:
    if not CHECKSUM.fullmatch(checksum):
        raise InputError(
            f"{path.name}: checksum = {checksum!r} compares nothing, so no download is started: give md5: or sha256: "
            "and at least 8 hexadecimal digits"
        )
    algorithm, _, digits = checksum.partition(":")
    for url in urls:
        address = urlsplit(url)
        if address.scheme == "http" and address.hostname not in LOOPBACK and len(digits) < WHOLE[algorithm]:
            raise InputError(
                f"{url} is plain http, which anybody on the way can change, and {checksum} is only the beginning of a "
                "digest: give the whole digest, or an address with https"
            )


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until no other process downloads the same file, and keep others waiting meanwhile."""
    file = path.with_name(f".{path.name}.lock.tmp")  # a name that DVC and git ignore
    lock = FileLock(file)
    with unfinished.told(path, file):
        try:
            lock.acquire(blocking=False)
        except Timeout:
            print(f"{path.name}: waiting for another process that downloads it", file=sys.stderr)
            lock.acquire()
    try:
        yield
    finally:
        file.unlink(missing_ok=True)  # while it is held: a process that waits then makes a new one
        lock.release()


def _from_mirrors(urls: Sequence[str], path: Path, checksum: str, size: int, remedy: str) -> None:
    part = path.with_name(path.name + ".part")
    room.disk(path.parent, size - min(_size(part), size), f"the download of {path.name}")
    answers = []
    for url in urls:
        with unfinished.told(path, part):
            problem = _fetch_checked(url, part, checksum, size)
            if problem is None:
                os.replace(part, path)
                return
        answers.append(f"{url}: {problem}")
        print(f"{path.name}: skipped the mirror {answers[-1]}", file=sys.stderr)
    raise InputError(f"no mirror sent {path.name} ({'; '.join(answers)}): {remedy}")


def _fetch_checked(url: str, part: Path, checksum: str, size: int) -> str | None:
    """Complete `part` from one mirror; return the problem, or None. A part that is kept can be resumed."""
    try:
        resumed = part.exists()
        problem = _fetched(url, part, checksum, size)
        if problem and resumed:  # its beginning may come from another mirror's wrong file: start again
            part.unlink(missing_ok=True)
            problem = _fetched(url, part, checksum, size)
    except requests.RequestException as error:
        return _reason(error)
    if problem:
        part.unlink(missing_ok=True)
    return problem


def _fetched(url: str, part: Path, checksum: str, size: int) -> str | None:
    try:
        _fetch(url, part, size)
    except _TooLongError:
        return f"sends more than the {size} bytes ({unfinished.shown(size)}) of the file"
    return _problem(part, checksum)


def _fetch(url: str, part: Path, size: int) -> None:
    """Append the missing bytes to `part`; connect again until `RETRIES` connections in a row bring nothing new."""
    longest = _size(part)
    failures = 0
    while True:
        # `identity`: in a compressed answer the length and the range would count other bytes
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={_size(part)}-"} if _size(part) else {})}
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                return  # no byte follows the part: it is complete, or its checksum will differ
            response.raise_for_status()
            try:
                return _receive(response, part, size)
            except requests.RequestException:
                failures = 0 if _size(part) > longest else failures + 1
                longest = max(longest, _size(part))
                if failures == RETRIES:
                    raise
        time.sleep(PAUSE)


def _receive(response: requests.Response, part: Path, size: int) -> None:
    """Write the body of an answer: append if the mirror honours ranges (206), else begin again (200).

    An answer that is longer than the file, or says so, is a `_TooLongError`, and nothing beyond `size` is written.
    """
    done = begin = _size(part) if response.status_code == requests.codes.partial_content else 0
    length = response.headers.get("Content-Length", "")
    total = begin + int(length) if length.isdecimal() else None
    if total is not None and total > size:
        raise _TooLongError
    label = part.name.removesuffix(".part")
    with (
        part.open("ab" if begin else "wb") as file,
        tqdm(desc=label, total=total, initial=begin, unit="B", unit_scale=True, mininterval=1.0) as bar,
    ):
        for chunk in response.iter_content(CHUNK):
            done += len(chunk)
            if done > size:
                raise _TooLongError
            file.write(chunk)
            bar.update(len(chunk))


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _problem(path: Path, checksum: str) -> str | None:
    algorithm, expected = checksum.split(":")
    if not path.exists():
        return "sent nothing"
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, algorithm).hexdigest()
    return None if digest.startswith(expected) else f"sent another file, {algorithm} {digest} instead of {expected}"


def _reason(error: requests.RequestException) -> str:
    if error.response is not None:
        return f"answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.ConnectTimeout | requests.ReadTimeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
    return "no connection"
