import cv2
import pytest

from src.parallel import parallel_map


def square(number: int) -> int:
    return number * number


def fail_at_three(number: int) -> int:
    if number == 3:
        raise ValueError("three")
    return number


def threads(_: int) -> int:
    return cv2.getNumThreads()


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_the_order_of_the_items(jobs: int) -> None:
    assert parallel_map(square, range(20), jobs, "square") == [number * number for number in range(20)]


def test_no_item_is_no_result() -> None:
    assert parallel_map(square, [], 1, "square") == []


def test_an_error_in_one_item_is_raised() -> None:
    with pytest.raises(ValueError, match="three"):
        parallel_map(fail_at_three, range(5), 1, "fail")


def test_opencv_runs_on_one_thread_in_each_process() -> None:
    assert set(parallel_map(threads, range(4), 2, "threads")) == {1}
