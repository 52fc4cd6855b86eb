"""Waiting for another thread while signals are still handled."""

from __future__ import annotations

import time
from queue import Empty, SimpleQueue
from typing import TypeVar

#: Seconds of one wait. Python may handle a signal only after the current wait, so this is the
#: longest time for which Ctrl-C may seem to be ignored.
SLICE_SECONDS = 0.25

_T = TypeVar("_T")


def take(queue: SimpleQueue[_T], seconds: float) -> _T:
    """Take the next item from a queue.

    :param seconds: how long to wait for it.
    :raises Empty: none came in time.
    """
    deadline = time.monotonic() + seconds
    while True:
        remaining = max(deadline - time.monotonic(), 0)
        try:
            return queue.get(timeout=min(remaining, SLICE_SECONDS))
        except Empty:
            if remaining <= SLICE_SECONDS:
                raise
