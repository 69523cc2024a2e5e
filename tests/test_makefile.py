import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from commands.write_deps import ROOT

MAKE = str(shutil.which("make"))
TARGETS = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
VENV = "-m venv .venv"


class Folder:
    """A folder with the Makefile and a fake Python, which notes its arguments and fails if they contain `failing`."""

    def __init__(self, path: Path) -> None:
        self.path, self.calls, self.failing = path, path / "calls", VENV
        for name in ("Makefile", "requirements.lock"):
            shutil.copy(ROOT / name, path)

    def make(self, *words: str, **variables: str) -> str:
        """Run make, which must fail, and return what it prints."""
        fake = self.path / "python"
        fake.write_text(f'#!/bin/sh\necho "$*" >> {self.calls}\ncase "$*" in *"{self.failing}"*) exit 1;; esac\n')
        fake.chmod(0o755)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "GIT_"))}
        done = subprocess.run(
            [MAKE, *words, f"PYTHON={fake}"],
            cwd=self.path,
            capture_output=True,
            text=True,
            env={**environment, **variables},
        )
        assert done.returncode != 0
        return done.stdout + done.stderr

    def git(self, *words: str) -> None:
        """Run git here, as somebody."""
        somebody = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *somebody, *words], cwd=self.path, capture_output=True, check=True)

    @property
    def installs(self) -> bool:
        """Tell if the fake Python was asked for a virtual environment, with which the installation begins."""
        return self.calls.exists() and VENV in self.calls.read_text()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_make_without_a_target_lists_all_targets_with_their_comments() -> None:
    lines = subprocess.run([MAKE, "-C", ROOT, "-s"], capture_output=True, text=True, check=True).stdout.splitlines()
    described = {line.split()[1]: line.split(maxsplit=2)[2:] for line in lines if line.startswith("make ")}
    assert list(described) == TARGETS
    assert all(described.values())


def test_every_target_is_phony() -> None:
    phony = re.search(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony
    assert phony[1].split() == TARGETS


@pytest.mark.parametrize("target", [name for name in TARGETS if name != "help"])
def test_source_without_git_is_refused_before_anything_is_installed(folder: Folder, target: str) -> None:
    answer = folder.make(target)
    assert "git init && git add -A && git commit" in answer
    assert "clone" in answer
    assert not folder.installs


def test_git_without_a_commit_is_refused_before_anything_is_installed(folder: Folder) -> None:
    folder.git("init", "-q")
    assert "git add -A && git commit" in folder.make("setup")
    assert not folder.installs


def test_missing_git_is_named_before_anything_is_installed(folder: Folder) -> None:
    assert "git is missing" in folder.make("setup", PATH=str(folder.path))
    assert not folder.installs


@pytest.mark.parametrize(
    ("failing", "words"), [("version_info", "Python 3.11 or newer"), ("ensurepip", "python3-venv")]
)
def test_unfit_python_is_named_before_anything_is_installed(folder: Folder, failing: str, words: str) -> None:
    folder.failing = failing
    assert words in folder.make("setup")
    assert not folder.installs


def test_clone_is_installed(folder: Folder) -> None:
    folder.git("init", "-q")
    folder.git("add", "Makefile")
    folder.git("commit", "-qm", "start")
    folder.make("setup")
    assert folder.installs
