import pytest

from stages.tasks import LARGEST, SECONDS, Sizes


def sent(items: int, seconds: float, workers: int) -> list[int]:
    """Return the sizes of all tasks, if each item takes so many seconds and a task is learnt from before the next."""
    sizes, found = Sizes(), []
    while left := items - sum(found):
        found.append(sizes.next(left, workers))
        sizes.learn(found[-1], found[-1] * seconds)
    return found


@pytest.mark.parametrize("items", [0, 1, 7, 300, 10_000])
@pytest.mark.parametrize("seconds", [0.0, 0.0001, 0.1, 0.5, 30.0])
@pytest.mark.parametrize("workers", [0, 1, 2, 100])
def test_each_item_is_in_one_task_and_no_task_is_too_long(items: int, seconds: float, workers: int) -> None:
    found = sent(items, seconds, workers)
    assert sum(found) == items
    assert all(1 <= size <= LARGEST and (size == 1 or size * seconds <= SECONDS) for size in found)


def test_quick_items_go_together_and_slow_ones_alone() -> None:
    assert len(sent(1000, 0.1, 2)) < 150
    assert sent(20, 2.0, 2) == [1] * 20


def test_the_first_and_the_last_tasks_are_small() -> None:
    found = sent(1000, 0.01, 2)
    assert found[0] == 1
    assert found[-4:] == [1] * 4
    assert all(after <= 2 * before for before, after in zip(found, found[1:], strict=False))


def test_a_task_that_was_slow_makes_the_next_smaller() -> None:
    sizes = Sizes()
    for _ in range(4):
        sizes.learn(10, 0.1)
    assert sizes.next(10_000, 1) == 16
    sizes.learn(10, 5.0)
    assert sizes.next(10_000, 1) == 2
