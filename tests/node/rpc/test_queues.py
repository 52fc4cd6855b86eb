from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from queue import Empty, SimpleQueue

import pytest

from sendinvoice_cli.node.rpc.queues import SLICE_SECONDS, take
from tests.networks import PROMPT_SECONDS


class SignalledError(Exception):
    """What a signal's handler raises here."""


@pytest.fixture
def handled() -> Iterator[None]:
    def handle(*_: object) -> None:
        raise SignalledError

    before = signal.signal(signal.SIGUSR1, handle)
    yield
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
    signal.signal(signal.SIGUSR1, before)


def test_what_is_there_is_taken() -> None:
    queue: SimpleQueue[int] = SimpleQueue()
    queue.put(1)
    queue.put(2)
    assert [take(queue, 0), take(queue, math.inf)] == [1, 2]


def test_what_comes_after_several_slices_is_taken() -> None:
    queue: SimpleQueue[int] = SimpleQueue()
    threading.Timer(2.5 * SLICE_SECONDS, queue.put, (1,)).start()
    assert take(queue, math.inf) == 1


def test_nothing_comes() -> None:
    started = time.monotonic()
    with pytest.raises(Empty):
        take(SimpleQueue(), 1.5 * SLICE_SECONDS)
    assert time.monotonic() - started >= 1.5 * SLICE_SECONDS


@pytest.mark.usefixtures("handled")
def test_a_signal_that_does_not_end_the_wait_is_handled_soon() -> None:
    """A signal that another thread gets, or that comes just before the wait, does not end it."""

    class Queue(SimpleQueue[int]):
        def get(self, block: bool = True, timeout: float | None = None) -> int:
            begun.set()
            return super().get(block, timeout)

    begun = threading.Event()

    def take_the_signal() -> None:
        begun.wait()
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)

    threading.Thread(target=take_the_signal, daemon=True).start()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    started = time.monotonic()
    with pytest.raises(SignalledError):
        take(Queue(), 10 * PROMPT_SECONDS)
    assert time.monotonic() - started < PROMPT_SECONDS
