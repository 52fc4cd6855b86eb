"""The way to the payer: routes to it, and the copies of the invoice that are sent along them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ..bolt12 import string
from ..bolt12.invoice_request import InvoiceRequest
from ..bolt12.tlv import Record
from ..errors import LightningdError, NoRouteError, UnanswerableRequestError, UnreachableError
from ..node import messages
from ..node.info import OnionApi
from ..node.invoices import StoredInvoice
from ..node.lightningd import REPLY_GRACE, Lightningd
from ..node.ways.routes import DeadEnd, Route, Router
from ..onion import message
from ..onion.blinding import placeholder
from .copies import Copies

if TYPE_CHECKING:
    from ..reporting import Progress


#: How many targets an error names; its data has all.
_MAX_REASONS = 3


class Courier:
    """Finds routes to the payer of one request, and sends copies of the invoice.

    :param copies: gets each copy that is sent.
    :param allow_connect: False never opens a connection.
    :param seconds_left: how long a search may still take.
    :param ways: how many routes that are as good to look for.
    """

    def __init__(
        self,
        invreq: InvoiceRequest,
        copies: Copies,
        lightningd: Lightningd,
        progress: Progress,
        *,
        allow_connect: bool,
        seconds_left: Callable[[], float] = lambda: math.inf,
        ways: int = 1,
    ) -> None:
        self._invreq = invreq
        self._copies = copies
        self._lightningd = lightningd
        self._client = lightningd.client
        self._progress = progress
        self._allow_connect = allow_connect
        self._seconds_left = seconds_left
        self._ways = ways
        self._contacts: set[bytes] = set()
        self._router: Router | None = None
        #: Where a route was found that lightningd could not use.
        self._unsent: list[DeadEnd] = []
        self._dead_ends_shown = 0

    @property
    def dead_ends(self) -> list[DeadEnd]:
        """The targets that the latest search could not reach."""
        found = [] if self._router is None else self._router.dead_ends
        return [*self._unsent, *found]

    def routes(self, *, connect: bool = True, is_fresh: bool = False) -> Iterator[Route]:
        """Yield routes for the next copy; the search for each begins when it is asked for.

        Nodes and invreq_paths that no copy has used come first.

        :param connect: open connections where nothing else leads to the payer.
        :param is_fresh: look at the network anew.
        """
        lightningd = self._lightningd
        self._dead_ends_shown = 0
        if not connect:
            # A search begins anew; with connections, it goes on.
            self._unsent = []
        self._router = Router(
            self._client,
            lightningd.node,
            lightningd.graph(0) if is_fresh else lightningd.graph(),
            self._invreq,
            allow_connect=self._allow_connect,
            seconds_left=self._seconds_left,
            ways=self._ways,
            contacts=self._contacts,
        )
        used = {node for route in self._copies.routes for node in route.nodes[1:-1]}
        return self._router.routes(avoid=used, first=len(self._copies), connect=connect)

    def no_route_error(self) -> NoRouteError:
        """The error for a payer that we cannot reach."""
        ends = self.dead_ends
        if not ends:
            return NoRouteError(
                "no route to the payer was found before TIMEOUT was over",
                hint="lightningd answers slowly: give it more time with --timeout",
                data={"tried": []},
            )
        reasons = "; ".join(f"{end.target}: {end.reason}" for end in ends[:_MAX_REASONS])
        if len(ends) > _MAX_REASONS:
            reasons += f"; and {len(ends) - _MAX_REASONS} more"
        hints = [end.hint for end in ends if end.hint is not None]
        return NoRouteError(
            f"no route to the payer ({reasons})",
            hint=hints[0] if hints else "ask the payer for a new request",
            data={"tried": [{"node": end.target, "reason": end.reason} for end in ends]},
        )

    def packet_size(self, route: Route, invoice_size: int) -> int | None:
        """Expected size of the onion's payloads on a route, in bytes: 1300 or 32768, None for more.

        :param invoice_size: bytes.
        """
        nodes = route.nodes
        if self._lightningd.node.onion_api is OnionApi.SEND_HOPS:
            nodes = nodes[1:]
        # Zeros do: all that counts is how many.
        back = message.reply_path(route.reply_nodes, bytes(32), placeholder)
        content = [
            Record(message.REPLY_PATH, back.encode()),
            Record(message.INVOICE, bytes(invoice_size)),
        ]
        onion = message.outgoing(nodes, content, route.their_path, route.first_scid, placeholder)
        return onion.packet_size()

    def check_size(self, route: Route, invoice_size: int) -> None:
        """Refuse a request whose invoice would fit into no onion message on a route.

        :param invoice_size: bytes.
        :raises UnanswerableRequestError: it would not.
        """
        if self.packet_size(route, invoice_size) is None:
            raise UnanswerableRequestError(
                "the request is so long that an invoice for it fits into no onion message",
                hint="ask the payer for a shorter one",
            )

    def transmit(self, route: Route, stored: StoredInvoice) -> bool:
        """Send one copy of the invoice.

        :returns: False when lightningd cannot send it this way.
        :raises UnreachableError: lightningd is gone; the copy may have been sent.
        """
        path_id = self._copies.begin(route)
        is_out = False
        try:
            content = [Record(message.INVOICE, string.decode(stored.bolt12, "lni"))]
            if self._lightningd.replies.expect(path_id, stored.expires_at + REPLY_GRACE):
                back = message.reply_path(route.reply_nodes, path_id)
                content.insert(0, Record(message.REPLY_PATH, back.encode()))
            packet = messages.prepare(
                self._client,
                self._lightningd.node.onion_api,
                route.nodes,
                content,
                route.their_path,
                first_scid=route.first_scid,
            )
            is_out = True
            messages.send(self._client, packet)
        except LightningdError as failure:
            self._copies.withdraw(path_id)
            self._unsent.append(DeadEnd(route.nodes[-1].hex(), failure.message))
            return False
        except UnreachableError:
            if not is_out:
                self._copies.withdraw(path_id)
            raise
        return True

    def show(self, route: Route) -> None:
        """Show the route of a copy, by the names of its nodes (``listnodes``).

        A lightningd that is gone is no error: the nodes are shown by their ids then.
        """
        ends = self.dead_ends
        for end in ends[self._dead_ends_shown :]:
            self._progress.step(f"Skipped {end.target}: {end.reason}")
        self._dead_ends_shown = len(ends)
        if not self._progress.wants_route:
            return
        graph = self._lightningd.graph(float("inf"))
        hidden = ["the payer (hidden)"] if route.hidden_nodes else []
        names = (graph.name(node) for node in route.nodes[1:])
        self._progress.routed(["us", *names, *hidden])
