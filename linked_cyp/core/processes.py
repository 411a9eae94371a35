"""Processes that work for another one and have no reason to outlive it."""

from __future__ import annotations

import os
import time
from threading import Thread

EVERY = 1.0  # seconds between two looks


def end_with_parent(every: float = EVERY) -> None:
    """End this process at once when the one that started it is gone, however that ended.

    A killed parent cannot tell its children, which would go on and hold the stores. All that is
    written here can be cut off at any moment.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(every)
        os._exit(1)

    Thread(target=watch, daemon=True).start()
