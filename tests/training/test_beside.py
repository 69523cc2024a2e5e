"""Processes of one machine exchange small tensors directly; threads stand for them here."""

import threading
from collections.abc import Callable, Iterator
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
def meet(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Let three threads meet, and return what each one got, or its error; `torch.distributed` is a barrier here."""
    here, barrier, held = threading.local(), threading.Barrier(3), [""] * 3

    def all_gather_object(found: list[str], own: str) -> None:
        held[here.rank] = own
        barrier.wait(20)
        found[:] = held
        barrier.wait(20)

    def one(rank: int, broken: int | None) -> Any:
        here.rank = rank
        try:
            if rank == broken:  # it is gone after it has told where it waits, or before it connects
                all_gather_object([""] * 3, "/nowhere/socket" if rank == 0 else "")
                all_gather_object([""] * 3, "")
                return None
            return beside.meet(rank, 3, LONGEST)
        except InputError as error:
            return error

    def run(broken: int | None = None) -> list[Any]:
        with ThreadPoolExecutor(3) as threads:
            return list(threads.map(one, range(3), [broken] * 3))

    monkeypatch.setattr(beside.dist, "all_gather_object", all_gather_object)
    return run


@pytest.mark.parametrize("name", ["short", "a folder whose name is much too long for that of a socket" * 2])
def test_processes_meet_and_leave_no_file(
    meet: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.setattr(beside.tempfile, "tempdir", str(folder))
    monkeypatch.setattr(beside, "LONGEST_FOLDER", len(str(tmp_path / "short")))
    assert beside._folder() == (str(folder) if name == "short" else "/tmp")
    met = meet()
    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(lambda one: met[one].gathered(torch.tensor(one)), range(3)))
    assert all(torch.equal(one, torch.arange(3)) for one in found)
    assert not list(folder.iterdir())


def test_all_processes_have_one_sentence_if_some_do_not_see_the_socket(meet: Callable[..., list[Any]]) -> None:
    _, *found = meet(broken=0)
    assert len({str(error) for error in found}) == 1
    assert str(found[0]).startswith("process 1 cannot open the socket /nowhere/socket of the first one ([Errno 2]")
    assert "set TMPDIR to a folder on a disk of this machine" in str(found[0])


def test_all_processes_have_one_sentence_if_the_first_one_cannot_open_its_socket(
    meet: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beside, "_folder", lambda: "/nowhere")
    found = meet()
    assert len({str(error) for error in found}) == 1
    assert str(found[0]).startswith("the first process of this machine cannot open its socket ([Errno 2]")
