"""The page in its own process, as `make demo` serves it, with a log of its actions.

Run `python -m tests.demo.server LOG` in a folder with params.yaml, models/ and data/prepared. LOG gets a line `pass`
for every run of a network on an image, and `connect ADDRESS` for every connection to another machine.
"""

import ipaddress
import os
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

from torch import nn

from commands.demo import Params, about, examples, panels_of, serve
from src.params import read_params


def main(log: Path) -> None:
    def write(line: str) -> None:
        with log.open("a") as file:
            file.write(f"{line}\n")

    def watched(connect: Any) -> Any:
        def wrapped(self: socket.socket, address: Any) -> Any:
            if isinstance(address, tuple) and not _loopback(address[0]):
                write(f"connect {address[0]}")
            return connect(self, address)

        return wrapped

    socket.socket.connect = watched(socket.socket.connect)  # type: ignore[method-assign]
    params = read_params("params.yaml", Params)
    panels = panels_of(params)
    for panel in panels.values():
        if not isinstance(panel, str):
            first = next(layer for layer in panel.method.net.modules() if isinstance(layer, nn.Conv2d))
            first.register_forward_hook(lambda *_: write("pass"))
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    with tempfile.TemporaryDirectory() as folder:
        page, address = serve(panels, examples(params), Path(folder), note=about(params, panels), wait=False)
        print(address, flush=True)
        page.block_thread()


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
