"""A headless browser for tests; if there is none, the tests are skipped and say what is missing."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def browser() -> Iterator:
    """Start Debian's chromium under playwright; skip the test if one of them is missing."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright, which requirements.txt lists")
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if not path:
        pytest.skip("needs a browser: apt-get install chromium, or its path as CHROMIUM")
    with api.sync_playwright() as playwright:
        # Without a sandbox, because root in a container cannot use it; the browser opens only the pages of the tests.
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()
