"""The host of one row: threads make its blocking calls, and other rows run while it waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

from ..answering.exchange import Exchange
from ..answering.warnings import ProgressWithWarnings
from ..node.events.link import Link
from ..node.events.replies import Reply
from ..node.invoices import Change
from ..node.ways.routes import Route
from ..request import Request
from .turns import Turns
from .workers import Workers

if TYPE_CHECKING:
    from ..reporting import Progress

#: Longest single wait of a row, in seconds. Event loops refuse waits of years.
MAX_WAIT_SECONDS = 3600
#: Shortest wait for a turn, in seconds: UNIX seconds as a float are hardly finer.
MIN_WAIT_SECONDS = 0.001

#: Among how many routes that are as good the rows of a batch take turns.
MAX_WAYS = 4

_T = TypeVar("_T")


class Shared(Protocol):
    """What the rows of a batch share."""

    link: Link
    workers: Workers
    seekers: Workers
    turns: Turns
    #: UNIX seconds.
    clock: Callable[[], float]

    async def follow_all(self) -> None:
        """Follow the changes of all invoices from now on."""

    def add_waiting(self, host: RowHost) -> None:
        """Pass events about its invoice to a row from now on."""


class RowHost:
    """The host of one row.

    :param slots: the row holds one of these until its invoice is sent.
    """

    def __init__(
        self, shared: Shared, request: Request, progress: Progress, slots: asyncio.Semaphore
    ) -> None:
        self.link = shared.link
        self.now = shared.clock
        self.progress = ProgressWithWarnings(progress)
        self.exchange = Exchange(request, shared.link, self.progress, ways=MAX_WAYS)
        self._shared = shared
        self._slots: asyncio.Semaphore | None = slots
        self._heard: list[Change | Reply] = []
        #: What hands a copy over; its result is as for :meth:`_hand_over`.
        self._sending: asyncio.Task[tuple[bool | None, float]] | None = None
        self._is_awake = False
        self._waiter: asyncio.Future[None] | None = None
        #: Until when it waits (UNIX seconds); None while it does something.
        self.waits_until: float | None = None

    async def call(self, step: Callable[[], _T]) -> _T:
        return await self._shared.workers.begin(step)

    def begin(self, work: Callable[[], _T]) -> asyncio.Future[_T]:
        job = self._shared.seekers.begin(work)
        job.add_done_callback(lambda _: self.wake())
        return job

    async def wait(self, until: float) -> None:
        if not self._is_awake:
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            is_sending = self._sending is not None and not self._sending.done()
            self.waits_until = None if is_sending else until
            # The caller waits again if that was too short.
            seconds = min(max(until - self.now(), 0), MAX_WAIT_SECONDS)
            timer = loop.call_later(seconds, self.wake)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
        self._is_awake = False

    def wake(self) -> None:
        """End the row's wait, so that it sees what has changed."""
        self._is_awake = True
        self.waits_until = None
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def hear(self, event: Change | Reply) -> None:
        """Take an event about this row's invoice."""
        self._heard.append(event)
        self.wake()

    def take_events(self) -> list[Change | Reply]:
        heard, self._heard = self._heard, []
        return heard

    def take_turn(self, route: Route, before: float) -> tuple[Route, float] | None:
        now = self.now()
        turn = self._shared.turns.take(route, self._packet_size(route), before - now)
        if turn is None:
            return None
        route, seconds = turn
        return route, now + seconds

    async def send(self, route: Route, transmit: Callable[[], bool]) -> bool | None:
        if self._sending is None:
            self._sending = asyncio.create_task(self._hand_over(route, transmit))
            self._sending.add_done_callback(self._sent)
        deadline = self.exchange.invoice.expires_at
        while not self._sending.done():
            if self.now() >= deadline or any(isinstance(each, Change) for each in self._heard):
                return None
            await self.wait(deadline)
        sending, self._sending = self._sending, None
        is_sent, seconds = sending.result()
        if is_sent is None:
            await self.wait(self.now() + max(seconds, MIN_WAIT_SECONDS))
        return is_sent

    async def _hand_over(
        self, route: Route, transmit: Callable[[], bool]
    ) -> tuple[bool | None, float]:
        """What ``transmit`` returned, or None and the seconds until it is its turn."""
        turns, size = self._shared.turns, self._packet_size(route)
        async with turns.handover:
            seconds = turns.seconds_left(route, size)
            if seconds > 0:
                return None, seconds
            with turns.use(route, size):
                is_sent = await self.call(transmit)
            if is_sent:
                self._release()
            return is_sent, 0

    def _sent(self, sending: asyncio.Task[tuple[bool | None, float]]) -> None:
        if not sending.cancelled():
            # asyncio complains of failures that nobody looks at, and the row may have ended.
            sending.exception()
        self.wake()

    def _packet_size(self, route: Route) -> int:
        return self.exchange.courier.packet_size(route, self.exchange.invoice_size)

    async def prepare(self) -> None:
        await self._shared.follow_all()

    async def follow(self) -> None:
        await self.prepare()
        self._shared.add_waiting(self)

    def end(self) -> None:
        """The row has ended."""
        if self._sending is not None:
            self._sending.cancel()
        self._release()
        self.link.forget(self.exchange.copies.path_ids)

    def _release(self) -> None:
        """Give the slot back: the next row may prepare itself."""
        slots, self._slots = self._slots, None
        if slots is not None:
            slots.release()
