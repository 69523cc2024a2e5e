"""The download of large files from a list of mirrors: resumed, verified, and complete or absent."""

import hashlib
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import requests
from tqdm import tqdm

from src.errors import InputError
from src.files import unfinished
from src.files.storage import make_folder

TIMEOUT = (10, 60)  # seconds to connect, and between two parts of the answer
CHUNK = 1 << 16  # bytes; a broken connection loses at most this many
RETRIES = 4  # broken connections in a row without new bytes, before the next mirror is tried
PAUSE = 1.0  # seconds before a mirror is tried again


def download(urls: Sequence[str], path: str | Path, *, checksum: str, remedy: str) -> None:
    """Download one file from the first mirror that has it.

    If a connection breaks, the bytes received so far stay beside `path` as `<name>.part`. An HTTP range request resumes
    them: at the same mirror, at the next one, or in the next run. An existing file with the right checksum is kept.

    Args:
        urls: the mirrors, in the order in which they are tried. A mirror that fails is skipped with a line on stderr.
        path: the file to write; it gets this name only when it is complete.
        checksum: `md5:<hex>` or `sha256:<hex>`, the digest or its beginning.
        remedy: the end of the error message: what the user can do if no mirror has the file.

    Raises:
        InputError: no mirror sent the right file; the message lists the answer of each mirror. Or the disk is full, or
            refuses the file.
    """
    path = Path(path)
    make_folder(path.parent)
    if path.exists() and _problem(path, checksum) is None:
        return
    part = path.with_name(path.name + ".part")
    answers = []
    for url in urls:
        with unfinished.told(path, part):
            problem = _fetch_checked(url, part, checksum)
            if problem is None:
                os.replace(part, path)
                return
        answers.append(f"{url}: {problem}")
        print(f"{path.name}: skipped the mirror {answers[-1]}", file=sys.stderr)
    raise InputError(f"no mirror sent {path.name} ({'; '.join(answers)}): {remedy}")


def _fetch_checked(url: str, part: Path, checksum: str) -> str | None:
    """Complete `part` from one mirror; return the problem, or None. A part that is kept can be resumed."""
    try:
        resumed = part.exists()
        _fetch(url, part)
        problem = _problem(part, checksum)
        if problem and resumed:  # its beginning may come from another mirror's wrong file: start again
            part.unlink(missing_ok=True)
            _fetch(url, part)
            problem = _problem(part, checksum)
    except requests.RequestException as error:
        return _reason(error)
    if problem:
        part.unlink(missing_ok=True)
    return problem


def _fetch(url: str, part: Path) -> None:
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
                return _receive(response, part)
            except requests.RequestException:
                failures = 0 if _size(part) > longest else failures + 1
                longest = max(longest, _size(part))
                if failures == RETRIES:
                    raise
        time.sleep(PAUSE)


def _receive(response: requests.Response, part: Path) -> None:
    """Write the body of an answer: append if the mirror honours ranges (206), else begin again (200)."""
    begin = _size(part) if response.status_code == requests.codes.partial_content else 0
    length = response.headers.get("Content-Length")
    total = begin + int(length) if length else None
    label = part.name.removesuffix(".part")
    with (
        part.open("ab" if begin else "wb") as file,
        tqdm(desc=label, total=total, initial=begin, unit="B", unit_scale=True, mininterval=1.0) as bar,
    ):
        for chunk in response.iter_content(CHUNK):
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
