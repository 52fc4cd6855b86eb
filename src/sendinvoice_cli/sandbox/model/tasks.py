"""The network's tasks, and waiting until all of them are idle."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any


class Tasks:
    """The tasks of a network, all on one event loop."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._parked = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Start a task."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        self._idle.clear()
        task.add_done_callback(self._finished)

    @contextlib.asynccontextmanager
    async def parked(self) -> AsyncIterator[None]:
        """Wrap a wait for something that may never come: :meth:`idle` does not wait for it."""
        self._parked += 1
        self._notice_idle()
        try:
            yield
        finally:
            self._parked -= 1
            self._idle.clear()

    async def idle(self) -> None:
        """Return once every task has ended or is parked."""
        # Let tasks that were just released start. More may start while this one
        # wakes up.
        await asyncio.sleep(0)
        while not self._idle.is_set():
            await self._idle.wait()

    async def close(self) -> None:
        """Cancel all tasks."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._notice_idle()
        if not task.cancelled() and task.exception() is not None:
            task.get_loop().call_exception_handler(
                {"message": "the sandbox failed", "exception": task.exception()}
            )

    def _notice_idle(self) -> None:
        if len(self._tasks) <= self._parked:
            self._idle.set()
