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

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.variables = {"SLURM_CONF": str(folder / "slurm.conf")}

    def words(self, name: str, command: Sequence[str]) -> list[str]:
        """Return a command that runs another one on a machine."""
        script = f'mount --bind {self.folder}/hosts /etc/hosts && hostname {name} && exec "$@"'
        network = f"--net=/run/netns/{network_of(name)}"
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


def network_of(name: str) -> str:
    """Return the name of the network namespace of a machine, which no other process of tests has."""
    return f"{name}-{os.getpid()}"


@contextlib.contextmanager
def slurm(folder: Path) -> Iterator[Slurm]:
    """Run a Slurm of two machines until the block ends; both take jobs when it begins."""
    made = Slurm(folder)
    hosts = [f"{NETWORK}.{number} {name}" for number, name in enumerate(NAMES, start=1)]
    (folder / "hosts").write_text("\n".join(["127.0.0.1 localhost", *hosts, ""]))
    (folder / "slurm.conf").write_text(CONF.format(folder=folder))
    (folder / "cgroup.conf").write_text("CgroupPlugin=autodetect\n")
    (folder / "state").mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    with contextlib.ExitStack() as stack:
        _networks(stack)
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


def _networks(stack: contextlib.ExitStack) -> None:
    """Make a network for each machine, and a cable from one to the other."""
    links = [f"s{number}-{os.getpid()}" for number in (1, 2)]
    networks = list(map(network_of, NAMES))

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    for network in networks:
        ip("netns", "add", network)
        stack.callback(subprocess.run, ["ip", "netns", "del", network], capture_output=True)
    ip("link", "add", links[0], "netns", networks[0], "type", "veth", "peer", links[1], "netns", networks[1])
    for number, (network, link) in enumerate(zip(networks, links, strict=True), start=1):
        ip("-n", network, "addr", "add", f"{NETWORK}.{number}/24", "dev", link)
        ip("-n", network, "link", "set", link, "up")
        ip("-n", network, "link", "set", "lo", "up")
        # Dask asks by which address the Internet would be reached.
        ip("-n", network, "route", "add", "default", "via", f"{NETWORK}.{3 - number}")


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
