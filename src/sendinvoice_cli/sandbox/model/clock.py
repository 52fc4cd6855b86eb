"""The sandbox's time, and actions at a given time."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

#: Tells the time in UNIX seconds.
Clock = Callable[[], float]


class Timers:
    """Actions that wait for their time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._order = itertools.count()
        self._waiting: list[tuple[float, int, Callable[[], None]]] = []

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Have :meth:`run_due` run ``action`` from ``when`` (UNIX seconds) on."""
        heapq.heappush(self._waiting, (when, next(self._order), action))

    def run_due(self) -> None:
        """Run the actions that are due, the earliest first."""
        while self._waiting and self._waiting[0][0] <= self._clock():
            heapq.heappop(self._waiting)[2]()
