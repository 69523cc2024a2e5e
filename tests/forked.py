"""A quick `python` for the stages that tests run: it forks a process that has imported PyTorch already.

A run starts 44 stages, and more than half of its time would be imports of the same libraries. `server` imports them
once. The command `python`, put before the real one on the PATH, sends its arguments, folder, environment and open files
to the server, which forks. The child process imports the project's code from the folder and runs it. The server itself
has imported none of that code. tests/test_rerun.py and `make repro` run the same stages with the real `python`.
"""

import contextlib
import importlib
import json
import os
import runpy
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

LIBRARIES = ("cv2", "joblib", "lightning_fabric", "pandas", "pydantic", "requests", "ruamel.yaml", "torchvision")
CLIENT = """
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect({address!r})
    sent = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(connection, [len(sent).to_bytes(8, "big")], [0, 1, 2])
    connection.sendall(sent)
    sys.exit(int(connection.recv(8) or b"1"))
"""
COMMAND = """#!/bin/sh
[ "$1" = -m ] || exec '{python}' "$@"
shift
exec '{python}' -SE '{client}' "$@"
"""
WATCH = 10.0  # seconds between the checks that the parent is still running


@contextlib.contextmanager
def server(folder: Path, libraries: Sequence[str] = LIBRARIES) -> Iterator[Path]:
    """Make a folder whose `python` is the quick one, with these libraries, until the block ends."""
    address = folder / "socket"
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with subprocess.Popen(
        [sys.executable, __file__, str(address), *libraries],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=environment,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()  # the line comes when all libraries are imported
        client, command = folder / "client.py", folder / "python"
        client.write_text(CLIENT.format(address=str(address)))
        command.write_text(COMMAND.format(python=sys.executable, client=client))
        command.chmod(0o755)
        try:
            yield folder
        finally:
            process.terminate()


def serve(address: str, libraries: Sequence[str]) -> None:
    """Run one command after the other, each in a fork of this process, as long as the parent runs."""
    parent = os.getppid()
    for name in libraries:
        importlib.import_module(name)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()
        listening.settimeout(WATCH)
        print("ready", flush=True)
        while os.getppid() == parent:
            with contextlib.suppress(TimeoutError, ConnectionError):  # nobody calls, or who called was killed
                connection, _ = listening.accept()
                with connection:
                    connection.sendall(str(_answer(connection)).encode())


def _answer(connection: socket.socket) -> int:
    """Run the command that the connection sends, and return its exit status."""
    size, files, *_ = socket.recv_fds(connection, 8, 3)
    content = b""
    while not size or len(content) < int.from_bytes(size, "big"):
        part = connection.recv(1 << 16)
        if not part:
            raise ConnectionError("who called was killed")
        content += part
    arguments, folder, environment = json.loads(content)
    child = os.fork()
    if not child:
        for number, file in enumerate(files):
            os.dup2(file, number)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.path[0] = folder
        os._exit(_run(arguments))
    for file in files:
        os.close(file)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _run(arguments: list[str]) -> int:
    """Do `python -m arguments` in this process, and return its exit status."""
    sys.argv[:] = arguments
    status = 0
    try:
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return status


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2:])
