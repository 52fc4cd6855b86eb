"""Answering one request: the only place that knows the order of steps.

The order is a coroutine over a :class:`~.host.Host`, which knows how to call, how to wait, and
whose turn it is. A host that never suspends runs it to its end without an event loop:
:func:`~.blocking_host.run_blocking`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ..bolt12 import invoice_request
from ..bolt12.verdict import Verdict
from ..errors import LightningdError, SendInvoiceError, UnreachableError, unexpected_error
from ..node.events.losses import Losses
from ..node.invoices import Change
from ..node.lightningd import GRAPH_SECONDS, REPLY_GRACE
from ..outcome import Offered, Outcome
from ..signals import Interruption
from . import endings
from .deadline import Deadline
from .delivery import Delivery
from .exchange import Exchange
from .host import Early
from .readiness import POLL_SECONDS, Missing, Readiness
from .reading import read
from .steps import Steps, no_answer_error
from .waiting import Due, Waiting

if TYPE_CHECKING:
    from ..node.ways.routes import Route
    from ..request import Request
    from .host import Host, Job

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
            deadline = Deadline(host.now, request.timeout)
            exchange = Exchange(
                read(request, invreq), host.lightningd, host.progress, deadline, ways=host.ways
            )
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
    return ended


class _Answer:
    """The order of steps for one request."""

    def __init__(self, exchange: Exchange, host: Host) -> None:
        self.exchange = exchange
        self.host = host
        self.connection = host.lightningd.connection
        self.replies = host.lightningd.replies
        self.deadline = exchange.deadline
        self.steps = Steps(host, self.deadline)
        self.readiness = Readiness()
        #: The look at what is missing, while it goes on, and the losses that it has met.
        self.looking: Job[Missing | None] | None = None
        self.losses = Losses(host.now)
        #: The copy that is next, once it is prepared; None between two copies.
        self.delivery: Delivery | None = None
        self.is_searched_anew = False

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
            self.deadline.restart()
            self.delivery, self.is_searched_anew = None, False
            await self._send()
        if not exchange.invoice.is_paid:
            await self._end_unpaid()

    async def _plan(self) -> None:
        """Find out what would be sent, and warn of what a send would wait for."""
        exchange = self.exchange
        missing = await self.steps.look(exchange.look_around)
        await self._show_payment_paths()
        if missing is not None and missing.is_needed:
            self.host.progress.warn(f"a send would first wait for {missing}")
        await self.steps.look(exchange.plan)

    async def _show_payment_paths(self) -> None:
        if self.host.progress.wants_route:
            # It asks for the names of nodes.
            await self.steps.look(self.exchange.show_payment_paths)
        else:
            self.exchange.show_payment_paths()

    async def _send(self) -> None:
        """Make the invoice unless it exists, and send it until that ends."""
        exchange = self.exchange
        if not exchange.exists:
            await self._prepare()
            await self.steps.take(exchange.create)
            if exchange.invoice.is_paid:
                return
        self.deadline.follow(exchange.invoice.expires_at)
        await self.steps.persist(partial(self.host.follow, exchange))
        if exchange.is_resumed:
            # It may have changed before we followed it.
            await self.steps.take(exchange.read_state)
        await self._wait()

    # --- before the invoice exists ---

    async def _prepare(self) -> None:
        """Prepare all that sending needs: the invoice's time runs from its creation on.

        :raises NoRouteError: no route was found, or this node cannot be paid yet.
        :raises TimedOutError: lightningd is behind the chain all the time.
        """
        host, deadline = self.host, self.deadline
        while not await self._is_ready():
            if deadline.is_over:
                raise self._unready_error()
            if self.readiness.missing is not None:
                host.step_aside()
            await host.wait(min(host.now() + POLL_SECONDS, deadline.at))
        await self._show_payment_paths()
        self.delivery = delivery = await self._find_route()
        await self.steps.persist(host.prepare)
        delivery.helper_at = min(delivery.helper_at, deadline.at)
        while not self.replies.is_settled and host.now() < delivery.helper_at:
            await host.wait(delivery.helper_at)
        while delivery.goes_at is not None and host.now() < delivery.goes_at:
            await host.wait(delivery.goes_at)
        await self.steps.reach()
        # Its turn has taken its time, which is not what TIMEOUT is for.
        deadline.restart()

    def _unready_error(self) -> SendInvoiceError:
        """The error when TIMEOUT is over, and lightningd is away or not ready."""
        if self.connection.is_up and self.readiness.missing is not None:
            return self.readiness.missing.error()
        return self.connection.loss or no_answer_error()

    async def _is_ready(self) -> bool:
        """Look at what is missing since lightningd came back, one step further; whether to go on.

        :raises LightningdError: it cannot be told, and the invoice does not exist.
        """
        exchange, readiness = self.exchange, self.readiness
        await self.steps.reach()
        generation = self.connection.generation
        if readiness.is_known(generation):
            return True
        if self.looking is None:
            age = GRAPH_SECONDS if readiness.missing is None else POLL_SECONDS
            self.looking = self.host.begin(partial(exchange.look_around, age))
        if not self.looking.done():
            return False
        looking, self.looking = self.looking, None
        missing = None
        try:
            missing = looking.result()
        except UnreachableError as lost:
            self.steps.lose(lost, generation, self.losses)
            return False
        except LightningdError:
            if not exchange.exists:
                raise
        if readiness.take(missing, generation, self.host.now()):
            self.host.progress.step(f"Waiting for {readiness.missing}")
        return readiness.is_known(generation)

    async def _find_route(self) -> Delivery:
        """A delivery with a route.

        :raises NoRouteError: there is none, and no channel peer is missing that could change that.
        """
        exchange, host, deadline = self.exchange, self.host, self.deadline
        is_told = False
        while True:
            delivery = Delivery(exchange, host, is_fresh=is_told)
            until = deadline.at + SEARCH_GRACE
            while not await self._search(delivery) and host.now() < until:
                await host.wait(until)
            if delivery.route is not None:
                return delivery
            away = exchange.away
            if not away or deadline.is_over:
                raise exchange.courier.no_route_error()
            if not is_told:
                host.progress.step(f"No route to the payer; waiting for {Missing(away=len(away))}")
                is_told = True
            host.step_aside()
            while exchange.away == away and not deadline.is_over:
                await host.wait(min(host.now() + POLL_SECONDS, deadline.at))
                await self.steps.look(partial(exchange.look_around, POLL_SECONDS))

    async def _search(self, delivery: Delivery) -> bool:
        """Take the search for a route one step further; whether it has ended."""
        while True:
            await self.steps.reach()
            try:
                return delivery.search()
            except UnreachableError as lost:
                self.steps.lose(lost, delivery.generation, delivery.losses)
                if not self.connection.is_up:
                    return False
                # lightningd is back already, so no event will wake us: search again.

    # --- once it exists ---

    async def _wait(self) -> None:
        """Send copies until the invoice is paid or refused, or its time is over."""
        exchange, host = self.exchange, self.host
        waiting = Waiting(host.now(), sent_before=exchange.is_resumed)
        host.progress.awaiting_payment(exchange.invoice.expires_at)
        while True:
            await self._take_events(waiting)
            step = waiting.next(exchange.invoice, exchange.copies, host.now())
            if step is Due.END:
                await self._show_last_route()
                return
            if step is Due.STATE:
                await self.steps.take(exchange.read_state)
                waiting.state_read(host.now())
            elif step is Due.COPY:
                await self._advance_delivery(waiting)
            else:
                await host.wait(step.until)

    async def _take_events(self, waiting: Waiting) -> None:
        exchange, host = self.exchange, self.host
        for event in host.take_events():
            if isinstance(event, Change):
                if not exchange.learn(event):
                    await self.steps.take(exchange.read_state)
                continue
            replied = exchange.copies.reply(event.path_id, event.error)
            if replied is None:
                continue
            again_at = waiting.heard(replied.verdict, host.now())
            if again_at is not None:
                words = endings.describe(replied, exchange.invoice.bolt12)
                host.progress.step(
                    f"The payer could not pay yet: {words}; sending the invoice again "
                    f"in {again_at - host.now():.0f} s"
                )
            elif replied.verdict is Verdict.IN_PROGRESS:
                host.progress.step("The payer is paying already")

    async def _advance_delivery(self, waiting: Waiting) -> None:
        """Take the copy that is due one step further: search, wait for its turn, or send it."""
        exchange, host = self.exchange, self.host
        deadline = exchange.invoice.expires_at
        delivery = self.delivery = self.delivery or self._next_delivery()
        if not await self._is_ready():
            await host.wait(min(host.now() + POLL_SECONDS, deadline))
        elif not self.replies.is_settled and host.now() < delivery.helper_at:
            await host.wait(min(delivery.helper_at, deadline))
        elif not await self._search(delivery):
            await host.wait(deadline)
        elif delivery.route is None:
            self._lack_route(waiting)
        elif delivery.goes_at is None:
            # Its turn would come too late for the payer to pay.
            self._end_delivery(waiting)
        elif host.now() < delivery.goes_at:
            await host.wait(min(delivery.goes_at, deadline))
        else:
            await self._hand_over(delivery, delivery.route, waiting)

    def _next_delivery(self) -> Delivery:
        copies = self.exchange.copies
        if len(copies):
            silence = "Sending" if copies.last_words else "Nothing heard yet; sending"
            self.host.progress.step(f"{silence} the invoice again")
        return Delivery(self.exchange, self.host)

    async def _hand_over(self, delivery: Delivery, route: Route, waiting: Waiting) -> None:
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
            self._end_delivery(waiting)
        else:
            delivery.try_next()

    async def _show_last_route(self) -> None:
        """Tell the route of a copy that was paid before lightningd confirmed the message."""
        exchange = self.exchange
        route = self.delivery.route if self.delivery is not None else None
        if exchange.invoice.is_paid and route is not None and route in exchange.copies.routes[-1:]:
            await self.host.call(partial(exchange.courier.show, route))

    def _lack_route(self, waiting: Waiting) -> None:
        """Deal with a copy that no route takes."""
        exchange, host = self.exchange, self.host
        if not self.is_searched_anew and not len(exchange.copies):
            # The network may have changed while the copy waited for its turn.
            self.is_searched_anew = True
            self.delivery = Delivery(exchange, host, is_fresh=True)
        elif len(exchange.copies) or exchange.is_resumed or self.connection.generation:
            # The payer may have the invoice, or lightningd has not found its peers yet.
            error = exchange.courier.no_route_error()
            host.progress.warn(error.message, error.hint)
            self._end_delivery(waiting)
        else:
            raise exchange.courier.no_route_error()

    def _end_delivery(self, waiting: Waiting) -> None:
        self.delivery = None
        waiting.copy_ended(self.host.now())

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
