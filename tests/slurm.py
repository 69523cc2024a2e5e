"""A Slurm of two machines on this one: namespaces with their own networks and names, a controller, two daemons.

It needs Slurm and munge (on Debian: `apt-get install slurmctld slurmd slurm-client munge`) and the rights of root.
"""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.two_networks import Network, two_networks

PROGRAMS = ("munged", "slurmctld", "slurmd", "srun", "sbatch", "nsenter", "unshare", "ip")
NAMES = ("machine1", "machine2")
NETWORK = "10.214.0"
WAIT = 60.0  # seconds, for a machine with many other programs
CONF = """
ClusterName=test
SlurmctldHost=machine1
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
KillWait=5
NodeName=machine[1-2] CPUs=1 RealMemory=4000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES State=UP
"""


class Slurm:
    """Its two machines; they have the disk of this one."""

    def __init__(self, folder: Path, networks: Sequence[Network]) -> None:
        self.folder, self.networks = folder, dict(zip(NAMES, networks, strict=True))
        self.variables = {"SLURM_CONF": str(folder / "slurm.conf")}

    def words(self, name: str, command: Sequence[str]) -> list[str]:
        """Return a command that runs another one on a machine."""
        script = f'mount --bind {self.folder}/hosts /etc/hosts && hostname {name} && exec "$@"'
        network = f"--net=/run/netns/{self.networks[name].name}"
        return ["nsenter", network, "unshare", "--mount", "--uts", "sh", "-c", script, "sh", *command]

    def popen(self, command: Sequence[str], name: str = NAMES[0], **options: Any) -> "subprocess.Popen[str]":
        """Start a command on a machine."""
        environment = {**options.pop("env", os.environ), **self.variables}
        return subprocess.Popen(self.words(name, command), env=environment, text=True, **options)

    def run(self, command: Sequence[str], **options: Any) -> "subprocess.CompletedProcess[str]":
        """Run a command on the first machine."""
        environment = {**options.pop("env", os.environ), **self.variables}
        words = self.words(NAMES[0], command)
        return subprocess.run(words, env=environment, capture_output=True, text=True, **options)


def missing() -> str:
    """Say what this machine lacks; nothing if it can run a Slurm."""
    lacks = [name for name in PROGRAMS if not shutil.which(name)]
    if lacks:
        return f"this machine has no {', '.join(lacks)}: apt-get install slurmctld slurmd slurm-client munge"
    return "" if os.geteuid() == 0 else "Slurm's daemons and network namespaces need the rights of root"


@contextlib.contextmanager
def slurm(folder: Path) -> Iterator[Slurm]:
    """Run a Slurm of two machines until the block ends; both take jobs when it begins."""
    (folder / "slurm.conf").write_text(CONF.format(folder=folder))
    (folder / "cgroup.conf").write_text("CgroupPlugin=autodetect\n")
    (folder / "state").mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    with contextlib.ExitStack() as stack:
        made = Slurm(folder, stack.enter_context(two_networks(NETWORK)))
        hosts = [f"{network.address} {name}" for name, network in made.networks.items()]
        (folder / "hosts").write_text("\n".join(["127.0.0.1 localhost", *hosts, ""]))
        files = {"socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        munge = [word for name, end in files.items() for word in (f"--{name}", str(folder / f"munge.{end}"))]
        for number, command in enumerate(
            [["munged", "--foreground", "--force", "--key-file", str(key), *munge], ["slurmctld", "-D"]]
            + [["slurmd", "-D"]] * 2
        ):
            log = stack.enter_context((folder / f"{number}-{command[0]}.log").open("w"))
            process = made.popen(command, NAMES[number == 3], stdout=log, stderr=log)
            stack.callback(_end, process)
        _until_both_are_idle(made)
        yield made
        made.run(["scancel", "--user=root"])


def _until_both_are_idle(made: Slurm) -> None:
    end = time.monotonic() + WAIT
    while (said := made.run(["sinfo", "--noheader", "--format=%T %D"])).stdout.split() != ["idle", "2"]:
        assert time.monotonic() < end, said
        time.sleep(0.2)


def _end(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
