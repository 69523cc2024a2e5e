"""Two networks on this machine with a cable between them, as of two machines: namespaces, which only root makes."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from typing import NamedTuple


class Network(NamedTuple):
    """The network of a machine."""

    name: str  # of its namespace, below /run/netns
    link: str  # its end of the cable
    address: str


@contextlib.contextmanager
def two_networks(first: str) -> Iterator[list[Network]]:
    """Make both until the block ends.

    Args:
        first: the first three numbers of the addresses, which no other two networks may have at the same time.

    Raises:
        OSError, subprocess.CalledProcessError: this machine has no command `ip`, or lets this user make no namespace.
    """
    made = [
        Network(f"tests{os.getpid()}{letter}", f"t{os.getpid()}{letter}", f"{first}.{number}")
        for number, letter in enumerate("ab", start=1)
    ]
    with contextlib.ExitStack() as stack:
        for network in made:
            _ip("netns", "add", network.name)
            stack.callback(subprocess.run, ["ip", "netns", "del", network.name], capture_output=True)
        one, other = made
        _ip("link", "add", one.link, "netns", one.name, "type", "veth", "peer", other.link, "netns", other.name)
        for network in made:
            _ip("-n", network.name, "addr", "add", f"{network.address}/24", "dev", network.link)
            _ip("-n", network.name, "link", "set", network.link, "up")
            _ip("-n", network.name, "link", "set", "lo", "up")
            # Dask asks by which address of its own the Internet would be reached; nothing answers there.
            _ip("-n", network.name, "route", "add", "default", "dev", network.link)
        yield made


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
