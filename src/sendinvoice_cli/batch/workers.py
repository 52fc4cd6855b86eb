"""Threads that make blocking calls for an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

_T = TypeVar("_T")


class Workers:
    """Threads that call functions, each started when there is work for it.

    :param count: most threads.
    """

    def __init__(self, count: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._executor = ThreadPoolExecutor(count)
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
        # Its own future is not used: to follow that one in the loop takes longer than most calls.
        self._executor.submit(work)
        return future

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
        self._executor.shutdown(wait=False, cancel_futures=True)
