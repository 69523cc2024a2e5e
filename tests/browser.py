"""A headless browser for tests; where there is none the tests say what is missing."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def browser() -> Iterator:
    """Debian's chromium under playwright; skips the test without one of them."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright, of requirements.txt")
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if not path:
        pytest.skip("needs a browser: apt-get install chromium, or its path as CHROMIUM")
    with api.sync_playwright() as playwright:
        # Without its sandbox, which a container's root cannot have: it opens no page but the tests' own.
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()
