"""Large files from a list of mirrors: resumed, checked, and whole or not there at all."""

import hashlib
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import requests
from tqdm import tqdm

from src.errors import InputError

TIMEOUT = (10, 60)  # seconds to connect, and between two pieces of the answer
CHUNK = 1 << 16  # bytes; what a broken connection may lose
RETRIES = 4  # broken connections in a row that bring nothing new, before the next mirror is asked
PAUSE = 1.0  # seconds before a mirror is asked again


def download(urls: Sequence[str], path: str | Path, *, checksum: str, remedy: str) -> None:
    """Fetch one file from the first mirror that has it.

    What came before a connection broke lies beside `path` as `<name>.part`, and is resumed by an HTTP range request:
    at the same mirror, at the next one, or in the next run. A file that is there with the right checksum is kept.

    Args:
        urls: the mirrors, in the order in which they are asked. One that fails is skipped with a word on stderr.
        path: the file to write, by a rename at the very end.
        checksum: `md5:<hex>` or `sha256:<hex>`, the digest or the beginning of it.
        remedy: what to do where no mirror has the file, the end of the error message.

    Raises:
        InputError: no mirror sent the right file; it lists what each of them said.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and _problem(path, checksum) is None:
        return
    part = path.with_name(path.name + ".part")
    answers = []
    for url in urls:
        problem = _fetch_checked(url, part, checksum)
        if problem is None:
            os.replace(part, path)
            return
        answers.append(f"{url}: {problem}")
        print(f"{path.name} not from {answers[-1]}", file=sys.stderr)
    raise InputError(f"no mirror has sent {path.name} ({'; '.join(answers)}): {remedy}")


def _fetch_checked(url: str, part: Path, checksum: str) -> str | None:
    """Complete `part` from one mirror; what went wrong, or None. A part that stays is one that may be resumed."""
    try:
        resumed = part.exists()
        _fetch(url, part)
        problem = _problem(part, checksum)
        if problem and resumed:  # its beginning may be another mirror's mistake: not held against this one
            part.unlink(missing_ok=True)
            _fetch(url, part)
            problem = _problem(part, checksum)
    except requests.RequestException as error:
        return _reason(error)
    if problem:
        part.unlink(missing_ok=True)
    return problem


def _fetch(url: str, part: Path) -> None:
    """Append what is missing of `part`, over as many connections as it takes while each brings something new."""
    longest = _size(part)
    failures = 0
    while True:
        # `identity`: a compressed answer would make the length and the range those of other bytes
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={_size(part)}-"} if _size(part) else {})}
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                return  # nothing follows the part: it is whole, or the checksum will tell
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
    """Write the body of an answer: behind the part where the mirror honours ranges (206), else from the start (200)."""
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
        found = hashlib.file_digest(file, algorithm).hexdigest()
    return None if found.startswith(expected) else f"sent another file, {algorithm} {found} instead of {expected}"


def _reason(error: requests.RequestException) -> str:
    if error.response is not None:
        return f"answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.ConnectTimeout | requests.ReadTimeout):
        return "no answer in time"
    return "broke off" if isinstance(error, requests.exceptions.ChunkedEncodingError) else "no connection"
