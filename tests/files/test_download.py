import errno
import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from commands.write_deps import ROOT
from src.errors import InputError
from src.files import download as module
from src.files.download import download

NAME = "VOCtest_06-Nov-2007.tar"
CONTENT = np.random.default_rng(0).bytes(400_000)
MD5 = "md5:" + hashlib.md5(CONTENT).hexdigest()


class Mirror:
    """A real HTTP server on the loopback that can misbehave, and that records the ranges of its requests."""

    def __init__(self) -> None:
        self.content = CONTENT
        self.status = 0  # if not 0, the answer instead of the file
        self.ignores_range = False
        self.says_length = True
        self.endless = False  # zeros without end follow the file
        self.held = threading.Event()  # the end of an answer waits for it
        self.held.set()
        self.begun = threading.Event()  # half of an answer was sent
        self.breaks: list[int] = []  # numbers of bytes after which the next answers break off
        self.ranges: list[str | None] = []
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                mirror.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/pascal/VOC/voc2007/{NAME}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.ranges.append(request.headers["Range"])
        begin = 0
        if (wanted := request.headers["Range"]) and not self.ignores_range:
            begin = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])  # type: ignore[index]
        if self.status or begin >= len(self.content) > 0:
            return request.send_error(self.status or 416)
        body = self.content[begin:]
        request.send_response(206 if begin else 200)
        if begin:
            request.send_header("Content-Range", f"bytes {begin}-{len(self.content) - 1}/{len(self.content)}")
        if self.says_length and not self.endless:
            request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.close_connection = True
        body = body[: self.breaks.pop(0)] if self.breaks else body
        with suppress(BrokenPipeError, ConnectionResetError):  # the client has gone
            request.wfile.write(body[: len(body) // 2])
            self.begun.set()
            self.held.wait(60)
            request.wfile.write(body[len(body) // 2 :])
            while self.endless:
                request.wfile.write(bytes(module.CHUNK))
        return None


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Mirror]]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(module, "PAUSE", 0.0)
    started: list[Mirror] = []

    def start() -> Mirror:
        started.append(Mirror())
        return started[-1]

    yield start
    for item in started:
        item.server.shutdown()
        item.server.server_close()


@pytest.fixture
def dead() -> str:
    """Return an address where no server listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/{NAME}"


def fetch(path: Path, *urls: str, checksum: str = MD5, size: int = len(CONTENT)) -> None:
    download(urls, path, checksum=checksum, size=size, remedy="set data.voc.source to local")


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
@pytest.mark.parametrize("digits", [8, None])
def test_writes_the_file_and_leaves_no_part(mirror, tmp_path, algorithm, digits) -> None:
    digest = hashlib.new(algorithm, CONTENT).hexdigest()[:digits]
    fetch(tmp_path / "deep" / NAME, mirror().url, checksum=f"{algorithm}:{digest}")
    assert (tmp_path / "deep" / NAME).read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "deep").iterdir()] == [NAME]


def test_a_verified_file_is_not_asked_for_again(mirror, tmp_path) -> None:
    server = mirror()
    fetch(tmp_path / NAME, server.url)
    fetch(tmp_path / NAME, server.url)
    assert server.ranges == [None]


def test_a_wrong_file_in_its_place_is_replaced(mirror, tmp_path) -> None:
    (tmp_path / NAME).write_bytes(b"something else")
    fetch(tmp_path / NAME, mirror().url)
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_resumes_the_part_of_an_earlier_run(mirror, tmp_path) -> None:
    server = mirror()
    (tmp_path / f"{NAME}.part").write_bytes(CONTENT[:123_456])
    fetch(tmp_path / NAME, server.url)
    assert server.ranges == ["bytes=123456-"]
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_resumes_after_broken_connections_without_fetching_twice(mirror, tmp_path) -> None:
    server = mirror()
    server.breaks = [150_000, 150_000]
    fetch(tmp_path / NAME, server.url)
    first, second, third = server.ranges
    assert first is None
    for asked, most in ((second, 150_000), (third, 300_000)):
        assert most - 2 * module.CHUNK <= int(asked[6:-1]) <= most
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_many_breaks_are_no_reason_to_give_up_while_each_answer_brings_something(mirror, tmp_path) -> None:
    server = mirror()
    server.content = CONTENT * 3
    server.breaks = [module.CHUNK * 2] * (module.RETRIES + 3)
    fetch(tmp_path / NAME, server.url, checksum="md5:" + hashlib.md5(CONTENT * 3).hexdigest(), size=3 * len(CONTENT))
    assert (tmp_path / NAME).read_bytes() == CONTENT * 3


def test_a_mirror_that_breaks_without_end_hands_its_part_to_the_next(mirror, tmp_path) -> None:
    broken, sound = mirror(), mirror()
    broken.breaks = [200_000] + [0] * 20
    fetch(tmp_path / NAME, broken.url, sound.url)
    assert len(broken.ranges) == 1 + module.RETRIES
    assert int(sound.ranges[0][6:-1]) > 0
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_a_mirror_without_ranges_that_always_breaks_is_given_up(mirror, tmp_path) -> None:
    server = mirror()
    server.ignores_range = True
    server.breaks = [200_000] * 50
    with pytest.raises(InputError, match="broke off"):
        fetch(tmp_path / NAME, server.url)
    assert len(server.ranges) == 1 + module.RETRIES


def test_a_mirror_that_ignores_ranges_starts_anew(mirror, tmp_path) -> None:
    server = mirror()
    server.ignores_range = True
    (tmp_path / f"{NAME}.part").write_bytes(CONTENT[:100_000])
    fetch(tmp_path / NAME, server.url)
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_a_whole_part_needs_no_more_bytes(mirror, tmp_path) -> None:
    server = mirror()
    (tmp_path / f"{NAME}.part").write_bytes(CONTENT)
    fetch(tmp_path / NAME, server.url)
    assert server.ranges == [f"bytes={len(CONTENT)}-"]  # answered 416
    assert (tmp_path / NAME).read_bytes() == CONTENT


@pytest.mark.parametrize("part", [b"<html>log in first</html>", CONTENT + b"and more"])
def test_a_wrong_part_does_not_condemn_the_only_mirror(mirror, tmp_path, part) -> None:
    (tmp_path / f"{NAME}.part").write_bytes(part)
    fetch(tmp_path / NAME, mirror().url)
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_dead_and_wrong_mirrors_are_skipped_with_a_word(mirror, tmp_path, dead, capsys) -> None:
    missing, other, sound = mirror(), mirror(), mirror()
    missing.status = 404
    other.content = b"<html>this domain is for sale</html>"
    fetch(tmp_path / NAME, dead, missing.url, other.url, sound.url)
    words = capsys.readouterr().err
    for word in (dead, "no connection", missing.url, "answered 404", other.url, "sent another file", MD5[4:]):
        assert word in words
    assert sound.url not in words
    assert sound.ranges == [None]  # no part of the wrong file was kept
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_all_dead_is_one_error_that_lists_them_and_says_what_to_do(mirror, tmp_path, dead) -> None:
    missing = mirror()
    missing.status = 503
    with pytest.raises(InputError) as caught:
        fetch(tmp_path / NAME, dead, missing.url)
    for word in (NAME, dead, "no connection", missing.url, "503", "set data.voc.source to local"):
        assert word in str(caught.value)
    assert not (tmp_path / NAME).exists()


def test_a_failed_download_keeps_the_part_for_the_next_run(mirror, tmp_path) -> None:
    server = mirror()
    server.breaks = [200_000] + [0] * 20
    with pytest.raises(InputError, match="broke off"):
        fetch(tmp_path / NAME, server.url)
    part = (tmp_path / f"{NAME}.part").read_bytes()
    assert part
    assert part == CONTENT[: len(part)]


def test_a_truncated_answer_of_unknown_length_is_not_taken_for_the_file(mirror, tmp_path) -> None:
    server = mirror()
    server.says_length = False
    server.breaks = [200_000]
    with pytest.raises(InputError, match="sent another file"):
        fetch(tmp_path / NAME, server.url)
    assert list(tmp_path.iterdir()) == []
    fetch(tmp_path / NAME, server.url)
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_a_mirror_that_stops_answering_is_given_up_in_time(mirror, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT", (1, 0.1))
    server = mirror()
    server.answer = lambda request: threading.Event().wait(0.5)  # type: ignore[method-assign]
    with pytest.raises(InputError, match="no answer in time"):
        fetch(tmp_path / NAME, server.url)


def test_the_bar_counts_bytes_of_the_whole_file(mirror, tmp_path, capsys) -> None:
    (tmp_path / f"{NAME}.part").write_bytes(CONTENT[:100_000])
    fetch(tmp_path / NAME, mirror().url)
    assert re.search(rf"{NAME}: 100%.*400k/400k", capsys.readouterr().err)


def test_a_full_disk_ends_in_a_sentence_and_the_part_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mirror: Callable[[], Mirror]
) -> None:
    server = mirror()

    def full(_: object, part: Path, __: int) -> None:
        part.write_bytes(CONTENT[:2000])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(module, "_receive", full)
        with pytest.raises(InputError, match=rf"{NAME} was not written, because its disk is full \(2\.0 kB of it"):
            fetch(tmp_path / NAME, server.url)
    fetch(tmp_path / NAME, server.url)
    assert server.ranges[-1] == "bytes=2000-"
    assert (tmp_path / NAME).read_bytes() == CONTENT


@pytest.mark.parametrize("part", [0, 100_000])
def test_an_answer_without_end_is_cut_at_the_size_of_the_file(mirror, tmp_path, monkeypatch, part) -> None:
    server, written = mirror(), []
    server.endless = True
    receive = module._receive

    def watched(response: object, part: Path, size: int) -> None:
        try:
            receive(response, part, size)
        finally:
            written.append(part.stat().st_size)

    monkeypatch.setattr(module, "_receive", watched)
    if part:
        (tmp_path / f"{NAME}.part").write_bytes(CONTENT[:part])
    with pytest.raises(InputError) as caught:
        fetch(tmp_path / NAME, server.url)
    assert str(caught.value) == (
        f"no mirror sent {NAME} ({server.url}: sends more than the 400000 bytes (400.0 kB) of the file): "
        "set data.voc.source to local"
    )
    assert max(written) <= len(CONTENT)
    assert list(tmp_path.iterdir()) == []


def test_a_mirror_without_end_is_skipped_for_one_that_has_the_file(mirror, tmp_path) -> None:
    endless, sound = mirror(), mirror()
    endless.endless = True
    fetch(tmp_path / NAME, endless.url, sound.url)
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_an_answer_that_says_that_it_is_longer_is_not_received(mirror, tmp_path) -> None:
    server = mirror()
    server.content = CONTENT + b"!"
    server.held.clear()  # the second half never comes
    with pytest.raises(InputError, match="sends more than the 400000 bytes"):
        fetch(tmp_path / NAME, server.url)
    server.held.set()


ALONE = """
import sys
from pathlib import Path
from src.files.download import download
url, path, checksum, size = sys.argv[1:]
download([url], Path(path), checksum=checksum, size=int(size), remedy="none")
"""


def another_process(url: str, path: Path) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", ALONE, url, str(path), MD5, str(len(CONTENT))]
    return subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def until_it_waits(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    assert f"{NAME}: waiting for another process that downloads it" in iter(process.stderr.readline, "").__next__()


def test_of_two_downloads_at_once_one_waits_and_both_end_with_the_file(mirror, tmp_path) -> None:
    server = mirror()
    server.held.clear()
    with another_process(server.url, tmp_path / NAME) as first:
        assert server.begun.wait(60)
        with another_process(server.url, tmp_path / NAME) as second:
            until_it_waits(second)
            server.held.set()
            assert [first.wait(60), second.wait(60)] == [0, 0]
    assert server.ranges == [None]  # one request
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_a_download_that_is_killed_holds_no_other_up(mirror, tmp_path) -> None:
    server = mirror()
    server.held.clear()
    with another_process(server.url, tmp_path / NAME) as first:
        assert server.begun.wait(60)
        with another_process(server.url, tmp_path / NAME) as second:
            until_it_waits(second)
            first.send_signal(signal.SIGKILL)
            server.held.set()
            assert second.wait(60) == 0
    assert len(server.ranges) == 2
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


@pytest.mark.parametrize("checksum", ["", "md5:", "md5:c52e", "sha1:" + 40 * "0", "c52e279531787c972589f7e41ab4ae64"])
def test_without_a_checksum_nothing_is_asked_for(mirror, tmp_path, checksum) -> None:
    server = mirror()
    with pytest.raises(InputError, match=rf"{NAME}: checksum = '{checksum}' compares nothing, so no download"):
        fetch(tmp_path / NAME, server.url, checksum=checksum)
    assert server.ranges == []


@pytest.mark.parametrize("checksum", [MD5[:12], "sha256:" + 63 * "0"])
def test_plain_http_needs_the_whole_digest(tmp_path, monkeypatch, checksum) -> None:
    monkeypatch.setattr(module.requests, "get", lambda *_, **__: pytest.fail("the mirror was asked"))
    with pytest.raises(InputError, match=r"http://host\.example/a is plain http, .* or an address with https"):
        fetch(tmp_path / NAME, "https://host.example/a", "http://host.example/a", checksum=checksum)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_takes_no_lock_is_named(mirror, tmp_path, monkeypatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(tmp_path / f".{NAME}.lock.tmp"))

    monkeypatch.setattr(module.FileLock, "acquire", refused)
    with pytest.raises(InputError, match=rf"{NAME} cannot be written \(read-only file system\)"):
        fetch(tmp_path / NAME, mirror().url)
