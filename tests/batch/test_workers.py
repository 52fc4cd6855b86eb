"""Threads that make blocking calls for an event loop."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest

from sendinvoice_cli.batch import workers
from sendinvoice_cli.batch.workers import Workers
from sendinvoice_cli.errors import UnreachableError
from tests.networks import PROMPT_SECONDS


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
        workers.close()

    asyncio.run(leave_alone())
    gc.collect()
    assert caplog.messages == []


def test_stuck_work_gets_no_more_threads_than_there_may_be() -> None:
    """Their number doubled with each burst of stuck work: 16,384 after 13."""
    release = threading.Event()
    threads: list[int] = []

    async def burst_after_burst() -> None:
        workers = Workers(8)
        before = threading.active_count()
        for _ in range(13):
            for _ in range(20):
                workers.begin(release.wait)
            await asyncio.sleep(0)
            threads.append(threading.active_count() - before)
        release.set()
        await asyncio.gather(*workers.pending)
        workers.close()

    asyncio.run(burst_after_burst())
    assert threads == [8] * 13


def test_threads_start_when_there_is_work_for_them() -> None:
    async def work() -> tuple[int, int]:
        before = {*threading.enumerate()}
        workers = Workers(8)
        unused = len({*threading.enumerate()} - before)
        for _ in range(5):
            await workers.begin(lambda: None)
            while workers.pending:
                await asyncio.sleep(0)
        used = len({*threading.enumerate()} - before)
        workers.close()
        return unused, used

    unused, used = asyncio.run(work())
    assert unused == 0
    # The next function may come before the thread of the last one waits for it.
    assert 1 <= used <= 5


def test_closed_workers_let_their_threads_end_and_begin_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun = threading.Event()
    release = threading.Event()
    called: list[str] = []

    def stick() -> None:
        begun.set()
        release.wait(PROMPT_SECONDS)
        called.append("stuck")

    def never() -> None:
        called.append("never")

    async def leave_alone() -> list[threading.Thread]:
        before = threading.enumerate()
        workers = Workers(1)
        ended: list[asyncio.Future[None]] = [workers.begin(stick), workers.begin(never)]
        await asyncio.to_thread(begun.wait)
        workers.close()
        await asyncio.gather(*ended, return_exceptions=True)
        assert all(each.cancelled() for each in ended)
        return [each for each in threading.enumerate() if each not in before]

    threads = asyncio.run(leave_alone())
    release.set()
    for thread in threads:
        thread.join(PROMPT_SECONDS)
    assert called == ["stuck"]
    assert not any(thread.is_alive() for thread in threads)
    # Its result came when the loop was closed.
    assert caplog.messages == []


def test_work_whose_future_is_cancelled_is_not_begun() -> None:
    begun = []

    async def work() -> None:
        workers = Workers(1)
        release = threading.Event()
        first = workers.begin(release.wait)
        second = workers.begin(lambda: begun.append("second"))
        second.cancel()
        release.set()
        await first
        await workers.begin(lambda: begun.append("third"))
        while workers.pending:
            await asyncio.sleep(0)
        workers.close()

    asyncio.run(work())
    assert begun == ["third"]


def test_thread_that_could_not_be_started_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It counted as one of the threads, and with all of them all work stayed undone."""

    def refuse(_: object) -> threading.Thread:
        raise RuntimeError("can't start new thread")

    async def work() -> int:
        one = Workers(1)
        with monkeypatch.context() as full:
            full.setattr(workers, "spawn", refuse)
            with pytest.raises(RuntimeError):
                one.begin(lambda: 1)
        try:
            return await asyncio.wait_for(one.begin(lambda: 2), PROMPT_SECONDS)
        finally:
            one.close()

    assert asyncio.run(work()) == 2
