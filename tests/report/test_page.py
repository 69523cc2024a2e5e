"""The whole page; each section has a test file of its own, and test_browser tests the page in a browser."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from commands.write_deps import ROOT
from src.report import page
from src.report.blocks import Section
from stages import report
from tests.report.outputs import CLASSES, Outputs

COMMAND = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]["report"]["cmd"].split()
STAGE = dict(zip(COMMAND[3::2], COMMAND[4::2], strict=True))  # the options that the pipeline gives to the stage


def text(path: Path) -> str:
    return path.read_text()


def test_every_section_is_there_under_a_heading_of_its_own(built: Path) -> None:
    assert len(re.findall(r'<h2 id="([\w-]+)">', text(built))) == len(page.SECTIONS)


def test_every_file_with_a_section_is_on_the_page() -> None:
    files = {path.stem for path in (ROOT / "src/report").glob("*.py") if "\ndef section(" in path.read_text()}
    assert files == {module.__name__.split(".")[-1] for module in page.SECTIONS}


def test_ids_are_unique_and_headings_in_order(built: Path) -> None:
    ids = re.findall(r'\bid="([^"]+)"', text(built))
    assert len(ids) == len(set(ids))
    levels = [int(level) for level in re.findall(r"<h(\d)", text(built))]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))
    assert levels.count(1) == 1


def test_nothing_on_the_page_is_outside_of_it(built: Path) -> None:
    """XML namespaces are allowed, because no browser fetches them."""
    links = set(re.findall(r'(?:href|src)="([^"]{0,12})', text(built)))
    assert all(link.startswith(("#", "data:")) for link in links)
    assert "@import" not in text(built)
    assert not re.search(r"url\((?!#)", text(built))
    assert text(built).count("<script") == text(built).count("<script>") == 1  # the page's own, in the page


def test_names_from_the_data_are_text_and_no_markup(built: Path) -> None:
    assert "&lt;dog&gt;" in text(built)
    assert CLASSES[-1] not in re.sub(r'aria-label="[^"]*"', "", text(built))


def test_the_same_outputs_make_the_same_bytes_whatever_the_process(outputs: Outputs, built: Path) -> None:
    """The order of sets differs between processes, and an earlier report is no input."""
    before = built.read_bytes()
    built.write_text("another page")
    options = STAGE | {"--results": str(ROOT / "docs/results")}
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7", "LC_ALL": "C", "TZ": "Asia/Tokyo"}
    command = [sys.executable, "-m", "stages.report", *(word for pair in options.items() for word in pair)]
    subprocess.run(command, cwd=outputs.root, env=environment, check=True)
    assert built.read_bytes() == before


def test_a_new_method_is_there_by_itself(tmp_path: Path) -> None:
    found = text(Outputs(tmp_path, detector="toy_detector", classifier="toy_classifier").build())
    for name in ("toy detector", "toy classifier"):
        assert f"<h3>{name}</h3>" in found
    assert found.count("toy detector") > 10
    assert "toy classifier on gesture" in found


def test_a_page_that_grew_too_large_is_said(outputs: Outputs, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    outputs.build("other.html")
    assert "more than" not in capsys.readouterr().out
    monkeypatch.setattr(report, "MOST_BYTES", 100_000)
    outputs.build("other.html")
    assert "more than 0.1 MB" in capsys.readouterr().out


def test_methods_that_found_nothing_are_shown_too(tmp_path: Path) -> None:
    found = text(Outputs(tmp_path, nothing=True).build())
    assert "Missed: the worst" in found
    assert "the first 0 of 0 proposals" in found
    assert "0 of 0 proposals, which have no ranks" in found
    assert "NaN" not in found
    assert not re.search(r"\bnan\b", found)


def test_a_section_is_added_in_one_place(outputs: Outputs, monkeypatch: pytest.MonkeyPatch) -> None:
    class New:
        @staticmethod
        def section(inputs: object) -> Section:
            return Section("Something new", "new", [])

    monkeypatch.setattr(page, "SECTIONS", [New])
    assert '<h2 id="new">Something new</h2>' in text(outputs.build("other.html"))
