"""The bytes of all outputs do not depend on the environment of a run; docs/reproducibility.md has the table."""

import subprocess
from pathlib import Path

import pytest

from tests.repository import small
from tests.test_rerun import hashes

ENVIRONMENTS = {
    "a folder with blanks and umlauts, C": {"LC_ALL": "C", "PYTHONHASHSEED": "1", "TZ": "Asia/Kathmandu"},
    "Türkçe": {"LC_ALL": "tr_TR.UTF-8", "PYTHONHASHSEED": "4000000000", "TZ": "America/St_Johns"},
}


@pytest.fixture(scope="module")
def locales(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a Turkish locale, in which the small letter of I is not i."""
    folder = tmp_path_factory.mktemp("locales")
    command = ["localedef", "-i", "tr_TR", "-f", "UTF-8", str(folder / "tr_TR.UTF-8")]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("this machine has no localedef with the Turkish locale")
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], str]:
    repository = small(tmp_path_factory.mktemp("plain"))
    repository("dvc", "repro", LC_ALL="C.UTF-8", PYTHONHASHSEED="0", TZ="UTC")
    return hashes(repository.path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_no_output_depends_on_locale_hash_seed_time_zone_and_folder(
    name: str, tmp_path: Path, plain: dict[tuple[str, str], str], locales: Path
) -> None:
    repository = small(tmp_path / name)
    repository("dvc", "repro", LOCPATH=str(locales), **ENVIRONMENTS[name])
    found = hashes(repository.path)
    assert found.keys() == plain.keys()
    assert {out for out, md5 in found.items() if md5 != plain[out]} == set()
