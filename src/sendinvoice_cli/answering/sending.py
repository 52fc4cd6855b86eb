"""Sending an invoice that exists, and waiting until it is paid or refused, or its time is over."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ..bolt12.verdict import Verdict
from ..errors import UnreachableError
from ..node.invoices import Change
from . import endings
from .delivery import Delivery
from .host import Early
from .lookout import Lookout
from .steps import Steps
from .waiting import Due, Waiting

if TYPE_CHECKING:
    from ..node.ways.routes import Route
    from .exchange import Exchange
    from .host import Host


class Sending:
    """Sends copies of one invoice.

    :param delivery: the first copy, if it is prepared.
    """

    def __init__(
        self,
        exchange: Exchange,
        host: Host,
        steps: Steps,
        lookout: Lookout,
        delivery: Delivery | None,
    ) -> None:
        self.exchange = exchange
        self.host = host
        self.steps = steps
        self.lookout = lookout
        self.waiting = Waiting(host.now(), sent_before=exchange.is_resumed)
        #: The copy that is next; None between two copies.
        self.delivery = delivery
        self.is_searched_anew = False

    async def run(self) -> None:
        """Send copies until the invoice is paid or refused, or its time is over."""
        exchange, host = self.exchange, self.host
        waiting = self.waiting
        host.progress.awaiting_payment(exchange.invoice.expires_at)
        while True:
            await self._take_events()
            step = waiting.next(exchange.invoice, exchange.copies, host.now())
            if step is Due.END:
                await self._show_last_route()
                return
            if step is Due.STATE:
                await self.steps.take(exchange.read_state)
                waiting.state_read(host.now())
            elif step is Due.COPY:
                await self._advance_delivery()
            else:
                await host.wait(step.until)

    async def _take_events(self) -> None:
        exchange, host = self.exchange, self.host
        for event in host.take_events():
            if isinstance(event, Change):
                if not exchange.learn(event):
                    await self.steps.take(exchange.read_state)
                continue
            replied = exchange.copies.reply(event.path_id, event.error)
            if replied is None:
                continue
            again_at = self.waiting.heard(replied.verdict, host.now())
            if again_at is not None:
                words = endings.describe(replied, exchange.invoice.bolt12)
                host.progress.step(
                    f"The payer could not pay yet: {words}; sending the invoice again "
                    f"in {again_at - host.now():.0f} s"
                )
            elif replied.verdict is Verdict.IN_PROGRESS:
                host.progress.step("The payer is paying already")

    async def _advance_delivery(self) -> None:
        """Take the copy that is due one step further: search, wait for its turn, or send it."""
        exchange, host = self.exchange, self.host
        deadline = exchange.invoice.expires_at
        delivery = self.delivery = self.delivery or self._next_delivery()
        if not await self.lookout.advance():
            await host.wait(min(self.lookout.next_at, deadline))
        elif not host.lightningd.replies.is_settled and host.now() < delivery.helper_at:
            await host.wait(min(delivery.helper_at, deadline))
        elif not await self.steps.search(delivery):
            await host.wait(deadline)
        elif delivery.route is None:
            self._lack_route()
        elif delivery.goes_at is None:
            # Its turn would come too late for the payer to pay.
            self._end_delivery()
        elif host.now() < delivery.goes_at:
            await host.wait(min(delivery.goes_at, deadline))
        else:
            await self._hand_over(delivery, delivery.route)

    def _next_delivery(self) -> Delivery:
        copies = self.exchange.copies
        if len(copies):
            silence = "Sending" if copies.last_words else "Nothing heard yet; sending"
            self.host.progress.step(f"{silence} the invoice again")
        return Delivery(self.exchange, self.host)

    async def _hand_over(self, delivery: Delivery, route: Route) -> None:
        exchange, host = self.exchange, self.host
        deadline = exchange.invoice.expires_at
        try:
            sent = delivery.send(route)
        except UnreachableError as lost:
            self.steps.lose(lost, delivery.generation, delivery.losses)
            return
        if sent is None:
            await host.wait(deadline)
        elif isinstance(sent, Early):
            await host.wait(min(host.now() + sent.seconds, deadline))
        elif sent:
            await host.call(partial(exchange.courier.show, route))
            self._end_delivery()
        else:
            delivery.try_next()

    async def _show_last_route(self) -> None:
        """Tell the route of a copy that was paid before lightningd confirmed the message."""
        exchange = self.exchange
        route = self.delivery.route if self.delivery is not None else None
        if exchange.invoice.is_paid and route is not None and route in exchange.copies.routes[-1:]:
            await self.host.call(partial(exchange.courier.show, route))

    def _lack_route(self) -> None:
        """Deal with a copy that no route takes."""
        exchange, host = self.exchange, self.host
        if not self.is_searched_anew and not len(exchange.copies):
            # The network may have changed while the copy waited for its turn.
            self.is_searched_anew = True
            self.delivery = Delivery(exchange, host, is_fresh=True)
        elif len(exchange.copies) or exchange.is_resumed or host.lightningd.connection.generation:
            # The payer may have the invoice, or lightningd has not found its peers yet.
            error = exchange.courier.no_route_error()
            host.progress.warn(error.message, error.hint)
            self._end_delivery()
        else:
            raise exchange.courier.no_route_error()

    def _end_delivery(self) -> None:
        self.delivery = None
        self.waiting.copy_ended(self.host.now())
