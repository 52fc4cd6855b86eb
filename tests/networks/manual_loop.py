"""An event loop whose time is that of a clock by hand."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from selectors import DefaultSelector, SelectorKey
from typing import Any

#: Seconds of real time between two looks at the clock.
_LOOK_SECONDS = 0.005


class _GlancingSelector(DefaultSelector):
    """Waits no longer than from one look to the next."""

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        return super().select(_LOOK_SECONDS if timeout is None else min(timeout, _LOOK_SECONDS))


class ManualLoop(asyncio.SelectorEventLoop):
    """Timers run once somebody has moved the clock so far.

    :param clock: seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(_GlancingSelector())
        self._read_clock = clock
        self._began_at = clock()
        self._lock = threading.Lock()
        #: How many callbacks of other threads have not run yet.
        self.posted = 0

    def time(self) -> float:
        """Seconds by the clock since the loop was made: small ones, of which none gets lost."""
        return self._read_clock() - self._began_at

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, **more: Any
    ) -> asyncio.Handle:
        """Count it until it has run."""

        def run() -> None:
            try:
                callback(*args)
            finally:
                self._count(-1)

        self._count(1)
        return super().call_soon_threadsafe(run, **more)

    def _count(self, number: int) -> None:
        with self._lock:
            self.posted += number
