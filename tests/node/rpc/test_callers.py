from __future__ import annotations

import threading
import weakref
from queue import Empty, SimpleQueue

import pytest

from sendinvoice_cli.node.rpc import callers
from tests.networks import PROMPT_SECONDS


@pytest.fixture(autouse=True)
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin without threads that another test has left behind."""
    monkeypatch.setattr(callers, "_idle", [])


def _run_together(count: int) -> set[int]:
    """Run functions that wait for each other; returns the threads that ran them."""
    barrier = threading.Barrier(count)
    used: SimpleQueue[int] = SimpleQueue()

    def function() -> int:
        barrier.wait(PROMPT_SECONDS)
        return threading.get_ident()

    def run() -> None:
        used.put(callers.run(function, PROMPT_SECONDS))

    runners = [threading.Thread(target=run) for _ in range(count)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    return {used.get_nowait() for _ in range(count)}


def test_one_after_another_in_one_thread() -> None:
    used = {callers.run(threading.get_ident, PROMPT_SECONDS) for _ in range(20)}
    assert len(used) == 1
    assert threading.get_ident() not in used


def test_side_by_side_in_threads_of_their_own() -> None:
    assert len(_run_together(20)) == 20


def test_few_threads_are_kept() -> None:
    before = threading.active_count()
    _run_together(2 * callers.MAX_IDLE)
    for _ in range(round(PROMPT_SECONDS / 0.01)):
        kept = threading.active_count() - before
        if kept <= callers.MAX_IDLE + 1:
            break
        threading.Event().wait(0.01)
    assert kept <= callers.MAX_IDLE + 1
    assert len(_run_together(2)) == 2


def test_late_result_is_dropped() -> None:
    release = threading.Event()

    def late() -> str:
        release.wait(PROMPT_SECONDS)
        return "late"

    with pytest.raises(Empty):
        callers.run(late, 0.01)
    assert callers.run(lambda: "another", PROMPT_SECONDS) == "another"
    release.set()
    assert [callers.run(lambda: "next", PROMPT_SECONDS) for _ in range(5)] == ["next"] * 5


def test_nothing_is_kept_of_what_was_run() -> None:
    class Secret:
        def show(self) -> list[Secret]:
            return [self]

    secret = Secret()
    gone = threading.Event()
    weakref.finalize(secret, gone.set)
    callers.run(secret.show, PROMPT_SECONDS)
    del secret
    assert gone.wait(PROMPT_SECONDS)
