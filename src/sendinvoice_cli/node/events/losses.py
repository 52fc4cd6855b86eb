"""How often lightningd may go away before we give up: one policy for all that can lose it."""

from __future__ import annotations

from collections.abc import Callable

#: What has lost lightningd this often within the window is given up: it may be what makes
#: lightningd crash.
MAX_LOSSES = 5
WINDOW_SECONDS = 600

#: Seconds to wait before the next attempt; the last one repeats.
PAUSES = (0.1, 0.2, 0.5, 1, 2, 5)


class Losses:
    """The losses of lightningd that one activity has met. For one thread at a time.

    :param clock: tells the time in UNIX seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        #: When each loss of the window was met.
        self._met_at: list[float] = []

    def note(self) -> None:
        """Count a loss."""
        now = self._clock()
        self._met_at = [at for at in self._met_at if now < at + WINDOW_SECONDS] + [now]

    def forget(self) -> None:
        """Count from the beginning."""
        self._met_at = []

    @property
    def count(self) -> int:
        """How many of them the window had when the last one was noted."""
        return len(self._met_at)

    @property
    def are_too_many(self) -> bool:
        """Whether to give up."""
        return self.count >= MAX_LOSSES

    def pause(self, attempt: int = 0) -> float:
        """Seconds to wait before an attempt (0 for the first since the last loss)."""
        return PAUSES[min(max(self.count - 1, 0) + attempt, len(PAUSES) - 1)]
