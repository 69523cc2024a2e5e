"""The end of a process whose parent is gone: nobody waits for its results then."""

import os
import threading
import time
from functools import cache

PAUSE = 0.5  # seconds between two looks for the parent


@cache
def end_with(parent: int) -> None:
    """Let this process end within a second of its parent, which may be killed.

    Args:
        parent: the id of the process that started this one.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PAUSE)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
