"""Several processes train as one does; tests/training/shared_work.py has the trainings."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from src.training import processes
from src.training.places import WHOLE, Share
from src.training.processes import averaged, weight
from src.training.synchronised import BatchNorm, synchronise
from tests.training.shared_work import DOUBLE
from tests.training.together import results

WORK = "tests.training.shared_work"
GROUPS = [
    *((name, world) for name in ("exact", "network") for world in (1, 2, 4)),
    ("apart", 3),
    ("frozen", 1),
    ("frozen", 2),
    ("gradients", 2),
    ("counts", 3),
    ("too_small", 2),
    ("uninterrupted", 1),
    *(("fewer", world) for world in (2, 1)),
    *(("more", world) for world in (1, 2)),
]
Results = dict[tuple[str, int], list[Any]]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return results(tmp_path_factory.mktemp("groups"), WORK, GROUPS)


def assert_close(one: dict[str, Any], other: dict[str, Any], rtol: float = 1e-5, atol: float = 1e-6) -> None:
    """Compare the weights and all figures except the number of processes."""
    for name, value in one["weights"].items():
        torch.testing.assert_close(
            other["weights"][name], value, rtol=rtol, atol=atol, msg=lambda m, n=name: f"{n}: {m}"
        )
    for row, second in zip(one.get("history", []), other.get("history", []), strict=True):
        first = {name: value for name, value in row.items() if name != "processes"}
        assert {name: second[name] for name in first} == pytest.approx(first, rel=rtol, abs=atol)


@pytest.mark.parametrize("world", [2, 4])
def test_without_rounding_every_number_of_processes_gives_the_same_bits(done: Results, world: int) -> None:
    (alone,) = done["exact", 1]
    for found in done["exact", world]:
        assert all(torch.equal(found["weights"][name], value) for name, value in alone["weights"].items())
        rows = [{name: value for name, value in row.items() if name != "processes"} for row in found["history"]]
        assert rows == alone["history"]
        assert not torch.equal(found["weights"]["weight"], torch.full((1, 3), 0.5))


@pytest.mark.parametrize(("name", "world"), [("network", 2), ("network", 4), ("apart", 3)])
def test_batchnorm_dropout_averages_and_unequal_shares_do_as_one_process(done: Results, name: str, world: int) -> None:
    """5 rows are 2 and 3, or 1 and 1 and 1 and 2. Processes of several machines exchange all through gloo."""
    (alone,) = done["network", 1]
    for found in done[name, world]:
        assert_close(alone, found)
        assert [row["processes"] for row in found["history"]] == [world, world]
    assert "processes" not in alone["history"][0]


def test_all_processes_end_with_the_same_bits(done: Results) -> None:
    first, *others = done["network", 4]
    for other in others:
        assert all(torch.equal(other["weights"][name], value) for name, value in first["weights"].items())
        assert other["history"] == first["history"]


def test_only_the_first_process_validates_and_all_have_its_figures(done: Results) -> None:
    found = done["network", 2]
    assert [one["validated"] for one in found] == [[0, 0], []]
    assert all("val" in row for one in found for row in one["history"])


@pytest.mark.parametrize(("name", "first", "second"), [("fewer", 2, 1), ("more", 1, 2)])
def test_a_checkpoint_resumes_with_another_number_of_processes(
    done: Results, name: str, first: int, second: int
) -> None:
    (expected,) = done["uninterrupted", 1]
    assert [len(one["history"]) for one in done[name, first]] == [1] * first
    for found in done[name, second]:
        assert_close(expected, found)
        assert [row.get("processes", 1) for row in found["history"]] == [first, second]


def test_layers_may_freeze_between_epochs_and_a_loss_may_call_parts_of_the_network(done: Results) -> None:
    for found in done["frozen", 2]:
        assert_close(done["frozen", 1][0], found)


def test_gradients_are_means_and_one_that_nobody_has_stays_none(done: Results) -> None:
    for both, half, none in done["gradients", 2]:
        assert torch.equal(both, torch.full((2, 3), 1.5))
        assert torch.equal(half, torch.full((2, 3), 2.0))
        assert none is None


def test_counts_are_averaged_and_random_numbers_are_those_of_the_whole_batch(done: Results) -> None:
    found = done["counts", 3]
    torch.manual_seed(0)
    numbers, stay = torch.rand(3, 3), torch.empty(3, 3).bernoulli_(0.5)
    assert torch.equal(torch.cat([one["rand"] for one in found]), numbers)
    assert torch.equal(torch.cat([one["kept"] for one in found]), stay)
    for rank, one in enumerate(found):
        assert [float(value) for value in one["averaged"]] == pytest.approx([1, 1 / 3, 1, 2])
        assert torch.equal(one["widened"][0, :, 0], torch.tensor([1.0] * rank + [0.0] * (2 - rank)))


def test_a_batch_with_fewer_rows_than_processes_is_refused(done: Results) -> None:
    for sentence in done["too_small", 2]:
        assert sentence == (
            "train.batch_size gives batches of 1, which 2 processes cannot divide: start at most 1 (DEVICES), or raise "
            "train.batch_size"
        )


def test_alone_nothing_is_exchanged_and_counts_stay_what_they_are() -> None:
    assert averaged(0, least=1) == 1
    assert isinstance(averaged(3), int)
    assert torch.equal(averaged(torch.tensor(0), least=1), torch.tensor(1))
    assert weight(7) == 1.0
    values = torch.ones(2, 3)
    assert processes.widened(values) is values
    torch.manual_seed(0)
    drawn = processes.rand(2, 3)
    torch.manual_seed(0)
    assert torch.equal(drawn, torch.rand(2, 3))


@pytest.mark.parametrize("world", [1, 2, 3, 5])
@pytest.mark.parametrize("count", [5, 8])
def test_the_shares_of_a_batch_are_its_rows_in_order_and_differ_by_one_at_most(world: int, count: int) -> None:
    shares = [Share(rank, world).rows(count) for rank in range(world)]
    assert [row for share in shares for row in share] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert WHOLE.rows(count) == range(count)


@pytest.mark.parametrize(("device", "kind"), [("cpu", BatchNorm), ("cuda", nn.SyncBatchNorm)])
def test_synchronised_layers_keep_parameters_names_and_what_the_network_does_in_eval_mode(
    device: str, kind: type[nn.Module]
) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), nn.Flatten(), nn.Dropout(0.5))
    net(torch.randn(3, 3, 5, 5) + 2)
    net[0][1].eval()
    values, names, images = list(net.parameters()), list(net.state_dict()), torch.randn(2, 3, 5, 5)
    expected = net.eval()(images)
    net.train()
    net[0][1].eval()  # a layer that stands still
    synchronise(net, torch.device(device))
    assert isinstance(net[0][1], kind)
    assert not net[0][1].training
    assert net[2].training
    assert [id(value) for value in net.parameters()] == [id(value) for value in values]
    assert list(net.state_dict()) == names
    assert torch.equal(net.eval()(images), expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["ssd", "rpn", "fast", "stage_wise", "faster", "mobilenet", "resnet", "rcnn", "described"]
)
def test_every_trainer_gives_the_same_with_1_2_and_4_processes(tmp_path: Path, name: str) -> None:
    done = results(tmp_path, WORK, [(name, world) for world in (1, 2, 4)])
    (alone,) = done[name, 1]
    start: Tensor = next(iter(alone["weights"].values()))
    assert start.isfinite().all()
    for world in (2, 4):
        for found in done[name, world]:
            assert_close(alone, found, *((1e-5, 2e-6) if name in DOUBLE else (1e-3, 1e-4)))


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="two GPUs with NCCL are needed")
def test_two_gpus_train_as_one_and_end_with_the_same_bits(tmp_path: Path) -> None:
    done = results(tmp_path, WORK, [("on_gpus", 1), ("on_gpus", 2)])
    first, second = done["on_gpus", 2]
    assert_close(done["on_gpus", 1][0], first, 1e-4, 1e-5)
    assert all(torch.equal(second["weights"][name], value) for name, value in first["weights"].items())
