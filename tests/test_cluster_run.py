"""DVC runs the stages of this project on a Dask cluster."""

import os
import re
import shlex
import subprocess
import threading
from pathlib import Path

import pytest

from commands.write_deps import ROOT
from tests.local_cluster import kill, local_cluster, until
from tests.repository import Repository
from tests.test_rerun import hashes

distributed = pytest.importorskip("distributed", reason="needs Dask: pip install -r requirements-cluster.txt")

STAGES = (
    "propose",
    "propose_rpn",
    "extract_features",
    "score_rcnn",
    "detect@ssd300",
    "detect_on_proposals@fast_rcnn",
    "evaluate_detections@rcnn",
)
PAUSE = 5.0  # seconds between two kills: Dask's nanny starts a new worker in two
KILLS = 3  # on a slow machine all may hit one task, and Dask gives up a task whose four workers died


@pytest.mark.slow
def test_a_run_on_a_cluster_whose_workers_are_killed_has_the_bytes_of_a_run_on_one_machine(
    copy: Repository, tmp_path: Path
) -> None:
    before, lock = hashes(copy.path), (copy.path / "dvc.lock").read_bytes()
    (tmp_path / "dask").mkdir()
    done, killed = threading.Event(), []
    with local_cluster(tmp_path / "dask", 2, "--nthreads", "1") as made:  # the fixture's arithmetic is native

        def kill_them() -> None:
            with distributed.Client(made.address, set_as_default=False) as client:
                while len(killed) < KILLS and not done.wait(PAUSE):
                    for number in sorted(client.run(os.getpid).values())[:1]:  # none while Dask starts one
                        kill(number)
                        killed.append(number)

        thread = threading.Thread(target=kill_them)
        thread.start()
        try:
            output = copy("dvc", "repro", "-f", "-s", *STAGES, DASK_SCHEDULER_ADDRESS=made.address)
        finally:
            done.set()
            thread.join()
        assert len(set(killed)) > 1
        assert re.findall(r"Running stage '(.+)'", output) == list(STAGES)
        assert (tmp_path / "dask/scheduler-0.log").read_text().count("Register worker") > 2  # some were started again
    assert hashes(copy.path) == before
    assert (copy.path / "dvc.lock").read_bytes() == lock


@pytest.mark.slow
def test_a_wrong_address_stops_at_check_and_loses_nothing(copy: Repository) -> None:
    address = "tcp://127.0.0.1:1"
    output = copy("dvc", "repro", "-f", DASK_SCHEDULER_ADDRESS=address, fails=True)
    assert f"check: the environment has DASK_SCHEDULER_ADDRESS={address}, and no Dask scheduler answers" in output
    assert "Traceback" not in output
    assert (copy.path / "models/ssd300.safetensors").exists()
    assert re.findall(r"Running stage '(.+)'", copy("dvc", "repro")) == ["watch"]


def test_the_commands_of_the_page_start_a_cluster(tmp_path: Path) -> None:
    blocks = (ROOT / "docs/cluster.md").read_text().split("```sh\n")[1:]
    lines = [line.partition(" # ")[0].strip() for block in blocks for line in block.split("```")[0].splitlines()]
    scheduler, worker = (next(line for line in lines if f"dask {name}" in line) for name in ("scheduler", "worker"))
    file = tmp_path / "scheduler.json"
    scheduler += f" --host 127.0.0.1 --port 0 --no-dashboard --scheduler-file {file}"
    worker = worker.replace("tcp://HOST:8786", f"--scheduler-file {file}").replace("--nworkers 8", "--nworkers 2")
    worker += f" --no-dashboard --local-directory {tmp_path}"
    started = []
    try:
        for line in (scheduler, worker):
            words = shlex.split(line)
            variables = dict(word.split("=") for word in words if re.match(r"[A-Z]+=", word))
            command = [word for word in words if not re.match(r"[A-Z]+=", word)]
            started.append(subprocess.Popen(command, cwd=ROOT, env={**os.environ, **variables}, stderr=subprocess.PIPE))
            until(file.exists)
        with distributed.Client(scheduler_file=str(file), set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
            assert set(client.nthreads().values()) == {1}
            pinned = client.run(lambda: (os.environ["OPENBLAS_CORETYPE"], os.environ["OMP_NUM_THREADS"]))
            assert set(pinned.values()) == {("Haswell", "2")}
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            process.communicate(timeout=30)
