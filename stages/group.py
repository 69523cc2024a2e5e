"""The processes that train one network together: how many, which of them this is, and the start of this machine's.

A stage that trains is called once on each machine. If the environment asks for several processes, and neither torchrun
nor Slurm has started them, the called process only starts them: each is the same command in a process of its own. It
ends all of them when one ends with an error, and prints one sentence. docs/running.md lists the variables.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from typing import IO, NoReturn

from src.errors import InputError, LostProcess
from src.training.places import Place
from stages import arithmetic

STARTED = "TRAINING_STARTED"  # a variable that this module sets for the processes that it starts
LOST = 75  # exit status of a process that ends because another one did
TERMINATED = 128 + signal.SIGTERM  # exit status of a process that was told to end
PAUSE = 0.1  # seconds between two looks at the processes
GRACE = 5.0  # seconds from the first failure of a process to the decision which one was the cause
END = 15.0  # seconds from SIGTERM to SIGKILL
PORT = 29500


def number(name: str, default: int, what: str = "processes", least: int = 1) -> int:
    """Return the number in a variable of the environment; an `InputError` if it holds none, or one below `least`."""
    value = os.environ.get(name, str(default))
    if not value.isdecimal() or int(value) < least:
        raise InputError(f"the environment has {name}={value}, which must be a number of {what}, {least} or more")
    return int(value)


def devices() -> int:
    """Return the number of processes that train on this machine, each on its own GPU if there are GPUs: `DEVICES`."""
    return number("DEVICES", 1)


def place() -> Place | None:
    """Return the place that torchrun, Slurm or `start` gave this process; None if it is alone."""
    environment = os.environ
    if {"RANK", "WORLD_SIZE", "LOCAL_RANK"} <= environment.keys():
        found = Place(
            number("RANK", 0, "a process", 0),
            world := number("WORLD_SIZE", 1),
            number("LOCAL_RANK", 0, "a process", 0),
            number("LOCAL_WORLD_SIZE", world),
            environment.get("MASTER_ADDR", "127.0.0.1"),
            number("MASTER_PORT", PORT, "a port"),
        )
    else:
        found = _of_slurm()
    if found.world == 1:
        return None
    if found.world % found.local_world:
        raise InputError(
            f"{found.world} processes train together, {found.local_world} of them on this machine: start as many on "
            "each machine"
        )
    if STARTED not in environment and devices() not in (1, found.local_world):
        raise InputError(
            f"the environment has DEVICES={devices()}, but torchrun or Slurm has started {found.local_world} processes "
            "on this machine: unset DEVICES"
        )
    return found


def _of_slurm() -> Place:
    """Return the place of a task of `srun`; of the job's script, which is alone, and without Slurm, a world of 1."""
    world, nodes = number("SLURM_STEP_NUM_TASKS", 1), number("SLURM_STEP_NUM_NODES", 1)
    if world == 1:
        return Place(0, 1, 0, 1, "127.0.0.1", PORT)
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment  # imported here: it takes two seconds

    machines = os.environ.get("SLURM_STEP_NODELIST", os.environ.get("SLURM_JOB_NODELIST", "127.0.0.1"))
    return Place(
        number("SLURM_PROCID", 0, "a process", 0),
        world,
        number("SLURM_LOCALID", 0, "a process", 0),
        max(1, world // nodes),
        os.environ.get("MASTER_ADDR", SLURMEnvironment.resolve_root_node_address(machines)),
        number("MASTER_PORT", 15_000 + number("SLURM_JOB_ID", 0, "a job", 0) % 10_000, "a port"),
    )


def started() -> bool:
    """Check if `start` has started this process."""
    return STARTED in os.environ


def first_here() -> bool:
    """Check if this process is alone, or the first of its group on this machine."""
    found = place()
    return found is None or found.local_rank == 0


def is_first() -> bool:
    """Check if this process is alone, or the first of its group, which writes all files."""
    found = place()
    return found is None or found.rank == 0


def to_start() -> int:
    """Return the number of processes that the stage is to start on this machine; 0: it trains itself."""
    if place() is not None:
        return 0
    here, nodes = devices(), number("NODES", 1, "machines")
    if nodes > 1 and "MASTER_ADDR" not in os.environ:
        raise InputError(f"the environment has NODES={nodes} and no MASTER_ADDR: set the address of machine 0 there")
    if (own := number("NODE_RANK", 0, "a machine", 0)) >= nodes:
        raise InputError(f"the environment has NODE_RANK={own} and NODES={nodes}: machines are counted from 0")
    return here if here * nodes > 1 else 0


def start(module: str, words: Sequence[str], here: int) -> None:
    """Start the processes of this machine, `python -m module words`, and wait until all have ended.

    Raises:
        InputError: one was killed, or one on another machine is gone.
        SystemExit: one ended with an error, whose text is on stderr; its status.
    """
    nodes, own = number("NODES", 1, "machines"), number("NODE_RANK", 0, "a machine", 0)
    address, port = os.environ.get("MASTER_ADDR", ""), number("MASTER_PORT", PORT, "a port")
    if nodes == 1:
        address, port = "127.0.0.1", _free_port()
    places = [Place(own * here + local, nodes * here, local, here, address, port) for local in range(here)]
    children: list[subprocess.Popen[bytes]] = []
    with contextlib.ExitStack() as stack:
        texts = [None, *(stack.enter_context(tempfile.TemporaryFile()) for _ in places[1:])]
        stack.callback(_end, children)
        for one, text in zip(places, texts, strict=True):
            silent = subprocess.DEVNULL if text else None
            command = [sys.executable, "-m", module, *words]
            pipes = {"stdin": subprocess.PIPE, "stdout": silent, "stderr": text}
            children.append(subprocess.Popen(command, env=_environment(one), **pipes))  # type: ignore[call-overload]
        cause = _wait(children)
        if cause is not None:
            _tell(places[cause], children[cause].returncode, texts[cause])


def _environment(one: Place) -> dict[str, str]:
    """Return the environment of a process: the variables of torchrun, and with native arithmetic its share of CPUs."""
    given = {
        "RANK": one.rank,
        "WORLD_SIZE": one.world,
        "LOCAL_RANK": one.local_rank,
        "LOCAL_WORLD_SIZE": one.local_world,
        "MASTER_ADDR": one.address,
        "MASTER_PORT": one.port,
        STARTED: 1,
    }
    if arithmetic.mode() == arithmetic.NATIVE and "OMP_NUM_THREADS" not in os.environ:
        from joblib import cpu_count

        given["OMP_NUM_THREADS"] = max(1, cpu_count() // one.local_world)
    return {**os.environ, **{name: str(value) for name, value in given.items()}}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(children: Sequence[subprocess.Popen[bytes]]) -> int | None:
    """Wait for all children, or for the first that fails; return its number, or None if all have done their work.

    Some seconds pass after the first failure: a child that only lost another one is no cause if there is one, and a
    mistake that all children see is told by the first one, to which the terminal belongs.
    """
    since: float | None = None
    while True:
        ended = [child.poll() is not None for child in children]
        failed = [number for number, child in enumerate(children) if child.returncode]
        if not failed and all(ended):
            return None
        if failed:
            since = since or time.monotonic()
            causes = [number for number in failed if children[number].returncode != LOST]
            if all(ended) or (causes and ended[0]) or time.monotonic() - since > GRACE:
                return causes[0] if causes else failed[-1]  # the last one, because the first has no file for its text
        time.sleep(PAUSE)


def _end(children: Sequence[subprocess.Popen[bytes]]) -> None:
    """End the children that still run, which remove their temporary files."""
    for child in children:
        if child.poll() is None:
            child.terminate()
    deadline = time.monotonic() + END
    for child in children:
        try:
            child.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.stdin is not None:
            child.stdin.close()


def _tell(one: Place, status: int, text: IO[bytes] | None) -> NoReturn:
    again = "the others have ended, too, and the same command goes on from the last whole epoch"
    name = f"process {one.rank} of {one.world}"
    if status == TERMINATED:
        raise InputError(f"{name} was told to end by SIGTERM; {again}")
    if status < 0:
        memory = ", as the system does when the memory is full" if -status == signal.SIGKILL else ""
        raise InputError(f"{name} was killed by {signal.Signals(-status).name}{memory}; {again}")
    said = ""
    if text is not None:  # the first process writes to the same stderr as this one
        text.seek(0)
        said = text.read().decode(errors="replace")
    if status == LOST and one.world > one.local_world:
        raise InputError(f"a process of the training on another machine is gone; {again}")
    if status == LOST:
        raise InputError(f"the processes of the training have lost each other. {name} says: {said.strip()}")
    sys.stderr.write(said)
    sys.exit(status)


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, which may be killed: it holds the other end of stdin."""
    os.read(0, 1)
    os._exit(1)


def _is_of_network(error: RuntimeError) -> bool:
    """Check if an error is one of NCCL's, which may come up in any operation on a GPU."""
    from torch import distributed  # imported by now: a process that trains alone does not get here

    return isinstance(error, distributed.DistError)


def _leave(sentence: str) -> NoReturn:
    """End because another process is gone. `start` shows the sentence if no process has another reason."""
    if not is_first():  # the first one has the terminal
        print(sentence, file=sys.stderr)
    sys.exit(LOST)


@contextlib.contextmanager
def member() -> Iterator[None]:
    """Be one process of the group within the context, or alone; leave the group at its end.

    Only the first process prints. A process that was started by `start` says nothing when it is told to end, or when
    another one is gone: that one's end is the news.
    """
    if place() is None:
        yield
        return
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")  # torch would add a stack of C++ to a sentence of ours
    if started():
        threading.Thread(target=_end_with_parent, daemon=True).start()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the starting process ends the others
    with contextlib.ExitStack() as stack:
        if not is_first():
            nowhere = stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
        try:
            yield
        except LostProcess as error:
            if started():
                _leave(str(error))
            raise
        except RuntimeError as error:
            if not _is_of_network(error):
                raise
            sentence = f"a process of the training is gone ({str(error).splitlines()[0]})"
            if started():
                _leave(sentence)
            raise LostProcess(sentence) from error
        except KeyboardInterrupt:
            if started():
                sys.exit(TERMINATED)
            raise
    if "torch" in sys.modules:
        from torch import distributed

        if distributed.is_initialized():
            distributed.destroy_process_group()
