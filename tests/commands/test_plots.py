"""`python -m commands.plots` in a small repository: a browser draws the page that it writes without a network."""

import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from commands import plots
from commands.write_deps import ROOT
from tests.browser import browser

PIPELINE = """
plots:
  - loss.csv:
      x: epoch
      y: loss
      title: Loss
  - by_class.csv:
      x: recall
      y: precision
      template: by_class
      title: Precision
"""


class Addresses(HTMLParser):
    """The addresses that the page's elements load or link to; the text of a script is not an element."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str | None] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in ("src", "href")]


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run([plots.DVC, "init", "-q"], check=True)
    shutil.copytree(ROOT / ".dvc/plots", ".dvc/plots", dirs_exist_ok=True)
    Path("dvc.yaml").write_text(PIPELINE)
    Path("loss.csv").write_text("epoch,loss\n1,3.0\n2,2.0\n")
    Path("by_class.csv").write_text("class,recall,precision\ncar,0.5,1\ncar,1,0.5\ncat,0.5,0.5\n")
    assert plots.run() == 0
    return tmp_path / "dvc_plots/index.html"


def test_the_page_loads_nothing_and_draws_without_a_network(page: Path) -> None:
    text = page.read_text()
    assert not Addresses(text).found
    assert text.count("</script>") == 1 + 2  # the libraries, and a call for each plot
    with browser() as chromium:
        tab = chromium.new_context(offline=True).new_page()
        asked: list[str] = []
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(page.as_uri())
        tab.wait_for_function("document.querySelectorAll('.vega-embed canvas, .vega-embed svg').length >= 2")
        assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
