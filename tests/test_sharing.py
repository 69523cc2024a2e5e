"""Colleagues share results through git and a DVC remote: docs/sharing.md, with real servers on the loopback."""

import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from stages import arithmetic
from tests.local_cluster import until
from tests.repository import Repository

SSHD = Path("/usr/sbin/sshd")
SECRETS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
# Other instructions and threads, as on another kind of processor: they would change the bytes if a stage ran.
ELSEWHERE = {
    "ARITHMETIC": arithmetic.NATIVE,
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_CBWR": "SSE2",
    "OMP_NUM_THREADS": "3",
}


@pytest.fixture
def folder_remote(tmp_path: Path) -> list[list[str]]:
    """The commands that name a folder as the remote."""
    return [["dvc", "remote", "add", "-d", "store", str(tmp_path / "store")]]


@pytest.fixture
def ssh_remote(tmp_path: Path) -> Iterator[list[list[str]]]:
    """The commands that name a folder on a server of SSH, which accepts one key; the key is in no committed file."""
    pytest.importorskip("dvc_ssh", reason="needs DVC's plug-in: pip install -r requirements-cluster.txt")
    if not SSHD.exists() or not shutil.which("ssh-keygen"):
        pytest.skip("needs a server of SSH: apt-get install openssh-server")
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd refuses to start without it
    port = free_port()
    (tmp_path / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path}/host\nAuthorizedKeysFile {tmp_path}/user.pub\n"
        "StrictModes no\nUsePAM no\nPasswordAuthentication no\nPidFile none\nSubsystem sftp internal-sftp\n"
    )
    with serving([str(SSHD), "-D", "-f", str(tmp_path / "sshd_config")], port):
        yield [
            ["dvc", "remote", "add", "-d", "store", f"ssh://127.0.0.1:{port}{tmp_path}/store"],
            ["dvc", "remote", "modify", "--local", "store", "keyfile", str(tmp_path / "user")],
        ]


@pytest.fixture
def s3_remote() -> Iterator[list[list[str]]]:
    """The commands that name a bucket on a server with the protocol of S3; the secrets are in the environment."""
    pytest.importorskip("dvc_s3", reason="needs DVC's plug-in: pip install -r requirements-cluster.txt")
    pytest.importorskip("moto", reason="needs a server of S3: pip install -r requirements-cluster.txt")
    import requests

    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with serving([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], port):
        assert requests.put(f"{address}/results", timeout=10).ok
        yield [
            ["dvc", "remote", "add", "-d", "store", "s3://results/store"],
            ["dvc", "remote", "modify", "store", "endpointurl", address],
        ]


def free_port() -> int:
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def serving(command: list[str], port: int) -> Iterator[None]:
    """Run a server until the block ends; it answers when the block begins."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def answers() -> bool:
        assert process.poll() is None, f"{command} ended"
        with closing(socket.socket()) as tried:
            return tried.connect_ex(("127.0.0.1", port)) == 0

    try:
        until(answers)
        yield
    finally:
        process.terminate()
        process.wait()


def published(repository: Repository, remote: list[list[str]], folder: Path) -> Path:
    """Push a state with its outputs, as docs/sharing.md says; return the bare repository of git."""
    origin = folder / "origin.git"
    repository("git", "init", "-q", "--bare", str(origin))
    for command in remote:
        repository(*command)
    repository("git", "add", ".dvc/config")
    repository.commit()
    repository("dvc", "push", **SECRETS)
    repository("git", "remote", "add", "origin", str(origin))
    repository("git", "push", "-q", "-u", "origin", "HEAD")
    return origin


def cloned(origin: Path, remote: list[list[str]], path: Path, commands: Path | None) -> Repository:
    """Clone a repository as a colleague does, who adds what is of this machine alone."""
    subprocess.run(["git", "clone", "-q", origin, path], check=True)
    clone = Repository(path, commands)
    for key, value in (("user.name", "c"), ("user.email", "c@example.org")):
        clone("git", "config", key, value)
    for command in remote:
        if "--local" in command:
            clone(*command)
    return clone


def ran(output: str) -> list[str]:
    return re.findall(r"Running stage '(.+)'", output)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["folder", "ssh", "s3"])
def test_a_colleague_pulls_and_runs_nothing_on_another_kind_of_processor(
    kind: str, copy: Repository, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    remote = request.getfixturevalue(f"{kind}_remote")
    origin = published(copy, remote, tmp_path)
    assert "keyfile" not in (copy.path / ".dvc/config").read_text()
    clone = cloned(origin, remote, tmp_path / "clone", copy.commands)
    clone("dvc", "pull", **SECRETS)
    assert ran(clone("dvc", "repro", **ELSEWHERE)) == ["watch"]  # which runs always, and finds the same
    assert clone("git", "status", "--porcelain") == ""
    assert (clone.path / "dvc.lock").read_bytes() == (copy.path / "dvc.lock").read_bytes()
    for name in ("models/ssd300.safetensors", "data/features/rcnn.npy", "report/report.html"):
        assert (clone.path / name).read_bytes() == (copy.path / name).read_bytes()


@pytest.mark.slow
def test_experiments_and_a_model_with_its_card_are_shared(
    copy: Repository, tmp_path: Path, folder_remote: list[list[str]]
) -> None:
    copy("python", "-m", "commands.model_card", "ssd300")
    copy("git", "add", "-f", "cards/ssd300.md", "cards/ssd300.jpg")
    origin = published(copy, folder_remote, tmp_path)
    copy("dvc", "exp", "run", "-n", "change", "-S", "detect_rcnn.nms_thresh=0.45")
    copy("dvc", "exp", "push", "origin", "change")
    figures = (copy.path / "metrics/rcnn.json").read_bytes()

    clone = cloned(origin, folder_remote, tmp_path / "clone", copy.commands)
    assert "change" in clone("dvc", "exp", "list", "origin")
    clone("dvc", "exp", "pull", "origin", "change")
    clone("dvc", "pull")
    clone("dvc", "exp", "apply", "change")
    assert ran(clone("dvc", "repro")) == ["watch"]
    assert (clone.path / "metrics/rcnn.json").read_bytes() == figures

    elsewhere = Repository((tmp_path / "elsewhere"), copy.commands)
    elsewhere.path.mkdir()
    for name in ("models/ssd300.safetensors", "cards/ssd300.md"):
        elsewhere("dvc", "get", str(origin), name)
    model = (elsewhere.path / "ssd300.safetensors").read_bytes()
    assert model == (copy.path / "models/ssd300.safetensors").read_bytes()
    assert hashlib.sha256(model).hexdigest() in (elsewhere.path / "ssd300.md").read_text()


@pytest.mark.slow
def test_each_worker_of_the_queue_has_the_environment_in_which_it_was_started(copy: Repository) -> None:
    """The variable is JOBS here, which the stage `check` prints, and CUDA_VISIBLE_DEVICES on a machine with GPUs."""
    names = {f"sweep{number}": str(number) for number in (1, 2)}
    for name, number in names.items():
        copy("dvc", "exp", "run", "--queue", "-n", name, "-S", f"detect_rcnn.nms_thresh=0.4{number}")
    start = "dvc queue start -j {} > started 2>&1"  # to a file, because the worker would keep a pipe open
    copy("sh", "-c", start.format(1), JOBS="3")
    until(lambda: "Worker status: 1 active" in copy("dvc", "queue", "status"), 180)
    copy("sh", "-c", start.format(2), JOBS="4")
    logs = [copy("dvc", "queue", "logs", "-f", name) for name in names]
    found = [re.search(r"(\d) processes", log) for log in logs]
    assert {match[1] for match in found if match} == {"3", "4"}
