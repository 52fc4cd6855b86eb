"""What happens while an invoice waits to be paid: to a single send and a row of a batch alike."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from sendinvoice_cli.answering.waiting import RETRY_INTERVALS
from sendinvoice_cli.errors import ExitStatus
from sendinvoice_cli.node.events.reply_plugin import EXPECT, REPLIES
from sendinvoice_cli.sandbox.model.family import Family
from sendinvoice_cli.sandbox.model.topology import NodeSpec, Topology
from tests.networks import SENT, Network, timed
from tests.networks.faults import CallFault
from tests.networks.timed import PAYER, RECEIVER, TimedNetwork, wait_for

from .conftest import in_both_ways

AMOUNT_MSAT = 6_000

#: What differs from one send to the next: node ids, times, and what channels can receive.
NUMBER = re.compile(r"[0-9a-f]{16,}|\d{6,}|\d+(,\d+)+|\d+:\d+(:\d+)?")


@in_both_ways
def test_refusal_that_is_faster_than_the_call_that_sends_is_heard(still: TimedNetwork) -> None:
    still.sandbox.faults.refuse(PAYER, "not this one")
    run = still.run(still.sandbox.request(PAYER, AMOUNT_MSAT), before_call=lambda _: None)

    def be_slow(method: str, _answer: object) -> None:
        if method == "injectonionmessage":
            # It is asked for the next answer once this one is told.
            wait_for(lambda: len(run.client.made(REPLIES)) == 2, "the refusal")

    run.client.after_call = be_slow
    outcome = run.outcome()

    assert outcome.exit_status == ExitStatus.PAYER_ERROR
    assert run.waits == []


def attempts(run: timed.Run) -> list[str]:
    """What was told of attempts to pay that failed."""
    return [step for step in run.told.steps if "could not pay yet" in step]


@in_both_ways
def test_payer_that_cannot_pay_yet_is_asked_again_and_pays_the_same_invoice(
    still: TimedNetwork,
) -> None:
    still.sandbox.faults.fail_payments(PAYER, times=2)
    run = still.run(still.sandbox.request(PAYER, AMOUNT_MSAT))
    for number, seconds in enumerate(RETRY_INTERVALS[:2], start=1):
        wait_for(lambda: len(attempts(run)) == number, f"attempt {number}")  # noqa: B023
        assert f"sending the invoice again in {seconds} s" in attempts(run)[-1]
        assert run.skip_wait() == seconds
    outcome = run.outcome_in_time()

    assert outcome.exit_status == ExitStatus.PAID
    assert still.arrived() == 3
    assert [invoice["created_index"] for invoice in still.invoices()] == [1]


@in_both_ways
def test_payer_that_has_given_up_ends_the_wait_at_once(still: TimedNetwork) -> None:
    """As LDK says it; LDK ignores every copy from then on."""
    still.sandbox.faults.fail_payments(PAYER, as_ldk=True)
    run = still.run(still.sandbox.request(PAYER, AMOUNT_MSAT), timeout=86_400)
    outcome = run.outcome_in_time()

    assert outcome.exit_status == ExitStatus.PAYER_ERROR
    assert outcome.error is not None
    assert outcome.error.data == {"error": "RouteNotFound"}
    assert outcome.error.hint == "ask the payer for a new request"
    assert still.arrived() == 1


@in_both_ways
def test_payer_that_never_can_pay_is_an_error_in_its_words_but_only_at_the_deadline(
    still: TimedNetwork,
) -> None:
    still.sandbox.faults.fail_payments(PAYER, text="out of order")
    run = still.run(still.sandbox.request(PAYER, AMOUNT_MSAT), timeout=20)
    wait_for(lambda: attempts(run), "the attempt")
    outcome = run.outcome_in_time()

    assert outcome.exit_status == ExitStatus.PAYER_ERROR
    assert outcome.error is not None
    assert outcome.error.message.endswith("could not pay the invoice: out of order")
    assert still.clock() >= outcome.known["expires_at"]
    assert still.arrived() > 1


@in_both_ways
def test_connection_that_hangs_does_not_hold_up_the_deadline(
    launch: Callable[..., TimedNetwork],
) -> None:
    """The first copy went over a connection that is gone when the second one is due."""
    still = launch(Family.V26_06, Topology(tuple(NodeSpec(each) for each in (PAYER, RECEIVER))))
    still.sandbox.faults.be_silent(PAYER)
    run = still.run(still.sandbox.request(PAYER, AMOUNT_MSAT), timeout=20)
    still.await_arrival(1)
    wait_for(lambda: run.is_waiting, "the wait")
    still.sandbox.disconnect(PAYER, RECEIVER)
    still.sandbox.faults.break_call(RECEIVER, "connect", CallFault.NEVER, times=10**6)

    run.skip_wait()
    wait_for(lambda: len(run.client.made("connect")) == 2, "the attempt to connect")
    assert not run.is_over
    still.clock.advance(12)

    outcome = run.outcome()
    assert outcome.exit_status == ExitStatus.TIMED_OUT
    assert still.clock() == outcome.known["expires_at"]


@in_both_ways
def test_invoice_that_is_deleted_ends_the_wait_at_once(still: TimedNetwork) -> None:
    still.sandbox.faults.be_silent(PAYER)
    run = still.run(still.sandbox.request(PAYER, AMOUNT_MSAT))
    wait_for(lambda: run.is_waiting, "the wait")
    begun = still.clock()

    still.sandbox.call(RECEIVER, "delinvoice", label="a label", status="unpaid")

    outcome = run.outcome()
    assert outcome.exit_status == ExitStatus.ERROR
    assert outcome.error is not None
    assert "was deleted" in outcome.error.message
    assert still.clock() == begun


@in_both_ways
def test_deletion_of_other_invoices_changes_nothing(still: TimedNetwork) -> None:
    hold = still.sandbox.faults.hold_payments(PAYER)
    still.sandbox.call(RECEIVER, "invoice", amount_msat=1, label="other", description="")
    run = still.run(still.sandbox.request(PAYER, AMOUNT_MSAT))
    still.await_arrival(1)
    wait_for(lambda: run.is_waiting, "the wait")

    still.sandbox.call(RECEIVER, "delinvoice", label="other", status="unpaid")
    hold.release()

    assert run.outcome().exit_status == ExitStatus.PAID


@in_both_ways
def test_helper_keeps_nothing_for_a_command_that_was_interrupted(still: TimedNetwork) -> None:
    """Its room is limited, and it would keep each session for as long as the invoice lives."""
    still.sandbox.faults.be_silent(PAYER)
    run = still.run(still.sandbox.request(PAYER, AMOUNT_MSAT), timeout=3600)
    wait_for(lambda: run.is_waiting, "the wait")

    run.abandon()
    run.end()

    *_, last = run.client.made(EXPECT)
    assert (last["pathsecrets"], last["until"] <= still.clock()) == ([], True)


def start_receiver(still: TimedNetwork, seconds: float) -> None:
    """Have a receiver that was stopped come back meanwhile."""
    still.sandbox.start_node(RECEIVER)
    still.clock.advance(seconds)


def test_steps_are_told_alike() -> None:
    """A copy that is lost, and a restart in between."""
    told = []
    for in_batch in (False, True):
        with timed.network(in_batch=in_batch) as still:
            still.sandbox.faults.drop_message(at=PAYER)
            invreq = still.sandbox.request(PAYER, AMOUNT_MSAT)
            run = still.run(invreq, sleep=partial(start_receiver, still))
            wait_for(partial(getattr, run, "is_waiting"), "the wait")
            still.sandbox.stop_node(RECEIVER)
            wait_for(partial(run.told.steps.count, "lightningd is back"), "lightningd's return")
            # A batch follows two indexes, and asks before where they are.
            follows, times = ("wait", 6) if in_batch else ("waitinvoice", 2)
            wait_for(
                lambda: len(run.client.made(follows)) == times,  # noqa: B023
                "the invoice to be followed again",
            )
            assert run.outcome_in_time().exit_status == ExitStatus.PAID
            told.append((run.told.steps, len(run.told.warnings)))

    assert "Nothing heard yet; sending the invoice again" in told[0][0]
    assert "lightningd is back" in told[0][0]
    assert [NUMBER.sub("…", each) for each in told[0][0]] == [
        NUMBER.sub("…", each) for each in told[1][0]
    ]
    assert told[0][1] == told[1][1] == 1


@pytest.mark.parametrize("network", ["v26.06", "lightningd"], indirect=True)
def test_verbose_prints_alike(network: Network, label: str) -> None:
    printed = []
    for in_batch in (False, True):
        command = replace(network, in_batch=in_batch)
        request = network.request(AMOUNT_MSAT)
        result = command.run("--json", "-v", request, f"{label}-{in_batch}")
        assert result.exit == 0, result
        assert SENT.search(result.stderr)
        lines = [line for line in result.stderr.splitlines() if "call " not in line]
        # In a batch, each line names its row.
        printed.append([NUMBER.sub("…", line.replace(" row 1: ", " ")) for line in lines])

    assert printed[0] == printed[1]
    assert any("Waiting until" in line for line in printed[0])
