import sys

import cv2
import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from src.parallel import parallel_map


def square(number: int) -> int:
    return number * number


def fail_at_three(number: int) -> int:
    if number == 3:
        raise ValueError("three")
    return number


def threads(_: int) -> int:
    return cv2.getNumThreads()


def library_threads(_: int) -> tuple[set[int], int]:
    """Return the threads of NumPy's products, and of PyTorch if it is imported (as in a process that never did)."""
    np.ones(1) @ np.ones(1)
    blas = {pool["num_threads"] for pool in threadpool_info() if "numpy" in pool["filepath"]}
    return blas, sys.modules["torch"].get_num_threads() if "torch" in sys.modules else 1


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


@pytest.mark.parametrize("jobs", [1, 2])
def test_products_have_one_thread_whatever_the_number_of_processes_and_then_those_from_before(jobs: int) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        with threadpool_limits(2, user_api="blas"):
            found = parallel_map(library_threads, range(3), jobs, "threads")
            assert found == [({1}, 1)] * 3
            assert library_threads(0) == ({2}, 3)
    finally:
        torch.set_num_threads(before)
