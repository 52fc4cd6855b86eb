"""Threads that make blocking calls for an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

from ..threads import spawn

_T = TypeVar("_T")


class Workers:
    """Threads that call functions, each started when there is work for it.

    A ThreadPoolExecutor does the same. Its locks, and its futures beside those of the loop, take a
    tenth of a row's CPU time.

    :param count: most threads.
    """

    def __init__(self, count: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._count = count
        self._threads = 0
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        #: What runs, or waits for a thread, or has a result that nobody has seen yet.
        self.pending: set[asyncio.Future[Any]] = set()

    def post(self, function: Callable[..., None], *args: Any) -> None:
        """Call a function in the loop. May be called from any thread."""
        with suppress(RuntimeError):  # the loop is closed: too late to matter
            self._loop.call_soon_threadsafe(function, *args)

    def begin(self, function: Callable[[], _T]) -> asyncio.Future[_T]:
        """Call a function in one of the threads. Call this in the loop only."""
        future: asyncio.Future[_T] = self._loop.create_future()

        def work() -> None:
            if future.cancelled():
                self.post(self.pending.discard, future)
                return
            try:
                result = function()
            except Exception as failure:
                self.post(self._settle, future, future.set_exception, failure)
            else:
                self.post(self._settle, future, future.set_result, result)

        self.pending.add(future)
        self._queue.put(work)
        if self._threads < min(len(self.pending), self._count):
            spawn(self._serve)
            self._threads += 1
        return future

    def _serve(self) -> None:
        while (work := self._queue.get()) is not None:
            work()

    def _settle(
        self, future: asyncio.Future[Any], settle: Callable[[Any], None], outcome: object
    ) -> None:
        if not future.done():
            settle(outcome)
            # asyncio complains of failures that nobody looks at, and who waited may have ended.
            future.exception()
        self._loop.call_soon(self.pending.discard, future)

    def close(self) -> None:
        """Let each thread end after its function; nobody waits for what that returns."""
        for future in self.pending:
            future.cancel()
        for _ in range(self._threads):
            self._queue.put(None)
