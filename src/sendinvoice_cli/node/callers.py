"""Threads for calls that may never return, kept for the next call where they do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

from .queues import take

#: Most threads kept without work; there are as many of them as calls at one time.
MAX_IDLE = 8

_T = TypeVar("_T")

#: A function to call, and the queue that its result goes to.
_Work = tuple[Callable[[], Any], "SimpleQueue[Any]"]

#: The threads without work, each by the queue that it takes its work from.
_idle: list[SimpleQueue[_Work]] = []


def run(function: Callable[[], _T], seconds: float) -> _T:
    """Have another thread call a function, and wait for its result.

    Signals are handled meanwhile. The thread of a function that takes too
    long is left alone; what the function returns in the end goes nowhere.

    :param function: must not raise.
    :param seconds: to wait at most.
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
            # Before whoever waits goes on, and perhaps makes the next call.
            _idle.append(inbox)
        results.put(result)
        # A thread without work keeps nothing of what it has seen.
        del function, results, result
