"""The host of one row: threads make its blocking calls, and other rows run while it waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ..answering.host import Early
from ..answering.warnings import ProgressWithWarnings
from ..node.events.replies import Reply
from ..node.invoices import Change
from ..node.ways.routes import Route
from ..signals import Interruption

if TYPE_CHECKING:
    from ..answering.exchange import Exchange
    from ..reporting import Progress
    from .batch import Batch

#: Longest single wait of a row, in seconds. Event loops refuse waits of years.
MAX_WAIT_SECONDS = 3600
#: Shortest wait for a turn, in seconds: UNIX seconds as a float are hardly finer.
MIN_WAIT_SECONDS = 0.001

#: Among how many routes that are as good the rows of a batch take turns.
MAX_WAYS = 4

_T = TypeVar("_T")
_Future = TypeVar("_Future", bound="asyncio.Future[Any]")


class RowHost:
    """The host of one row.

    :param slots: the row holds one of these until its invoice is sent.
    """

    def __init__(self, batch: Batch, progress: Progress, slots: asyncio.Semaphore) -> None:
        self.lightningd = batch.lightningd
        self.now = batch.clock
        self.progress = ProgressWithWarnings(progress)
        self.ways = MAX_WAYS
        self._batch = batch
        self._slots: asyncio.Semaphore | None = slots
        self._exchange: Exchange | None = None
        self._heard: list[Change | Reply] = []
        #: What it hands over to lightningd now.
        self._sending: asyncio.Task[bool | Early] | None = None
        #: What it awaits now; a signal interrupts it there.
        self._awaited: asyncio.Future[Any] | None = None
        self._is_awake = False
        self._waiter: asyncio.Future[None] | None = None
        #: Until when it waits (UNIX seconds); None while it does something.
        self.waits_until: float | None = None

    async def call(self, step: Callable[[], _T]) -> _T:
        return await self._await(self._batch.workers.begin(step))

    def begin(self, step: Callable[[], _T]) -> asyncio.Future[_T]:
        return self._waking(self._batch.workers.begin(step))

    def search(self, work: Callable[[], _T], *, may_connect: bool) -> asyncio.Future[_T]:
        if may_connect:
            self.step_aside()
        workers = self._batch.connectors if may_connect else self._batch.seekers
        return self._waking(workers.begin(work))

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
                await self._await(self._waiter)
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

    def interrupt(self) -> None:
        """Raise the batch's interruption where the row waits now; elsewhere it comes by itself."""
        if self._awaited is not None:
            self._awaited.cancel()

    def expects(self, reply: Reply) -> bool:
        """Whether a reply is to one of this row's copies."""
        return self._exchange is not None and reply.path_id in self._exchange.copies

    def step_aside(self) -> None:
        """Give the slot back: the next row may prepare itself."""
        slots, self._slots = self._slots, None
        if slots is not None:
            slots.release()

    def take_turn(self, route: Route, size: int, before: float) -> tuple[Route, float] | None:
        now = self.now()
        turn = self._batch.turns.take(route, size, before - now)
        if turn is None:
            return None
        route, seconds = turn
        return route, now + seconds

    def send(
        self, route: Route, size: int, transmit: Callable[[], bool]
    ) -> asyncio.Task[bool | Early]:
        self._sending = asyncio.create_task(self._hand_over(route, size, transmit))
        return self._waking(self._sending)

    async def _hand_over(
        self, route: Route, size: int, transmit: Callable[[], bool]
    ) -> bool | Early:
        turns = self._batch.turns
        async with turns.handover:
            seconds = turns.seconds_left(route, size)
            if seconds > 0:
                return Early(max(seconds, MIN_WAIT_SECONDS))
            with turns.use(route, size):
                is_sent = await self._batch.workers.begin(transmit)
            if is_sent:
                self.step_aside()
            return is_sent

    def prepare(self) -> asyncio.Future[None]:
        begun = self._batch.following.begin()
        return begun if begun.done() else self._waking(begun)

    def follow(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._batch.follow(exchange.request.label, self)

    def settled(self) -> None:
        pass

    def end(self) -> None:
        """The row has ended."""
        if self._sending is not None:
            self._sending.cancel()
        self.step_aside()
        if self._exchange is not None:
            self.lightningd.replies.forget(self._exchange.copies.path_ids)

    async def _await(self, future: asyncio.Future[_T]) -> _T:
        self._check_interruption()
        self._awaited = future
        try:
            return await future
        except asyncio.CancelledError:
            self._check_interruption()
            raise
        finally:
            self._awaited = None

    def _check_interruption(self) -> None:
        if self._batch.interruption is not None:
            raise Interruption(self._batch.interruption) from None

    def _waking(self, job: _Future) -> _Future:
        """A job whose end wakes the row."""

        def end(ended: asyncio.Future[Any]) -> None:
            if not ended.cancelled():
                # asyncio complains of failures that nobody looks at, and the row may have ended.
                ended.exception()
            self.wake()

        job.add_done_callback(end)
        return job
