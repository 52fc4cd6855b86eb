"""Answering one request: the only place that knows the order of steps.

The order is a coroutine over a :class:`~.host.Host`, which knows how to call, how to wait, and
whose turn it is. A host that never suspends runs it to its end without an event loop:
:func:`~.send.run_blocking`.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ..bolt12.verdict import Verdict
from ..errors import SendInvoiceError, UnreachableError, unexpected_error
from ..node.events.link import REPLY_GRACE
from ..node.invoices import Change
from ..node.rpc.client import CALL_SECONDS, NoAnswerError
from ..outcome import Outcome
from . import endings
from .delivery import Delivery
from .exchange import Exchange
from .waiting import Due, Waiting, give_up_at

if TYPE_CHECKING:
    from ..node.ways.routes import Route
    from .host import Host

#: We give up a step that loses lightningd this often: it may be what makes lightningd crash.
MAX_LOSSES = 5

_T = TypeVar("_T")


async def answer(exchange: Exchange, host: Host) -> Outcome:
    """Answer one request, and wait until it ends.

    :returns: the outcome, errors included; nothing is raised.
    """
    error: SendInvoiceError | None = None
    try:
        await _Answer(exchange, host).run()
    except SendInvoiceError as failure:
        error = failure
    except Exception as failure:
        error = unexpected_error(failure)
    return exchange.outcome(error)


class _Answer:
    """The order of steps for one request."""

    def __init__(self, exchange: Exchange, host: Host) -> None:
        self.exchange = exchange
        self.host = host
        self.delivery: Delivery | None = None
        self.is_searched_anew = False

    async def run(self) -> None:
        exchange, host = self.exchange, self.host
        request = exchange.request
        exchange.read()
        await host.call(host.link.open)
        await self._step(exchange.find_invoice)
        if exchange.exists and exchange.invoice.is_paid:
            return
        if not (request.dry_run or request.no_replies):
            # The reply helper starts while the rest is being prepared.
            host.link.hear(host.now() + request.timeout + REPLY_GRACE)
        if not exchange.exists:
            await self._step(exchange.choose_payment_paths, needs_channels=True)
        if request.dry_run:
            await self._step(exchange.plan)
            return
        if not exchange.exists:
            await self._make_invoice()
            if exchange.invoice.is_paid:
                return
        await self._persist(host.follow)
        if exchange.is_resumed:
            # It may have changed before we followed it.
            await self._step(exchange.read_state)
        await self._wait()
        if not exchange.invoice.is_paid:
            raise exchange.unpaid()

    async def _make_invoice(self) -> None:
        """Prepare all that sending needs, then create the invoice: its time runs from then on."""
        exchange, host = self.exchange, self.host
        delivery = self.delivery = Delivery(exchange, host)
        while not await self._has_route(delivery):
            await host.wait(math.inf)
        if delivery.route is None:
            raise exchange.courier.no_route_error()
        await self._persist(host.prepare)
        await self._await_link(needs_channels=False)
        while not host.link.is_hearing_settled:
            await host.wait(math.inf)
            await self._await_link(needs_channels=False)
        while delivery.goes_at is not None and host.now() < delivery.goes_at:
            await host.wait(delivery.goes_at)
        await self._step(exchange.create)

    async def _wait(self) -> None:
        """Send copies until the invoice is paid or refused, or its time is over."""
        exchange, host = self.exchange, self.host
        self.waiting = waiting = Waiting(host.now(), sent_before=exchange.is_resumed)
        host.progress.awaiting_payment(exchange.invoice.expires_at)
        while True:
            await self._take_events()
            step = waiting.next(exchange.invoice, exchange.copies, host.now())
            if step is Due.END:
                await self._show_last_route()
                return
            if step is Due.STATE:
                await self._step(exchange.read_state)
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
                    await self._step(exchange.read_state)
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
        delivery = self.delivery
        if delivery is None:
            if len(exchange.copies):
                silence = (
                    "Nothing heard yet; sending" if not exchange.copies.last_words else "Sending"
                )
                host.progress.step(f"{silence} the invoice again")
            delivery = self.delivery = Delivery(exchange, host)
        is_prepared = host.link.is_ready and host.link.is_hearing_settled
        if not (is_prepared and await self._has_route(delivery)):
            await host.wait(deadline)
        elif delivery.route is None:
            self._lack_route()
        elif delivery.goes_at is None:
            # Its turn would come too late for the payer to pay.
            self._end_delivery()
        elif host.now() < delivery.goes_at:
            await host.wait(min(delivery.goes_at, deadline))
        else:
            await self._send(delivery, delivery.route)

    async def _send(self, delivery: Delivery, route: Route) -> None:
        exchange, host = self.exchange, self.host
        if not delivery.is_being_sent:
            delivery.is_being_sent, delivery.generation = True, host.link.generation
        transmit = partial(exchange.courier.transmit, route, exchange.invoice)
        try:
            is_sent = await host.send(route, transmit)
        except UnreachableError as lost:
            delivery.is_being_sent = False
            self._lose(delivery, lost, delivery.generation)
            return
        delivery.is_being_sent = is_sent is None
        if is_sent:
            await host.call(partial(exchange.courier.show, route))
            self._end_delivery()
        elif is_sent is not None:
            delivery.try_next()

    async def _show_last_route(self) -> None:
        """Tell the route of a copy that was paid before lightningd confirmed the message."""
        exchange = self.exchange
        route = self.delivery.route if self.delivery is not None else None
        if exchange.invoice.is_paid and route is not None and route in exchange.copies.routes[-1:]:
            await self.host.call(partial(exchange.courier.show, route))

    async def _has_route(self, delivery: Delivery) -> bool:
        """Whether the search for a route has ended. Begins it when it has not begun."""
        while True:
            await self._await_link(needs_channels=True)
            try:
                return delivery.has_ended_search()
            except UnreachableError as lost:
                self._lose(delivery, lost, delivery.generation)
                if not self.host.link.is_ready:
                    return False
                # lightningd is back already, so no event will wake us: search again.

    def _lose(self, delivery: Delivery, lost: UnreachableError, generation: int) -> None:
        """Note that lightningd went away during a delivery, which goes on when it is back."""
        delivery.losses += 1
        if delivery.losses == 1:
            unheard_for = CALL_SECONDS if isinstance(lost, NoAnswerError) else 0
            delivery.lost_since = self.host.now() - unheard_for
        self.host.link.lose(lost, generation)
        is_too_late = not self.exchange.exists and self.host.now() >= self._give_up_at(
            delivery.lost_since
        )
        if delivery.losses == MAX_LOSSES or is_too_late:
            raise lost

    def _lack_route(self) -> None:
        """Deal with a copy that no route takes."""
        exchange, host = self.exchange, self.host
        if not self.is_searched_anew and not len(exchange.copies):
            # The network may have changed while the copy waited for its turn.
            self.is_searched_anew = True
            self.delivery = Delivery(exchange, host, is_fresh=True)
        elif len(exchange.copies) or exchange.is_resumed or host.link.generation:
            # The payer may have the invoice, or lightningd has not found its peers yet.
            error = exchange.courier.no_route_error()
            host.progress.warn(error.message, error.hint)
            self._end_delivery()
        else:
            raise exchange.courier.no_route_error()

    def _end_delivery(self) -> None:
        self.delivery = None
        self.waiting.copy_ended(self.host.now())

    # --- a lightningd that goes away ---

    async def _step(self, step: Callable[[], _T], *, needs_channels: bool = False) -> _T:
        return await self._persist(lambda: self.host.call(step), needs_channels=needs_channels)

    async def _persist(
        self, step: Callable[[], Awaitable[_T]], *, needs_channels: bool = False
    ) -> _T:
        """Take a step, and repeat it when lightningd goes away during it.

        :param needs_channels: first wait until lightningd has its channels back.
        :raises UnreachableError: it stays away, went away MAX_LOSSES times, or this took too
            long: a lightningd that never answers this may still answer ``getinfo``.
        """
        losses = 0
        since: float | None = None
        while True:
            is_last = not await self._await_link(needs_channels=needs_channels)
            since = self.host.now() if since is None else since
            generation = self.host.link.generation
            try:
                return await step()
            except UnreachableError as lost:
                losses += 1
                self.host.link.lose(lost, generation)
                is_too_late = self.host.now() >= self._give_up_at(since)
                if is_last or losses == MAX_LOSSES or is_too_late:
                    raise

    def _give_up_at(self, lost_at: float) -> float:
        """Until when to try to reach a lightningd that went away at ``lost_at``."""
        exchange = self.exchange
        if exchange.exists:
            return give_up_at(exchange.invoice.expires_at, lost_at)
        return lost_at + exchange.request.timeout

    async def _await_link(self, *, needs_channels: bool) -> bool:
        """Wait until lightningd is back.

        :returns: False when the invoice's time is over first: ask once more all the same, since
            we look for lightningd every few seconds only, and some calls may work while others
            fail.
        :raises UnreachableError: it stays away, and there is no invoice to ask for, or it hangs.
        """
        link = self.host.link
        while not (link.is_up and (link.is_ready or not needs_channels)):
            until = self._give_up_at(link.lost_at)
            if self.host.now() >= until:
                if link.is_up:
                    return True
                lost = link.loss or UnreachableError("lightningd is gone")
                if isinstance(lost, NoAnswerError) or not self.exchange.exists:
                    raise lost
                return False
            await self.host.wait(until)
        return True
