"""One request, from validation to outcome. The only place that knows the order.

The calls of one send, in order: ``getinfo``, ``listconfigs``, ``help``,
``listinvoices``, ``listnodes``, ``listpeers`` (where the payer is no peer also
``listnodes`` and ``listchannels``, and perhaps ``connect``),
``createinvoice``, ``sendinvoice-expect``, ``createonion`` and
``injectonionmessage`` (or the one older call), then ``waitinvoice`` and
``sendinvoice-replies`` side by side, and ``listinvoices`` for the last word
(after a long TIMEOUT also ``sendinvoice-expect`` as a good-bye).
Meanwhile the reply helper is made ready by a ``sendinvoice-expect`` of its
own, and ``plugin start`` where that finds none. A node without public channels
also asks ``listpeerchannels``, ``listincoming`` and ``makesecret``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from .errors import (
    InterruptedBySignalError,
    LightningdError,
    OutcomeUnknownError,
    SendInvoiceError,
    UnreachableError,
    UsageError,
)
from .exchange import Exchange, Outcome, Progress, unexpected
from .node import info
from .node.client import Client
from .node.graph import Graph
from .node.replies import HelperUnavailableError, Reply, ReplySession
from .node.watch import (
    Background,
    HelperLost,
    InvoiceClosed,
    Wait,
    Watch,
    wait_in_real_time,
)
from .request import Request

_T = TypeVar("_T")

#: Seconds from one copy of the invoice to the next, while nothing is heard;
#: the last goes on. A payer that got the first one needs seconds at most to
#: answer, and one that got none loses little.
COPY_INTERVALS = (8, 16, 32, 60)
#: Seconds before the deadline in which no more copies are sent.
LAST_COPY_BEFORE = 5

#: Seconds between attempts to reach a lightningd that is gone; the last goes on.
RECONNECT_INTERVALS = (0.1, 0.2, 0.5, 1, 2, 5)
#: How often one step may lose lightningd until it is given up: lightningd may go down by it.
MAX_LOSSES = 5
#: Seconds to go on trying past the deadline, to learn how it ended.
LAST_WORD_SECONDS = 30
#: Seconds from one look at an invoice that should have expired to the next.
LAST_WORD_INTERVAL = 1

#: Seconds past the deadline for which the helper keeps what it hears.
REPLY_GRACE = 60
#: How often a helper that died is started again.
HELPER_RESTARTS = 1


def send(
    request: Request,
    client: Client,
    progress: Progress,
    *,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
    wait: Wait = wait_in_real_time,
) -> Outcome:
    """Answer one request, and wait for how it ends.

    :param clock: UNIX seconds.
    :param sleep: seconds, between attempts to reach a lightningd that is gone.
    :param wait: for an event, at most so many seconds.
    :returns: an outcome, of which an error is part.
    :raises UsageError: the request does not fit the arguments.
    """
    exchange = Exchange(request, client, progress, clock)
    error: SendInvoiceError | None = None
    try:
        _Single(exchange, client, progress, clock=clock, sleep=sleep, wait=wait).run()
    except InterruptedBySignalError as signal:
        error = describe_interruption(signal, exchange.known)
    except UsageError:
        raise
    except UnreachableError as lost:
        error = _outcome_unknown(request.label) if exchange.maybe_created else lost
    except SendInvoiceError as failure:
        error = failure
    except Exception as failure:
        error = unexpected(failure)
    return Outcome(exchange.known, error)


def describe_interruption(
    signal: InterruptedBySignalError, known: Mapping[str, Any]
) -> InterruptedBySignalError:
    """Say what an interruption leaves behind."""
    label = known["label"]
    resume = "run the same command again to go on"
    if "bolt12" not in known:
        return type(signal)(f"interrupted; invoice {label!r} was not sent", hint=resume)
    until = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(known["expires_at"]))
    return type(signal)(
        f"interrupted; invoice {label!r} may still be paid until {until}: {known['bolt12']}",
        hint=resume,
        data={"invstring": known["bolt12"]},
    )


def _outcome_unknown(label: str) -> OutcomeUnknownError:
    return OutcomeUnknownError(
        f"outcome unknown: lightningd is gone, and with it what became of invoice {label!r}",
        hint="once it is back, run the same command again, or look with "
        f"'lightning-cli listinvoices {label}'",
    )


class _Single:
    """The order of steps for one request, and the waiting."""

    def __init__(
        self,
        exchange: Exchange,
        client: Client,
        progress: Progress,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        wait: Wait,
    ) -> None:
        self.exchange = exchange
        self.client = client
        self.progress = progress
        self.clock = clock
        self.sleep = sleep
        self.wait = wait
        #: Who hears replies, None with --no-replies; ``replies`` is None while nobody does.
        self.session: ReplySession | None = None
        self.replies: ReplySession | None = None
        self.helper_restarts = HELPER_RESTARTS
        #: Whether lightningd was gone: it takes a while to find its peers again.
        self.was_lost = False
        self.watch = Watch(client, exchange.request.label, wait)

    def run(self) -> None:
        try:
            self._take_steps()
        finally:
            if self.replies is not None:
                self.replies.close(self.clock())

    def _take_steps(self) -> None:
        exchange = self.exchange
        exchange.read()
        self.node = info.read(self.client)
        if not exchange.find(self.node, Graph(self.client, self.node.id)):
            return
        exchange.choose_payment_paths()
        if exchange.request.dry_run:
            exchange.plan()
            return
        if not exchange.request.no_replies:
            self._start_replies()
        exchange.look_for_routes()
        if not self._create():
            return
        if self.session is not None:
            # A resumed invoice is waited for until it expires.
            self.session.extend(exchange.expires_at + REPLY_GRACE)
        self.watch.follow_invoice()
        self._transmit_first()
        self._wait()
        exchange.conclude()

    def _start_replies(self) -> None:
        """Have the reply helper started while the rest is being prepared."""
        until = self.clock() + self.exchange.request.timeout + REPLY_GRACE
        self.session = self.replies = ReplySession(self.client, until)
        self.helper_start = Background(self.replies.start)

    def _create(self) -> bool:
        give_up_at = self.clock() + self.exchange.request.timeout

        def reconnect(lost: UnreachableError) -> None:
            if not self.exchange.maybe_created:
                raise lost
            self._reconnect(lost, give_up_at)

        return self._persist(self.exchange.create, reconnect)

    def _transmit_first(self) -> None:
        try:
            if self.replies is not None:
                self.helper_start.result()
        except HelperUnavailableError as failure:
            self._do_without_replies(str(failure))
        except UnreachableError as lost:
            self._reconnect_and_follow(lost)
        if not (self._transmit() or self.exchange.maybe_sent or self.was_lost):
            raise self.exchange.no_route()
        if self.replies is not None:
            self.watch.follow_replies(self.replies)

    def _transmit(self) -> bool:
        def transmit() -> bool:
            try:
                return self.exchange.transmit(self.replies)
            except HelperUnavailableError as failure:
                self._do_without_replies(str(failure))
                return self.exchange.transmit(self.replies)

        return self._persist(transmit, self._reconnect_and_follow)

    def _do_without_replies(self, reason: str) -> None:
        self.replies = None
        self.progress.warn(
            f"the payer's answers cannot be heard: {reason}",
            "a refusal will look like a timeout; --no-replies silences this",
        )

    def _wait(self) -> None:
        """Wait until the invoice is paid or refused, or the deadline; its state is read last.

        :raises OutcomeUnknownError: lightningd is gone.
        """
        exchange = self.exchange
        deadline = exchange.expires_at
        self.progress.waiting(deadline)
        copy_at = self.clock() + COPY_INTERVALS[0]
        while exchange.known["status"] == "unpaid" and (now := self.clock()) < deadline:
            event = self.watch.next_event(min(copy_at, deadline) - now)
            if event is None:
                if copy_at <= self.clock() < deadline - LAST_COPY_BEFORE:
                    self._transmit_another()
                copy_at = self.clock() + interval(COPY_INTERVALS, max(len(exchange.copies) - 1, 0))
            elif isinstance(event, InvoiceClosed):
                break
            elif isinstance(event, Reply):
                exchange.hear(event)
                if exchange.is_refused():
                    break
            elif isinstance(event, HelperLost):
                self._restart_helper(event.reason)
            else:
                self._reconnect_and_follow(event.error)
        self._learn_end()

    def _learn_end(self) -> None:
        """Read the invoice's state last: lightningd decides until when it may be paid."""
        exchange = self.exchange
        give_up_at = max(exchange.expires_at, self.clock()) + LAST_WORD_SECONDS
        while True:
            self._persist(exchange.read_state, lambda lost: self._reconnect(lost, give_up_at))
            is_open = exchange.known["status"] == "unpaid" and not exchange.is_refused()
            if not is_open or self.clock() >= give_up_at:
                return
            self.watch.next_event(LAST_WORD_INTERVAL)

    def _transmit_another(self) -> None:
        """Send the same invoice again, since a message may be lost without a word."""
        self.progress.step("Nothing heard yet; sending the invoice again")
        try:
            self.exchange.look_for_other_routes(Graph(self.client, self.node.id))
            self._transmit()
        except UnreachableError as lost:
            self._reconnect_and_follow(lost)

    def _restart_helper(self, reason: str) -> None:
        if self.replies is None:
            return
        if self.helper_restarts == 0:
            self._do_without_replies(reason)
            return
        self.helper_restarts -= 1
        try:
            self.replies.start()
        except HelperUnavailableError as failure:
            self._do_without_replies(str(failure))
        except UnreachableError as lost:
            self._reconnect_and_follow(lost)
        else:
            self.watch.follow_replies(self.replies)

    def _reconnect_and_follow(self, lost: UnreachableError) -> None:
        """Regain lightningd, see what happened meanwhile, and go on waiting."""

        def reconnect(lost: UnreachableError) -> None:
            self._reconnect(lost, self.exchange.expires_at)

        reconnect(lost)
        self._persist(self._follow_anew, reconnect)

    def _follow_anew(self) -> None:
        self.exchange.read_state()
        # Events of the time before say no more than the state just read.
        self.watch = Watch(self.client, self.exchange.request.label, self.wait)
        self.watch.follow_invoice()
        # On its way down, lightningd ends the helper before it closes the connections.
        self.replies = self.session
        self.helper_restarts = HELPER_RESTARTS
        if self.replies is not None:
            try:
                self.replies.start()
            except HelperUnavailableError as failure:
                self._do_without_replies(str(failure))
            else:
                self.watch.follow_replies(self.replies)

    def _persist(self, step: Callable[[], _T], reconnect: Callable[[UnreachableError], None]) -> _T:
        """Take a step, again and again when lightningd goes away during it.

        :raises UnreachableError: it went away MAX_LOSSES times.
        """
        for _ in range(MAX_LOSSES - 1):
            try:
                return step()
            except UnreachableError as lost:
                reconnect(lost)
        return step()

    def _reconnect(self, lost: UnreachableError, until: float) -> None:
        """Try to reach lightningd again, less and less often.

        :param until: UNIX seconds.
        :raises OutcomeUnknownError: it stays away.
        """
        self.was_lost = True
        self.progress.warn(lost.message, "trying to reach it again")
        if wait_for_return(self.client, until, self.clock, self.sleep):
            self.progress.step("lightningd is back")
            return
        raise _outcome_unknown(self.exchange.request.label)


def wait_for_return(
    client: Client,
    until: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> bool:
    """Try to reach lightningd, less and less often (``getinfo``), and once at least.

    :param until: UNIX seconds.
    :returns: whether it is back.
    """
    attempt = 0
    while True:
        sleep(max(min(interval(RECONNECT_INTERVALS, attempt), until - clock()), 0))
        attempt += 1
        try:
            client.call("getinfo")
        except (UnreachableError, LightningdError):
            # Gone, or there and still starting up.
            if clock() >= until:
                return False
        else:
            return True


def interval(intervals: tuple[float, ...], at: int) -> float:
    """The interval number ``at``; behind the end, the last one."""
    return intervals[min(at, len(intervals) - 1)]
