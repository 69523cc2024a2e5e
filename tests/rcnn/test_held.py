import time

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from src.rcnn.held import Held


def held(rows: list[int], scores: list[float]) -> Held:
    """Return what is held after a fit that dropped nothing."""
    found = Held(np.array(rows, int))
    found.fit_done(np.array(scores, float), np.zeros(len(scores)), -np.inf)
    found.start_pass()
    return found


def test_a_negative_that_is_held_is_not_held_twice() -> None:
    found = held([1, 3], [0.5, 0.5])
    found.add(np.arange(5), np.full(5, 0.5), 10)
    assert found.rows.tolist() == [0, 1, 2, 3, 4]
    assert (found.newly_hard, found.waiting, found.crowded_out) == (3, 3, 0)
    found.add(np.arange(5), np.full(5, 0.5), 10)
    assert (found.newly_hard, len(found.rows)) == (3, 5)
    found.add(np.zeros(0, int), np.zeros(0), 10)
    assert (found.newly_hard, len(found.rows)) == (3, 5)


@given(seed=st.integers(0, 1000), count=st.integers(1, 60), max_held=st.sampled_from([1, 5, 100]))
def test_what_is_held_is_what_sets_say(seed: int, count: int, max_held: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.normal(-1.1, 0.3, count)
    before = np.flatnonzero(rng.random(count) < 0.4)[:max_held]
    rows = np.flatnonzero(rng.random(count) < 0.6)
    found = held(before.tolist(), scores[before].tolist())
    found.add(rows, scores[rows], max_held)
    every = set(before.tolist()) | set(rows.tolist())
    wanted = sorted(sorted(every, key=lambda row: -scores[row])[:max_held])
    assert found.rows.tolist() == wanted
    np.testing.assert_array_equal(found.scores, scores[wanted])
    assert found.newly_hard == found.waiting == len(set(wanted) - set(before.tolist()))
    assert found.crowded_out == len(every) - len(wanted)
    easy = {row for row in wanted if scores[row] < -1.2}
    found.fit_done(scores[found.rows], np.zeros(len(found.rows)), -1.2)
    assert found.rows.tolist() == ([row for row in wanted if row not in easy] or wanted[:1])
    assert found.evicted == len(wanted) - len(found.rows)
    assert (found.fitted, found.waiting, found.fits) == (len(wanted), 0, 1)


def test_the_easiest_leave_first_when_there_is_no_room_and_the_lower_row_wins_a_tie() -> None:
    found = held([0, 7], [-1.0, 0.2])
    found.add(np.array([1, 2, 3, 4]), np.array([0.1, 0.9, 0.1, 0.3]), 4)
    assert found.rows.tolist() == [1, 2, 4, 7]
    assert (found.newly_hard, found.waiting, found.crowded_out) == (3, 3, 2)


def test_what_finds_no_room_is_not_new_and_what_is_crowded_out_by_later_ones_counts_once() -> None:
    found = held([0, 7], [0.5, 0.6])
    for _ in range(2):  # two passes
        found.add(np.array([1, 2]), np.array([0.1, 0.4]), 2)
        assert (found.rows.tolist(), found.newly_hard, found.waiting) == ([0, 7], 0, 0)
    found.add(np.array([3]), np.array([0.7]), 2)
    found.add(np.array([4, 5]), np.array([0.8, 0.9]), 2)
    assert found.rows.tolist() == [4, 5]
    assert (found.newly_hard, found.waiting, found.crowded_out) == (2, 2, 7)


def test_a_row_keeps_its_dual_until_it_leaves_and_begins_with_zero() -> None:
    found = held([1, 3, 8], [0.5, 0.1, 0.6])
    found.fit_done(np.array([0.5, 0.1, 0.6]), np.array([0.1, 0.2, 0.3]), -1.2)
    found.add(np.array([0, 5]), np.array([0.7, 0.2]), 4)  # crowds row 3 out
    assert (found.rows.tolist(), found.duals.tolist()) == ([0, 1, 5, 8], [0, 0.1, 0, 0.3])
    found.fit_done(np.array([0.5, -2.0, 0.5, 0.5]), np.array([0.4, 0.1, 0.0, 0.2]), -1.2)  # row 1 became easy
    assert (found.rows.tolist(), found.duals.tolist()) == ([0, 5, 8], [0.4, 0.0, 0.2])
    found.add(np.array([1]), np.array([0.5]), 4)
    assert found.duals.tolist() == [0.4, 0, 0, 0.2]


def test_fits_that_came_to_the_limit_of_their_sweeps_are_counted_per_pass() -> None:
    found = held([1], [0.5])
    for finished in (True, False, False):
        found.fit_done(np.array([0.5]), np.zeros(1), -1.2, finished=finished)
    assert (found.fits, found.unfinished) == (3, 2)
    found.start_pass()
    assert found.unfinished == 0


def test_one_is_left_if_all_are_easy() -> None:
    found = held([4, 8], [0.0, 0.0])
    found.fit_done(np.array([-9.0, -8.0]), np.zeros(2), -1.2)
    assert (found.rows.tolist(), found.evicted) == ([4], 1)


def test_two_hundred_thousand_are_added_at_once() -> None:
    rows = np.arange(200_000)
    found = held(rows[::5].tolist(), [0.5] * 40_000)
    start = time.process_time()
    found.add(rows[::2], np.full(100_000, 0.5), 1_000_000)
    assert time.process_time() - start < 1  # a search in a list would take minutes
    assert (found.newly_hard, len(found.rows)) == (80_000, 120_000)
