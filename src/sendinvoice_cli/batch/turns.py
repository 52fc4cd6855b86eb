"""The rows' turns to send: planned ahead, and checked again when they come."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from ..node.ways.routes import Route
from .pacing import INTERVAL, Pacer, peer_links_of


class Turns:
    """Turns on the peer links of routes. The time is the event loop's; sizes are the pacer's.

    :param at_once: how many messages are handed over at the same time.
    """

    def __init__(self, pacer: Pacer, at_once: int) -> None:
        #: `pacer` schedules turns; `gate` checks again at the moment of sending.
        self._pacer = pacer
        self._gate = pacer.anew()
        #: Hold this while you check a turn and use it.
        self.handover = asyncio.Semaphore(at_once)
        #: When each message was handed over that lightningd has not accepted yet.
        self._in_flight: list[float] = []

    def take(self, route: Route, size: int, before: float) -> tuple[Route, float] | None:
        """Take the first turn on a route, or on one that is as good.

        :param before: seconds from now; take none that would come later.
        :returns: the route, and seconds until its turn comes; None when that would be too late.
        """
        now = _now()
        routes = (route, *route.others)
        turns = [self._pacer.turn(peer_links_of(each), now, size) for each in routes]
        at = min(turns)
        if at - now >= before:
            return None
        first = routes[turns.index(at)]
        self._pacer.reserve(peer_links_of(first), now, size)
        return first, at - now

    def seconds_left(self, route: Route, size: int) -> float:
        """How long a message has to wait, although its turn has come."""
        now = _now()
        if any(now - since > INTERVAL for since in self._in_flight):
            return INTERVAL
        return self._gate.turn(peer_links_of(route), now, size) - now

    @contextmanager
    def use(self, route: Route, size: int) -> Iterator[None]:
        """Use a turn: hand over the message inside this context."""
        peer_links, began_at = peer_links_of(route), _now()
        self._gate.reserve(peer_links, began_at, size)
        self._in_flight.append(began_at)
        try:
            yield
        finally:
            self._in_flight.remove(began_at)
            if _now() - began_at > INTERVAL:
                # lightningd may have sent it only at the end of that time.
                self._gate.reserve(peer_links, _now(), size)


def _now() -> float:
    return asyncio.get_running_loop().time()
