"""Until when one request may take. Times are UNIX seconds."""

from __future__ import annotations

import math
from collections.abc import Callable

#: Seconds past an invoice's expiry in which lightningd may still say how it ended.
LAST_WORD_SECONDS = 30


class Deadline:
    """The deadline of one request.

    Until the invoice exists, it is TIMEOUT after the first step: it bounds the search for
    lightningd, its peers, a route and a connection. From then on it is the invoice's expiry.

    :param now: tells the time.
    :param timeout: TIMEOUT, in seconds.
    :param expires_at: the last second in which the request can be answered; None for no end.
    """

    def __init__(
        self, now: Callable[[], float], timeout: int, expires_at: int | None = None
    ) -> None:
        self._now = now
        self._timeout = timeout
        self._latest = math.inf if expires_at is None else expires_at + 1
        self.at = now() + timeout
        #: Until when the invoice may be replaced: the first deadline, or when the request expires.
        self.first_at = min(self.at, self._latest)
        #: Whether it is an invoice's expiry.
        self.is_of_invoice = False

    @property
    def is_over(self) -> bool:
        """Whether it has come."""
        return self._now() >= self.at

    @property
    def seconds_left(self) -> float:
        """Seconds until it comes, 0 once it has."""
        return max(self.at - self._now(), 0)

    def restart(self) -> None:
        """Begin anew: our own pace, not what we wait for, has taken the time so far."""
        self.at = self._now() + self._timeout
        self.is_of_invoice = False
        self.limit()

    def limit(self) -> None:
        """Wait no longer than until the request expires, since no invoice exists for it."""
        self.at = min(self.at, self._latest)

    def follow(self, expires_at: int) -> None:
        """Wait for an invoice that expires at this time."""
        self.at = expires_at
        self.is_of_invoice = True

    def give_up_at(self, since: float) -> float:
        """When to give up what lightningd has not answered since some time.

        That is the deadline or, for what began after it, LAST_WORD_SECONDS later.
        """
        return self.at if since < self.at else since + LAST_WORD_SECONDS
