"""A sandbox in which time stands still, and the command in it as a thread: a test moves the time.

The command then waits as long as it would otherwise, and no test does. It is a single send, or a
batch of one row.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from sendinvoice_cli.answering.blocking_host import BlockingHost, Events, run_blocking
from sendinvoice_cli.answering.order import answer
from sendinvoice_cli.batch.batch import Batch
from sendinvoice_cli.batch.rows import Row
from sendinvoice_cli.errors import ExitStatus, InterruptedBySignalError, SendInvoiceError
from sendinvoice_cli.node.rpc.client import Client
from sendinvoice_cli.outcome import Counts, Outcome, Result
from sendinvoice_cli.reporting import Progress
from sendinvoice_cli.request import Request
from sendinvoice_cli.sandbox.model.family import Family
from sendinvoice_cli.sandbox.model.topology import Topology
from sendinvoice_cli.signals import Interruption
from tests.support.manual_clock import ManualClock

from . import HANG_SECONDS, simulated
from . import wait_for as wait_in_real_time
from .manual_loop import ManualLoop
from .runs import Told
from .sandbox import Sandbox

#: Seconds of real time between two looks at an event queue.
_LOOK_SECONDS = 0.001
#: For conditions that need no call to lightningd.
wait_for = partial(wait_in_real_time, poll_seconds=_LOOK_SECONDS)

PAYER, ROUTER, RECEIVER = "payer", "router", "receiver"


@dataclass(frozen=True)
class Spending:
    """A payment of the payer's for one request: lightningd's words for its state."""

    status: str
    amount_msat: int


class RecordingClient(Client):
    """Keeps the calls it makes, with their parameters, in the order in which they begin."""

    def __init__(self, sandbox: Sandbox, before_call: Callable[[str], None]) -> None:
        super().__init__(sandbox.rpc_file(RECEIVER))
        self.before_call = before_call
        #: Gets the answers before the command does, and may change them.
        self.after_call: Callable[[str, dict[str, Any]], None] = lambda _method, _answer: None
        self.calls: list[tuple[str, Any]] = []

    def call(self, method: str, params: Any = None, **more: Any) -> dict[str, Any]:
        """Make one call."""
        self.calls.append((method, params))
        self.before_call(method)
        answer = super().call(method, params, **more)
        self.after_call(method, answer)
        return answer

    def made(self, method: str) -> list[Any]:
        """The parameters of each call of a method."""
        return [params for name, params in self.calls if name == method]


@dataclass
class Clocks:
    """What the command has instead of real time.

    :param manual: the sandbox's.
    :param ahead_seconds: by which the command's is ahead of it.
    :param sleeper: what happens instead of sleep.
    """

    manual: ManualClock
    ahead_seconds: float
    sleeper: Callable[[float], None]
    #: Whether the command knows how late it is, and whether it has ended.
    is_noticed: Callable[[], bool] = lambda: True
    is_over: Callable[[], bool] = lambda: False

    def sleep(self, seconds: float) -> None:
        """Sleep in the background, once the command has noticed how late it is by now."""
        wait_for(lambda: self.is_over() or self.is_noticed(), "the command to notice the time")
        if not self.is_over():
            self.sleeper(seconds)

    def now(self) -> float:
        """The command's time."""
        return self.manual() + self.ahead_seconds


class _Command(Protocol):
    """The command, in either way."""

    def run(self) -> None:
        """Run it to its end."""

    def waits_until(self) -> float | None:
        """Until when it waits if nothing happens, by its clock; None when it does not just wait."""

    def is_noticed(self) -> bool:
        """Whether it knows how late it is."""

    def abandon(self) -> None:
        """End it, however far it is."""

    @property
    def outcome(self) -> Outcome:
        """How the one request ended."""


class _SingleSend:
    def __init__(self, client: Client, request: Request, told: Told, clocks: Clocks) -> None:
        self._clocks = clocks
        self._until: float | None = None
        self._is_abandoned = False
        self._lock = threading.Lock()
        self._events: Events = SimpleQueue()
        self._request = request
        self._host = BlockingHost(
            client, told, clock=clocks.now, sleep=clocks.sleep, wait=self._wait
        )

    def run(self) -> None:
        self.outcome = run_blocking(answer(self._request, self._host))
        self._host.close()

    def _wait(self, events: Events, seconds: float) -> Any:
        """Wait for an event until the test has moved the time so far."""
        self._events = events
        self._until = until = self._clocks.now() + seconds
        try:
            while True:
                # An event is taken and the wait is over in one step, for whoever looks at both.
                with self._lock, suppress(Empty):
                    event = events.get_nowait()
                    self._until = None
                    return event
                if self._is_abandoned:
                    raise Interruption(InterruptedBySignalError("the test is over"))
                if self._clocks.now() >= until:
                    return None
                time.sleep(_LOOK_SECONDS)
        finally:
            self._until = None

    def waits_until(self) -> float | None:
        lightningd = self._host.lightningd
        with self._lock:
            is_busy = bool(self._host.jobs) or not self._events.empty()
            is_busy |= not (lightningd.connection.is_up and lightningd.replies.is_settled)
            return None if is_busy else self._until

    def is_noticed(self) -> bool:
        with self._lock:
            is_busy = bool(self._host.jobs) or not self._events.empty()
            until = None if is_busy else self._until
        return until is not None and until > self._clocks.now()

    def abandon(self) -> None:
        self._is_abandoned = True
        self._host.close()


class _Rows:
    """A batch, which reports to itself."""

    def __init__(
        self,
        client: Client,
        rows: Iterable[Row],
        told: Told,
        clocks: Clocks,
        for_row: Callable[[int], Progress] | None = None,
        **more: Any,
    ) -> None:
        self._rows = rows
        self._told = told
        self.for_row = for_row or (lambda _number: told)
        self._clocks = clocks
        self._loop = ManualLoop(clocks.manual)
        self._make_batch = partial(
            Batch, client, self, clock=clocks.now, sleep=clocks.sleep, **more
        )
        self._batch: Batch | None = None
        self.results: list[Result] = []
        self.counted: Counts | None = None
        self.error: SendInvoiceError | None = None

    def run(self) -> None:
        with closing(self._loop):
            try:
                self.status = self._loop.run_until_complete(self._answer())
            except SendInvoiceError as error:
                self.error = error

    async def _answer(self) -> ExitStatus:
        self._batch = self._make_batch()
        return await self._batch.run(iter(self._rows))

    @property
    def outcome(self) -> Outcome:
        if self.error is not None:
            return Outcome({}, self.error, int(self._clocks.now()))
        (result,) = self.results
        return result.outcome

    def waits_until(self) -> float | None:
        batch = self._batch
        if batch is None:
            return None
        waits = self._waits()
        is_busy = (
            batch.total is None
            or self._loop.posted
            or batch.workers.pending
            or batch.seekers.pending
            or batch.connectors.pending
            or not (batch.lightningd.connection.is_up and batch.lightningd.replies.is_settled)
        )
        # What was heard may have been dealt with between these looks.
        if is_busy or None in waits or waits != self._waits():
            return None
        return min((until for until in waits if until is not None), default=None)

    def is_noticed(self) -> bool:
        now = self._clocks.now()
        has_rows = all(until is not None and until > now for until in self._waits())
        return has_rows and not self._loop.posted

    def abandon(self) -> None:
        if self._batch is not None:
            with suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(
                    self._batch.interrupt, InterruptedBySignalError("interrupted")
                )

    def _waits(self) -> list[float | None]:
        hosts = () if self._batch is None else tuple(self._batch.hosts)
        return [host.waits_until for host in hosts]

    def result(self, result: Result) -> None:
        self.results.append(result)

    def counts(self, counts: Counts) -> None:
        self.counted = counts

    def step(self, text: str) -> None:
        self._told.step(text)

    def warn(self, text: str, hint: str | None = None, *, even_if_quiet: bool = False) -> None:
        self._told.warn(text, hint, even_if_quiet=even_if_quiet)


class _Running:
    """A command that runs, from now on."""

    def __init__(
        self, sandbox: Sandbox, clocks: Clocks, client: RecordingClient, command: _Command
    ) -> None:
        self.client = client
        #: Seconds of each wait that was skipped.
        self.waits: list[float] = []
        self._sandbox = sandbox
        self._clocks = clocks
        self._command = command
        clocks.is_noticed = command.is_noticed
        clocks.is_over = lambda: self.is_over
        self._thread = threading.Thread(target=command.run, daemon=True)
        self._thread.start()

    def abandon(self) -> None:
        """End it as a signal does, however far it is."""
        self._command.abandon()

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return not self._thread.is_alive()

    @property
    def is_waiting(self) -> bool:
        """Whether it has nothing to do but to wait."""
        return self._time_left() > 0

    def _time_left(self) -> float:
        """Seconds that it will wait if nothing happens; 0 when it does not just wait."""
        until = self._command.waits_until()
        if until is None or until == math.inf:
            return 0
        return max(until - self._clocks.now(), 0)

    def skip_wait(self) -> float:
        """Let the time for which it now waits for an event go by; returns its seconds.

        What is under way arrives first.
        """
        self._await_wait()
        self._sandbox.settle()
        seconds = self._await_wait()
        assert seconds, "it has ended"
        self._skip(seconds)
        return seconds

    def end(self) -> None:
        """Return once it has ended; it must be about to."""
        self._thread.join(HANG_SECONDS)
        assert self.is_over, "it goes on"

    def end_in_time(self) -> None:
        """Have it end when nothing happens but what is under way."""
        while self._await_wait():
            self._sandbox.settle()
            if seconds := self._await_wait():
                self._skip(seconds)
        self.end()

    def _await_wait(self) -> float:
        wait_for(lambda: self.is_over or self._time_left(), "the command to wait")
        return self._time_left()

    def _skip(self, seconds: float) -> None:
        self.waits.append(seconds)
        self._clocks.manual.advance(seconds)


class Run(_Running):
    """One command for one request, from now on.

    :param in_batch: it is a batch of one row.
    :param ahead_seconds: by which its clock is ahead of lightningd's.
    :param sleep: what it does instead of sleeping between attempts to reach
        lightningd; by default, time just goes by.
    :param before_call: told of each call that it is about to make.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        clock: ManualClock,
        request: Request,
        *,
        in_batch: bool = False,
        ahead_seconds: float = 0,
        sleep: Callable[[float], None] | None = None,
        before_call: Callable[[str], None] = lambda _method: None,
    ) -> None:
        self.told = told = Told()
        client = RecordingClient(sandbox, before_call)
        clocks = Clocks(clock, ahead_seconds, sleep or clock.advance)
        command: _Command
        if in_batch:
            command = _Rows(client, [Row(1, 1, request, label=request.label)], told, clocks)
        else:
            command = _SingleSend(client, request, told, clocks)
        super().__init__(sandbox, clocks, client, command)

    @property
    def is_following(self) -> bool:
        """Whether it hears of what becomes of the invoice."""
        # A batch asks twice where the indexes are.
        return bool(self.client.made("waitinvoice")) or len(self.client.made("wait")) > 2

    def outcome(self) -> Outcome:
        """How it ended; it must be about to."""
        self.end()
        return self._command.outcome

    def outcome_in_time(self) -> Outcome:
        """How it ends when nothing happens but what is under way."""
        self.end_in_time()
        return self._command.outcome


class BatchRun(_Running):
    """A batch, from now on.

    :param sleep: as for :class:`Run`.
    :param for_row: makes who is told how a row goes.
    :param more: :class:`Batch`'s parameters.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        clock: ManualClock,
        rows: Iterable[Row],
        *,
        sleep: Callable[[float], None] | None = None,
        for_row: Callable[[int], Progress] | None = None,
        **more: Any,
    ) -> None:
        self.told = Told()
        client = RecordingClient(sandbox, lambda _method: None)
        clocks = Clocks(clock, 0, sleep or clock.advance)
        self._rows = _Rows(client, rows, self.told, clocks, for_row, **more)
        super().__init__(sandbox, clocks, client, self._rows)

    @property
    def status(self) -> ExitStatus:
        """What it exits with, once it is over."""
        return self._rows.status

    @property
    def error(self) -> SendInvoiceError | None:
        """What the batch as a whole failed with."""
        return self._rows.error

    @property
    def counts(self) -> Counts | None:
        """The last that were reported."""
        return self._rows.counted

    @property
    def results(self) -> list[Result]:
        """Of the rows that have ended, the first to end first."""
        return self._rows.results

    def exits(self) -> dict[str, int]:
        """The exit code of each row that has ended, by label."""
        return {
            str(each.outcome.known["label"]): int(each.outcome.exit_status) for each in self.results
        }


_OF_RUN = ("ahead_seconds", "sleep", "before_call")


@dataclass(frozen=True)
class TimedNetwork:
    """Payer, router and receiver, as in :mod:`tests.networks`.

    :param in_batch: commands are batches of one row.
    """

    sandbox: Sandbox
    clock: ManualClock
    in_batch: bool = False
    runs: list[_Running] = field(default_factory=list)

    def run(self, invreq: str, *, timeout: int = 90, label: str = "a label", **more: Any) -> Run:
        """Begin to answer a request.

        :param more: :class:`Run`'s parameters, and those of a request.
        """
        of_run = {name: more.pop(name) for name in _OF_RUN if name in more}
        request = Request(invreq, label, timeout=timeout, **more)
        run = Run(self.sandbox, self.clock, request, in_batch=self.in_batch, **of_run)
        self.runs.append(run)
        return run

    def run_batch(self, rows: Iterable[Row], **more: Any) -> BatchRun:
        """Begin to answer many; ``more`` are :class:`BatchRun`'s parameters."""
        run = BatchRun(self.sandbox, self.clock, rows, **more)
        self.runs.append(run)
        return run

    def arrived(self) -> int:
        """How many copies of an invoice have reached the payer."""
        return len(self.sandbox.received_invoices(PAYER))

    def await_arrival(self, copies: int) -> None:
        """Return once so many copies have reached the payer, and it has dealt with them."""
        wait_for(lambda: self.arrived() >= copies, f"copy {copies} at the payer")
        self.sandbox.settle()
        assert self.arrived() == copies

    def invoice(self, label: str = "a label") -> dict[str, Any] | None:
        """The receiver's invoice."""
        found = self.sandbox.call(RECEIVER, "listinvoices", label=label)["invoices"]
        return found[0] if found else None

    def invoices(self) -> list[dict[str, Any]]:
        """All of the receiver's."""
        listed: list[dict[str, Any]] = self.sandbox.call(RECEIVER, "listinvoices")["invoices"]
        return listed

    def spent(self) -> list[Spending]:
        """All payments that the payer has ever begun."""
        pays = self.sandbox.call(PAYER, "listpays")["pays"]
        return [Spending(pay["status"], pay["amount_msat"]) for pay in pays]

    def has_spent(self) -> bool:
        """Whether there was a payment, and none is under way."""
        return bool(self.spent()) and all(pay.status != "pending" for pay in self.spent())

    def helpers(self) -> int:
        """How many plugins the receiver runs."""
        plugins = self.sandbox.call(RECEIVER, "plugin", subcommand="list")["plugins"]
        return sum(1 for plugin in plugins if plugin["active"])


@contextmanager
def network(
    family: Family = Family.V26_06, topology: Topology | None = None, *, in_batch: bool = False
) -> Iterator[TimedNetwork]:
    """Bring one up, and down again.

    :param topology: with nodes named payer, router and receiver.
    :param in_batch: commands are batches of one row.
    """
    clock = ManualClock()
    with Sandbox(topology or simulated.topology(family), clock=clock) as sandbox:
        timed = TimedNetwork(sandbox, clock, in_batch)
        try:
            yield timed
        finally:
            for run in timed.runs:
                run.abandon()
