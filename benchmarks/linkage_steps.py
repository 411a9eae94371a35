"""Time and memory of the steps of one benchmark process."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Steps:
    """Seconds of wall and of processor time by step, and the most memory held so far."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.cpu: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - wall
        self.cpu[name] = self.cpu.get(name, 0.0) + time.process_time() - cpu

    @staticmethod
    def gigabytes() -> float:
        """The process's peak resident memory (2^30 bytes)."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
