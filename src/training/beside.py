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
        longest: the longest wait for another process, here and in each exchange.

    Raises:
        OSError: another process is gone.
        InputError: the processes do not see the same folder of temporary files.
    """
    with ExitStack() as stack:
        place = [""]
        if rank == 0:
            server = stack.enter_context(socket.socket(socket.AF_UNIX))
            server.settimeout(longest.total_seconds())
            folder = tempfile.gettempdir()
            folder = folder if len(os.fsencode(folder)) <= LONGEST_FOLDER else "/tmp"
            place = [f"{stack.enter_context(tempfile.TemporaryDirectory(dir=folder))}/socket"]
            server.bind(place[0])
            server.listen(world)
        dist.broadcast_object_list(place, 0)
        if rank > 0:
            try:
                connection = Client(place[0], "AF_UNIX")
            except OSError as error:
                raise InputError(
                    f"the first process of this machine waits at {place[0]}, which process {rank} cannot open "
                    f"({error}): set TMPDIR to a folder that both see"
                ) from None
            connection.send(rank)
            return Beside(rank, world, [connection], longest)
        found = {}
        for _ in range(world - 1):
            other = server.accept()[0]
            other.setblocking(True)
            connection = Connection(other.detach())
            found[connection.recv()] = connection
        return Beside(rank, world, [found[number] for number in sorted(found)], longest)
