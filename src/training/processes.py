"""The processes that train one network together: each has a share of every batch, and all know what they must share.

The size of a batch is that of all processes together. A loss, a layer or a random choice that depends on the whole
batch asks the functions below. Within `together` they exchange numbers with the other processes; outside, and with one
process, they return what they are given, without an exchange and to the same bytes.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional

from src.errors import LostProcess
from src.training.beside import Beside, meet

STEP = timedelta(minutes=10)  # longest wait for the others within a step; a machine that lost its power is noticed then
PATIENCE = timedelta(days=2)  # longest wait for the first process, which validates and writes the files

T = TypeVar("T")


class _Group:
    """The state of this process: its device within a step of a common training, and its ways to the others."""

    device: torch.device | None = None
    patient: Any = None  # the group of patient waits
    beside: Beside | None = None  # if all processes compute on the CPU of one machine


@contextmanager
def together(device: torch.device) -> Iterator[None]:
    """Within the context all processes do the same: they call the functions below in the same order."""
    _Group.device = device
    try:
        yield
    finally:
        _Group.device = None


def averaged(count: T, least: int = 0) -> T:
    """Return the mean over the processes of a count of this one, or of `least` in all if that is more.

    A loss divides the sum over its own images by this: the mean of the losses over the processes is then the loss of
    the whole batch, and the mean of their gradients its gradient. A plain mean over its own images would not be,
    because processes have different numbers of objects.

    Args:
        count: a number, or a tensor without dimensions.
        least: smallest value of the sum over the processes.
    """
    if _Group.device is None:
        return count.clamp(min=least) if isinstance(count, Tensor) else max(count, least)  # type: ignore[call-overload, return-value]
    found = total(torch.as_tensor(count, dtype=torch.float64, device=_Group.device))
    found = found.clamp(min=least) / dist.get_world_size()
    return found.float() if isinstance(count, Tensor) else found.item()  # type: ignore[return-value]


def weight(count: Any) -> Any:
    """Return the factor of a mean over `count` items of this process in the mean over those of all; 1 if alone."""
    return count / averaged(count)


def rand(rows: int, columns: int) -> Tensor:
    """Draw numbers from 0 to 1 for the rows of this process, [rows, columns], as one process would for all rows.

    The numbers come from the generator of the CPU, which all processes have in the same state.
    """
    before, every = _rows(rows)
    return torch.rand(every, columns)[before : before + rows]


def kept(like: Tensor, probability: float) -> Tensor:
    """Draw which numbers of a tensor [rows, ...] stay: 1 with the probability, else 0; as one process for all rows.

    On a CPU these are the draws of PyTorch's dropout. A GPU draws in another order for another number of rows.
    """
    before, every = _rows(len(like))
    channels_last = like.ndim == 4 and like.is_contiguous(memory_format=torch.channels_last)
    order = torch.channels_last if channels_last and not like.is_contiguous() else torch.contiguous_format
    shape = every, *like.shape[1:]
    drawn = torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=order).bernoulli_(probability)
    return drawn[before : before + len(like)]


def widened(rows: Tensor) -> Tensor:
    """Append zeros to a tensor [B, N, ...] along N, up to the largest N of all processes."""
    if _Group.device is None:
        return rows
    most = max(_counts(rows.shape[1]))
    return functional.pad(rows, [0, 0] * (rows.ndim - 2) + [0, most - rows.shape[1]])


def mean(values: Tensor) -> Tensor:
    """Return the mean of a tensor over the processes; no gradient goes through it."""
    return total(values) / dist.get_world_size()


def total(values: Tensor) -> Tensor:
    """Return the sum of a tensor over the processes; no gradient goes through it."""
    if _Group.beside is not None:
        return gathered(values).sum(0)
    found = values.detach().clone()
    with _told():
        dist.all_reduce(found)
    return found


def gathered(values: Tensor) -> Tensor:
    """Return the tensors of all processes, [world, ...]; they have one shape, and no gradient goes through it."""
    if _Group.beside is not None:
        with _told():
            return _Group.beside.gathered(values)
    found = [torch.empty_like(values) for _ in range(dist.get_world_size())]
    with _told():
        dist.all_gather(found, values.detach())
    return torch.stack(found)


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace the gradients by their means over the processes, in one exchange.

    A parameter without a gradient counts as 0, and keeps none if no process has one: an optimizer leaves it as it is.
    """
    learning = [value for value in parameters if value.requires_grad]
    if not learning:
        return
    parts = [torch.zeros_like(value) if value.grad is None else value.grad for value in learning]
    present = torch.tensor([float(value.grad is not None) for value in learning]).to(parts[0])
    every = torch.cat([*(part.reshape(-1) for part in parts), present])
    with _told():
        dist.all_reduce(every)
    every /= dist.get_world_size()
    sizes = [part.numel() for part in parts]
    *means, present = every.split([*sizes, len(parts)])
    for value, part, flat, one in zip(learning, parts, means, present.tolist(), strict=True):
        if one > 0:
            part.copy_(flat.view(part.shape))
            value.grad = part


def broadcast(value: T) -> T:
    """Return the value of the first process; the others wait for it, however long it takes."""
    held = [value]
    with _told():
        dist.broadcast_object_list(held, 0, group=_Group.patient)
    return held[0]


def wait() -> None:
    """Wait for all processes, however long they take."""
    with _told():
        dist.barrier(group=_Group.patient)


def connect(*, cpu_of_one_machine: bool) -> None:
    """Open the other ways between the processes; all of them call this once, after they have met."""
    with _told():
        _Group.patient = dist.new_group(backend="gloo", timeout=PATIENCE)
        if cpu_of_one_machine:
            _Group.beside = meet(dist.get_rank(), dist.get_world_size(), STEP)


def _rows(rows: int) -> tuple[int, int]:
    """Return the number of rows of the processes before this one, and of all."""
    if _Group.device is None:
        return 0, rows
    counts = _counts(rows)
    return sum(counts[: dist.get_rank()]), sum(counts)


def _counts(number: int) -> list[int]:
    return gathered(torch.tensor(number, device=_Group.device)).tolist()


@contextmanager
def _told() -> Iterator[None]:
    """Turn the error of an exchange whose partner is gone into a sentence."""
    try:
        yield
    except (RuntimeError, OSError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise LostProcess(
            f"a process of the training is gone, so this one ends, too ({reason}): see what that process says, and run "
            "the same command again, which goes on from the last whole epoch"
        ) from error
