"""Many requests at once: each row is a task on one event loop, and has a host of its own.

Every row runs the order of steps of order.py. Calls to lightningd block, so a few threads make
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
    SendInvoiceError,
    unexpected_error,
)
from ..node.events.connection import News
from ..node.lightningd import Event, Lightningd
from ..node.rpc.client import CALL_SECONDS, Client
from ..outcome import Counts, Result
from ..threads import spawn
from .following import Following
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
    :param seekers: threads that search for routes among what is connected.
    :param connectors: threads that open connections, which may take minutes.
    :param unsent: rows that are prepared before their turn to be sent.
    :param repeated: rows that wait for an earlier row with the same label.
    :param rows: rows that are under way, in all.
    """

    threads: int = 4
    seekers: int = 4
    connectors: int = 32
    unsent: int = 100
    repeated: int = 1000
    rows: int = 2000


def run(
    rows: Iterator[Row],
    client: Client,
    reporter: Reporter,
    *,
    patience: float = CALL_SECONDS,
    pacer: Pacer | None = None,
    limits: Limits | None = None,
) -> ExitStatus:
    """Answer every row, and wait until each ends.

    :param patience: seconds that lightningd gets to answer a call at the first contact.
    :raises UnreachableError: lightningd cannot be reached; nothing was read.
    :raises LightningdError: it cannot send onion messages; nothing was read.
    :raises UsageError: the file is not a batch, or cannot be read to its end.
    """

    async def answer_all() -> ExitStatus:
        batch = Batch(client, reporter, pacer=pacer, limits=limits)
        batch.lightningd.open(min(patience, CALL_SECONDS))
        return await batch.run(rows)

    return asyncio.run(answer_all())


def exit_status(rows: Collection[ExitStatus]) -> ExitStatus:
    """The exit status of a batch from those of its rows: 0, 3, what all failures share, or 1."""
    failures = set(rows) - {ExitStatus.PAID}
    if not failures:
        return ExitStatus.PAID
    if ExitStatus.PAID in rows:
        return ExitStatus.PARTLY_PAID
    return failures.pop() if len(failures) == 1 else ExitStatus.ERROR


class Batch:
    """What the rows of a batch share. Make it in the event loop, whose clock paces the messages.

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
        limits = limits or Limits()
        self.reporter = reporter
        self.clock = clock
        self.lightningd = Lightningd(client, self._tell, self, clock=clock, sleep=sleep)
        self.turns = Turns(pacer or Pacer(), limits.threads)
        self.workers = Workers(limits.threads)
        self.seekers = Workers(limits.seekers)
        self.connectors = Workers(limits.connectors)
        #: Rows that may be read before they begin, and that may be under way in each way.
        self._places = threading.Semaphore(limits.unsent)
        self._unsent = asyncio.Semaphore(limits.unsent)
        self._repeated = asyncio.Semaphore(limits.repeated)
        self._under_way = asyncio.Semaphore(limits.rows)
        self._reading: asyncio.Task[None] | None = None
        self.interruption: InterruptedBySignalError | None = None
        self.following = Following(self.lightningd, self.workers, self._tell)
        self._tasks: set[asyncio.Task[None]] = set()
        #: By label, the latest row that has not ended.
        self._last_of_label: dict[str, asyncio.Task[None]] = {}
        self.hosts: set[RowHost] = set()
        #: How many rows have ended with each status.
        self._ended: Counter[ExitStatus] = Counter()
        #: How many rows there are, once all are read.
        self.total: int | None = None

    async def run(self, rows: Iterator[Row]) -> ExitStatus:
        """Answer every row, and wait until each ends; once only.

        :raises UsageError: the file is not a batch, or cannot be read to its end.
        """
        self._reading = asyncio.create_task(self._read(rows))
        loop = asyncio.get_running_loop()
        signals.interrupt_loop(loop, self.interrupt)
        try:
            await self._reading
        except asyncio.CancelledError:
            await asyncio.gather(*self._tasks)
        finally:
            # The others may be stuck in calls that hang.
            closing = Workers(1)
            await closing.begin(self.lightningd.close)
            for workers in (self.workers, self.seekers, self.connectors, closing):
                workers.close()
            signals.release_loop(loop)
        if self.interruption is not None:
            self.reporter.warn(
                "interrupted; rows without a result were not sent, or their outcome is unknown",
                "run the same command with the same file again to continue",
            )
            return self.interruption.exit_status
        return exit_status(self._ended)

    def interrupt(self, interruption: InterruptedBySignalError) -> None:
        """Stop sending, and report the rows whose invoice exists."""
        if sum(self._ended.values()) == self.total or self._reading is None:
            return
        self.interruption = interruption
        self._reading.cancel()
        for host in self.hosts:
            host.interrupt()

    # --- rows ---

    async def _read(self, rows: Iterator[Row]) -> None:
        """Begin each row as it comes, and wait until all have ended."""
        queue: asyncio.Queue[Row | SendInvoiceError | None] = asyncio.Queue()
        is_over = False

        def read() -> None:
            end: SendInvoiceError | None = None
            try:
                for row in rows:
                    self._places.acquire()
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
                self._places.release()
        finally:
            is_over = True
            self._places.release()
        self.total = number
        self._count()
        await asyncio.gather(*self._tasks)
        if row is not None:
            raise row

    async def _begin(self, row: Row) -> None:
        # A row that cannot be read neither waits nor is waited for.
        label = row.request.label if row.request is not None else None
        earlier = self._last_of_label.get(label) if label is not None else None
        slots = self._unsent if earlier is None else self._repeated
        await self._under_way.acquire()
        await slots.acquire()
        task = asyncio.create_task(self._row(row, earlier, slots))
        self._tasks.add(task)
        if label is not None:
            self._last_of_label[label] = task

        def end(_: object) -> None:
            self._tasks.discard(task)
            self._under_way.release()
            if label is not None and self._last_of_label.get(label) is task:
                del self._last_of_label[label]

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
        host = RowHost(self, self.reporter.for_row(row.number), slots)
        self.hosts.add(host)
        try:
            outcome = await answer(row.request, host)
        finally:
            host.end()
            self.hosts.discard(host)
            self.following.remove(row.request.label)
        is_interrupted = isinstance(outcome.error, InterruptedBySignalError)
        if outcome.known.get("payment_hash") is not None or not is_interrupted:
            self._report(Result(row.number, row.line, outcome))

    def _report(self, result: Result) -> None:
        self._ended[result.outcome.exit_status] += 1
        self.reporter.result(result)
        self._count()

    def follow(self, label: str, host: RowHost) -> None:
        """Tell a row of all that concerns the invoice with this label from now on."""
        self.following.add(label, host)
        self._count()

    def _count(self) -> None:
        paid = self._ended[ExitStatus.PAID]
        failed = sum(self._ended.values()) - paid
        self.reporter.counts(Counts(paid, failed, len(self.following), self.total))

    # --- what the connection tells users ---

    def step(self, text: str) -> None:
        """Show a step of the connection."""
        self.reporter.step(text)

    def warn(self, text: str, hint: str | None = None, *, even_if_quiet: bool = False) -> None:
        """Show a warning of the connection, and keep it for the rows that are under way."""
        self.reporter.warn(text, hint, even_if_quiet=even_if_quiet)
        for host in tuple(self.hosts):
            host.progress.keep(text)

    # --- events ---

    def _tell(self, event: Event) -> None:
        """Pass an event to the loop. May be called from any thread."""
        self.workers.post(self._dispatch, event)

    def _dispatch(self, event: Event) -> None:
        if isinstance(event, News):
            for host in self.hosts:
                host.wake()
        else:
            self.following.tell(event)
