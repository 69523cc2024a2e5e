from pathlib import Path

import pytest

from src.errors import InputError
from stages import watch
from stages.cluster import cluster


def run(out: Path, **data: object) -> dict[str, str]:
    watch.run(watch.Params.model_validate({"data": data}), out=out)
    return {path.name: path.read_text() for path in out.iterdir()}


def test_only_the_set_whose_files_have_changed_is_another(tmp_path: Path) -> None:
    mine = tmp_path / "mine.zip"
    mine.write_bytes(b"a")
    data = {
        "voc": {"source": "auto", "path": str(mine), "limit": None},
        "mnist": {"source": "auto", "path": None},
        "gesture": {"source": "sample", "path": str(mine)},
    }
    before = run(tmp_path / "out", **data)
    assert run(tmp_path / "out", **data) == before
    mine.write_bytes(b"ab")
    after = run(tmp_path / "out", **data)
    assert {name for name in data if before[name] != after[name]} == {"voc"}


def test_a_path_that_is_not_there_stops_nothing_here_because_check_refuses_it(tmp_path: Path) -> None:
    assert len(run(tmp_path / "out", voc={"source": "local", "path": "none.zip"})["voc"]) > 60


def test_a_cluster_that_is_not_there_is_told_before_any_output_is_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DVC runs this stage each time, before it removes the outputs of those that would use the cluster."""
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://127.0.0.1:1")
    cluster.cache_clear()  # another test of this process may have asked without the variable
    with pytest.raises(InputError, match=r"the environment has DASK_SCHEDULER_ADDRESS=tcp://127\.0\.0\.1:1, and "):
        run(tmp_path / "out", voc={"source": "sample", "path": None})
