"""A sandbox in which time stands still, and the command in it as a thread: a test moves the time.

The command then waits as long as it would otherwise, and no test does.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from sendinvoice_cli.answer import answer, run_blocking
from sendinvoice_cli.errors import InterruptedBySignalError
from sendinvoice_cli.node.client import Client
from sendinvoice_cli.outcome import Outcome
from sendinvoice_cli.request import Request
from sendinvoice_cli.sandbox.model.clock import ManualClock
from sendinvoice_cli.sandbox.model.family import Family
from sendinvoice_cli.sandbox.model.topology import Topology
from sendinvoice_cli.sandbox.sandbox import Sandbox
from sendinvoice_cli.send import BlockingHost, Events

from . import simulated
from . import wait_for as wait_in_real_time
from .runs import Told

#: Seconds of real time between two looks at an event queue.
_LOOK_SECONDS = 0.005
#: Seconds of real time that nothing here takes.
_LONG = 20

#: For conditions that need no call to lightningd.
wait_for = partial(wait_in_real_time, seconds=_LONG, poll_seconds=_LOOK_SECONDS)

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
        self.calls: list[tuple[str, Any]] = []

    def call(self, method: str, params: Any = None, **more: Any) -> dict[str, Any]:
        """Make one call."""
        self.calls.append((method, params))
        self.before_call(method)
        return super().call(method, params, **more)

    def made(self, method: str) -> list[Any]:
        """The parameters of each call of a method."""
        return [params for name, params in self.calls if name == method]


class Run:
    """One command, from now on.

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
        ahead_seconds: float = 0,
        sleep: Callable[[float], None] | None = None,
        before_call: Callable[[str], None] = lambda _method: None,
    ) -> None:
        self.client = RecordingClient(sandbox, before_call)
        self.told = Told()
        #: Seconds of each wait that was skipped.
        self.waits: list[float] = []
        self._sandbox = sandbox
        self._clock = clock
        self._ahead = ahead_seconds
        self._sleep = sleep or clock.advance
        self._wakes_at: float | None = None
        self._events: Events = SimpleQueue()
        self._outcome: Outcome | None = None
        self._is_abandoned = False
        self._host = BlockingHost(
            self.client,
            request,
            self.told,
            clock=self._now,
            sleep=self._sleep_in_turn,
            wait=self._wait,
        )
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self._thread.start()

    def _answer(self) -> None:
        outcome = run_blocking(answer(self._host.exchange, self._host))
        self._host.close()
        self._outcome = outcome

    def _sleep_in_turn(self, seconds: float) -> None:
        """Sleep in the background, once the command has noticed how late it is by now."""
        wait_for(self._knows_the_time, "the command to notice the time")
        self._sleep(seconds)

    def _knows_the_time(self) -> bool:
        wakes_at = self._wakes_at
        has_noticed = wakes_at is not None and wakes_at > self._clock() and self._events.empty()
        return has_noticed or self.is_over

    def _now(self) -> float:
        return self._clock() + self._ahead

    def _wait(self, events: Events, seconds: float) -> Any:
        """Wait for an event until the test has moved the time so far."""
        self._events = events
        self._wakes_at = wakes_at = self._clock() + seconds
        try:
            while True:
                with suppress(Empty):
                    return events.get(timeout=_LOOK_SECONDS)
                if self._is_abandoned:
                    raise InterruptedBySignalError("the test is over")
                if self._clock() >= wakes_at:
                    return None
        finally:
            self._wakes_at = None

    def abandon(self) -> None:
        """End it, however far it is."""
        self._is_abandoned = True
        self._host.close()

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
        wakes_at = self._wakes_at
        if wakes_at is None or wakes_at == math.inf or self._is_busy():
            return 0
        return max(wakes_at - self._clock(), 0)

    def _is_busy(self) -> bool:
        """Whether something goes on in the background that ends by itself."""
        host = self._host
        return (
            not self._events.empty()
            or not all(job.done() for job in host.jobs)
            or not (host.link.is_ready and host.link.is_hearing_settled)
        )

    def skip_wait(self) -> float:
        """Let the time for which it now waits for an event go by; returns its seconds."""
        seconds = self._await_wait()
        assert seconds, f"it has ended: {self._outcome}"
        self._skip(seconds)
        return seconds

    def outcome(self) -> Outcome:
        """How it ended; it must be about to."""
        self._thread.join(_LONG)
        assert self._outcome is not None, f"it goes on: {self.told}"
        return self._outcome

    def outcome_in_time(self) -> Outcome:
        """How it ends when nothing happens but what is under way."""
        while self._await_wait():
            self._sandbox.settle()
            if seconds := self._await_wait():
                self._skip(seconds)
        return self.outcome()

    def _await_wait(self) -> float:
        wait_for(lambda: self.is_over or self._time_left(), "the command to wait")
        return self._time_left()

    def _skip(self, seconds: float) -> None:
        self.waits.append(seconds)
        self._clock.advance(seconds)


_OF_RUN = ("ahead_seconds", "sleep", "before_call")


@dataclass(frozen=True)
class TimedNetwork:
    """Payer, router and receiver, as in :mod:`tests.networks`."""

    sandbox: Sandbox
    clock: ManualClock
    runs: list[Run] = field(default_factory=list)

    def run(self, invreq: str, *, timeout: int = 90, label: str = "a label", **more: Any) -> Run:
        """Begin to answer a request.

        :param more: :class:`Run`'s parameters, and those of a request.
        """
        of_run = {name: more.pop(name) for name in _OF_RUN if name in more}
        request = Request(invreq, label, timeout=timeout, **more)
        self.runs.append(Run(self.sandbox, self.clock, request, **of_run))
        return self.runs[-1]

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
    family: Family = Family.V26_06, topology: Topology | None = None
) -> Iterator[TimedNetwork]:
    """Bring one up, and down again.

    :param topology: with nodes named payer, router and receiver.
    """
    clock = ManualClock()
    with Sandbox(topology or simulated.topology(family), clock=clock) as sandbox:
        timed = TimedNetwork(sandbox, clock)
        try:
            yield timed
        finally:
            for run in timed.runs:
                run.abandon()
