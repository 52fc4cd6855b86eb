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
from concurrent.futures import Future
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from ..node import invoices
from ..node.events.connection import News
from ..node.events.replies import Reply
from ..node.invoices import Change
from ..node.lightningd import Event, Lightningd
from ..node.rpc.call_socket import SLICE_SECONDS
from ..node.rpc.client import Client
from ..node.ways.routes import Route
from ..onion.blinding import load_cipher
from ..outcome import Outcome
from ..request import Request
from ..threads import spawn
from .host import Early
from .order import answer
from .warnings import ProgressWithWarnings

if TYPE_CHECKING:
    from ..reporting import Progress
    from .exchange import Exchange

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
    """
    # It is needed after the first calls.
    spawn(load_cipher)
    host = BlockingHost(client, progress, settled=settled, clock=clock, sleep=sleep, wait=wait)
    outcome = run_blocking(answer(request, host))
    host.close()
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
    """A host that blocks in every call and every wait.

    Parameters are those of :func:`send`.
    """

    def __init__(
        self,
        client: Client,
        progress: Progress,
        *,
        settled: Callable[[], None] = lambda: None,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        wait: Wait,
    ) -> None:
        self.now = clock
        self.progress = ProgressWithWarnings(progress)
        self.settled = settled
        self.ways = 1
        self._wait = wait
        self._events: Events = SimpleQueue()
        self._heard: list[Change | Reply] = []
        #: The label of the invoice that is followed.
        self._followed: str | None = None
        #: Work that goes on in the background, or whose end is not among the events yet.
        self.jobs: set[Future[Any]] = set()
        self.lightningd = Lightningd(
            client, self._events.put, self.progress, clock=clock, sleep=sleep
        )

    async def call(self, step: Callable[[], _T]) -> _T:
        return step()

    def begin(self, step: Callable[[], _T]) -> Future[_T]:
        job: Future[_T] = Future()

        def run() -> None:
            try:
                result = step()
            except Exception as failure:
                job.set_exception(failure)
            else:
                job.set_result(result)
            self._events.put(_JobEnded())
            self.jobs.discard(job)

        self.jobs.add(job)
        spawn(run)
        return job

    def search(self, work: Callable[[], _T], *, may_connect: bool) -> Future[_T]:  # noqa: ARG002
        return self.begin(work)

    async def wait(self, until: float) -> None:
        event = self._wait(self._events, max(until - self.now(), 0))
        if event is News.BACK and self._followed is not None:
            # The invoice may have changed meanwhile, and following it may fail again.
            event = Change(self._followed)
        if isinstance(event, Change | Reply):
            self._heard.append(event)

    def take_events(self) -> list[Change | Reply]:
        heard, self._heard = self._heard, []
        return heard

    def step_aside(self) -> None:
        pass

    def take_turn(self, route: Route, _size: int, _before: float) -> tuple[Route, float]:
        # Copies of one invoice are further apart than any limit requires.
        return route, self.now()

    def send(self, _route: Route, _size: int, transmit: Callable[[], bool]) -> Future[bool | Early]:
        return self.begin(transmit)

    def prepare(self) -> Future[None]:
        ready: Future[None] = Future()
        ready.set_result(None)
        return ready

    def follow(self, exchange: Exchange) -> None:
        label = self._followed = exchange.request.label
        source = partial(invoices.wait_until_closed, self.lightningd.client, label)
        self.lightningd.connection.follow(source, self._events.put)

    def close(self) -> None:
        """Close the connection: nobody waits any more."""
        self.lightningd.close()
