"""The host of many requests at once: rows, turns, pacing and signals, on one event loop.

Every row is a task that runs the order of steps of answer.py. Calls to lightningd block, so a few
threads make them. An invoice is created only when its turn to be sent has come, since its TIMEOUT
runs from then on.
"""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from .answer import answer, unexpected
from .errors import (
    ExitStatus,
    InterruptedBySignalError,
    LightningdError,
    SendInvoiceError,
    TerminatedBySignalError,
    UnreachableError,
)
from .exchange.exchange import Exchange
from .node import invoices
from .node.client import Client
from .node.invoices import Change
from .node.link import Event, Link, LinkNews
from .node.replies import Reply
from .node.routes import Route
from .outcome import Counts, Outcome, Result
from .pacing import INTERVAL, Pacer, PeerLink, links_of
from .request import Request
from .rows import Row
from .workers import Workers

if TYPE_CHECKING:
    from .reporting import Progress, Reporter

#: Longest single wait of a row, in seconds. Event loops refuse waits of years.
MAX_WAIT_SECONDS = 3600
#: Shortest wait for a turn, in seconds: UNIX seconds as a float are hardly finer.
MIN_WAIT_SECONDS = 0.001

_T = TypeVar("_T")


@dataclass(frozen=True)
class Limits:
    """How much a batch does at once.

    :param threads: threads that call lightningd, each over one connection at a time.
    :param seekers: threads that search for routes. Connecting to a payer may take minutes, so
        more are started while all of them are stuck.
    :param unsent: rows that are prepared before their turn to be sent.
    :param repeated: rows that wait for an earlier row with the same label.
    :param rows: rows that are under way, in all.
    """

    threads: int = 4
    seekers: int = 2
    unsent: int = 100
    repeated: int = 1000
    rows: int = 2000


def run(
    rows: Iterator[Row],
    client: Client,
    reporter: Reporter,
    *,
    pacer: Pacer | None = None,
    limits: Limits | None = None,
) -> ExitStatus:
    """Answer every row, and wait for how each ends.

    :raises UnreachableError: lightningd cannot be reached; nothing was read.
    :raises UsageError: the file is not a batch, or cannot be read to its end.
    """
    batch = Batch(client, reporter, pacer=pacer, limits=limits)
    batch.link.open()
    return asyncio.run(batch.run(rows))


def exit_status(paid: int, failures: set[ExitStatus]) -> ExitStatus:
    """The exit status of a batch: 0, 3, the failures' common status, or 1."""
    if not failures:
        return ExitStatus.PAID
    if paid:
        return ExitStatus.PARTLY_PAID
    return next(iter(failures)) if len(failures) == 1 else ExitStatus.ERROR


class Batch:
    """What the rows of a batch share. Pacing uses the event loop's clock.

    :param clock: UNIX seconds.
    :param sleep: seconds, between attempts to reach a lightningd that is gone.
    """

    def __init__(
        self,
        client: Client,
        reporter: Reporter,
        *,
        pacer: Pacer | None = None,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.reporter = reporter
        self.clock = clock
        self.link = Link(client, self._tell, reporter, clock=clock, sleep=sleep)
        self._limits = limits or Limits()
        #: `pacer` schedules turns; `gate` checks again at the moment of sending.
        self.pacer = pacer or Pacer()
        self.gate = self.pacer.anew()
        #: When each message was handed over that lightningd has not accepted yet.
        self.in_flight: list[float] = []
        self.interruption: InterruptedBySignalError | None = None
        self.is_following = False
        self.tasks: set[asyncio.Task[None]] = set()
        #: By label, the latest row that has not ended.
        self.last_of_label: dict[str, asyncio.Task[None]] = {}
        self.hosts: set[_RowHost] = set()
        #: Rows whose invoice exists, by label.
        self.waiting: dict[str, _RowHost] = {}
        self.paid = 0
        self.failed = 0
        self.failures: set[ExitStatus] = set()
        self.total: int | None = None

    async def run(self, rows: Iterator[Row]) -> ExitStatus:
        """Answer every row; the link must be open."""
        limits = self._limits
        self.workers = Workers(limits.threads)
        self.seekers = Workers(limits.seekers, may_grow=True)
        self.unsent = asyncio.Semaphore(limits.unsent)
        self.repeated = asyncio.Semaphore(limits.repeated)
        self.sending = asyncio.Semaphore(limits.threads)
        self.under_way = asyncio.Semaphore(limits.rows)
        self.feeding = asyncio.Lock()
        self.reading = asyncio.create_task(self._read(rows))
        self._catch_signals()
        try:
            await self.reading
        except asyncio.CancelledError:
            for task in self.tasks:
                task.cancel()
            await asyncio.gather(*self.tasks, return_exceptions=True)
        except SendInvoiceError:
            await asyncio.gather(*self.tasks)
            raise
        finally:
            # The workers may be stuck in calls that hang.
            await Workers(1).begin(self.link.close)
        if self.interruption is not None:
            self.reporter.warn(
                "interrupted; rows without a result were not sent, or their outcome is unknown",
                "run the same command with the same file again to continue",
            )
            return self.interruption.exit_status
        return exit_status(self.paid, self.failures)

    def interrupt(self, interruption: InterruptedBySignalError) -> None:
        """Stop sending, and report the rows whose invoice exists."""
        self.interruption = interruption
        self.reading.cancel()

    def _catch_signals(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            # Python handles signals nowhere else.
            return
        loop = asyncio.get_running_loop()
        kinds: dict[signal.Signals, type[InterruptedBySignalError]] = {
            signal.SIGINT: InterruptedBySignalError,
            signal.SIGTERM: TerminatedBySignalError,
        }

        def interrupt(kind: type[InterruptedBySignalError]) -> None:
            for number in kinds:
                # A second signal ends the process at once.
                loop.remove_signal_handler(number)
                signal.signal(number, signal.SIG_DFL)
            self.interrupt(kind("interrupted"))

        for number, kind in kinds.items():
            loop.add_signal_handler(number, interrupt, kind)

    # --- rows ---

    async def _read(self, rows: Iterator[Row]) -> None:
        """Begin each row as it comes, and wait until all have ended."""
        queue: asyncio.Queue[Row | SendInvoiceError | None] = asyncio.Queue()
        places = threading.Semaphore(self._limits.unsent)

        def read() -> None:
            end: SendInvoiceError | None = None
            try:
                for row in rows:
                    places.acquire()
                    self.workers.post(queue.put_nowait, row)
            except SendInvoiceError as error:
                end = error
            except Exception as failure:
                end = unexpected(failure)
            self.workers.post(queue.put_nowait, end)

        self.workers.spawn(read)
        number = 0
        while isinstance(row := await queue.get(), Row):
            number = row.number
            await self._begin(row)
            places.release()
        self.total = number
        self._count()
        await asyncio.gather(*self.tasks)
        if row is not None:
            raise row

    async def _begin(self, row: Row) -> None:
        earlier = self.last_of_label.get(row.label or "")
        slots = self.unsent if earlier is None else self.repeated
        await self.under_way.acquire()
        await slots.acquire()
        task = asyncio.create_task(self._row(row, earlier, slots))
        self.tasks.add(task)
        if row.label is not None:
            self.last_of_label[row.label] = task

        def end(_: object) -> None:
            self.tasks.discard(task)
            self.under_way.release()
            if row.label is not None and self.last_of_label.get(row.label) is task:
                del self.last_of_label[row.label]

        task.add_done_callback(end)

    async def _row(
        self, row: Row, earlier: asyncio.Task[None] | None, slots: asyncio.Semaphore
    ) -> None:
        """Answer a row, and report how that ended.

        :param earlier: a row with the same label, which must end first: this one resumes it.
        :param slots: the row holds one of these until it is sent.
        """
        if row.request is None:
            slots.release()
            known = {} if row.label is None else {"label": row.label}
            self._report(Result(row.number, row.line, Outcome(known, row.error)))
            return
        if earlier is not None:
            await asyncio.wait([earlier])
        host = _RowHost(self, row.request, self.reporter.for_row(row.number), slots)
        try:
            outcome = await answer(host.exchange, host)
        finally:
            host.end()
        if host.exchange.exists or not isinstance(outcome.error, InterruptedBySignalError):
            self._report(Result(row.number, row.line, outcome))

    def _report(self, result: Result) -> None:
        if result.outcome.error is None:
            self.paid += 1
        else:
            self.failed += 1
            self.failures.add(result.outcome.exit_status)
        self.reporter.result(result)
        self._count()

    def _count(self) -> None:
        self.reporter.counts(Counts(self.paid, self.failed, len(self.waiting), self.total))

    # --- what is heard ---

    def _tell(self, event: Event) -> None:
        """Pass an event to the loop. May be called from any thread."""
        self.workers.post(self._dispatch, event)

    def _dispatch(self, event: Event) -> None:
        if isinstance(event, LinkNews):
            for host in self.hosts:
                host.wake()
        elif isinstance(event, Reply):
            for host in self.waiting.values():
                if event.path_id in host.exchange.copies:
                    host.hear(event)
        elif event.label is None:
            for host in self.waiting.values():
                host.hear(event)
        elif event.label in self.waiting:
            self.waiting[event.label].hear(event)

    async def follow_all(self) -> None:
        """Hear of changes of all invoices from now on.

        :raises UnreachableError: lightningd is gone, or answers nonsense.
        """
        async with self.feeding:
            if self.is_following:
                return
            try:
                feed = await self.workers.begin(lambda: invoices.Feed(self.link.client))
            except LightningdError as failure:
                raise UnreachableError(f"cannot follow invoices: {failure.message}") from None
            self.link.follow(feed.changes)
            self.link.follow(feed.deletions)
            self.is_following = True

    def add_waiting(self, host: _RowHost) -> None:
        """Tell a row of changes of its invoice from now on."""
        self.waiting[host.exchange.request.label] = host
        self._count()


class _RowHost:
    """The host of one row: threads make blocking calls, and other rows run while it waits."""

    def __init__(
        self, batch: Batch, request: Request, progress: Progress, slots: asyncio.Semaphore
    ) -> None:
        self.link = batch.link
        self.progress = progress
        self.exchange = Exchange(request, batch.link, progress)
        self._batch = batch
        self._slots: asyncio.Semaphore | None = slots
        self._heard: list[Change | Reply] = []
        self._is_awake = False
        self._waiter: asyncio.Future[None] | None = None
        #: Until when it waits (UNIX seconds); None while it does something.
        self.waits_until: float | None = None
        batch.hosts.add(self)

    def now(self) -> float:
        return self._batch.clock()

    async def call(self, step: Callable[[], _T]) -> _T:
        return await self._suspend(self._batch.workers.begin(step))

    def begin(self, work: Callable[[], _T]) -> asyncio.Future[_T]:
        job = self._batch.seekers.begin(work)
        job.add_done_callback(lambda _: self.wake())
        return job

    async def wait(self, until: float) -> None:
        if not self._is_awake:
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            self.waits_until = until
            # The caller waits again if that was too short.
            seconds = min(max(until - self.now(), 0), MAX_WAIT_SECONDS)
            timer = loop.call_later(seconds, self.wake)
            try:
                await self._suspend(self._waiter)
            finally:
                timer.cancel()
                self._waiter = None
        self._is_awake = False

    def wake(self) -> None:
        """Have the row look at what has changed."""
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

    def turn_at(self, route: Route, before: float) -> float | None:
        now = _monotonic()
        links, size = _links(route), self._packet_size(route)
        at = self.now() + self._batch.pacer.turn(links, now, size) - now
        if at >= before:
            return None
        self._batch.pacer.reserve(links, now, size)
        return at

    async def send(self, route: Route, transmit: Callable[[], bool]) -> bool | None:
        batch, links, size = self._batch, _links(route), self._packet_size(route)
        await self._suspend(batch.sending.acquire())
        try:
            now = _monotonic()
            is_slow = any(now - since > INTERVAL for since in batch.in_flight)
            seconds = INTERVAL if is_slow else batch.gate.turn(links, now, size) - now
            if seconds <= 0:
                batch.gate.reserve(links, now, size)
                batch.in_flight.append(now)
                try:
                    is_sent = await self.call(transmit)
                finally:
                    batch.in_flight.remove(now)
                    if _monotonic() - now > INTERVAL:
                        # lightningd may have sent it only at the end of that time.
                        batch.gate.reserve(links, _monotonic(), size)
                if is_sent:
                    self._release()
                return is_sent
        finally:
            batch.sending.release()
        await self.wait(self.now() + max(seconds, MIN_WAIT_SECONDS))
        return None

    def _packet_size(self, route: Route) -> int:
        return self.exchange.outbox.packet_size(route, self.exchange.invoice_size)

    async def prepare(self) -> None:
        await self._suspend(self._batch.follow_all())

    async def follow(self) -> None:
        await self.prepare()
        self._batch.add_waiting(self)

    def end(self) -> None:
        """The row has ended."""
        self._release()
        self._batch.hosts.discard(self)
        self._batch.waiting.pop(self.exchange.request.label, None)
        self.link.forget(self.exchange.copies.path_ids)

    def _release(self) -> None:
        """Give the slot back, so that the next row is prepared."""
        slots, self._slots = self._slots, None
        if slots is not None:
            slots.release()

    async def _suspend(self, awaitable: Awaitable[_T]) -> _T:
        """Wait for something while other rows run.

        :raises InterruptedBySignalError: the batch is to stop.
        """
        try:
            return await awaitable
        except asyncio.CancelledError:
            if self._batch.interruption is None:
                raise
            raise self._batch.interruption from None


def _links(route: Route) -> list[PeerLink]:
    return links_of(route.nodes, leads_on=route.leads_on)


def _monotonic() -> float:
    return asyncio.get_running_loop().time()
