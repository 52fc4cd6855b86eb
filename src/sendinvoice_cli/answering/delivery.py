"""One copy of the invoice before it is sent: search for a route, then wait for its turn."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..errors import UnreachableError
from .waiting import LAST_COPY_BEFORE

if TYPE_CHECKING:
    from ..node.ways.routes import Route
    from .exchange import Exchange
    from .host import Host, Job


class Delivery:
    """What comes before a copy is sent.

    :param is_fresh: look at the network anew, not as it was seen seconds ago.
    """

    def __init__(self, exchange: Exchange, host: Host, *, is_fresh: bool = False) -> None:
        self._exchange = exchange
        self._host = host
        self._is_fresh = is_fresh
        self._routes: Iterator[Route] | None = None
        self._search: Job[Route | None] | None = None
        #: The route found, None when none is left.
        self.route: Route | None = None
        #: When its turn comes, UNIX seconds; None when that is too late.
        self.goes_at: float | None = None
        #: How often lightningd went away during the delivery, and when it first did (UNIX seconds).
        self.losses = 0
        self.lost_since = 0.0
        #: Whether it is being handed over to lightningd.
        self.is_being_sent = False
        #: The link's generation when the search, or the handing over, began.
        self.generation = 0
        self._has_ended = False

    def has_ended_search(self) -> bool:
        """Begin to search, or tell whether the search has ended.

        :raises UnreachableError: lightningd went away meanwhile; call again to search again.
        """
        if self._has_ended:
            return True
        if self._search is None:
            self.generation = self._host.link.generation
            self._search = self._host.begin(self._find)
        if not self._search.done():
            return False
        search, self._search = self._search, None
        try:
            self.route = search.result()
        except UnreachableError:
            self._routes = None
            raise
        self._has_ended = True
        if self.route is not None:
            before = math.inf
            if len(self._exchange.copies):
                before = self._exchange.invoice.expires_at - LAST_COPY_BEFORE
            turn = self._host.take_turn(self.route, before)
            self.goes_at = None
            if turn is not None:
                self.route, self.goes_at = turn
        return True

    def try_next(self) -> None:
        """Search for the next route: this one did not take it."""
        self.route = None
        self._has_ended = False

    def _find(self) -> Route | None:
        if self._routes is None:
            self._routes = self._exchange.courier.routes(is_fresh=self._is_fresh)
        return next(self._routes, None)
