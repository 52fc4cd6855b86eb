"""Threads that make blocking calls for an event loop."""

from __future__ import annotations

import asyncio
import gc

import pytest

from sendinvoice_cli.batch.workers import Workers
from sendinvoice_cli.errors import UnreachableError


def test_failure_that_nobody_waits_for_any_more_is_not_printed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A row that ends at its deadline leaves a search alone; a traceback told of its failure."""

    def fail() -> None:
        raise UnreachableError("lightningd is gone")

    async def leave_alone() -> None:
        workers = Workers(1)
        workers.begin(fail)
        while workers.pending:
            await asyncio.sleep(0)

    asyncio.run(leave_alone())
    gc.collect()
    assert caplog.messages == []
