"""Blocking calls turned into events, each in a thread of its own.

The threads are daemons: whoever stops waiting just leaves, and a call that
lightningd holds open does not keep the process alive.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from ..errors import LightningdError, UnreachableError
from . import invoices
from .client import Client
from .queues import take
from .replies import HelperUnavailableError, Reply, ReplySession


@dataclass(frozen=True)
class InvoiceClosed:
    """The invoice was paid, or has expired."""


@dataclass(frozen=True)
class HelperLost:
    """No more replies will be heard; ``reason`` says why."""

    reason: str


@dataclass(frozen=True)
class NodeLost:
    """The connection to lightningd broke."""

    error: UnreachableError


Event = InvoiceClosed | Reply | HelperLost | NodeLost

#: Takes the next event from a queue, None when none comes within so many seconds.
Wait = Callable[["SimpleQueue[Event]", float], Event | None]


def wait_in_real_time(events: SimpleQueue[Event], seconds: float) -> Event | None:
    """A :data:`Wait` in real time."""
    try:
        return take(events, seconds)
    except Empty:
        return None


class Background:
    """Work that goes on in a thread; its result is its end, or what it raised."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._ends: SimpleQueue[Exception | None] = SimpleQueue()

        def run() -> None:
            try:
                work()
            except Exception as failure:
                self._ends.put(failure)
            else:
                self._ends.put(None)

        threading.Thread(target=run, daemon=True).start()

    def result(self) -> None:
        """Wait for the end, once; raises what the work raised."""
        failure = take(self._ends, math.inf)
        if failure is not None:
            raise failure


class Watch:
    """What happens to one invoice, as a queue of events.

    :param label: the invoice's.
    :param wait: spends the time until the next one.
    """

    def __init__(self, client: Client, label: str, wait: Wait = wait_in_real_time) -> None:
        self._client = client
        self._label = label
        self._wait = wait
        self._events: SimpleQueue[Event] = SimpleQueue()

    def follow_invoice(self) -> None:
        """Begin to wait for the invoice to be paid."""

        def follow() -> None:
            try:
                invoices.wait_until_closed(self._client, self._label)
            except UnreachableError as lost:
                self._events.put(NodeLost(lost))
            except LightningdError as failure:
                self._events.put(NodeLost(UnreachableError(failure.message)))
            else:
                self._events.put(InvoiceClosed())

        threading.Thread(target=follow, daemon=True).start()

    def follow_replies(self, session: ReplySession) -> None:
        """Begin to wait for replies; the session must have been started."""

        def follow() -> None:
            try:
                for reply in session.listen():
                    self._events.put(reply)
            except UnreachableError as lost:
                self._events.put(NodeLost(lost))
            except HelperUnavailableError as failure:
                self._events.put(HelperLost(str(failure)))

        threading.Thread(target=follow, daemon=True).start()

    def next_event(self, seconds: float) -> Event | None:
        """The next event, or None when none comes within so many seconds."""
        return self._wait(self._events, max(seconds, 0))
