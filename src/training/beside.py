"""Small tensors that processes of one machine exchange directly, over sockets of the system.

A network with BatchNorm exchanges numbers twice per layer and step. PyTorch's gloo passes each exchange through several
threads, and each of them has to wake up; over a socket of the system only the other process has to. docs/performance.md
("Two processes") has the difference. The first process collects what the others send, and sends all of it to each. So
no two processes wait for each other, whatever the size, and all have the same bytes.
"""

import os
import socket
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from multiprocessing.connection import Client, Connection

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from src.errors import InputError

LONGEST_FOLDER = 60  # bytes; the name of a socket has at most 107, on macOS 103
REMEDY = "set TMPDIR to a folder on a disk of this machine that all its processes see and may write"


class Beside:
    """The connections of a process: the first one has one to each other process, the others have one to the first."""

    def __init__(self, rank: int, world: int, connections: Sequence[Connection], longest: timedelta) -> None:
        self._rank, self._world = rank, world
        self._connections, self._longest = connections, longest.total_seconds()

    def gathered(self, values: Tensor) -> Tensor:
        """Return the tensors of all processes, [world, ...]; they have one shape and type, and are on the CPU.

        Raises:
            OSError: another process is gone, has said nothing for the longest wait, or has sent another size.
        """
        own = values.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        if self._rank == 0:
            every = b"".join([own, *map(self._received, self._connections)])
            for connection in self._connections:
                connection.send_bytes(every)
        else:
            self._connections[0].send_bytes(own)
            every = self._received(self._connections[0])
        if len(every) != self._world * len(own):
            raise OSError("another process has sent numbers of another step")
        rows = torch.from_numpy(np.frombuffer(bytearray(every), np.uint8))
        return rows.view(values.dtype).view(self._world, *values.shape)

    def _received(self, connection: Connection) -> bytes:
        if not connection.poll(self._longest):
            raise TimeoutError(f"it has said nothing for {self._longest:.0f} s")
        try:
            return connection.recv_bytes()
        except EOFError:
            raise ConnectionResetError("it has closed its connection") from None


def meet(rank: int, world: int, longest: timedelta) -> Beside:
    """Connect the processes; all call this together, once they have met through `torch.distributed`.

    Args:
        rank: the number of this process, from 0.
        world: the number of processes, all on this machine.
        longest: the longest wait for another process in an exchange.

    Raises:
        InputError: the first process cannot open its socket, or the others do not see it. All have the same sentence.
        RuntimeError: another process is gone.
    """
    found: dict[int, Connection] = {}
    with ExitStack() as stack:
        place, failed, told = "", "", [""] * world
        if rank == 0:
            try:
                server = stack.enter_context(socket.socket(socket.AF_UNIX))
                place = f"{stack.enter_context(tempfile.TemporaryDirectory(dir=_folder()))}/socket"
                server.bind(place)
                server.listen(world)
            except OSError as error:
                failed = f"the first process of this machine cannot open its socket ({error}): {REMEDY}"
        dist.all_gather_object(told, place)
        if rank > 0 and told[0]:
            try:
                found[0] = Client(told[0], "AF_UNIX")
                found[0].send(rank)
            except OSError as error:
                failed = f"process {rank} cannot open the socket {told[0]} of the first one ({error}): {REMEDY}"
        dist.all_gather_object(told, failed)  # the first one accepts only when all have connected: it never waits
        if sentence := next(filter(None, told), ""):
            raise InputError(sentence)
        while rank == 0 and len(found) < world - 1:
            connection = Connection(server.accept()[0].detach())
            found[connection.recv()] = connection
    return Beside(rank, world, [found[number] for number in sorted(found)], longest)


def _folder() -> str:
    """Return a folder whose name leaves room for that of a socket: that of temporary files, or `/tmp`."""
    folder = tempfile.gettempdir()
    return folder if len(os.fsencode(folder)) <= LONGEST_FOLDER else "/tmp"
