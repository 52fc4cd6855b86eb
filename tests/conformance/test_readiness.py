"""A lightningd that has just started: away from its peers, behind the chain, or on its way down."""

from __future__ import annotations

import pytest

from sendinvoice_cli.errors import ExitStatus
from tests.networks.faults import CallFault, Sync
from tests.networks.timed import PAYER, RECEIVER, ROUTER, Run, TimedNetwork, wait_for

from .conftest import in_both_ways

pytestmark = in_both_ways

AMOUNT_MSAT = 6_000


def _waits(run: Run) -> list[str]:
    return [step for step in run.told.steps if step.startswith("Waiting for")]


def _start(still: TimedNetwork, timeout: int = 90) -> Run:
    """Begin to answer a request, up to what the command waits for first."""
    run = still.run(still.sandbox.request(PAYER, AMOUNT_MSAT), timeout=timeout)
    wait_for(lambda: run.is_over or _waits(run), "what it waits for")
    return run


def test_no_invoice_is_made_before_the_channel_peers_are_back(still: TimedNetwork) -> None:
    """A payer that tries one remembers the failed channel."""
    still.sandbox.restart_node(RECEIVER, peers_later=True)
    run = _start(still)
    assert _waits(run) == ["Waiting for a channel peer to connect"]
    run.skip_wait()
    assert still.invoices() == []
    still.sandbox.return_peers(RECEIVER)

    assert run.outcome_in_time().exit_status == ExitStatus.PAID
    assert [each.status for each in still.spent()] == ["complete"]


def test_peers_that_stay_away_are_no_reason_for_another_channel(still: TimedNetwork) -> None:
    still.sandbox.restart_node(RECEIVER, peers_later=True)
    began_at = still.clock()
    outcome = _start(still, timeout=20).outcome_in_time()

    assert outcome.exit_status == ExitStatus.NO_ROUTE
    assert outcome.error is not None
    assert "channel peers" in outcome.error.message
    assert "open" not in f"{outcome.error.message} {outcome.error.hint}"
    assert still.clock() >= began_at + 20
    assert still.invoices() == []


@pytest.mark.parametrize("sync", list(Sync), ids=lambda sync: sync.name.lower())
def test_no_invoice_is_made_behind_the_chain(still: TimedNetwork, sync: Sync) -> None:
    """lightningd would defer the payment."""
    still.sandbox.faults.fall_behind(RECEIVER, sync)
    run = _start(still)
    assert sync.value[1].rstrip(".") in _waits(run)[0]
    run.skip_wait()
    assert still.invoices() == []
    still.sandbox.faults.catch_up(RECEIVER)

    assert run.outcome_in_time().exit_status == ExitStatus.PAID


def test_a_node_that_stays_behind_the_chain_is_the_error(still: TimedNetwork) -> None:
    still.sandbox.faults.fall_behind(RECEIVER)
    outcome = _start(still, timeout=20).outcome_in_time()

    assert outcome.exit_status == ExitStatus.TIMED_OUT
    assert outcome.error is not None
    assert "still behind the chain" in outcome.error.message
    assert still.invoices() == []


def test_a_payment_that_is_deferred_behind_the_chain_names_it(still: TimedNetwork) -> None:
    """lightningd falls behind after the invoice was sent."""
    hold = still.sandbox.faults.hold_payments(PAYER)
    run = still.run(still.sandbox.request(PAYER, AMOUNT_MSAT), timeout=20)
    still.await_arrival(1)
    still.sandbox.faults.fall_behind(RECEIVER)
    hold.release()
    outcome = run.outcome_in_time()

    assert outcome.exit_status == ExitStatus.TIMED_OUT
    assert outcome.error is not None
    assert "behind the chain" in outcome.error.message


def test_a_connection_that_hangs_does_not_outlast_the_timeout(still: TimedNetwork) -> None:
    still.sandbox.disconnect(ROUTER, RECEIVER)
    still.sandbox.faults.break_call(RECEIVER, "connect", CallFault.NEVER, times=10**6)
    began_at = still.clock()
    outcome = still.run(still.sandbox.request(PAYER, AMOUNT_MSAT), timeout=20).outcome_in_time()

    assert outcome.exit_status == ExitStatus.NO_ROUTE
    assert still.clock() == pytest.approx(began_at + 20, abs=1)
    assert still.invoices() == []


def test_a_node_that_shuts_down_before_the_invoice_exists(still: TimedNetwork) -> None:
    """It is as good as gone, and comes back."""

    def come_back(seconds: float) -> None:
        still.clock.advance(seconds)
        still.sandbox.faults.clear()

    def shut_down(method: str) -> None:
        if method == "createinvoice" and not closed:
            closed.append(method)
            still.sandbox.faults.shut_down(RECEIVER)

    closed: list[str] = []
    run = still.run(
        still.sandbox.request(PAYER, AMOUNT_MSAT), before_call=shut_down, sleep=come_back
    )

    assert run.outcome_in_time().exit_status == ExitStatus.PAID
    assert closed
    assert [each["created_index"] for each in still.invoices()] == [1]
