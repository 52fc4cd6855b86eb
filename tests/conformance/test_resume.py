"""The same label again: the command continues with the first invoice, and makes no other."""

from __future__ import annotations

import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from subprocess import Popen

import pytest

from sendinvoice_cli.bolt12 import string
from sendinvoice_cli.errors import ExitStatus
from tests.networks import SENT, Network, Result, finish, wait_for
from tests.networks.runs import paid_msat
from tests.networks.timed import PAYER, RECEIVER, ROUTER, Spending, TimedNetwork
from tests.support.schema import check_paid, check_result

from .conftest import in_both_ways

pytestmark = in_both_ways

Start = Callable[..., Popen[str]]

AMOUNT_MSAT = 9_000

#: For what depends on the command alone.
newest = pytest.mark.parametrize("network", ["v26.06", "lightningd"], indirect=True)


def assert_all_paid(results: list[Result]) -> None:
    """Each of the commands has ended well, with the same invoice."""
    for result in results:
        assert result.exit == 0, result
        check_paid(result.json)
    assert len({result.json["payment_hash"] for result in results}) == 1


def interrupt(process: Popen[str]) -> Result:
    process.send_signal(signal.SIGINT)
    return finish(process)


def expire(network: Network, request: str, label: str) -> Result:
    """Leave an expired, unpaid invoice under the label."""
    with network.hushed(request):
        result = network.run("--json", request, label, "--timeout", 1)
    assert result.exit == 15, result
    return result


# --- which invoice ---


def test_another_invoice_under_the_label_is_neither_waited_for_nor_reported(
    network: Network, label: str, start: Start
) -> None:
    """Its payment was reported as the first one's: exit 0, with the other hash."""
    request = network.request(AMOUNT_MSAT)
    with network.hushed(request) as mailbox:
        process = start("--json", request, label, "--timeout", 20)
        wait_for(mailbox.invoices, "the invoice at the payer")
        network.receiver.rpc("delinvoice", label=label, status="unpaid")
        other = network.run("--json", network.request(AMOUNT_MSAT, "another"), label)
        result = finish(process)

    assert other.exit == 0, other
    assert result.exit == 1, result
    assert result.json["payment_hash"] != other.json["payment_hash"]
    assert result.json["status"] == "unpaid"
    assert "was deleted" in result.json["error"]["message"]


# --- the table ---


def test_unpaid_invoice_is_sent_again_and_waited_for(
    network: Network, label: str, start: Start
) -> None:
    request = network.request(AMOUNT_MSAT)
    with network.hushed(request) as mailbox:
        process = start("--json", request, label)
        wait_for(mailbox.invoices, "the invoice at the payer")
        first = interrupt(process)
        again = start("--json", request, label)
        wait_for(lambda: len(mailbox.invoices()) == 2, "the same invoice again")
        second = interrupt(again)
        copies = mailbox.invoices()

    last = network.run("--json", "-v", request, label)

    assert (first.exit, second.exit) == (130, 130)
    assert set(copies) == {string.decode(first.json["bolt12"], "lni")}
    assert_all_paid([last])
    assert last.json["bolt12"] == second.json["bolt12"] == first.json["bolt12"]
    assert "call createinvoice" not in last.stderr
    assert paid_msat(network, request) == [AMOUNT_MSAT]


@newest
def test_unpaid_invoice_is_waited_for_until_it_expires(
    network: Network, label: str, start: Start
) -> None:
    """The invoice's expiry counts, not the second command's TIMEOUT."""
    request = network.request(AMOUNT_MSAT)
    with network.hushed(request) as mailbox:
        process = start("--json", request, label, "--timeout", 4)
        wait_for(mailbox.invoices, "the invoice at the payer")
        first = interrupt(process)
        second = network.run("--json", request, label, "--timeout", 3600)

    assert second.exit == 15
    assert second.seconds < 7
    assert second.json["expires_at"] == first.json["expires_at"]
    assert second.json["status"] == "expired"


@newest
def test_another_spelling_is_the_same_request(network: Network, label: str) -> None:
    request = network.request(AMOUNT_MSAT)
    first = network.run("--json", request, label)
    spelled = f"LIGHTNING:{request[:50]}+\n {request[50:]}".upper()

    again = network.run("--json", "-v", spelled, label, AMOUNT_MSAT, 60)

    assert_all_paid([first, again])
    assert not SENT.search(again.stderr)


@newest
def test_renew_makes_no_difference_where_nothing_has_expired(
    network: Network, label: str, start: Start
) -> None:
    """Absent, unpaid and paid."""
    request = network.request(AMOUNT_MSAT)
    with network.hushed(request) as mailbox:
        process = start("--json", "--renew", request, label)
        wait_for(mailbox.invoices, "the invoice at the payer")
        first = interrupt(process)

    second = network.run("--json", "--renew", request, label)
    third = network.run("--json", "-v", "--renew", request, label)

    assert first.exit == 130
    assert_all_paid([second, third])
    assert second.json["payment_hash"] == first.json["payment_hash"]
    assert not SENT.search(third.stderr)


@newest
def test_renew_leaves_expired_invoices_of_others_alone(network: Network, label: str) -> None:
    request = network.request(AMOUNT_MSAT)
    expired = expire(network, request, label)
    before = network.receiver.invoice(label)

    other_request = network.run("--json", "--renew", network.request(AMOUNT_MSAT), label)
    amount = ("--amount-msat", AMOUNT_MSAT - 1)
    other_amount = network.run("--json", "--renew", request, label, *amount)

    for result in (other_request, other_amount):
        assert result.exit == 20
        check_result(result.json, 20)
    assert network.receiver.invoice(label) == before
    assert expired.json["status"] == "expired"


def test_renewed_invoice_is_paid(network: Network, label: str) -> None:
    request = network.request(AMOUNT_MSAT)
    expired = expire(network, request, label)

    dry = network.run("--json", "--renew", "--dry-run", request, label)
    kept = network.receiver.invoice(label)
    renewed = network.run("--json", "--renew", request, label)

    assert dry.exit == 0
    assert kept is not None
    assert kept["payment_hash"] == expired.json["payment_hash"]
    assert_all_paid([renewed])
    assert renewed.json["payment_hash"] != expired.json["payment_hash"]
    assert paid_msat(network, request) == [AMOUNT_MSAT]


def expired(still: TimedNetwork) -> str:
    """A request whose invoice has expired."""
    invreq = still.sandbox.request(PAYER, AMOUNT_MSAT)
    still.sandbox.faults.be_silent(PAYER)
    assert still.run(invreq, timeout=10).outcome_in_time().exit_status == ExitStatus.TIMED_OUT
    still.sandbox.faults.behave(PAYER)
    return invreq


def test_expired_invoice_is_kept_when_it_cannot_be_renewed(still: TimedNetwork) -> None:
    invreq = expired(still)
    before = still.invoices()
    still.sandbox.disconnect(ROUTER, RECEIVER)

    outcome = still.run(invreq, renew=True, no_connect=True).outcome_in_time()

    assert outcome.exit_status == ExitStatus.NO_ROUTE
    assert still.invoices() == before


def test_replies_are_heard_for_as_long_as_a_resumed_invoice_lives(still: TimedNetwork) -> None:
    invreq = still.sandbox.request(PAYER, AMOUNT_MSAT)
    still.sandbox.faults.be_silent(PAYER)
    first = still.run(invreq, timeout=3600)
    still.await_arrival(1)

    second = still.run(invreq)
    still.await_arrival(2)

    expires_at = still.invoices()[0]["expires_at"]
    (_, sent) = second.client.made("sendinvoice-expect")
    assert sent["until"] > expires_at
    still.sandbox.faults.behave(PAYER)
    for command in (first, second):
        assert command.outcome_in_time().exit_status == ExitStatus.PAID


def test_invoice_that_has_expired_by_our_clock_alone_is_not_deleted(still: TimedNetwork) -> None:
    """An hour ahead, it was, with a payment on its way."""
    invreq = still.sandbox.request(PAYER, AMOUNT_MSAT)
    hold = still.sandbox.faults.hold_payments(PAYER)
    first = still.run(invreq, timeout=60)
    still.await_arrival(1)

    second = still.run(invreq, renew=True, ahead_seconds=3600)
    wait_for(lambda: second.is_following, "the second one to wait")
    hold.release()

    assert second.outcome().exit_status == ExitStatus.PAID
    assert not second.client.made("delinvoice")
    assert first.outcome().exit_status == ExitStatus.PAID
    assert len(still.invoices()) == 1
    assert still.spent() == [Spending("complete", AMOUNT_MSAT)]


def test_resumed_invoice_that_expires_meanwhile_is_replaced_once(still: TimedNetwork) -> None:
    """An invoice of 15 s ended a command with --renew and TIMEOUT 60 after 10 s."""
    invreq = still.sandbox.request(PAYER, AMOUNT_MSAT)
    still.sandbox.faults.be_silent(PAYER)
    first = still.run(invreq, timeout=15)
    still.await_arrival(1)
    still.clock.advance(5)
    second = still.run(invreq, timeout=60, renew=True)
    wait_for(lambda: second.is_following, "the second one to wait")
    before = still.invoices()[0]["payment_hash"]
    while not second.client.made("createinvoice"):
        second.skip_wait()
    still.sandbox.faults.behave(PAYER)

    outcome = second.outcome_in_time()
    assert outcome.exit_status == ExitStatus.PAID
    assert outcome.known["payment_hash"] != before
    assert len(second.client.made("createinvoice")) == 1
    assert len(still.invoices()) == 1
    first.abandon()


def test_request_that_expires_after_the_first_run_is_still_answered(still: TimedNetwork) -> None:
    invreq = still.sandbox.request(PAYER, AMOUNT_MSAT, absolute_expiry=int(still.clock()) + 10)
    hold = still.sandbox.faults.hold_payments(PAYER)
    still.run(invreq)
    still.await_arrival(1)
    still.clock.advance(20)

    second = still.run(invreq)
    wait_for(lambda: second.is_following, "the second one to wait")
    hold.release()

    assert second.outcome().exit_status == ExitStatus.PAID


def test_payer_that_is_out_of_reach_may_have_the_invoice_already(still: TimedNetwork) -> None:
    """No copy can be sent, and the payment for the first run's copy is on its way."""
    invreq = still.sandbox.request(PAYER, AMOUNT_MSAT)
    hold = still.sandbox.faults.hold_payments(PAYER)
    still.run(invreq)
    still.await_arrival(1)
    still.sandbox.disconnect(ROUTER, RECEIVER)

    second = still.run(invreq, no_connect=True)
    wait_for(lambda: second.is_following, "the second one to wait")
    while not second.told.warnings:
        second.skip_wait()
    still.sandbox.connect(ROUTER, RECEIVER)
    hold.release()

    outcome = second.outcome()
    assert outcome.exit_status == ExitStatus.PAID
    assert not second.client.made("injectonionmessage")
    assert "no route" in second.told.warnings[0]


def test_refusal_of_a_resumed_invoice_is_not_final(still: TimedNetwork) -> None:
    """An earlier run's copy may still be on its way."""
    invreq = still.sandbox.request(PAYER, AMOUNT_MSAT)
    still.sandbox.faults.delay_message(seconds=20, at=PAYER)
    still.run(invreq, no_replies=True)
    wait_for(lambda: "delayed" in "".join(still.sandbox.log(PAYER)), "the first one's message")
    still.sandbox.faults.refuse(PAYER, "not this one")
    second = still.run(invreq)
    still.await_arrival(1)
    wait_for(lambda: len(second.client.made("sendinvoice-replies")) == 2, "the refusal")
    still.sandbox.faults.behave(PAYER)
    still.clock.advance(20)

    assert second.outcome().exit_status == ExitStatus.PAID


# --- at once ---


def test_same_label_while_the_first_is_waiting(network: Network, label: str, start: Start) -> None:
    request = network.request(AMOUNT_MSAT)
    with network.hushed(request) as mailbox:
        first = start("--json", request, label)
        wait_for(mailbox.invoices, "the invoice at the payer")
        second = start("--json", request, label)
        wait_for(lambda: len(mailbox.invoices()) == 2, "the same invoice again")
        assert (first.poll(), second.poll()) == (None, None)
        copies = mailbox.invoices()

    third = network.run("--json", request, label)

    assert copies[0] == copies[1]
    assert_all_paid([finish(first), finish(second), third])
    assert paid_msat(network, request) == [AMOUNT_MSAT]


def at_once(network: Network, *commands: tuple[object, ...]) -> list[Result]:
    with ThreadPoolExecutor() as executor:
        running = [executor.submit(partial(network.run, "--json", *args)) for args in commands]
        return [each.result() for each in running]


def test_same_label_at_once(network: Network, label: str) -> None:
    request = network.request(AMOUNT_MSAT)

    results = at_once(network, *[(request, label)] * 3)

    assert_all_paid(results)
    assert paid_msat(network, request) == [AMOUNT_MSAT]


@newest
def test_same_label_at_once_for_two_requests(network: Network, label: str) -> None:
    requests = [network.request(AMOUNT_MSAT) for _ in range(2)]

    results = at_once(network, *[(request, label) for request in requests])

    assert sorted(result.exit for result in results) == [0, 20]
    (paid,) = [request for request, each in zip(requests, results, strict=True) if not each.exit]
    (unpaid,) = [request for request in requests if request != paid]
    assert paid_msat(network, paid) == [AMOUNT_MSAT]
    assert paid_msat(network, unpaid) == []


@newest
def test_renew_at_once(network: Network, label: str) -> None:
    request = network.request(AMOUNT_MSAT)
    expire(network, request, label)

    results = at_once(network, *[("--renew", request, label)] * 2)

    assert_all_paid(results)
    assert paid_msat(network, request) == [AMOUNT_MSAT]


def test_renew_of_another_command_is_faster(still: TimedNetwork) -> None:
    """It has deleted the expired invoice just before, and made a new one."""
    invreq = still.sandbox.request(PAYER, AMOUNT_MSAT)
    still.sandbox.faults.be_silent(PAYER)
    still.run(invreq, timeout=10).outcome_in_time()
    still.sandbox.faults.behave(PAYER)

    others = []

    def overtake(method: str) -> None:
        if method == "delinvoice":
            others.append(still.run(invreq, renew=True).outcome())

    outcome = still.run(invreq, renew=True, before_call=overtake).outcome()

    assert [each.exit_status for each in (outcome, *others)] == [ExitStatus.PAID] * 2
    assert len(still.invoices()) == 1
    assert still.spent() == [Spending("complete", AMOUNT_MSAT)]
