"""A clock for tests, which do not sleep."""

from __future__ import annotations

import threading


class ManualClock:
    """A clock that stands still until it is moved. May be used from any thread.

    :param now: UNIX seconds to begin with.
    """

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self._now = now
        self._lock = threading.Lock()

    def __call__(self) -> float:
        with self._lock:
            return self._now

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        with self._lock:
            self._now += seconds
