"""Broken inputs of every kind: valid files with seeded mutations, and files that are made to do harm.

`python -m tests.broken --inputs 1000` (`make faults`) is the long campaign, and tests/test_broken.py a short one. Each
kind runs in a process of its own with 2 GiB of memory, and each input has 10 seconds of the processor.
"""

import argparse
import os
import random
import resource
import signal
import sys
import tempfile
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import stages  # noqa: F401  # sets the limits of OpenCV before it is loaded
from src.errors import InputError

SECONDS, MEMORY = 10, 2 << 30  # of the processor, so that a busy machine changes nothing
WAIT = 300  # seconds by the clock, for an input that waits for ever
ABSURD = (b"-1", b"0", b"1e309", b"nan", b"1" + b"0" * 40, b"99999999999", b"x", b"")
REFUSED, ACCEPTED = "refused", "accepted"
COLUMNS = (REFUSED, ACCEPTED, "traceback", "memory", "hang", "crash")


class Kind(NamedTuple):
    """A kind of input.

    Attributes:
        valid: the content of a valid file.
        read: reads the content, given a folder that it may write to; an `InputError` refuses it.
        harmful: further contents, by name.
    """

    valid: bytes
    read: Callable[[bytes, Path], object]
    harmful: dict[str, bytes]


def mutated(content: bytes, number: int, seed: int) -> Iterator[bytes]:
    """Yield `number` mutations of a file, the same for the same seed."""
    rng = random.Random(seed)

    def place() -> int:
        return rng.randrange(max(len(content), 1))

    def flip() -> bytes:
        changed = bytearray(content or b"\0")
        for _ in range(rng.choice((1, 1, 2, 8))):
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        return bytes(changed)

    def cut() -> bytes:
        return content[: place()]

    def zeros() -> bytes:
        begin, length = place(), rng.choice((1, 4, 16, 256))
        return content[:begin] + bytes(min(length, len(content) - begin)) + content[begin + length :]

    def ones() -> bytes:
        begin = place()
        return content[:begin] + b"\xff" * 4 + content[begin + 4 :]

    def repeated() -> bytes:
        begin, end = sorted((place(), place()))
        return content[:end] + content[begin:end] * rng.choice((1, 2, 9)) + content[end:]

    def left_out() -> bytes:
        begin, end = sorted((place(), place()))
        return content[:begin] + content[end:]

    def number_changed() -> bytes:
        digits = [index for index, byte in enumerate(content) if 48 <= byte <= 57]
        if not digits:
            return flip()
        begin = end = rng.choice(digits)
        while end < len(content) and 48 <= content[end] <= 57:
            end += 1
        return content[:begin] + rng.choice(ABSURD) + content[end:]

    changes = (flip, flip, cut, zeros, ones, repeated, left_out, number_changed, number_changed)
    yield from (b"", b"just words\n", bytes(len(content)), content + content)
    for _ in range(number - 4):
        yield rng.choice(changes)()


def tried(name: str, kind: Kind, number: int) -> list[tuple[str, str]]:
    """Return the outcome of each input of a kind and, if it was lost, a line that says which and why."""
    outcomes: list[tuple[str, str]] = []
    inputs = [*kind.harmful.items(), *((f"mutation {n}", c) for n, c in enumerate(_mutations(name, kind, number)))]
    while len(outcomes) < len(inputs):  # again after a crash, with the input that follows
        outcomes += _in_a_process(kind, inputs[len(outcomes) :])
    return outcomes


def _mutations(name: str, kind: Kind, number: int) -> Iterator[bytes]:
    return mutated(kind.valid, number, zlib.crc32(name.encode()))


def _in_a_process(kind: Kind, inputs: list[tuple[str, bytes]]) -> list[tuple[str, str]]:
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        _work(kind, inputs, writer)
    os.close(writer)
    with os.fdopen(reader, "r") as file:
        lines = [line.rstrip("\n").split("\t") for line in file]
    os.waitpid(child, 0)
    outcomes = [(outcome, why) for outcome, why in lines]
    if len(outcomes) < len(inputs):
        outcomes.append(("crash", f"{inputs[len(outcomes)][0]}: the process ended"))
    return outcomes


def _work(kind: Kind, inputs: list[tuple[str, bytes]], writer: int) -> None:
    """Read the inputs, write a line for each, and end this process."""
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (MEMORY, MEMORY))
    for number in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(number, _late)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    with tempfile.TemporaryDirectory() as folder:
        for place_number, (name, content) in enumerate(inputs):
            place = Path(folder) / str(place_number)
            place.mkdir()
            os.write(writer, f"{_outcome(kind, name, content, place)}\n".encode())
    os._exit(0)


def _late(*_: object) -> None:
    raise TimeoutError("it takes too long")


def _outcome(kind: Kind, name: str, content: bytes, folder: Path) -> str:
    signal.alarm(WAIT)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        kind.read(content, folder)
        return f"{ACCEPTED}\t"
    except InputError:
        return f"{REFUSED}\t"
    except MemoryError:
        return f"memory\t{name}"
    except BaseException as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{name}: {type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})"
        return f"{'hang' if isinstance(error, TimeoutError) else 'traceback'}\t{' '.join(text.split())}"
    finally:
        signal.alarm(0)
        signal.setitimer(signal.ITIMER_PROF, 0)


def campaign(kinds: dict[str, Kind], inputs: int) -> tuple[list[tuple[str, Counter[str]]], list[str]]:
    """Try about `inputs` inputs over all kinds; return the outcomes by kind, and a line per input that was lost."""
    table, lost = [], []
    for name, kind in kinds.items():
        outcomes = tried(name, kind, max(inputs // len(kinds), 5))
        table.append((name, Counter(outcome for outcome, _ in outcomes)))
        lost += [f"{name}, {why}" for outcome, why in outcomes if outcome not in (REFUSED, ACCEPTED)]
    return table, lost


def main() -> int:
    """Run the long campaign, print its table, and return 1 if an input was lost."""
    from tests.broken_kinds import all_kinds

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=1000)
    table, lost = campaign(all_kinds(), parser.parse_args().inputs)
    total: Counter[str] = sum((counts for _, counts in table), Counter())
    print(f"{'kind':14}" + "".join(f"{column:>11}" for column in ("tried", *COLUMNS)))
    for name, counts in [*table, ("all", total)]:
        print(f"{name:14}" + "".join(f"{number:11}" for number in (counts.total(), *(counts[c] for c in COLUMNS))))
    print("\n".join(lost) or "nothing was lost")
    return int(bool(lost))


if __name__ == "__main__":
    sys.exit(main())
