"""Threads for calls that may never return. A thread whose call returns takes the next one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

from .queues import take

#: Most idle threads that are kept. The number of busy ones is not limited.
MAX_IDLE = 8

_T = TypeVar("_T")

#: A function to call, and the queue that its result goes to.
_Work = tuple[Callable[[], Any], "SimpleQueue[Any]"]

#: The threads without work, each by the queue that it takes its work from.
_idle: list[SimpleQueue[_Work]] = []


def run(function: Callable[[], _T], seconds: float) -> _T:
    """Call a function in another thread, and wait for its result.

    Signals are handled meanwhile. A function that takes too long is left
    alone, and its late result is dropped.

    :param function: must not raise.
    :param seconds: how long to wait.
    :raises queue.Empty: there was no result in time.
    """
    results: SimpleQueue[_T] = SimpleQueue()
    try:
        inbox = _idle.pop()
    except IndexError:
        inbox = SimpleQueue()
        threading.Thread(target=_serve, args=(inbox,), daemon=True).start()
    inbox.put((function, results))
    return take(results, seconds)


def _serve(inbox: SimpleQueue[_Work]) -> None:
    stays = True
    while stays:
        function, results = inbox.get()
        result = function()
        stays = len(_idle) < MAX_IDLE
        if stays:
            # Before the caller gets the result: its next call may use this thread.
            _idle.append(inbox)
        results.put(result)
        # An idle thread must not keep these alive.
        del function, results, result
