"""Waiting until a sandbox has nothing more to do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Settling:
    """Follows the tasks of a network, all on one event loop."""

    def __init__(self) -> None:
        self._running = 0
        self._parked = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def follow(self, task: asyncio.Task[None]) -> None:
        """Take a task into account."""
        self._running += 1
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

    def _finished(self, _task: asyncio.Task[None]) -> None:
        self._running -= 1
        self._notice_idle()

    def _notice_idle(self) -> None:
        if self._running <= self._parked:
            self._idle.set()
