"""Real processes of Dask: a scheduler and two workers. A module of the tests that a worker imports is this one."""

import errno
import importlib
import json
import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

from commands.write_deps import ROOT
from src.errors import InputError
from src.files.boxed_images import BoxedImages
from src.files.records import write_records
from src.files.shards import Shards
from src.parallel import Jobs, parallel_map
from src.params import read_params
from src.rcnn.extract import Result, extract
from src.rcnn.features import unlabelled
from stages import arithmetic, connection, remote
from stages import cluster as module
from stages.cluster import Cluster
from tests import full_disk
from tests.local_cluster import PINNED, LocalCluster, kill, local_cluster, until
from tests.rcnn.conftest import TinyNet
from tests.rcnn.test_features import SETTINGS
from tests.stages.test_extract_features import PROPOSALS
from tests.trained import scenes

pytest.importorskip("distributed", reason="needs Dask: pip install -r requirements-cluster.txt")

# Dask's client and its event loop, at the end of the process and at a lost connection.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    with local_cluster(tmp_path_factory.mktemp("dask"), 2) as made:
        yield made


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run, whose code is that of this checkout."""
    code(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def code(folder: Path) -> None:
    for name in remote.CODE:
        (folder / name).symlink_to(ROOT / name)


@pytest.fixture
def connect() -> Iterator[Callable[[str], Cluster]]:
    made: list[Cluster] = []

    def connect(address: str) -> Cluster:
        made.append(Cluster(address))
        return made[-1]

    yield connect
    for one in made:
        one.client.close()


TOLD = r"^the Dask worker tcp://127\.0\.0\.1:\d+ cannot go on:"


def product(number: int) -> tuple[int, bytes]:
    """Return the process, and a product of matrices."""
    time.sleep(0.05)
    values = np.random.default_rng(number).normal(size=(200, 300))
    return os.getpid(), (values @ values.T).tobytes()


def test_two_workers_share_the_items_and_the_results_are_those_of_this_process_in_order(
    two_workers: LocalCluster, here: Path, connect: Callable[[str], Cluster]
) -> None:
    found = parallel_map(product, range(20), connect(two_workers.address), "products")
    assert [values for _, values in found] == [values for _, values in parallel_map(product, range(20), 1, "products")]
    assert len({process for process, _ in found} - {os.getpid()}) == 2
    assert parallel_map(product, [], connect(two_workers.address), "products") == []


def fail_at_three(number: int) -> int:
    if number == 3:
        raise InputError("three is too many: take two")
    return number


def test_an_error_in_one_item_is_raised_as_it_is_and_the_next_call_goes_on(
    two_workers: LocalCluster, here: Path, connect: Callable[[str], Cluster]
) -> None:
    made = connect(two_workers.address)
    with pytest.raises(InputError, match="^three is too many: take two$"):
        made.map(fail_at_three, range(300), "fail")
    assert made.map(fail_at_three, range(3), "fail") == [0, 1, 2]


def begun_by(folder: Path, number: int) -> int:
    (folder / str(os.getpid())).touch()
    time.sleep(0.1)
    return number * number


def test_a_worker_that_is_killed_costs_its_task_alone(
    two_workers: LocalCluster, here: Path, connect: Callable[[str], Cluster]
) -> None:
    made = connect(two_workers.address)
    (here / "begun").mkdir()

    def kill_one() -> None:
        until(lambda: list((here / "begun").iterdir()))
        kill(int(next((here / "begun").iterdir()).name))

    thread = threading.Thread(target=kill_one)
    thread.start()
    found = made.map(partial(begun_by, here / "begun"), range(40), "squares")
    thread.join()
    assert found == [number * number for number in range(40)]
    made.client.wait_for_workers(2, timeout=60)  # Dask's nanny has started another one


VOC = "data/prepared/voc.zip"
OPTIONS = {
    "propose": {"images": VOC, "out": "out/proposals.npz"},
    "extract_features": {
        "images": VOC,
        "proposals": "proposals.npz",
        "model": "models/rcnn.safetensors",
        **{name: f"out/{name}.npz" for name in ("regions", "scale")},
        "out": "out/features.npy",
    },
    "score_rcnn": {
        "images": VOC,
        "proposals": "proposals.npz",
        "model": "models/rcnn.safetensors",
        "svm": "models/svm.npz",
        "bbox": "models/bbox.npz",
        "out": "out/scores.npy",
    },
    "detect": {"images": VOC, "weights": "no_weights.safetensors", "model": "models/ssd300.safetensors", "out": "out"},
    "evaluate_detections": {"images": VOC, "detections": "found", "out": "out/a.json", "curves": "out/a.csv"},
}


@pytest.fixture
def folder(made: Path, no_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with this checkout's code, images and tiny models, in which stages can run."""
    folder = tmp_path / "checkout"
    shutil.copytree(made, folder)
    code(folder)
    shutil.copy(no_weights, folder)
    write_records(folder / "proposals.npz", PROPOSALS)
    ids = BoxedImages(folder / VOC).ids("test")
    boxes = np.array([[1, 2, 30, 40], [10, 5, 50, 45]], np.float32)
    record = {"boxes": boxes, "labels": np.array([1, 2]), "scores": np.array([0.9, 0.4], np.float32)}
    write_records(folder / "found/detections.npz", dict.fromkeys(ids, record))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DEVICE", "cpu")
    monkeypatch.setenv("JOBS", "1")
    return folder


@pytest.mark.parametrize("stage", OPTIONS)
def test_the_files_of_a_stage_are_the_same_bytes(
    stage: str,
    two_workers: LocalCluster,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    connect: Callable[[str], Cluster],
) -> None:
    monkeypatch.setattr("src.rcnn.extract.CHUNK", 1)
    monkeypatch.setattr("src.detection.running.BATCH_SIZE", 1)
    contents, calls = [], []
    for used in (None, connect(two_workers.address)):
        monkeypatch.setattr(module, "cluster", lambda used=used: used)
        with mock.patch.object(Cluster, "map", autospec=True, side_effect=Cluster.map) as called:
            contents.append(outputs(stage, folder))
        calls.append(called.call_count)
    assert contents[0] == contents[1]
    assert contents[0]
    assert calls[0] == 0 < calls[1]


def outputs(stage: str, folder: Path) -> dict[str, bytes]:
    """Run a stage, and return the content of its files."""
    shutil.rmtree(folder / "out", ignore_errors=True)
    run = importlib.import_module(f"stages.{stage}")
    params = read_params("params.yaml", run.Params)
    if "warp" in run.Params.model_fields:
        params = params.model_copy(update={"warp": SETTINGS})
    options: dict[str, Any] = {name: Path(path) for name, path in OPTIONS[stage].items()}
    run.run(params, **options, **({"detector": "ssd300"} if stage == "detect" else {}))
    return {path.name: path.read_bytes() for path in sorted((folder / "out").iterdir())}


def value_of(name: str, _: int) -> int:
    return int(importlib.import_module(name).VALUE)


def test_a_worker_imports_the_code_of_each_run_anew_and_works_in_its_folder(
    two_workers: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connect: Callable[[str], Cluster]
) -> None:
    """Runs of two folders take turns, and the code of the first is edited between two runs."""
    made = []
    for number in (1, 2):
        (folder := tmp_path / str(number)).mkdir()
        shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "src/probe.py").write_text(f"VALUE = {number}\n")
        monkeypatch.chdir(folder)
        made.append(connect(two_workers.address))
    for turn in (0, 1, 0):
        assert set(made[turn].map(partial(value_of, "src.probe"), range(8), "values")) == {turn + 1}
        assert set(made[turn].map(working_folder, range(8), "folders")) == {str(tmp_path / str(turn + 1))}
    (tmp_path / "1/src/probe.py").write_text("VALUE = 3\n")
    monkeypatch.chdir(tmp_path / "1")
    assert set(connect(two_workers.address).map(partial(value_of, "src.probe"), range(8), "values")) == {3}
    made[1].map(working_folder, range(8), "folders")
    with pytest.raises(
        InputError, match="sees other code in .*/1 than this run began with: run the same command again"
    ):
        made[0].map(partial(value_of, "src.probe"), range(8), "values")


def working_folder(_: int) -> str:
    return os.getcwd()


def test_files_that_are_not_on_a_shared_disk_are_named(
    two_workers: LocalCluster, here: Path, connect: Callable[[str], Cluster]
) -> None:
    with pytest.raises(
        InputError, match=r"^the Dask worker tcp://\S+ has no file .*/nowhere\.zip: put the data and DVC's cache on"
    ):
        connect(two_workers.address).map(Path.read_bytes, [here / "nowhere.zip"], "read")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"versions": {"numba": (["numba"], "0.1")}}, r"has numba \d\S+, and this run 0\.1: install the packages of"),
        ({"versions": {"fire": (["no-such-fire"], "2.0")}}, r"has no fire, and this run 2\.0: install the packages of"),
        ({"note": "/nowhere/note"}, "does not see the files of .*: put the checkout on a disk that all machines have"),
        ({"code": "other"}, "sees other code in .* than this run began with: run the same command again"),
        ({"computed": "other"}, "computes other last digits: start it in the checkout with"),
    ],
)
def test_a_worker_that_cannot_serve_a_run_is_named_with_the_remedy(
    changes: dict[str, Any],
    words: str,
    two_workers: LocalCluster,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    connect: Callable[[str], Cluster],
) -> None:
    this_run = module._this_run()
    monkeypatch.setattr(module, "_this_run", lambda: {**this_run, **changes})
    with pytest.raises(InputError, match=rf"^the Dask worker tcp://127\.0\.0\.1:\d+ {words}"):
        connect(two_workers.address)


def test_a_pinned_worker_is_refused_by_a_native_run(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARITHMETIC", "native")
    this_run = module._this_run()
    assert this_run["pinned"] == arithmetic.SETTINGS
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert remote.unfit(this_run) is None
    for name, value in arithmetic.SETTINGS.items():
        monkeypatch.setenv(name, value)
    assert "computes with pinned arithmetic, and this run with ARITHMETIC=native: start" in str(remote.unfit(this_run))


def test_a_folder_in_which_a_worker_may_not_write_is_told(here: Path) -> None:
    this_run = module._this_run()
    assert remote.unfit(this_run) is None
    opened = Path.open

    def refuse(path: Path, *mode: str, **options: Any) -> Any:
        if str(path) == this_run["note"]:
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(path, *mode, **options)

    with mock.patch.object(Path, "open", refuse):
        assert remote.unfit(this_run) == (
            f"may not write in {here} (Permission denied): start it as the user of this run"
        )


@pytest.mark.skipif(not arithmetic.can_pin(), reason="this processor has no AVX2, so nothing is pinned")
@pytest.mark.parametrize(
    ("options", "variables", "words"),
    [
        (("--nthreads", "2", *PINNED), {}, "has 2 threads in one process: start it with `--nthreads 1`"),
        (("--nthreads", "1"), {"OPENBLAS_CORETYPE": "Nehalem"}, "computes other last digits: start it in the checkout"),
    ],
)
def test_a_worker_that_was_started_wrongly_is_refused(
    options: tuple[str, ...],
    variables: dict[str, str],
    words: str,
    here: Path,
    tmp_path: Path,
    connect: Callable[[str], Cluster],
) -> None:
    (tmp_path / "dask").mkdir()
    with local_cluster(tmp_path / "dask", 0) as made:
        made.worker(*options, env={**os.environ, **variables})
        with pytest.raises(InputError, match=words):
            connect(made.address)


def test_a_cluster_without_a_worker_is_told(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connect: Callable[[str], Cluster]
) -> None:
    monkeypatch.setattr(module, "ANSWER", 1)
    with local_cluster(tmp_path, 0) as made, pytest.raises(InputError, match="had no worker for 1 s: start one in the"):
        connect(made.address)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "127.0.0.1:1", "nonsense://x"])
def test_an_address_at_which_no_scheduler_answers_is_told(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CONNECT", 1)
    with pytest.raises(InputError, match=f"has DASK_SCHEDULER_ADDRESS={address}, and no Dask scheduler answers there"):
        Cluster(address)


def test_without_dask_the_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://127.0.0.1:1")
    module.cluster.cache_clear()
    with pytest.raises(InputError, match="Dask is not installed: run `pip install -r requirements-cluster.txt`, or"):
        module.pool()


@pytest.mark.parametrize("value", [None, ""])
def test_without_an_address_the_processes_are_those_of_this_machine(
    value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBS", "3")
    if value is None:
        monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
    else:
        monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", value)
    module.cluster.cache_clear()
    assert (module.pool(), module.share_of_cluster()) == (3, None)


def test_a_scheduler_that_goes_away_is_told_and_the_next_run_goes_on_after_the_parts_that_are_done(
    here: Path, images: BoxedImages, tmp_path: Path, connect: Callable[[str], Cluster]
) -> None:
    for name in ("dask", "begun"):
        (tmp_path / name).mkdir()
    out, parts = tmp_path / "out/features.npy", Shards(tmp_path / "parts")
    with local_cluster(tmp_path / "dask", 1) as made:
        used = connect(made.address)

        def end_it() -> None:
            until(parts.found)
            kill(made.scheduler.pid)

        thread = threading.Thread(target=end_it)
        thread.start()
        with pytest.raises(InputError, match="went away: start it again, .*; no file is half-written, and the"):
            described(images, out, used, slowly=tmp_path / "begun", parts=parts)
        thread.join()
    assert not out.exists()
    done = parts.found()
    assert 1 <= done < len(images.ids("train"))
    shutil.rmtree(tmp_path / "begun")
    (tmp_path / "begun").mkdir()
    described(images, out, 1, slowly=tmp_path / "begun", parts=parts)
    assert len(list((tmp_path / "begun").iterdir())) == len(images.ids("train")) - done
    described(images, tmp_path / "alone.npy", 1)
    assert out.read_bytes() == (tmp_path / "alone.npy").read_bytes()


def described(
    images: BoxedImages,
    out: Path,
    jobs: Jobs,
    *,
    slowly: Path | None = None,
    width: int = 8,
    parts: Shards | None = None,
) -> None:
    """Write the features of two regions of each of three images, one image at a time."""
    boxes = np.array([[10, 10, 40, 40], [0, 0, 80, 60]], np.float32)
    regions = {name: unlabelled(boxes) for name in images.ids("train")}
    torch.manual_seed(0)
    options: dict[str, Any] = {"layer": "fc7", "settings": SETTINGS, "batch_size": 2, "device": torch.device("cpu")}
    with mock.patch("src.rcnn.extract.CHUNK", 1):
        made = Result(partial(numbers, slowly, width), width)
        extract(TinyNet(), images, regions, out, result=made, jobs=jobs, parts=parts, **options)


def numbers(begun: Path | None, width: int, features: np.ndarray) -> np.ndarray:
    if begun:
        (begun / uuid.uuid4().hex).touch()
        time.sleep(2)
    return np.resize(features, (len(features), width))


def test_a_disk_that_refuses_the_bytes_of_a_worker_is_told_and_nothing_is_left(
    here: Path, images: BoxedImages, tmp_path: Path, connect: Callable[[str], Cluster]
) -> None:
    """The limit of the size of a file is the worker's alone."""
    (tmp_path / "dask").mkdir()
    out = tmp_path / "out/features.npy"
    with local_cluster(tmp_path / "dask", 0) as made:
        limited = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (10**6, resource.RLIM_INFINITY))  # bytes
        made.worker("--nthreads", "1", "--no-nanny", preexec_fn=limited)
        with pytest.raises(InputError, match=rf"{TOLD} .*features\.npy cannot be written \(file too large\): see"):
            described(images, out, connect(made.address), width=100_000)
    assert list(out.parent.iterdir()) == []


def test_a_worker_whose_disk_is_really_full_ends_the_run_in_one_sentence_and_the_next_run_goes_on(
    folder: Path, tmp_path: Path
) -> None:
    """A part per image, and a disk with room for some parts. When it has room, they are not searched again."""
    ids = [f"{number:06}" for number in range(1, 13)]
    scenes(folder / VOC, dict.fromkeys(ids, (90, 120)))
    (tmp_path / "dask").mkdir()
    words = [*full_disk.NAMESPACE, f"{full_disk.MOUNT} tests.full_disk {tmp_path / 'dask'}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    if re.match("unshare|mount", done.stderr):
        pytest.skip(f"this machine lets no test mount a small disk: {done.stderr.strip()}")
    found = json.loads(done.stdout)
    status, said = found["full"]
    assert status == 1
    assert "Traceback" not in said
    assert len(re.findall("^propose: ", said, re.MULTILINE)) == 1
    assert re.fullmatch(
        rf"propose: {TOLD[1:]} {re.escape(str(folder))}/\.checkpoints/propose-[0-9a-f]{{16}}/\d+\.npz was not written, "
        r"because its disk is full \(\d\S* \w+ of it were written, and \d\S* \w+ are free beside them; it needs more "
        r"than both\): make room, for example with `dvc gc --workspace`, and run the same command again",
        said.splitlines()[-1],
    )
    parts = [path for path in found["left"] if path.endswith(".npz")]
    assert 1 <= len(parts) < len(ids)
    assert sorted({Path(path).name for path in found["left"]} - {Path(path).name for path in parts}) == ["filler"]
    status, said = found["room"]
    assert status == 0
    assert f"goes on after a run that was stopped: {len(parts)} parts are there" in said
    assert outputs("propose", folder) == {"proposals.npz": (folder / "out/proposals.npz").read_bytes()}


def die(_: int) -> None:
    kill(os.getpid())


@pytest.mark.slow  # Dask starts four workers anew before it gives up
def test_an_item_that_kills_its_workers_is_given_up(
    here: Path, tmp_path: Path, connect: Callable[[str], Cluster]
) -> None:
    (tmp_path / "dask").mkdir()
    with (
        local_cluster(tmp_path / "dask", 1) as made,
        pytest.raises(InputError, match="died one after the other with the"),
    ):
        connect(made.address).map(die, range(1), "die")


CLIENT_FILES = [f"distributed.comm.tls.{name}" for name in ("ca-file", "client.cert", "client.key")]


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Dask's variables for TLS in this process and in those that it starts, as docs/cluster.md has them."""
    import dask

    block = (ROOT / "docs/cluster.md").read_text().split("```sh\nopenssl")[1].split("```")[0]
    openssl, *exports = f"openssl{block}".replace("$PWD", str(tmp_path)).strip().splitlines()
    if not shutil.which("openssl"):
        pytest.skip("needs the command openssl")
    subprocess.run(shlex.split(openssl.partition(" # ")[0]), cwd=tmp_path, check=True, capture_output=True)
    for line in exports:
        for word in shlex.split(line.partition(" # ")[0])[1:]:
            monkeypatch.setenv(*word.split("=", 1))
    dask.config.refresh()
    yield
    monkeypatch.undo()
    dask.config.refresh()


def test_the_certificate_of_the_page_opens_the_cluster_to_those_who_have_it(
    here: Path,
    tmp_path: Path,
    certificate: None,
    monkeypatch: pytest.MonkeyPatch,
    connect: Callable[[str], Cluster],
) -> None:
    import dask

    (tmp_path / "dask").mkdir()
    with local_cluster(tmp_path / "dask", 1) as made:
        assert made.address.startswith("tls://")
        assert connect(made.address).map(abs, [-1, 2], "numbers") == [1, 2]
        for setting, words in (
            ({"distributed.comm.tls.client.cert": str(tmp_path / "no.pem")}, r"cannot be read \(.*\): set DASK_DIST"),
            (dict.fromkeys(CLIENT_FILES), "Dask knows no certificate for this run: set DASK_DISTRIBUTED__COMM__TLS"),
        ):
            with dask.config.set(setting), pytest.raises(InputError, match=words):
                connect(made.address)
        with pytest.raises(InputError, match="Dask is told to encrypt: take the address that begins with tls://"):
            connect(made.address.replace("tls", "tcp"))


def test_if_all_workers_go_the_run_ends(
    here: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    connect: Callable[[str], Cluster],
) -> None:
    monkeypatch.setattr(module, "LOST", 1)
    monkeypatch.setattr(module, "COUNT", 0.2)
    (tmp_path / "dask").mkdir()
    with local_cluster(tmp_path / "dask", 0) as made:
        worker = made.worker(
            "--nthreads",
            "1",
            "--no-nanny",
        )
        used = connect(made.address)
        threading.Timer(0.5, worker.kill).start()
        with pytest.raises(InputError, match="all workers of the Dask cluster at .* are gone: start some, and run"):
            used.map(time.sleep, [5], "sleep")
    assert "no worker of the Dask cluster is left: waiting 1 s for one" in capsys.readouterr().err
