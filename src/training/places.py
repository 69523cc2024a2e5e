"""The place of a process among those that train one network together, and its share of their batches."""

from typing import NamedTuple


class Place(NamedTuple):
    """The place of a process in its group.

    Attributes:
        rank: its number, from 0.
        world: the number of processes on all machines.
        local_rank: its number on this machine, from 0; on a machine with GPUs that of its GPU.
        local_world: the number of processes on this machine; every machine has as many.
        address: name or IP address of the machine of process 0.
        port: the port at which process 0 waits for the others.
    """

    rank: int
    world: int
    local_rank: int
    local_world: int
    address: str
    port: int


class Share(NamedTuple):
    """The share of a process in every batch.

    Attributes:
        rank: the number of the process, from 0.
        world: the number of processes.
        beside: the number of processes on this machine, which share its memory.
    """

    rank: int = 0
    world: int = 1
    beside: int = 1

    def rows(self, count: int) -> range:
        """Return the rows of this process in a batch: consecutive, and at most one more or less than others have.

        >>> [Share(rank, 3).rows(8) for rank in range(3)]
        [range(0, 2), range(2, 5), range(5, 8)]
        """
        return range(self.rank * count // self.world, (self.rank + 1) * count // self.world)


WHOLE = Share()
