"""Many requests at once: each row is a task on one event loop, and has a host of its own.

Every row runs the order of steps of answer.py. Calls to lightningd block, so a few threads make
them. A row creates its invoice only when its turn to send has come, since TIMEOUT runs from the
creation on.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, NamedTuple

from .. import signals
from ..answering.order import answer
from ..errors import (
    ExitStatus,
    InterruptedBySignalError,
    LightningdError,
    SendInvoiceError,
    UnreachableError,
    unexpected_error,
)
from ..node import invoices
from ..node.events.link import Event, Link, LinkNews
from ..node.events.replies import Reply
from ..node.rpc.client import Client
from ..outcome import Counts, Result
from ..threads import spawn
from .pacing import Pacer
from .row_host import RowHost
from .rows import Row, unanswered
from .turns import Turns
from .workers import Workers

if TYPE_CHECKING:
    from ..reporting import Reporter


class Limits(NamedTuple):
    """How much a batch does at once.

    :param threads: threads that call lightningd, each over one connection at a time.
    :param seekers: threads that search for routes: connecting to a payer may take minutes. As many
        as rows that are prepared, so that no such row waits for a thread.
    :param unsent: rows that are prepared before their turn to be sent.
    :param repeated: rows that wait for an earlier row with the same label.
    :param rows: rows that are under way, in all.
    """

    threads: int = 4
    seekers: int = 100
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
    """Answer every row, and wait until each ends.

    :raises UnreachableError: lightningd cannot be reached; nothing was read.
    :raises UsageError: the file is not a batch, or cannot be read to its end.
    """
    batch = Batch(client, reporter, pacer=pacer, limits=limits)
    batch.link.open()
    return asyncio.run(batch.run(rows))


def exit_status(rows: Collection[ExitStatus]) -> ExitStatus:
    """The exit status of a batch from those of its rows: 0, 3, what all failures share, or 1."""
    failures = set(rows) - {ExitStatus.PAID}
    if not failures:
        return ExitStatus.PAID
    if ExitStatus.PAID in rows:
        return ExitStatus.PARTLY_PAID
    return failures.pop() if len(failures) == 1 else ExitStatus.ERROR


class Batch:
    """What the rows of a batch share. Pacing uses the event loop's clock.

    :param clock: tells the time in UNIX seconds.
    :param sleep: sleeps some seconds between attempts to reach a lightningd that is gone.
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
        self.link = Link(client, self._tell, self, clock=clock, sleep=sleep)
        self._limits = limits or Limits()
        self.turns = Turns(pacer or Pacer(), self._limits.threads)
        self.interruption: InterruptedBySignalError | None = None
        self.is_following = False
        self.tasks: set[asyncio.Task[None]] = set()
        #: By label, the latest row that has not ended.
        self.last_of_label: dict[str, asyncio.Task[None]] = {}
        self.hosts: set[RowHost] = set()
        #: Rows whose invoice exists, by label.
        self.waiting: dict[str, RowHost] = {}
        #: How many rows have ended with each status.
        self.ended: Counter[ExitStatus] = Counter()
        self.total: int | None = None

    async def run(self, rows: Iterator[Row]) -> ExitStatus:
        """Answer every row; the link must be open."""
        limits = self._limits
        self.workers = Workers(limits.threads)
        self.seekers = Workers(limits.seekers)
        self.unsent = asyncio.Semaphore(limits.unsent)
        self.repeated = asyncio.Semaphore(limits.repeated)
        self.under_way = asyncio.Semaphore(limits.rows)
        self.feeding = asyncio.Lock()
        self.reading = asyncio.create_task(self._read(rows))
        signals.interrupt_loop(asyncio.get_running_loop(), self.interrupt)
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
            # The others may be stuck in calls that hang.
            closing = Workers(1)
            await closing.begin(self.link.close)
            for workers in (self.workers, self.seekers, closing):
                workers.close()
        if self.interruption is not None:
            self.reporter.warn(
                "interrupted; rows without a result were not sent, or their outcome is unknown",
                "run the same command with the same file again to continue",
            )
            return self.interruption.exit_status
        return exit_status(self.ended)

    def interrupt(self, interruption: InterruptedBySignalError) -> None:
        """Stop sending, and report the rows whose invoice exists."""
        if sum(self.ended.values()) != self.total:
            self.interruption = interruption
            self.reading.cancel()

    # --- rows ---

    async def _read(self, rows: Iterator[Row]) -> None:
        """Begin each row as it comes, and wait until all have ended."""
        queue: asyncio.Queue[Row | SendInvoiceError | None] = asyncio.Queue()
        places = threading.Semaphore(self._limits.unsent)
        is_over = False

        def read() -> None:
            end: SendInvoiceError | None = None
            try:
                for row in rows:
                    places.acquire()
                    if is_over:
                        return
                    self.workers.post(queue.put_nowait, row)
            except SendInvoiceError as error:
                end = error
            except Exception as failure:
                end = unexpected_error(failure)
            self.workers.post(queue.put_nowait, end)

        spawn(read)
        number = 0
        try:
            while isinstance(row := await queue.get(), Row):
                number = row.number
                await self._begin(row)
                places.release()
        finally:
            is_over = True
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
            assert row.error is not None
            self._report(unanswered(row, row.error, self.clock()))
            return
        if earlier is not None:
            await asyncio.wait([earlier])
        host = RowHost(self, row.request, self.reporter.for_row(row.number), slots)
        self.hosts.add(host)
        try:
            outcome = await answer(host.exchange, host)
        except asyncio.CancelledError:
            if self.interruption is None:
                raise
            outcome = host.exchange.outcome(self.interruption)
        finally:
            host.end()
            self.hosts.discard(host)
            self.waiting.pop(row.request.label, None)
        if host.exchange.exists or not isinstance(outcome.error, InterruptedBySignalError):
            self._report(Result(row.number, row.line, outcome))

    def _report(self, result: Result) -> None:
        self.ended[result.outcome.exit_status] += 1
        self.reporter.result(result)
        self._count()

    def _count(self) -> None:
        paid = self.ended[ExitStatus.PAID]
        failed = sum(self.ended.values()) - paid
        self.reporter.counts(Counts(paid, failed, len(self.waiting), self.total))

    # --- what the link tells users ---

    def step(self, text: str) -> None:
        """Show a step of the link."""
        self.reporter.step(text)

    def warn(self, text: str, hint: str | None = None, *, even_if_quiet: bool = False) -> None:
        """Show a warning of the link, and keep it for the rows that are under way."""
        self.reporter.warn(text, hint, even_if_quiet=even_if_quiet)
        for host in tuple(self.hosts):
            host.progress.keep(text)

    # --- events ---

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
        """Follow the changes of all invoices from now on.

        :raises UnreachableError: lightningd is gone, refuses, or answers nonsense.
        """
        async with self.feeding:
            if self.is_following:
                return
            try:
                feed = await self.workers.begin(lambda: invoices.Feed(self.link.client))
            except LightningdError as failure:
                raise UnreachableError(
                    f"cannot follow changes of invoices: {failure.message}"
                ) from None
            self.link.follow(feed.changes)
            self.link.follow(feed.deletions)
            self.is_following = True

    def add_waiting(self, host: RowHost) -> None:
        """Pass events about its invoice to a row from now on."""
        self.waiting[host.exchange.request.label] = host
        self._count()
