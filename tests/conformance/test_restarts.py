"""lightningd goes away and comes back, at any instant; or stays away."""

from __future__ import annotations

import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from subprocess import Popen
from typing import Any

import pytest

from sendinvoice_cli.answering.deadline import LAST_WORD_SECONDS
from sendinvoice_cli.errors import ExitStatus
from sendinvoice_cli.outcome import Outcome
from sendinvoice_cli.sandbox.model.family import Family
from tests.networks import Network, finish
from tests.networks.faults import CallFault
from tests.networks.runs import paid_msat, read_until
from tests.networks.timed import PAYER, RECEIVER, ROUTER, Run, Spending, TimedNetwork, wait_for
from tests.support.schema import check_paid, check_result, lasting

from .conftest import HELPER, in_both_ways
from .test_interruption import boundaries_in_both_ways

Start = Callable[..., Popen[str]]
Launch = Callable[..., TimedNetwork]

AMOUNT_MSAT = 3_000

newest = pytest.mark.parametrize("network", ["v26.06", "lightningd"], indirect=True)

AWAY = re.compile("trying to reach it again")
BACK = re.compile("lightningd is back")


def reconnect(network: Network) -> None:
    """After the receiver's restart: have payments reach it again."""
    (address,) = network.router.rpc("getinfo")["binding"]
    receiver, router = network.receiver, network.router
    receiver.rpc("connect", id=router.id, host=address["address"], port=address["port"])

    def is_ready() -> bool:
        channels = router.rpc("listpeerchannels", id=receiver.id)["channels"]
        return any("reestablished" in line for each in channels for line in each["status"])

    if not network.name.startswith("sandbox"):
        wait_for(is_ready, "the channel")


# --- while it waits ---


@in_both_ways
@pytest.mark.parametrize("network", ["lightningd"], indirect=True)
def test_payer_that_tried_while_lightningd_was_away_is_paid_later(
    network: Network, label: str, start: Start
) -> None:
    """Its xpay then avoids our public channel for an hour: only the spare path is left."""
    request = network.request(AMOUNT_MSAT)
    with ExitStack() as absence:
        with network.frozen(network.payer):
            first = start("--json", "-v", request, label)
            read_until(first, re.compile("Route: "))
            payment_hash = network.receiver.rpc("listinvoices", label=label)["invoices"][0][
                "payment_hash"
            ]
            absence.enter_context(network.stopped(network.receiver))

        def states() -> set[str]:
            pays = network.payer.rpc("listpays", payment_hash=payment_hash)["pays"]
            return {pay["status"] for pay in pays}

        try:
            wait_for(lambda: states() == {"failed"}, "the payer's attempt")
        finally:
            absence.close()
            reconnect(network)

    result = finish(first)

    assert result.exit == 0, result
    # What is pending has no amount yet.
    wait_for(lambda: "complete" in states(), "the payer's record")
    assert paid_msat(network, request) == [AMOUNT_MSAT]


@in_both_ways
def test_restart_while_waiting(network: Network, label: str, start: Start) -> None:
    request = network.request(AMOUNT_MSAT)
    with network.hushed(request) as mailbox:
        first = start("--json", "-v", request, label)
        wait_for(mailbox.invoices, "the invoice at the payer")
        with network.stopped(network.receiver):
            read_until(first, AWAY)
        read_until(first, BACK)
        wait_for(lambda: network.receiver.plugins(HELPER), "the helper")
        assert first.poll() is None
        reconnect(network)

    second = network.run("--json", request, label)
    result = finish(first)

    assert (second.exit, result.exit) == (0, 0), result
    check_paid(result.json)
    assert lasting(result.json) == lasting(second.json)
    assert "cannot hear" not in result.stderr
    assert paid_msat(network, request) == [AMOUNT_MSAT]


@in_both_ways
@newest
def test_payment_during_an_absence_is_found_out(network: Network, label: str, start: Start) -> None:
    """lightningd restarts and the payment comes while the command sleeps."""
    request = network.request(AMOUNT_MSAT)
    with network.hushed(request) as mailbox:
        first = start("--json", "-v", request, label)
        wait_for(mailbox.invoices, "the invoice at the payer")
        first.send_signal(signal.SIGSTOP)
        with network.stopped(network.receiver):
            pass
        reconnect(network)
    second = network.run("--json", request, label)

    first.send_signal(signal.SIGCONT)
    result = finish(first)

    assert (second.exit, result.exit) == (0, 0), result
    assert BACK.search(result.stderr)
    assert lasting(result.json) == lasting(second.json)
    assert paid_msat(network, request) == [AMOUNT_MSAT]


@in_both_ways
@newest
def test_lightningd_stays_away(network: Network, label: str, start: Start) -> None:
    request = network.request(AMOUNT_MSAT)
    with network.hushed(request) as mailbox:
        process = start("--json", request, label, "--timeout", 3)
        wait_for(mailbox.invoices, "the invoice at the payer")
        invoice = network.receiver.invoice(label)
        with network.stopped(network.receiver):
            result = finish(process)
    reconnect(network)

    assert invoice is not None
    assert result.exit == 5
    assert result.seconds < 5
    check_result(result.json, 5)
    assert result.json["bolt12"] == invoice["bolt12"]
    assert "outcome unknown" in result.json["error"]["message"]
    assert label in result.json["error"]["message"]
    # With --json, a batch has no hints.
    assert network.in_batch or f"lightning-cli listinvoices {label}" in result.stderr


# --- in a sandbox where time stands still ---


def request(still: TimedNetwork) -> str:
    return still.sandbox.request(PAYER, AMOUNT_MSAT)


def assert_paid(outcome: Outcome, still: TimedNetwork) -> None:
    assert (outcome.exit_status, outcome.error) == (ExitStatus.PAID, None)
    (invoice,) = still.invoices()
    assert (invoice["status"], invoice["created_index"]) == ("paid", 1)
    assert outcome.known["payment_hash"] == invoice["payment_hash"]
    assert still.spent() == [Spending("complete", AMOUNT_MSAT)]


def sleep(still: TimedNetwork, seconds: float) -> None:
    """Wait until a restart that an observer asked for has ended, then move the clock."""
    still.sandbox.settle()
    still.clock.advance(seconds)


def run(still: TimedNetwork, invreq: str, **more: Any) -> Run:
    return still.run(invreq, sleep=partial(sleep, still), **more)


def start_receiver(still: TimedNetwork, seconds: float) -> None:
    """Have a receiver that was stopped come back meanwhile."""
    still.sandbox.start_node(RECEIVER)
    still.clock.advance(seconds)


#: The first calls: a lightningd that does not answer these cannot be reached.
FIRST = ("getinfo", "listconfigs", "help")
#: The calls that prepare the invoice. Calls that start the helper go on beside them.
PREPARING = (*FIRST, "listnodes", "listpeers", "listpeerchannels")


def breaks() -> Iterator[tuple[bool, str, int, str, str]]:
    """How a connection breaks, and where: closed, and after the preparation also by a restart."""
    for (method, number, phase), ways in boundaries_in_both_ways(Family.V26_06).items():
        for in_batch in ways:
            yield in_batch, method, number, phase, "closed"
            if not is_preparing(method, number):
                yield in_batch, method, number, phase, "restarted twice"


def is_preparing(method: str, number: int) -> bool:
    return method in PREPARING or (method, number) == ("listinvoices", 1)


@pytest.mark.parametrize(("in_batch", "method", "number", "phase", "how"), list(breaks()))
def test_connection_breaks_at_a_call(
    still: TimedNetwork, method: str, number: int, phase: str, how: str
) -> None:
    """At the first calls, the command ends (4); from then on, it repeats the step."""
    seen: Counter[str] = Counter()
    faults = still.sandbox.faults
    fault = CallFault.CLOSE_BEFORE if phase == "before" else CallFault.CLOSE_AFTER
    hold = faults.hold_payments(PAYER)
    remaining = 0 if how == "closed" else 2

    def observe(node: str, called: str, now: str) -> None:
        nonlocal remaining
        if node != RECEIVER:
            return
        seen[called] += now == "before"
        if how == "closed" and (called, seen[called], now) == (method, number - 1, "before"):
            faults.break_call(RECEIVER, method, fault)
        if remaining and seen[method] >= number and (called, now) == (method, phase):
            remaining -= 1
            still.sandbox.restart_node(RECEIVER)
        if called == "sendinvoice-replies":
            hold.release()

    if how == "closed" and number == 1:
        faults.break_call(RECEIVER, method, fault)
    still.sandbox.observe_calls(observe)
    invreq = request(still)
    outcome = run(still, invreq).outcome_in_time()
    still.sandbox.observe_calls(None)
    hold.release()

    if method in FIRST:
        assert outcome.exit_status == ExitStatus.UNREACHABLE
        assert still.invoices() == []
        still.sandbox.settle()
        outcome = run(still, invreq).outcome_in_time()
    assert_paid(outcome, still)


@in_both_ways
@pytest.mark.parametrize("fault", [CallFault.CLOSE_BEFORE, CallFault.CLOSE_AFTER])
def test_lightningd_stays_away_after_createinvoice(still: TimedNetwork, fault: CallFault) -> None:
    """Nobody knows whether it has stored the invoice."""
    still.sandbox.faults.break_call(RECEIVER, "createinvoice", fault)
    sleeps: list[float] = []

    def stop(seconds: float) -> None:
        if not sleeps:
            still.sandbox.stop_node(RECEIVER)
        sleeps.append(seconds)
        still.clock.advance(seconds)

    invreq = request(still)
    outcome = still.run(invreq, timeout=20, sleep=stop).outcome()

    assert outcome.exit_status == ExitStatus.OUTCOME_UNKNOWN
    assert sleeps[:7] == [0.1, 0.2, 0.5, 1, 2, 5, 5]
    assert sum(sleeps) >= 20
    still.sandbox.start_node(RECEIVER)
    again = still.run(invreq, renew=True).outcome()
    assert again.exit_status == ExitStatus.PAID
    assert still.spent() == [Spending("complete", AMOUNT_MSAT)]


@in_both_ways
def test_lightningd_is_gone_when_the_invoice_is_to_be_created(still: TimedNetwork) -> None:
    """Then it certainly does not exist."""
    stopped: list[str] = []

    def stop(method: str) -> None:
        if method == "createinvoice":
            stopped.append(method)
            still.sandbox.stop_node(RECEIVER)

    outcome = still.run(request(still), no_replies=True, before_call=stop).outcome()

    assert outcome.exit_status == ExitStatus.UNREACHABLE
    assert len(stopped) == 1
    assert still.sandbox.call(RECEIVER, "listinvoices")["invoices"] == []


@in_both_ways
def test_lightningd_is_gone_while_a_resumed_invoice_is_prepared(still: TimedNetwork) -> None:
    """An earlier run has sent it, so it may be paid."""
    still.sandbox.faults.be_silent(PAYER)
    invreq = request(still)
    still.run(invreq)
    still.await_arrival(1)

    def stop(method: str) -> None:
        if method == "listpeers":
            still.sandbox.stop_node(RECEIVER)

    outcome = still.run(invreq, no_replies=True, before_call=stop).outcome()

    assert outcome.exit_status == ExitStatus.OUTCOME_UNKNOWN
    assert "bolt12" in outcome.known


@in_both_ways
def test_payment_while_the_command_cannot_reach_lightningd(still: TimedNetwork) -> None:
    hold = still.sandbox.faults.hold_payments(PAYER)
    attempts: list[float] = []

    def miss(seconds: float) -> None:
        attempts.append(seconds)
        still.clock.advance(seconds)
        if len(attempts) == 3:
            still.sandbox.start_node(RECEIVER)
            hold.release()
            wait_for(still.has_spent, "the payment")

    command = still.run(request(still), sleep=miss)
    still.await_arrival(1)
    still.sandbox.stop_node(RECEIVER)
    outcome = command.outcome()

    assert_paid(outcome, still)
    assert len(attempts) == 3
    assert outcome.known["updated_index"] == 1


@in_both_ways
@pytest.mark.parametrize(
    ("away_seconds", "status"),
    [
        (0.5, ExitStatus.TIMED_OUT),
        (LAST_WORD_SECONDS - 10, ExitStatus.TIMED_OUT),
        (LAST_WORD_SECONDS + 1, ExitStatus.OUTCOME_UNKNOWN),
    ],
)
def test_lightningd_is_away_at_the_deadline(
    still: TimedNetwork, away_seconds: float, status: ExitStatus
) -> None:
    """It has the last word, if it comes back soon enough."""
    still.sandbox.faults.be_silent(PAYER)
    back_at = 0.0

    def stop(method: str) -> None:
        nonlocal back_at
        if method == "listinvoices" and command.is_following and not back_at:
            back_at = still.clock() + away_seconds
            still.sandbox.stop_node(RECEIVER)

    def wait_away(seconds: float) -> None:
        if still.clock() >= back_at:
            still.sandbox.start_node(RECEIVER)
        still.clock.advance(seconds)

    command = still.run(request(still), timeout=7, sleep=wait_away, before_call=stop)
    outcome = command.outcome_in_time()

    assert outcome.exit_status == status
    assert "bolt12" in outcome.known
    assert outcome.known["status"] == ("expired" if status == ExitStatus.TIMED_OUT else "unpaid")


@in_both_ways
def test_peers_take_a_while_after_a_restart(still: TimedNetwork) -> None:
    """The first copy cannot be sent, since lightningd has found nobody yet."""

    def restart(method: str) -> None:
        if method == "createonion" and len(command.client.made(method)) == 1:
            still.sandbox.disconnect(ROUTER, RECEIVER)
            still.sandbox.restart_node(RECEIVER)

    still.sandbox.faults.break_call(RECEIVER, "createonion", CallFault.CLOSE_BEFORE)
    command = run(still, request(still), before_call=restart)
    wait_for(lambda: "lightningd is back" in command.told.steps, "lightningd's return")
    while not command.client.made("injectonionmessage"):
        command.skip_wait()
    still.sandbox.connect(ROUTER, RECEIVER)

    assert_paid(command.outcome_in_time(), still)


@in_both_ways
def test_payer_that_tried_before_our_channels_were_back_is_paid_by_the_spare_path(
    still: TimedNetwork,
) -> None:
    """It avoids our public channel for an hour: every copy would fail."""

    def come_back(seconds: float) -> None:
        still.clock.advance(seconds)
        still.sandbox.start_node(RECEIVER, channels_later=True)

    still.sandbox.freeze_node(PAYER)
    command = still.run(request(still), sleep=come_back)
    wait_for(lambda: any("→" in step for step in command.told.steps), "the copy")
    wait_for(lambda: command.is_waiting, "the wait for the payment")
    # The message gets as far as the payer.
    still.sandbox.settle()
    still.sandbox.stop_node(RECEIVER)
    wait_for(lambda: "lightningd is back" in command.told.steps, "lightningd's return")
    still.sandbox.thaw_node(PAYER)
    wait_for(still.has_spent, "the payer's attempt")
    failed = still.spent()
    still.sandbox.reestablish_channels(RECEIVER)

    assert failed == [Spending("failed", AMOUNT_MSAT)]
    assert_paid(command.outcome_in_time(), still)


@in_both_ways
def test_replies_are_heard_after_a_restart(still: TimedNetwork) -> None:
    """Even replies to a copy from before the restart."""
    faults = still.sandbox.faults
    faults.delay_message(seconds=6, at=PAYER)
    faults.refuse(PAYER, "not this one")
    command = still.run(request(still), timeout=12, sleep=partial(start_receiver, still))
    wait_for(lambda: command.is_waiting, "the wait for answers")

    still.sandbox.stop_node(RECEIVER)
    wait_for(lambda: "lightningd is back" in command.told.steps, "lightningd's return")
    wait_for(still.helpers, "the helper")
    wait_for(lambda: command.is_waiting, "the wait to go on")
    still.clock.advance(6)

    outcome = command.outcome()
    assert outcome.exit_status == ExitStatus.PAYER_ERROR
    assert outcome.error is not None
    assert outcome.error.data == {"error": "not this one"}
    assert still.clock() < outcome.known["expires_at"]


@in_both_ways
def test_helper_that_lightningd_ends_first_is_started_after_the_restart(
    still: TimedNetwork,
) -> None:
    """A lightningd that is shutting down starts no plugins."""
    faults = still.sandbox.faults
    faults.be_silent(PAYER)
    command = still.run(request(still), sleep=partial(start_receiver, still))
    wait_for(lambda: command.is_waiting, "the wait for answers")
    faults.refuse_plugins(RECEIVER, -5, "lightningd is shutting down")
    still.sandbox.call(RECEIVER, "plugin", subcommand="stop", plugin=HELPER)
    wait_for(lambda: command.told.warnings, "the end of the helper")
    assert still.helpers() == 0

    faults.clear()
    still.sandbox.stop_node(RECEIVER)

    wait_for(still.helpers, "the helper")
    assert command.outcome_in_time().exit_status == ExitStatus.PAID
