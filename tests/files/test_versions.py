import json
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from src.files import versions as module
from src.files.versions import PACKAGES, differences, installed

NOW = {"torch": "2.15.0", "opencv": "5.0"}


def recorded(folder: Path, **files: dict[str, str] | None) -> Path:
    for name, versions in files.items():
        (folder / f"{name}.json").write_text(json.dumps({"loss": 1.0} | ({"versions": versions} if versions else {})))
    return folder


def test_the_installed_versions_name_no_build() -> None:
    versions = installed()
    assert set(versions) == set(PACKAGES)
    assert all(version[0].isdigit() and "+" not in version for version in versions.values())


def test_opencv_is_found_under_any_of_its_names(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(package: str) -> str:
        if package in ("opencv-python-headless", "torch"):
            return "5.0.1"
        raise PackageNotFoundError(package)

    monkeypatch.setattr(module, "version", version)
    found = installed()
    assert (found["opencv"], found["torch"], found["numba"]) == ("5.0.1", "5.0.1", "unknown")


def test_outputs_of_the_installed_versions_and_files_without_versions_say_nothing(tmp_path: Path) -> None:
    assert not list(differences(recorded(tmp_path, ssd300_training=NOW, rcnn=None), NOW))
    assert not list(differences(tmp_path / "nowhere", NOW))


def test_a_library_of_another_version_is_named_once_with_its_files(tmp_path: Path) -> None:
    folder = recorded(tmp_path, a={"torch": "2.14.0"}, b={**NOW, "torch": "2.14.0"}, c={"torch": "2.13.1"}, d=NOW)
    first, second = differences(folder, NOW)
    assert first.startswith("torch 2.15.0 is installed, but a.json, b.json and their models were made with 2.14.0:")
    assert second.startswith("torch 2.15.0 is installed, but c.json and their models were made with 2.13.1:")
