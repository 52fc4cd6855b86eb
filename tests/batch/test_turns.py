"""Turns on routes, on an event loop whose time a test moves."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sendinvoice_cli.batch.pacing import BURST, INTERVAL, LARGE, SMALL, Pacer
from sendinvoice_cli.batch.row_host import RowHost
from sendinvoice_cli.batch.turns import Turns
from sendinvoice_cli.node.ways.routes import Route
from tests.networks.manual_loop import ManualLoop
from tests.networks.runs import Told
from tests.support.manual_clock import ManualClock
from tests.support.requests_builder import node_id

US, ROUTER, OTHER, PAYER = (node_id(number) for number in (1, 2, 3, 4))
ROUTE = Route((US, ROUTER, PAYER))
DETOUR = Route((US, OTHER, PAYER))
#: The two are as good as each other.
EITHER = ROUTE._replace(others=(DETOUR,))

Run = Callable[[Callable[[ManualClock], None]], None]


@pytest.fixture
def run() -> Iterator[Run]:
    """Runs a test on the loop, with the clock."""
    clock = ManualClock()
    with closing(ManualLoop(clock)) as loop:

        def run_one(test: Callable[[ManualClock], None]) -> None:
            async def on_loop() -> None:
                test(clock)

            loop.run_until_complete(on_loop())

        yield run_one


def test_rows_take_turns_between_routes_that_are_as_good(run: Run) -> None:
    """Forty take half the time, and each route is paced by itself."""

    def test(_clock: ManualClock) -> None:
        turns = Turns(Pacer(), at_once=4)
        taken = [turns.take(EITHER, SMALL, before=100) for _ in range(40)]
        assert None not in taken
        times = [turn[1] for turn in taken if turn is not None]
        nodes = Counter(turn[0].nodes for turn in taken if turn is not None)
        assert nodes == {ROUTE.nodes: 20, DETOUR.nodes: 20}
        assert max(times) == pytest.approx((20 - BURST) * INTERVAL)
        # Whoever has no choice waits for the one route alone.
        alone = turns.take(ROUTE, SMALL, before=100)
        assert alone is not None
        assert alone[1] == pytest.approx((20 - BURST + 1) * INTERVAL)

    run(test)


def test_the_route_that_is_free_is_taken(run: Run) -> None:
    def test(_clock: ManualClock) -> None:
        turns = Turns(Pacer(interval=10, burst=1), at_once=4)
        assert turns.take(ROUTE, SMALL, before=100) == (ROUTE, 0)
        assert turns.take(EITHER, SMALL, before=100) == (DETOUR, 0)
        assert turns.take(EITHER, SMALL, before=100) == (EITHER, 10)

    run(test)


def test_no_turn_is_taken_that_comes_too_late(run: Run) -> None:
    """And nothing is reserved for it."""

    def test(_clock: ManualClock) -> None:
        turns = Turns(Pacer(interval=10, burst=1), at_once=4)
        assert turns.take(ROUTE, SMALL, before=1) == (ROUTE, 0)
        for before in (5, 10):
            assert turns.take(ROUTE, SMALL, before) is None
        assert turns.take(ROUTE, SMALL, before=10.5) == (ROUTE, 10)

    run(test)


def test_a_row_takes_no_turn_after_its_own_deadline(run: Run) -> None:
    """Which is in UNIX seconds, where turns count from now."""

    def test(clock: ManualClock) -> None:
        turns = Turns(Pacer(interval=10, burst=1), at_once=4)
        batch = SimpleNamespace(lightningd=None, clock=clock, turns=turns)
        host = RowHost(cast(Any, batch), Told(), asyncio.Semaphore())
        now = clock()
        assert host.take_turn(ROUTE, SMALL, now + 5) == (ROUTE, now)
        assert host.take_turn(ROUTE, SMALL, now + 5) is None
        assert host.take_turn(ROUTE, SMALL, now + 15) == (ROUTE, now + 10)

    run(test)


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_hand_over_that_takes_long_counts_at_its_end_too(run: Run, size: int) -> None:
    """lightningd may have sent the message only then, so the next ones wait from there."""

    def test(clock: ManualClock) -> None:
        turns = Turns(Pacer(), at_once=4)
        with turns.use(ROUTE, size):
            # Meanwhile, nobody knows when it goes out.
            clock.advance(INTERVAL * 1.5)
            assert turns.seconds_left(DETOUR, size) == INTERVAL
        for _ in range(BURST - 1):
            assert turns.seconds_left(ROUTE, size) <= 0
            with turns.use(ROUTE, size):
                pass
        assert turns.seconds_left(ROUTE, size) == pytest.approx(INTERVAL)

    run(test)


def test_a_hand_over_that_is_quick_counts_once(run: Run) -> None:
    def test(_clock: ManualClock) -> None:
        turns = Turns(Pacer(), at_once=4)
        for _ in range(BURST):
            assert turns.seconds_left(ROUTE, SMALL) <= 0
            with turns.use(ROUTE, SMALL):
                pass
        assert turns.seconds_left(ROUTE, SMALL) == pytest.approx(INTERVAL)

    run(test)
