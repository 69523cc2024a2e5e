"""Processes of one machine exchange small tensors directly; threads stand for them here."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from src.errors import InputError, LostProcess
from src.training import beside, processes
from src.training.beside import Beside

LONGEST = timedelta(seconds=20)


@pytest.fixture
def ends() -> Iterator[list[list[Connection]]]:
    """The connections of three processes."""
    pairs = [Pipe() for _ in range(2)]
    with ExitStack() as stack:
        for pair in pairs:
            for end in pair:
                stack.enter_context(end)
        yield [[pair[0] for pair in pairs], *([pair[1]] for pair in pairs)]


def gathered(ends: list[list[Connection]], values: list[Tensor], longest: timedelta = LONGEST) -> list[Any]:
    """Return what each process found, or its error."""

    def one(rank: int) -> Any:
        try:
            return Beside(rank, len(values), ends[rank], longest).gathered(values[rank])
        except OSError as error:
            return error

    with ThreadPoolExecutor(len(values)) as threads:
        return list(threads.map(one, range(len(values))))


@pytest.mark.parametrize(
    "values",
    [
        torch.arange(12.0).reshape(3, 2, 2),
        torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)),
        torch.tensor([1, -2, 2**40]),
        torch.tensor([[1.5], [torch.nan], [torch.inf]], dtype=torch.bfloat16),
        torch.tensor([True, False, True]),
        torch.zeros(3, 0),
        torch.arange(24.0).reshape(2, 4, 3).permute(2, 0, 1),
    ],
)
def test_every_process_has_the_tensors_of_all_in_their_order(ends: list[list[Connection]], values: Tensor) -> None:
    for found in gathered(ends, list(values)):
        torch.testing.assert_close(found, values, rtol=0, atol=0, equal_nan=True)


def test_tensors_larger_than_what_a_socket_holds_do_not_make_processes_wait_for_each_other(
    ends: list[list[Connection]],
) -> None:
    values = torch.randn(3, 1_000_000, generator=torch.Generator().manual_seed(0))
    assert all(torch.equal(found, values) for found in gathered(ends, list(values)))


def test_an_exchange_keeps_no_gradient_and_leaves_its_input(ends: list[list[Connection]]) -> None:
    values = [torch.ones(2, requires_grad=True) for _ in range(3)]
    for found in gathered(ends, values):
        assert not found.requires_grad
        found += 1  # its own memory
    assert all(torch.equal(one, torch.ones(2)) for one in values)


def test_a_process_that_is_gone_silent_or_elsewhere_ends_the_exchange(ends: list[list[Connection]]) -> None:
    values = [torch.ones(2), torch.ones(2), torch.ones(3)]
    assert {str(error) for error in gathered(ends, values)} == {"another process has sent numbers of another step"}
    silent = gathered(ends, values[:2], timedelta(seconds=0.2))  # the third does not come
    assert {str(error) for error in silent} == {"it has said nothing for 0 s"}
    ends[2][0].close()
    assert isinstance(gathered(ends, values[:2], timedelta(seconds=0.2))[0], OSError)


def test_the_end_of_a_process_is_told_as_that_of_any_exchange(
    ends: list[list[Connection]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes._Group, "beside", Beside(1, 2, ends[1], LONGEST))
    ends[0][0].close()
    with pytest.raises(LostProcess, match=r"^a process of the training is gone, so this one ends, too \("):
        processes.total(torch.ones(2))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The broadcast between threads; its last value."""
    ready, place = threading.Event(), [""]

    def broadcast(given: list[str], _: int) -> None:
        if given[0]:
            place[0] = given[0]
            ready.set()
        assert ready.wait(20)
        given[0] = place[0]

    monkeypatch.setattr(beside.dist, "broadcast_object_list", broadcast)
    return place


@pytest.mark.parametrize("name", ["short", "a folder whose name is much too long for that of a socket" * 2])
def test_processes_meet_and_leave_no_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, told: list[str], name: str
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.setattr(beside.tempfile, "tempdir", str(folder))
    monkeypatch.setattr(beside, "LONGEST_FOLDER", len(str(tmp_path / "short")))
    with ThreadPoolExecutor(3) as threads:
        met = list(threads.map(lambda rank: beside.meet(rank, 3, LONGEST), [0, 1, 2]))
        found = list(threads.map(lambda one: met[one].gathered(torch.tensor(one)), range(3)))
    assert all(torch.equal(one, torch.arange(3)) for one in found)
    assert told[0].startswith(str(folder) if name == "short" else "/tmp/")
    assert not Path(told[0]).parent.exists()


def test_processes_that_do_not_see_the_same_folder_are_told_so(told: list[str]) -> None:
    beside.dist.broadcast_object_list(["/nowhere/socket"], 0)
    with pytest.raises(InputError, match=r"waits at /nowhere/socket, which process 1 cannot open \(.*set TMPDIR"):
        beside.meet(1, 2, LONGEST)


def test_the_first_process_waits_no_longer_than_it_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside.dist, "broadcast_object_list", lambda place, _: None)
    with pytest.raises(socket.timeout):
        beside.meet(0, 2, timedelta(seconds=0.1))
