"""The whole pipeline twice on this machine, from nothing: the same bytes, however many processes share the work."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.repository import Repository, small


@pytest.mark.slow
def test_a_rerun_in_another_folder_with_other_numbers_of_processes_is_the_same_bytes(
    made_repository: Repository, tmp_path: Path
) -> None:
    """`made_repository` ran with JOBS=1 and WORKERS=0. Each folder has a DVC cache of its own, which was empty."""
    again = small(tmp_path / "again")
    again("dvc", "repro", JOBS="2", WORKERS="2")
    assert hashes(again.path) == hashes(made_repository.path)  # by stage and file, to see where they part
    assert (again.path / "dvc.lock").read_bytes() == (made_repository.path / "dvc.lock").read_bytes()


def hashes(root: Path) -> dict[tuple[str, str], str]:
    """MD5 of every output, by stage and path, as dvc.lock has them."""
    stages = YAML(typ="safe").load((root / "dvc.lock").read_text())["stages"]
    return {(name, out["path"]): out["md5"] for name, stage in stages.items() for out in stage["outs"]}
