"""One copy of the invoice before it is sent: a route for it, its turn, and the handing over."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from ..errors import UnreachableError
from ..node.events.losses import Losses
from ..onion.message import PACKET_SIZES
from .waiting import LAST_COPY_BEFORE

if TYPE_CHECKING:
    from ..node.ways.routes import Route
    from .exchange import Exchange
    from .host import Early, Host, Job

#: Seconds that a copy waits for the reply helper.
HELPER_SECONDS = 20


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
        self._sending: Job[bool | Early] | None = None
        self._has_searched = False
        #: Whether the search may open connections: only once nothing else leads to the payer.
        self._may_connect = False
        #: The routes that did not take the copy.
        self._refused: list[Route] = []
        #: The route found, None when none is left.
        self.route: Route | None = None
        #: When its turn comes, UNIX seconds; None when that is too late.
        self.goes_at: float | None = None
        #: How often lightningd went away during the delivery.
        self.losses = Losses(host.now)
        #: The connection's generation when the search, or the handing over, began.
        self.generation = 0
        #: Until when it waits for the reply helper, UNIX seconds.
        self.helper_at = host.now() + HELPER_SECONDS

    def search(self) -> bool:
        """Take the search for a route one step further, without waiting.

        :returns: whether it has ended; if not, an event comes when it may go on.
        :raises UnreachableError: lightningd went away meanwhile; call this again.
        """
        if self._has_searched:
            return True
        if self._search is None:
            self.generation = self._host.lightningd.connection.generation
            self._search = self._host.search(self._next_route, may_connect=self._may_connect)
        if not self._search.done():
            return False
        search, self._search = self._search, None
        try:
            self.route = search.result()
        except UnreachableError:
            self._routes = None
            raise
        if self.route is None and not self._may_connect:
            # Only now, since a connection may take minutes.
            self._may_connect, self._routes = True, None
            return self.search()
        self._has_searched = True
        if self.route is not None:
            self._take_turn(self.route)
        return True

    def send(self, route: Route) -> bool | Early | None:
        """Take the handing over to lightningd one step further, without waiting.

        :returns: True once the copy is sent, False when lightningd cannot send it this way, how
            early it is, or None while it goes on.
        :raises UnreachableError: lightningd is gone; the copy may have been sent.
        """
        if self._sending is None:
            self.generation = self._host.lightningd.connection.generation
            exchange = self._exchange
            transmit = partial(exchange.courier.transmit, route, exchange.invoice)
            self._sending = self._host.send(route, self._size(route), transmit)
        if not self._sending.done():
            return None
        sending, self._sending = self._sending, None
        return sending.result()

    def try_next(self) -> None:
        """Search for the next route: this one did not take it."""
        if self.route is not None:
            self._refused.append(self.route)
        self.route = None
        self._has_searched = False

    def _take_turn(self, route: Route) -> None:
        before = math.inf
        if len(self._exchange.copies):
            before = self._exchange.invoice.expires_at - LAST_COPY_BEFORE
        turn = self._host.take_turn(route, self._size(route), before)
        self.goes_at = None
        if turn is not None:
            self.route, self.goes_at = turn

    def _size(self, route: Route) -> int:
        exchange = self._exchange
        # What is too long will be refused when it is to be wrapped.
        return exchange.courier.packet_size(route, exchange.invoice_size) or PACKET_SIZES[-1]

    def _next_route(self) -> Route | None:
        if self._routes is None:
            self._routes = self._exchange.courier.routes(
                connect=self._may_connect, is_fresh=self._is_fresh and not self._may_connect
            )
        usable = (
            each for each in self._routes if not each.would_connect and each not in self._refused
        )
        return next(usable, None)
