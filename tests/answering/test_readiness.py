"""A lightningd that has just started: what is waited for, for how long, and how that ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sendinvoice_cli.answering.blocking_host import run_blocking
from sendinvoice_cli.answering.order import answer
from sendinvoice_cli.answering.readiness import HOLD_SECONDS, PATIENCE_SECONDS
from sendinvoice_cli.errors import ExitStatus
from sendinvoice_cli.outcome import Outcome
from sendinvoice_cli.request import Request
from tests.support.requests_builder import node_id
from tests.support.scripted import (
    AMOUNT_MSAT,
    INVREQ,
    LABEL,
    ROUTER,
    ScriptedHost,
    Search,
    World,
)

BEHIND = {"warning_lightningd_sync": "Still loading latest blocks from bitcoind."}


def channel(number: int, receivable_msat: int, *, is_connected: bool) -> dict[str, Any]:
    """A channel of ours with a node."""
    return {
        "peer_id": node_id(number).hex(),
        "peer_connected": is_connected,
        "state": "CHANNELD_NORMAL",
        "short_channel_id": f"{number}x1x1",
        "receivable_msat": receivable_msat,
    }


def connect(world: World, number: int) -> None:
    """The peer of a channel is back."""
    for each in world.lightningd.channels:
        if each["peer_id"] == node_id(number).hex():
            each["peer_connected"] = True


def fall_behind(world: World, until: float) -> None:
    """lightningd is behind the chain for so many seconds."""
    getinfo: dict[str, Any] = dict(world.lightningd.answers["getinfo"])  # type: ignore[arg-type]
    world.lightningd.answers["getinfo"] = {**getinfo, **BEHIND}
    if until:

        def catch_up() -> None:
            world.lightningd.answers["getinfo"] = getinfo

        world.at(until, catch_up)


def run_slowly(world: World, timeout: int) -> Outcome:
    """Answer a request while each look takes time."""
    host = ScriptedHost(world)

    def begin(step: Callable[[], Any]) -> Search[Any]:
        job = Search(step)
        world.after(0.3, job.run)
        return job

    host.begin = begin  # type: ignore[method-assign]
    return run_blocking(answer(Request(INVREQ, LABEL, timeout=timeout), host))


ENOUGH, HALF = 10 * AMOUNT_MSAT, AMOUNT_MSAT // 2


@pytest.mark.parametrize(
    ("here_msat", "away_msat", "back_after", "sent_at"),
    [
        # What is connected suffices: nobody is waited for.
        (ENOUGH, ENOUGH, None, 0),
        # The only channel that can receive it comes back.
        (HALF, ENOUGH, 4, 4),
        # Both together can; then it has to come in parts.
        (HALF, HALF, 4, 4),
        # In parts it can come now; a peer that could take it at once is waited for a while.
        (AMOUNT_MSAT // 2 + 1, ENOUGH, 4, 4),
        # Not even together.
        (HALF, HALF - 1, None, 0),
    ],
    ids=["enough", "only one", "together", "at once", "never enough"],
)
def test_peers_that_are_away_are_waited_for_where_they_could_make_the_difference(
    here_msat: int, away_msat: int, back_after: float | None, sent_at: float
) -> None:
    world = World()
    world.lightningd.channels[0]["receivable_msat"] = here_msat
    world.lightningd.channels.append(channel(ROUTER, away_msat, is_connected=False))
    if back_after is not None:
        world.at(back_after, lambda: connect(world, ROUTER))
    world.at(20, world.pay)
    assert world.run().exit_status is ExitStatus.PAID
    assert world.copies_at[0] == pytest.approx(sent_at, abs=1)
    is_told = any(step.startswith("Waiting for") for step in world.told.steps)
    assert is_told is (back_after is not None)


def test_peer_without_which_it_can_come_in_parts_is_not_waited_for_for_ever() -> None:
    world = World()
    world.lightningd.channels[0]["receivable_msat"] = HALF
    world.lightningd.channels.append(channel(PAYER_TOO, HALF, is_connected=True))
    world.lightningd.channels.append(channel(ROUTER, ENOUGH, is_connected=False))
    world.at(40, world.pay)
    assert world.run().exit_status is ExitStatus.PAID
    assert world.copies_at[0] == pytest.approx(PATIENCE_SECONDS, abs=1)


#: Another node of which we have a channel.
PAYER_TOO = 4


def test_no_invoice_is_made_that_cannot_be_paid_because_peers_are_away() -> None:
    """It was, and the payer remembered the failure for an hour."""
    world = World()
    world.peers_away(1000)
    outcome = world.run(timeout=10)
    assert outcome.exit_status is ExitStatus.NO_ROUTE
    assert world.seconds == pytest.approx(10, abs=1)
    assert world.lightningd.invoices == {}
    assert outcome.error is not None
    assert "channel peers are connected" in outcome.error.message
    assert "open a channel" not in f"{outcome.error.message}{outcome.error.hint}"


def test_peers_are_looked_at_again_before_an_expired_invoice_is_replaced() -> None:
    """The channels were those that were there when the command began."""
    earlier = World()
    earlier.run(timeout=1000)
    world = World()
    world.lightningd.invoices = earlier.lightningd.invoices
    world.lightningd.change(status="unpaid")
    world.at(990, lambda: world.peers_away(20))
    world.at(1000, world.expire)
    world.at(1100, world.pay)
    made_at: list[float] = []
    world.lightningd.before["createinvoice", 1] = lambda: made_at.append(world.seconds)
    assert world.run(timeout=5000, renew=True).exit_status is ExitStatus.PAID
    assert made_at == [pytest.approx(1010, abs=1)]


def test_route_that_needs_a_peer_that_is_away_is_waited_for() -> None:
    """It was exit 13 after 0.2 s, with the advice to open a channel."""
    world = World()
    world.lightningd.channels.append(channel(ROUTER, HALF, is_connected=False))
    peers, world.lightningd.answers["listpeers"] = (
        world.lightningd.answers["listpeers"],
        {"peers": []},
    )

    def come_back() -> None:
        world.lightningd.answers["listpeers"] = peers
        connect(world, ROUTER)

    world.at(6, come_back)
    world.at(9, world.pay)
    assert world.run().exit_status is ExitStatus.PAID
    assert world.copies_at[0] == pytest.approx(6, abs=1)
    assert sum(step.startswith("No route to the payer; waiting") for step in world.told.steps) == 1
    assert world.stepped_aside


def test_route_that_never_comes_is_no_route_at_timeout() -> None:
    world = World()
    world.lightningd.channels.append(channel(ROUTER, HALF, is_connected=False))
    world.lightningd.answers["listpeers"] = {"peers": []}
    outcome = world.run(timeout=10)
    assert outcome.exit_status is ExitStatus.NO_ROUTE
    assert world.seconds == pytest.approx(10, abs=1)
    assert world.lightningd.invoices == {}


def test_look_that_is_under_way_at_timeout_is_no_loss_of_lightningd() -> None:
    """It was exit 4, and in a batch all rows were told that lightningd was gone."""
    world = World()
    world.lightningd.channels.append(channel(ROUTER, HALF, is_connected=False))
    world.lightningd.answers["listpeers"] = {"peers": []}
    outcome = run_slowly(world, timeout=10)
    assert outcome.exit_status is ExitStatus.NO_ROUTE
    assert "no path to it is known" in str(outcome.error)
    assert world.seconds == pytest.approx(10, abs=1)
    assert world.connection.lost_after == []


def test_look_that_failed_before_lightningd_came_back_is_no_loss_of_it_now() -> None:
    """Each row of a batch that had looked when lightningd went away took it for gone once more."""
    world = World(away_seconds=1)
    # The looks before find lightningd and the label.
    world.at(0.7, world.go_away)
    world.at(9, world.pay)
    assert run_slowly(world, timeout=30).exit_status is ExitStatus.PAID
    assert world.connection.lost_after == [pytest.approx(0.7)]


def test_no_route_is_the_end_at_once_when_no_peer_is_away() -> None:
    world = World()
    world.lightningd.answers["listpeers"] = {"peers": []}
    assert world.run().exit_status is ExitStatus.NO_ROUTE
    assert world.seconds == 0


def test_node_behind_the_chain_is_waited_for_before_the_invoice_is_made() -> None:
    world = World()
    fall_behind(world, until=7)
    world.at(12, world.pay)
    outcome = world.run()
    assert outcome.exit_status is ExitStatus.PAID
    assert world.copies_at[0] == pytest.approx(7, abs=1)
    assert outcome.known["expires_at"] == pytest.approx(world.now() - 12 + 7 + 90, abs=2)
    assert any("catch up with the chain" in step for step in world.told.steps)


def test_node_that_stays_behind_the_chain_is_told_at_the_end_and_nothing_is_made() -> None:
    world = World()
    fall_behind(world, until=0)
    outcome = world.run(timeout=10)
    assert outcome.exit_status is ExitStatus.TIMED_OUT
    assert world.seconds == pytest.approx(10, abs=1)
    assert world.lightningd.invoices == {}
    assert outcome.error is not None
    assert BEHIND["warning_lightningd_sync"] in outcome.error.message


def test_dry_run_of_a_node_behind_the_chain_says_so_and_does_not_wait() -> None:
    world = World()
    fall_behind(world, until=0)
    outcome = world.run(dry_run=True)
    assert outcome.exit_status is ExitStatus.PAID
    assert world.seconds == 0
    assert any("behind" in text or "catch up" in text for text in outcome.warnings)


def test_node_that_fell_behind_during_the_wait_is_named_at_the_end() -> None:
    world = World()
    world.at(3, lambda: fall_behind(world, until=0))
    world.at(90, world.expire)
    outcome = world.run()
    assert outcome.exit_status is ExitStatus.TIMED_OUT
    assert outcome.error is not None
    assert "behind the chain" in outcome.error.message


def test_copies_of_a_resumed_invoice_wait_for_the_peers_as_well() -> None:
    earlier = World()
    earlier.run(timeout=90)
    world = World()
    world.lightningd.invoices = earlier.lightningd.invoices
    world.lightningd.change(LABEL, status="unpaid")
    world.peers_away(6)
    world.at(20, world.pay)
    assert world.run().exit_status is ExitStatus.PAID
    assert world.copies_at[0] == pytest.approx(6, abs=1)


def test_invoice_that_exists_is_not_held_back_for_ever() -> None:
    world = World(away_seconds=1, channels_seconds=1000)
    world.at(3, world.go_away)
    world.at(80, world.pay)
    assert world.run().exit_status is ExitStatus.PAID
    # The copy was due at 8.
    assert world.copies_at[1] == pytest.approx(8 + HOLD_SECONDS, abs=1)


def test_call_about_our_channels_that_fails_ends_no_wait_for_an_invoice_that_exists() -> None:
    world = World()

    def refuse() -> None:
        world.lightningd.answers["listpeerchannels"] = {"channels": "nonsense"}
        world.go_away()

    world.at(3, refuse)
    world.at(30, world.pay)
    assert world.run().exit_status is ExitStatus.PAID
