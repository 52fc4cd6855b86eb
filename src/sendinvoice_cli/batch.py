"""Many requests at once: the same steps for each, paced, and waited for together.

Every row is a task with the order of steps of send.py. What blocks, the calls
to lightningd, goes to a few threads. An invoice is created only when its turn
to be sent has come, since from then on its TIMEOUT runs.
"""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

from .errors import (
    ExitStatus,
    InterruptedBySignalError,
    OutcomeUnknownError,
    SendInvoiceError,
    TerminatedBySignalError,
    UnreachableError,
)
from .exchange import Exchange, Outcome, Progress, unexpected
from .node import info
from .node.client import Client
from .node.follow import InvoiceFeed
from .node.graph import Graph
from .node.replies import HelperUnavailableError, Reply, ReplySession
from .pacing import INTERVAL, Pacer, links_of
from .rows import Row
from .send import (
    COPY_INTERVALS,
    HELPER_RESTARTS,
    LAST_COPY_BEFORE,
    LAST_WORD_INTERVAL,
    LAST_WORD_SECONDS,
    MAX_LOSSES,
    REPLY_GRACE,
    describe_interruption,
    interval,
    wait_for_return,
)

#: Threads that call lightningd, each over one connection at a time; and more of
#: them that look for routes, since a connection to a payer may take minutes.
THREADS = 4
SEEKERS = 2
#: Rows that are looked at before their turn to be sent.
MAX_UNSENT = 100
#: Rows that wait for an earlier one with the same label.
MAX_REPEATED = 1000
#: Rows whose invoice exists and is waited for.
MAX_WAITING = 2000
#: Seconds after which the network is looked at anew.
GRAPH_SECONDS = 30
#: Seconds that a lightningd which is back gets to regain its peers, and
#: between looks at them.
PEERS_SECONDS = 10
_POLL_SECONDS = 0.2

_T = TypeVar("_T")


@dataclass(frozen=True)
class Result:
    """What became of one row."""

    row: Row
    outcome: Outcome

    def as_json(self) -> dict[str, Any]:
        """The contract's JSON object, behind the row's ``row`` and ``line`` numbers."""
        return {"row": self.row.number, "line": self.row.line, **self.outcome.as_json()}


@dataclass(frozen=True)
class Counts:
    """How far a batch has come, in rows; ``total`` is None until all of the file is read."""

    paid: int
    failed: int
    waiting: int
    total: int | None


class Reporter(Protocol):
    """Who is told how the batch goes."""

    def result(self, result: Result) -> None:
        """A row has ended."""

    def counts(self, counts: Counts) -> None:
        """The numbers have changed."""

    def warn(self, text: str, hint: str | None = None) -> None:
        """Something is not as it should be, and it goes on all the same."""

    def for_row(self, row: Row) -> Progress:
        """Who is told how one row goes."""


def run(
    rows: Iterator[Row],
    client: Client,
    reporter: Reporter,
    *,
    no_replies: bool = False,
    pacer: Pacer | None = None,
) -> ExitStatus:
    """Answer every row, and wait for how each ends.

    :param no_replies: do without the reply helper.
    :raises UnreachableError: no lightningd; nothing was read.
    :raises UsageError: the file is not a batch, or stops being one.
    """
    node = info.read(client)
    return asyncio.run(_Batch(client, node, reporter, pacer or Pacer()).run(rows, no_replies))


def exit_status(paid: int, failures: set[ExitStatus]) -> ExitStatus:
    """What a batch exits with: 0, 3, the failures' common status, or 1."""
    if not failures:
        return ExitStatus.PAID
    if paid:
        return ExitStatus.PARTLY_PAID
    return next(iter(failures)) if len(failures) == 1 else ExitStatus.ERROR


class _Threads:
    """A few daemon threads for blocking calls: none of them keeps the process alive."""

    def __init__(self, count: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._work: SimpleQueue[Callable[[], None]] = SimpleQueue()
        for _ in range(count):
            self.spawn(self._serve)

    def spawn(self, work: Callable[[], None]) -> None:
        """Run something in a thread of its own, until it ends or nobody listens any more."""
        threading.Thread(target=work, daemon=True).start()

    def post(self, function: Callable[..., None], *args: Any) -> None:
        """From a thread: have something done in the loop."""
        with suppress(RuntimeError):  # the loop is closed: too late to matter
            self._loop.call_soon_threadsafe(function, *args)

    async def call(self, function: Callable[[], _T]) -> _T:
        """Run a function in one of the threads, and wait for it."""
        future: asyncio.Future[_T] = self._loop.create_future()

        def work() -> None:
            try:
                result = function()
            except Exception as failure:
                self.post(_settle, future, None, failure)
            else:
                self.post(_settle, future, result, None)

        self._work.put(work)
        return await future

    def _serve(self) -> None:
        while True:
            self._work.get()()


def _settle(future: asyncio.Future[Any], result: Any, failure: Exception | None) -> None:
    if future.cancelled():
        return
    if failure is not None:
        future.set_exception(failure)
    else:
        future.set_result(result)


class _Job:
    """A row on its way; ``news`` is set when something was heard of it."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.news = asyncio.Event()


class _Batch:
    def __init__(
        self, client: Client, node: info.NodeInfo, reporter: Reporter, pacer: Pacer
    ) -> None:
        self.client = client
        self.node = node
        self.reporter = reporter
        #: When a row may begin, and when a message may go: the former is reserved before the
        #: invoice is made, the latter holds as well after lightningd was away.
        self.pacer = pacer
        self.gate = pacer.anew()
        #: When each message was handed to lightningd that has not taken it yet.
        self.in_flight: list[float] = []
        #: None when answers are not to be heard, or cannot be.
        self.replies: ReplySession | None = None
        self.session: ReplySession | None = None
        self.is_deaf = False
        self.is_listening = False
        self.is_following = False
        self.helper_restarts = HELPER_RESTARTS
        #: How often lightningd was regained, so that one loss is mended once.
        self.generation = 0
        #: Set when it stays away.
        self.gone: UnreachableError | None = None
        self.interruption: InterruptedBySignalError | None = None
        self.tasks: set[asyncio.Task[None]] = set()
        self.labels: dict[str, asyncio.Task[None]] = {}
        #: Jobs whose invoice exists, by label.
        self.waiting: dict[str, _Job] = {}
        self.graph: Graph | None = None
        self.graph_until = 0.0
        self.paid = 0
        self.failed = 0
        self.failures: set[ExitStatus] = set()
        self.total: int | None = None

    async def run(self, rows: Iterator[Row], no_replies: bool) -> ExitStatus:
        self.threads = _Threads(THREADS)
        self.seekers = _Threads(SEEKERS)
        self.unsent = asyncio.Semaphore(MAX_UNSENT)
        self.repeated = asyncio.Semaphore(MAX_REPEATED)
        self.sending = asyncio.Semaphore(THREADS)
        self.room = asyncio.Semaphore(MAX_WAITING)
        self.mending = asyncio.Lock()
        self.feed = await self.threads.call(lambda: InvoiceFeed(self.client))
        if not no_replies:
            self.session = ReplySession(self.client, time.time() + REPLY_GRACE)
            await self._start_helper()
        self._follow_invoices()
        reading = asyncio.create_task(self._read(rows))
        self._catch_signals(reading)
        try:
            await reading
        except asyncio.CancelledError:
            await self._stop()
        except SendInvoiceError:
            await asyncio.gather(*self.tasks)
            raise
        if self.interruption is not None:
            self.reporter.warn(
                "interrupted; rows without a result were not sent, or are not known to be paid",
                "run the same command with the same file again to go on",
            )
            return self.interruption.exit_status
        if self.replies is not None:
            session = self.replies
            await self.threads.call(lambda: session.close(time.time()))
        return exit_status(self.paid, self.failures)

    def _catch_signals(self, reading: asyncio.Task[None]) -> None:
        loop = asyncio.get_running_loop()
        kinds: dict[signal.Signals, type[InterruptedBySignalError]] = {
            signal.SIGINT: InterruptedBySignalError,
            signal.SIGTERM: TerminatedBySignalError,
        }

        def interrupt(kind: type[InterruptedBySignalError]) -> None:
            self.interruption = kind("interrupted")
            for number in kinds:
                # A second signal ends the process at once.
                loop.remove_signal_handler(number)
                signal.signal(number, signal.SIG_DFL)
            reading.cancel()

        for number, kind in kinds.items():
            loop.add_signal_handler(number, interrupt, kind)

    async def _stop(self) -> None:
        """Stop sending; every row that has begun ends with what is known of it."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    # --- rows ---

    async def _read(self, rows: Iterator[Row]) -> None:
        """Begin with each row as it comes, and wait for the last to end."""
        queue: asyncio.Queue[Row | SendInvoiceError | None] = asyncio.Queue()
        room = threading.Semaphore(MAX_UNSENT)

        def read() -> None:
            end: SendInvoiceError | None = None
            try:
                for row in rows:
                    room.acquire()
                    self.threads.post(queue.put_nowait, row)
            except SendInvoiceError as error:
                end = error
            except Exception as failure:
                end = unexpected(failure)
            self.threads.post(queue.put_nowait, end)

        self.threads.spawn(read)
        number = 0
        while isinstance(row := await queue.get(), Row):
            number = row.number
            earlier = self.labels.get(row.label or "")
            slots = self.unsent if earlier is None else self.repeated
            await slots.acquire()
            task = self._background(self._row(row, earlier, slots))
            if row.label is not None:
                self.labels[row.label] = task
            room.release()
        self.total = number
        self._count()
        await asyncio.gather(*self.tasks)
        if row is not None:
            raise row

    async def _row(
        self, row: Row, earlier: asyncio.Task[None] | None, slots: asyncio.Semaphore
    ) -> None:
        """Answer a row, and report how that ended.

        :param earlier: a row with the same label, which goes first: this one resumes it.
        :param slots: one of which it holds until it is sent.
        """
        released = False

        def release() -> None:
            nonlocal released
            if not released:
                released = True
                slots.release()

        outcome = Outcome({} if row.label is None else {"label": row.label}, row.error)
        try:
            if row.request is not None:
                if earlier is not None:
                    await asyncio.wait([earlier])
                exchange = Exchange(row.request, self.client, self.reporter.for_row(row), time.time)
                outcome = await self._answer(exchange, release)
        finally:
            release()
            if row.label is not None and self.labels.get(row.label) is asyncio.current_task():
                del self.labels[row.label]
        self._report(Result(row, outcome))

    def _report(self, result: Result) -> None:
        outcome = result.outcome
        if outcome.error is None:
            self.paid += 1
        else:
            self.failed += 1
            self.failures.add(outcome.exit_status)
        self.reporter.result(result)
        self._count()

    def _count(self) -> None:
        self.reporter.counts(Counts(self.paid, self.failed, len(self.waiting), self.total))

    async def _answer(self, exchange: Exchange, sent: Callable[[], None]) -> Outcome:
        error: SendInvoiceError | None = None
        try:
            await self._take_steps(exchange, sent)
        except UnreachableError as lost:
            error = lost
            if exchange.maybe_created:
                error = OutcomeUnknownError(
                    "outcome unknown: lightningd is gone",
                    hint="once it is back, run the same command with the same file again",
                )
        except SendInvoiceError as failure:
            error = failure
        except Exception as failure:
            error = unexpected(failure)
        except asyncio.CancelledError:
            if self.interruption is None or "bolt12" not in exchange.known:
                raise
            error = describe_interruption(self.interruption, exchange.known)
        finally:
            self.waiting.pop(exchange.request.label, None)
            if self.replies is not None:
                self.replies.forget(exchange.copies)
        return Outcome(exchange.known, error)

    async def _take_steps(self, exchange: Exchange, sent: Callable[[], None]) -> None:
        exchange.read()
        if not await self._call(lambda: exchange.find(self.node, self._graph())):
            return
        await self._call(exchange.choose_payment_paths)
        if exchange.request.dry_run:
            await self._call(exchange.plan)
            return
        await self._call(exchange.look_for_routes, self.seekers)
        async with self.room:
            generation = self.generation
            await self._take_turn(exchange)
            if not await self._call(exchange.create):
                return
            self.waiting[exchange.request.label] = job = _Job(exchange)
            self._count()
            if exchange.resumed:
                # What happened to it before it was followed has to be asked for.
                await self._call(exchange.read_state)
                if exchange.known["status"] == "paid":
                    return
            is_sent = (
                await self._transmit(exchange)
                or exchange.maybe_sent
                or await self._transmit_anew(exchange)
            )
            # A lightningd that was away may take a while to find its peers again.
            if not is_sent and generation == self.generation:
                raise exchange.no_route()
            sent()
            await self._wait(job)
            exchange.conclude()

    async def _take_turn(self, exchange: Exchange) -> None:
        """Wait until the first copy may go over every link of its way."""
        route = exchange.next_route
        if route is None:
            return
        links = links_of(route.nodes, leads_on=route.leads_on)
        now = time.monotonic()
        await asyncio.sleep(self.pacer.reserve(links, now) - now)

    async def _send_again(self, job: _Job) -> None:
        """Send another copy when its turn comes, unless there is news, or no time is left."""
        exchange = job.exchange
        await self._look_for_other_routes(exchange)
        route = exchange.next_route
        if route is None:
            return
        links = links_of(route.nodes, leads_on=route.leads_on)
        now = time.monotonic()
        seconds = self.pacer.turn(links, now) - now
        if seconds > exchange.expires_at - LAST_COPY_BEFORE - time.time():
            return
        self.pacer.reserve(links, now)
        with suppress(TimeoutError, asyncio.TimeoutError):
            await asyncio.wait_for(job.news.wait(), seconds)
            return
        await self._transmit(exchange)

    async def _look_for_other_routes(self, exchange: Exchange) -> None:
        await self._call(lambda: exchange.look_for_other_routes(self._graph()), self.seekers)

    async def _transmit_anew(self, exchange: Exchange) -> bool:
        """Send it over the network as it is by now: it may have changed since the row began."""
        self.graph_until = 0
        await self._look_for_other_routes(exchange)
        return exchange.next_route is not None and await self._transmit(exchange)

    async def _pass_gate(self, exchange: Exchange, send: Callable[[], Awaitable[_T]]) -> _T:
        """Send when every link of the way takes a message, counting those that were sent."""
        while True:
            async with self.sending:
                async with self.mending:
                    pass
                route = exchange.next_route
                links = [] if route is None else links_of(route.nodes, leads_on=route.leads_on)
                now = time.monotonic()
                is_slow = any(now - since > INTERVAL for since in self.in_flight)
                seconds = INTERVAL if is_slow else self.gate.turn(links, now) - now
                if seconds <= 0:
                    self.gate.reserve(links, now)
                    self.in_flight.append(now)
                    try:
                        return await send()
                    finally:
                        self.in_flight.remove(now)
                        if time.monotonic() - now > INTERVAL:
                            # lightningd may have taken it at the end of that time only.
                            self.gate.reserve(links, time.monotonic())
            await asyncio.sleep(seconds)

    async def _transmit(self, exchange: Exchange) -> bool:
        while True:
            replies = self.replies
            if replies is not None:
                replies.extend(exchange.expires_at + REPLY_GRACE)
            try:
                send = partial(self._call, partial(exchange.transmit, replies))
                is_sent = await self._pass_gate(exchange, send)
            except HelperUnavailableError as failure:
                self._do_without_replies(str(failure))
            else:
                if replies is not None:
                    self._listen()
                return is_sent

    async def _wait(self, job: _Job) -> None:
        """Wait until the invoice is paid or refused, or its deadline; its state is read last."""
        exchange = job.exchange
        copy_at = time.time() + COPY_INTERVALS[0]
        while exchange.known["status"] == "unpaid" and not exchange.is_refused() and not self.gone:
            now = time.time()
            if now >= exchange.expires_at:
                break
            job.news.clear()
            with suppress(TimeoutError, asyncio.TimeoutError):
                await asyncio.wait_for(job.news.wait(), min(copy_at, exchange.expires_at) - now)
                continue
            if copy_at <= time.time() < exchange.expires_at - LAST_COPY_BEFORE:
                await self._send_again(job)
            copy_at = time.time() + interval(COPY_INTERVALS, max(len(exchange.copies) - 1, 0))
        await self._learn_end(job)

    async def _learn_end(self, job: _Job) -> None:
        """Read the invoice's state last: lightningd decides until when it may be paid."""
        exchange = job.exchange
        give_up_at = max(exchange.expires_at, time.time()) + LAST_WORD_SECONDS
        while exchange.known["status"] == "unpaid":
            job.news.clear()
            await self._call(exchange.read_state)
            is_open = exchange.known["status"] == "unpaid" and not exchange.is_refused()
            if not is_open or time.time() >= give_up_at:
                return
            with suppress(TimeoutError, asyncio.TimeoutError):
                await asyncio.wait_for(job.news.wait(), LAST_WORD_INTERVAL)

    # --- what is shared ---

    async def _call(self, function: Callable[[], _T], threads: _Threads | None = None) -> _T:
        """Do something that calls lightningd; again, when lightningd was away.

        :param threads: that do it, by default those for what is quick.
        :raises UnreachableError: it stays away, or goes away each time.
        """
        losses = 0
        while True:
            async with self.mending:
                # Nothing is to be had of a lightningd without its peers.
                pass
            if self.gone is not None:
                raise self.gone
            generation = self.generation
            try:
                return await (threads or self.threads).call(function)
            except UnreachableError as lost:
                losses += 1
                if losses == MAX_LOSSES:
                    raise
                await self._regain(lost, generation)

    async def _regain(self, lost: UnreachableError, generation: int) -> None:
        """Wait until lightningd is back, and follow everything again."""
        async with self.mending:
            if generation != self.generation or self.gone is not None:
                return
            self.reporter.warn(lost.message, "trying to reach it again")
            last = max((job.exchange.expires_at for job in self.waiting.values()), default=0)
            until = max(last, time.time() + LAST_WORD_SECONDS)
            is_back = await self.threads.call(
                lambda: wait_for_return(self.client, until, time.time, time.sleep)
            )
            if not is_back:
                self.gone = lost
                for job in self.waiting.values():
                    job.news.set()
                return
            await self.threads.call(self._await_peers)
            self.generation += 1
            self.graph_until = 0
            self.helper_restarts = HELPER_RESTARTS
            self._follow_invoices()
            await self._start_helper()

    def _await_peers(self) -> None:
        """Let lightningd regain the peers that it had, of which some may stay away."""
        until = time.monotonic() + PEERS_SECONDS
        with suppress(SendInvoiceError):
            wanted = set(self.graph.message_peers()) if self.graph is not None else set()
            while wanted - set(Graph(self.client, self.node.id).message_peers()):
                if time.monotonic() >= until:
                    return
                time.sleep(_POLL_SECONDS)

    def _graph(self) -> Graph:
        """The network as it is known; looked at anew now and then."""
        graph = self.graph
        if graph is None or time.monotonic() >= self.graph_until:
            # Several threads may do this at once: what is shared is complete.
            graph = self.graph = Graph(self.client, self.node.id)
            self.graph_until = time.monotonic() + GRAPH_SECONDS
        return graph

    def _follow_invoices(self) -> None:
        if self.is_following:
            return
        self.is_following = True
        generation = self.generation

        def follow() -> None:
            lost = UnreachableError("no more changes of invoices")
            try:
                for changed in self.feed.changes():
                    self.threads.post(self._on_change, changed)
            except UnreachableError as failure:
                lost = failure
            except Exception as failure:
                lost = UnreachableError(str(failure))
            self.threads.post(self._on_feed_lost, lost, generation)

        self.threads.spawn(follow)

    def _on_feed_lost(self, lost: UnreachableError, generation: int) -> None:
        self.is_following = False
        if generation != self.generation:
            # lightningd was regained before this was noticed.
            self._follow_invoices()
        else:
            self._on_lost(lost, generation)

    def _on_change(self, changed: dict[str, Any]) -> None:
        job = self.waiting.get(changed.get("label", ""))
        if job is not None:
            job.exchange.learn_state(changed)
            job.news.set()

    def _on_lost(self, lost: UnreachableError, generation: int) -> None:
        self._background(self._regain(lost, generation))

    def _background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin a task, and keep it until it ends."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def _start_helper(self) -> None:
        """Have the helper ready, and listen to it."""
        if self.session is None:
            return
        generation = self.generation
        try:
            await self.threads.call(self.session.start)
        except HelperUnavailableError as failure:
            self._do_without_replies(str(failure))
        except UnreachableError as lost:
            self._on_lost(lost, generation)
        else:
            self.replies = self.session
            self.is_deaf = False
            self._listen()

    def _listen(self) -> None:
        session = self.session
        if session is None or self.is_listening:
            return
        self.is_listening = True
        generation = self.generation

        def listen() -> None:
            try:
                for reply in session.listen():
                    self.threads.post(self._on_reply, reply)
            except HelperUnavailableError as failure:
                self.threads.post(self._on_helper_lost, str(failure), generation)
            except UnreachableError as lost:
                self.threads.post(self._on_listener_lost, lost, generation)
            else:
                # The helper waits for nothing at present.
                self.threads.post(self._on_silence)

        self.threads.spawn(listen)

    def _on_silence(self) -> None:
        self.is_listening = False

    def _on_listener_lost(self, lost: UnreachableError, generation: int) -> None:
        self.is_listening = False
        if generation == self.generation:
            self._on_lost(lost, generation)
        elif self.replies is not None:
            self._listen()

    def _on_reply(self, reply: Reply) -> None:
        for job in self.waiting.values():
            if reply.path_id in job.exchange.copies:
                job.exchange.hear(reply)
                job.news.set()

    def _on_helper_lost(self, reason: str, generation: int) -> None:
        self.is_listening = False
        if self.replies is None:
            return
        if generation == self.generation:
            if self.helper_restarts == 0:
                self._do_without_replies(reason)
                return
            self.helper_restarts -= 1
        self._background(self._start_helper())

    def _do_without_replies(self, reason: str) -> None:
        self.replies = None
        if self.is_deaf:
            return
        self.is_deaf = True
        self.reporter.warn(
            f"the payers' answers cannot be heard: {reason}",
            "refusals will look like timeouts; --no-replies silences this",
        )
