"""A stage on a cluster whose disk is full, and once more when it has room: `python -m tests.full_disk FOLDER`.

It runs in a checkout, in a mount namespace of its own, in which a small disk is the folder that the worker writes to.
The folder of the argument takes the files of Dask. It prints what it found as JSON.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from stages.environment import CHECKPOINTS
from tests.local_cluster import local_cluster

SIZE = "256k"  # of the disk
ROOM = 24 << 10  # bytes that are free at first: for some parts, each of which takes a block of 4 kB, and not for all
MOUNT = f"mkdir -p {CHECKPOINTS} && mount -t tmpfs -o size={SIZE} none {CHECKPOINTS} && exec {sys.executable} -m"
NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
STAGE = """
import runpy, sys
from src.files.shards import Shards
numbered = Shards.numbered
Shards.numbered = staticmethod(lambda items: numbered(items, 1))  # a part per image, so that few images have many
sys.argv = ["propose", "--images", "data/prepared/voc.zip", "--out", "out/proposals.npz"]
runpy.run_module("stages.propose", run_name="__main__", alter_sys=True)
"""


def main(folder: Path) -> None:
    """Run the stage with a full disk, then with room on it."""
    filler = CHECKPOINTS / "filler"
    with local_cluster(folder, 1) as made:
        filler.write_bytes(bytes(shutil.disk_usage(CHECKPOINTS).free - ROOM))
        full = propose(made.address)
        left = [str(path) for top in (CHECKPOINTS, Path("out")) for path in sorted(top.rglob("*")) if path.is_file()]
        filler.unlink()
        print(json.dumps({"full": full, "left": left, "room": propose(made.address)}))


def propose(address: str) -> tuple[int, str]:
    """Run the stage on the cluster; return its exit status, and what it said."""
    environment: dict[str, Any] = {**os.environ, "DASK_SCHEDULER_ADDRESS": address}
    done = subprocess.run([sys.executable, "-c", STAGE], env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


if __name__ == "__main__":
    main(Path(sys.argv[1]))
