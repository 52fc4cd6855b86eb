"""Threads that make blocking calls for an event loop. They never keep the process alive."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

#: Seconds without progress after which waiting work gets more threads.
STUCK_SECONDS = 0.2

_T = TypeVar("_T")


class Workers:
    """A few threads, and more while all of them are stuck and work waits.

    :param count: number of threads that are always there.
    :param may_grow: whether to start more; pointless for work that would get stuck as well.
    """

    def __init__(self, count: int, *, may_grow: bool = False) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._may_grow = may_grow
        self._threads = count
        #: How many functions run, or have a result that nobody has seen yet.
        self.pending = 0
        self._finished = 0
        self._look: asyncio.TimerHandle | None = None
        for _ in range(count):
            self.spawn(self._serve)

    def spawn(self, work: Callable[[], None]) -> None:
        """Run a function in a thread of its own."""
        threading.Thread(target=work, daemon=True).start()

    def post(self, function: Callable[..., None], *args: Any) -> None:
        """Call a function in the loop. May be called from any thread."""
        with suppress(RuntimeError):  # the loop is closed: too late to matter
            self._loop.call_soon_threadsafe(function, *args)

    def begin(self, function: Callable[[], _T]) -> asyncio.Future[_T]:
        """Run a function in one of the threads. Call this in the loop only."""
        future: asyncio.Future[_T] = self._loop.create_future()

        def work() -> None:
            result: _T | None = None
            failure: Exception | None = None
            try:
                result = function()
            except Exception as raised:
                failure = raised
            self.post(self._settle, future, result, failure)

        self.pending += 1
        self._queue.put(work)
        if self._may_grow and self._look is None:
            self._look_later()
        return future

    def _settle(self, future: asyncio.Future[Any], result: Any, failure: Exception | None) -> None:
        self._finished += 1
        if not future.cancelled():
            if failure is not None:
                future.set_exception(failure)
                # asyncio complains of failures that nobody looks at, and who waited may have ended.
                future.exception()
            else:
                future.set_result(result)
        self._loop.call_soon(self._forget_one)

    def _forget_one(self) -> None:
        self.pending -= 1

    def _look_later(self) -> None:
        self._look = self._loop.call_later(STUCK_SECONDS, self._grow, self._finished)

    def _grow(self, finished: int) -> None:
        self._look = None
        if self._queue.empty():
            return
        if finished == self._finished:
            for _ in range(self._threads):
                self.spawn(self._help)
            self._threads *= 2
        self._look_later()

    def _serve(self) -> None:
        while True:
            self._queue.get()()

    def _help(self) -> None:
        with suppress(Empty):
            while True:
                self._queue.get_nowait()()
