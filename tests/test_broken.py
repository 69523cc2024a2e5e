"""The short campaign of broken inputs: `make faults` is the long one."""

from tests.broken import COLUMNS, campaign, mutated
from tests.broken_kinds import all_kinds


def test_no_broken_input_ends_in_a_traceback_in_memory_or_never() -> None:
    table, lost = campaign(all_kinds(), 300)
    assert lost == []
    assert sum(counts.total() for _, counts in table) >= 300
    assert all(set(counts) <= set(COLUMNS) and counts["refused"] + counts["accepted"] for _, counts in table)


def test_the_mutations_of_a_seed_are_the_same_each_time() -> None:
    assert list(mutated(b"some 12 words", 40, 1)) == list(mutated(b"some 12 words", 40, 1))
    assert list(mutated(b"some 12 words", 40, 1)) != list(mutated(b"some 12 words", 40, 2))
