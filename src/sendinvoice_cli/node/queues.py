"""Waiting for another thread, without being deaf to signals."""

from __future__ import annotations

import time
from queue import Empty, SimpleQueue
from typing import TypeVar

#: Seconds of one wait. Python handles a signal that arrives just before a wait begins, or in
#: another thread, after that wait: the longest that a Ctrl-C may seem to be ignored.
SLICE_SECONDS = 0.25

_T = TypeVar("_T")


def take(queue: SimpleQueue[_T], seconds: float) -> _T:
    """Take the next item, waiting for it at most so many seconds.

    :raises Empty: there was none.
    """
    deadline = time.monotonic() + seconds
    while True:
        remaining = max(deadline - time.monotonic(), 0)
        try:
            return queue.get(timeout=min(remaining, SLICE_SECONDS))
        except Empty:
            if remaining <= SLICE_SECONDS:
                raise
