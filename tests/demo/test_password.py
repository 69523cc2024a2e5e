"""The demo with a password: a real server on the loopback, in a process of its own, without a method."""

import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path

import pytest

from commands.demo import first_line
from src.errors import InputError
from tests.test_documented_commands import ROOT

SERVER = """
import sys, tempfile
from pathlib import Path
from commands.demo import serve
with tempfile.TemporaryDirectory() as folder:
    page, address = serve({}, [], Path(folder), password="open, please", wait=False)
    print(address, flush=True)
    sys.stdin.read()
    page.close()
"""


@pytest.fixture
def address() -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip().rstrip("/")
        process.communicate()


def test_the_page_opens_for_the_password_alone(address: str) -> None:
    visitor = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))

    def status(path: str, **form: str) -> int:
        try:
            return int(visitor.open(f"{address}{path}", urllib.parse.urlencode(form).encode() or None).status)
        except urllib.error.HTTPError as error:
            return error.code

    assert status("/config") == 401
    assert status("/login", username="demo", password="open") == 400
    assert status("/config") == 401
    assert status("/login", username="demo", password="open, please") == 200
    assert status("/config") == 200


def test_the_password_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "password"
    with pytest.raises(InputError, match="there is no such file"):
        first_line(path)
    path.write_text("\nsecond")
    with pytest.raises(InputError, match="its first line is empty"):
        first_line(path)
    path.write_text("open, please \nsecond")
    assert first_line(path) == "open, please"
    with pytest.raises(InputError, match="is a folder"):
        first_line(tmp_path)
