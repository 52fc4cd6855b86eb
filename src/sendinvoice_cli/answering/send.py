"""The host of a single send: it blocks, and needs no event loop.

A send makes these calls, in order: ``getinfo``, ``listconfigs``, ``help``, ``listinvoices``,
``listpeerchannels``, ``listnodes``, ``listpeers`` (and to find a payer that is no peer,
``listnodes``, ``listchannels`` and perhaps ``connect``), ``makesecret``, ``createinvoice``,
``sendinvoice-expect``, ``createonion`` and ``injectonionmessage`` (or the one older call).
Other threads make calls meanwhile: ``sendinvoice-expect`` asks whether the reply helper runs,
``plugin start`` starts it if not, and ``waitinvoice`` and ``sendinvoice-replies`` wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..errors import UsageError
from ..node import invoices
from ..node.events.link import Event, Link, LinkNews
from ..node.events.replies import Reply
from ..node.invoices import Change
from ..node.rpc.client import Client
from ..node.rpc.connection import SLICE_SECONDS
from ..node.ways.routes import Route
from ..onion.blinding import load_cipher
from ..outcome import Outcome
from ..request import Request
from ..signals import Interruption
from ..threads import spawn
from .exchange import Exchange
from .order import answer
from .warnings import ProgressWithWarnings

if TYPE_CHECKING:
    from ..reporting import Progress
    from .host import Host

_T = TypeVar("_T")


class _JobEnded:
    """A job in the background has ended."""


Events = SimpleQueue[Event | _JobEnded]

#: Takes the next event from a queue; None when none comes within the given seconds, or sooner.
Wait = Callable[["Events", float], "Event | _JobEnded | None"]


def wait_in_real_time(events: Events, seconds: float) -> Event | _JobEnded | None:
    """A :data:`Wait` in real time."""
    try:
        return events.get(timeout=min(seconds, SLICE_SECONDS))
    except Empty:
        return None


def send(
    request: Request,
    client: Client,
    progress: Progress,
    *,
    settled: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
    wait: Wait = wait_in_real_time,
) -> Outcome:
    """Answer one request, and wait until it ends.

    :param settled: called once the outcome is known; from then on no signal may interrupt.
    :param clock: tells the time in UNIX seconds.
    :param sleep: sleeps some seconds between attempts to reach a lightningd that is gone.
    :param wait: waits for an event, at most some seconds.
    :raises UsageError: the request does not fit the arguments.
    """
    # It is needed after the first calls.
    spawn(load_cipher)
    host = BlockingHost(client, request, progress, clock=clock, sleep=sleep, wait=wait)
    outcome = answer_blocking(host.exchange, host, settled)
    if isinstance(outcome.error, UsageError):
        raise outcome.error
    host.close()
    return outcome


def answer_blocking(
    exchange: Exchange, host: Host, settled: Callable[[], None] = lambda: None
) -> Outcome:
    """Answer one request with a host that blocks. Only here, a signal becomes an outcome.

    :param settled: as for :func:`send`.
    """
    try:
        outcome = run_blocking(answer(exchange, host))
        settled()
    except Interruption as interruption:
        settled()
        outcome = exchange.outcome(interruption.error)
    return outcome


def run_blocking(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine that never suspends to its end, without an event loop."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: _T = end.value
        return result
    coroutine.close()
    raise RuntimeError("a blocking host may not suspend")


class BlockingHost:
    """A host that blocks in every call and every wait."""

    def __init__(
        self,
        client: Client,
        request: Request,
        progress: Progress,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        wait: Wait,
    ) -> None:
        self.now = clock
        self.progress = ProgressWithWarnings(progress)
        self._wait = wait
        self._events: Events = SimpleQueue()
        self._heard: list[Change | Reply] = []
        self._is_following = False
        #: Work that goes on in the background.
        self.jobs: list[_Job[Any]] = []
        #: The one of them that sends a copy.
        self.sending: _Job[bool] | None = None
        self.link = Link(client, self._events.put, self.progress, clock=clock, sleep=sleep)
        self.exchange = Exchange(request, self.link, self.progress)

    async def call(self, step: Callable[[], _T]) -> _T:
        return step()

    def begin(self, work: Callable[[], _T]) -> _Job[_T]:
        job = _Job(work, lambda: self._events.put(_JobEnded()))
        self.jobs = [each for each in self.jobs if not each.done()] + [job]
        return job

    async def wait(self, until: float) -> None:
        event = self._wait(self._events, max(until - self.now(), 0))
        if event is LinkNews.BACK and self._is_following:
            # The invoice may have changed meanwhile, and following it may fail again.
            event = Change(self.exchange.request.label)
        if isinstance(event, Change | Reply):
            self._heard.append(event)

    def take_events(self) -> list[Change | Reply]:
        heard, self._heard = self._heard, []
        return heard

    def take_turn(self, route: Route, _before: float) -> tuple[Route, float]:
        # Copies of one invoice are further apart than any limit requires.
        return route, self.now()

    async def send(self, _route: Route, transmit: Callable[[], bool]) -> bool | None:
        if self.sending is None:
            self.sending = self.begin(transmit)
        deadline = self.exchange.invoice.expires_at
        while not self.sending.done():
            if self.now() >= deadline or any(isinstance(each, Change) for each in self._heard):
                return None
            await self.wait(deadline)
        sending, self.sending = self.sending, None
        return sending.result()

    async def prepare(self) -> None:
        pass

    async def follow(self) -> None:
        label = self.exchange.request.label
        self._is_following = True
        self.link.follow(partial(invoices.wait_until_closed, self.link.client, label))

    def close(self) -> None:
        """Close the link: nobody waits any more."""
        self.link.close()


class _Job(Generic[_T]):
    """Work in a thread of its own."""

    def __init__(self, work: Callable[[], _T], ended: Callable[[], None]) -> None:
        self._end: tuple[_T | None, Exception | None] | None = None

        def run() -> None:
            try:
                self._end = work(), None
            except Exception as failure:
                self._end = None, failure
            ended()

        self.thread = spawn(run)

    def done(self) -> bool:
        """Whether it has ended."""
        return self._end is not None

    def result(self) -> _T:
        """What it returned; raises what it raised."""
        assert self._end is not None
        result, failure = self._end
        if failure is not None:
            raise failure
        return result  # type: ignore[return-value]
