"""Answering one request: the only place that knows the order of steps.

The order is a coroutine over a :class:`~.host.Host`, which knows how to call, how to wait, and
whose turn it is. A host that never suspends runs it to its end without an event loop:
:func:`~.blocking_host.run_blocking`.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from ..bolt12 import invoice_request
from ..errors import SendInvoiceError, unexpected_error
from ..node.lightningd import REPLY_GRACE
from ..outcome import Offered, Outcome
from ..signals import Interruption
from .deadline import Deadline
from .delivery import Delivery
from .exchange import Exchange
from .lookout import Lookout
from .readiness import POLL_SECONDS, Missing
from .reading import read
from .sending import Sending
from .steps import Steps, TimeOverError

if TYPE_CHECKING:
    from ..request import Request
    from .host import Host

#: Seconds past the deadline that a search gets to say what it has tried.
SEARCH_GRACE = 1
#: Seconds for the last look at our node, when the invoice was not paid.
LAST_LOOK_SECONDS = 2


async def answer(request: Request, host: Host) -> Outcome:
    """Answer one request, and wait until it ends.

    Only here, errors and the interruption by a signal become an outcome.

    :returns: the outcome; nothing is raised.
    """
    known: dict[str, Any] = {"label": request.label}
    exchange: Exchange | None = None

    def outcome(error: SendInvoiceError | None) -> Outcome:
        if exchange is not None:
            return exchange.outcome(error)
        return Outcome(known, error, int(host.now()), host.progress.warnings)

    try:
        try:
            invreq = invoice_request.decode(request.invreq)
            known["request"] = Offered.of(invreq).as_json()
            deadline = Deadline(host.now, request.timeout, invreq.expires_at)
            exchange = Exchange(read(request, invreq), host, deadline)
            await _Answer(exchange, host).run()
            ended = outcome(None)
        except SendInvoiceError as failure:
            ended = outcome(failure)
        except Exception as failure:
            ended = outcome(unexpected_error(failure))
        host.settled()
    except Interruption as interruption:
        host.settled()
        ended = outcome(interruption.error)
    if ended.error is not None:
        # Tracebacks refer to all that was known here, and would keep it in memory.
        ended.error.__traceback__ = ended.error.__context__ = ended.error.__cause__ = None
    return ended


class _Answer:
    """The order of steps for one request."""

    def __init__(self, exchange: Exchange, host: Host) -> None:
        self.exchange = exchange
        self.host = host
        self.replies = host.lightningd.replies
        self.deadline = exchange.deadline
        self.steps = Steps(host, self.deadline)
        self.lookout = Lookout(exchange, host, self.steps)

    async def run(self) -> None:
        exchange, request = self.exchange, self.exchange.request
        exchange.show()
        await self.steps.open()
        await self.steps.look(exchange.find_invoice)
        if exchange.exists and exchange.invoice.is_paid:
            return
        if request.dry_run:
            await self._plan()
            return
        if not request.no_replies:
            # The reply helper starts while the rest is being prepared.
            self.replies.start(self.host.now() + request.timeout + REPLY_GRACE)
        await self._send()
        if exchange.is_replaceable and self.host.now() < self.deadline.first_at:
            self.host.progress.step("The invoice has expired; replacing it")
            exchange.replace()
            # Our channels may have changed since lightningd was found ready.
            self.lookout = Lookout(exchange, self.host, self.steps)
            self.deadline.restart()
            await self._send()
        if not exchange.invoice.is_paid:
            await self._end_unpaid()

    async def _plan(self) -> None:
        """Find out what would be sent, and warn of what a send would wait for."""
        exchange = self.exchange
        missing = await self.steps.look(exchange.receiving.look_around)
        await self._show_payment_paths()
        if missing is not None and missing.is_needed:
            self.host.progress.warn(f"a send would first wait for {missing}")
        await self.steps.look(exchange.plan)

    async def _show_payment_paths(self) -> None:
        if self.host.progress.wants_route:
            # It asks for the names of nodes.
            await self.steps.look(self.exchange.receiving.show)
        else:
            self.exchange.receiving.show()

    async def _send(self) -> None:
        """Make the invoice unless it exists, and send it until that ends."""
        exchange = self.exchange
        delivery = None
        if not exchange.exists:
            try:
                delivery = await self._prepare()
            except SendInvoiceError:
                exchange.check_expiry()
                raise
            exchange.check_expiry()
            await self.steps.take(exchange.create)
            if exchange.invoice.is_paid:
                return
        self.deadline.follow(exchange.invoice.expires_at)
        await self.steps.finish(self.host.prepare)
        self.host.follow(exchange)
        if exchange.is_resumed:
            # It may have changed before we followed it.
            await self.steps.take(exchange.read_state)
        await Sending(exchange, self.host, self.steps, self.lookout, delivery).run()

    # --- before the invoice exists ---

    async def _prepare(self) -> Delivery:
        """Prepare all that sending needs: the invoice's time runs from its creation on.

        :returns: the first copy, with a route.
        :raises NoRouteError: no route was found, or this node cannot be paid yet.
        :raises TimedOutError: lightningd is behind the chain all the time.
        """
        host, deadline = self.host, self.deadline
        deadline.limit()
        while not await self.lookout.advance():
            if deadline.is_over:
                raise self.lookout.error()
            if self.lookout.missing is not None:
                host.step_aside()
            await host.wait(min(self.lookout.next_at, deadline.at))
        await self._show_payment_paths()
        delivery = await self._find_route()
        await self.steps.finish(host.prepare)
        delivery.helper_at = min(delivery.helper_at, deadline.at)
        while not self.replies.is_settled and host.now() < delivery.helper_at:
            await host.wait(delivery.helper_at)
        while delivery.goes_at is not None and host.now() < delivery.goes_at:
            await host.wait(delivery.goes_at)
        await self.steps.reach()
        # Its turn has taken its time, which is not what TIMEOUT is for.
        deadline.restart()
        if not self.exchange.drafts.is_prepared:
            await self.steps.look(self.exchange.drafts.prepare)
        return delivery

    async def _find_route(self) -> Delivery:
        """A delivery with a route.

        :raises NoRouteError: there is none, and no channel peer is missing that could change that.
        """
        exchange, host, deadline = self.exchange, self.host, self.deadline
        is_told = False
        while True:
            delivery = Delivery(exchange, host, is_fresh=is_told)
            until = deadline.at + SEARCH_GRACE
            while not await self.steps.search(delivery) and host.now() < until:
                await host.wait(until)
            if delivery.route is not None:
                exchange.courier.check_size(delivery.route, exchange.invoice_size)
                return delivery
            away = exchange.receiving.inbound.away
            error = exchange.courier.no_route_error()
            if not away or deadline.is_over:
                raise error
            if not is_told:
                host.progress.step(f"No route to the payer; waiting for {Missing(away=len(away))}")
                is_told = True
            host.step_aside()
            while exchange.receiving.inbound.away == away:
                looks_at = min(host.now() + POLL_SECONDS, deadline.at)
                while host.now() < looks_at:
                    await host.wait(looks_at)
                if deadline.is_over:
                    raise error
                with suppress(TimeOverError):
                    await self.steps.look(partial(exchange.receiving.look_around, POLL_SECONDS))

    async def _end_unpaid(self) -> None:
        """Raise the error for an invoice that was not paid in time."""
        host, lightningd = self.host, self.host.lightningd
        if not self.exchange.copies.is_declined:
            # A node that is behind the chain may be why, and lightningd may be gone by now.
            until = host.now() + LAST_LOOK_SECONDS
            look = host.begin(partial(lightningd.current_node, 0))
            while not look.done() and host.now() < until:
                await host.wait(until)
        raise self.exchange.unpaid_error(lightningd.node.behind)
