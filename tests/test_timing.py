import pytest
import torch

from benchmarks import timing
from benchmarks.timing import Timer, Timing, timed


def test_the_median_and_the_quartiles_leave_out_the_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([9.0, 9.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    clock = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])

    def work() -> None:
        clock[0] += next(seconds)

    found = timed(work, 5, warm_up=2)
    assert found == Timing(median=3.0, lower=2.0, upper=4.0, count=5)
    assert str(found) == "3000.0 ms (2000.0 to 4000.0, 5 steps)"


def test_the_clock_waits_for_a_gpu_before_and_after_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: events.append(f"wait {device}"))
    Timer("cuda:0", warm_up=0).step(lambda: events.append("work"))
    assert events == ["wait cuda:0", "work", "wait cuda:0"]
    events.clear()
    Timer("cpu", warm_up=0).step(lambda: events.append("work"))
    assert events == ["work"]


def test_no_step_after_the_warm_up_is_an_error() -> None:
    timer = Timer(warm_up=1)
    timer.step(lambda: None)
    with pytest.raises(ValueError, match="1 steps leave none after a warm-up of 1"):
        timer.timing()
