"""Every fault that can be injected has its effect."""

from __future__ import annotations

import threading

import pytest

from tests.networks.faults import CallFault
from tests.networks.sandbox import Sandbox
from tests.sandbox.wire import CallError, Connection, call, deliver, prepare, refusals, row
from tests.support.manual_clock import ManualClock


def _prepare(sandbox: Sandbox, label: str, amount_msat: int = 1000) -> None:
    deliver(sandbox, prepare(sandbox, sandbox.request("alice", amount_msat), label))


def _status(sandbox: Sandbox, label: str) -> str:
    return str(row(sandbox, label)["status"])


@pytest.mark.parametrize(
    ("at", "statuses"),
    [
        # Two hops each: the third one is carol's second message.
        (None, ["paid", "unpaid", "paid"]),
        ("alice", ["paid", "paid", "unpaid"]),
        ("dave", ["paid", "paid", "paid"]),
    ],
)
def test_the_nth_message_is_lost(sandbox: Sandbox, at: str | None, statuses: list[str]) -> None:
    sandbox.faults.drop_message(3, at=at)
    for label in "abc":
        _prepare(sandbox, label)
    assert [_status(sandbox, label) for label in "abc"] == statuses


def test_all_messages_are_lost_until_the_faults_are_cleared(sandbox: Sandbox) -> None:
    sandbox.faults.drop_messages(at="alice")
    _prepare(sandbox, "a")
    _prepare(sandbox, "b")
    assert sandbox.received_invoices("alice") == []
    sandbox.faults.clear()
    _prepare(sandbox, "c")
    assert _status(sandbox, "c") == "paid"


def test_a_delayed_message_arrives_late(sandbox: Sandbox, clock: ManualClock) -> None:
    sandbox.faults.delay_message(seconds=10, at="alice")
    _prepare(sandbox, "late")
    _prepare(sandbox, "in time")
    assert _status(sandbox, "in time") == "paid"
    assert _status(sandbox, "late") == "unpaid"
    clock.advance(10)
    call(sandbox, "carol", "waitinvoice", label="late")
    assert row(sandbox, "late")["pay_index"] == 2


def test_a_refusing_payer_answers_and_does_not_pay(sandbox: Sandbox) -> None:
    sandbox.faults.refuse("alice", "I have changed my mind")
    _prepare(sandbox, "l")
    assert "I have changed my mind" in sandbox.log("alice")
    assert "onion message from bob" in sandbox.log("carol")
    assert _status(sandbox, "l") == "unpaid"
    sandbox.faults.behave("alice")
    _prepare(sandbox, "other")
    assert _status(sandbox, "other") == "paid"


def test_a_silent_payer_ignores_only_marked_invoices(sandbox: Sandbox) -> None:
    sandbox.faults.be_silent("alice", part=b"hush")
    hushed = sandbox.request("alice", 1000, "hush")
    deliver(sandbox, prepare(sandbox, hushed, "hushed", amount_msat=1001))
    assert len(sandbox.received_invoices("alice")) == 1
    assert refusals(sandbox) == []
    deliver(sandbox, prepare(sandbox, sandbox.request("alice", 1000), "l", amount_msat=1001))
    assert len(refusals(sandbox)) == 1


@pytest.mark.parametrize(
    ("sent_msat", "status"), [(999, "unpaid"), (1001, "paid"), (2000, "paid"), (2001, "unpaid")]
)
def test_a_payment_of_another_amount_is_taken_up_to_twice(
    sandbox: Sandbox, sent_msat: int, status: str
) -> None:
    sandbox.faults.pay_amount("alice", sent_msat)
    _prepare(sandbox, "l")
    assert _status(sandbox, "l") == status
    if status == "paid":
        assert row(sandbox, "l")["amount_received_msat"] == sent_msat
    else:
        (text,) = refusals(sandbox)
        assert "incorrect_or_unknown_payment_details" in text
        channels = call(sandbox, "bob", "listpeerchannels")["channels"]
        assert [channel["to_us_msat"] for channel in channels] == [500_000_000, 500_000_000]


def _pay(sandbox: Sandbox, times: int) -> list[str]:
    """Deliver one invoice several times; returns its status after each."""
    prepared = prepare(sandbox, sandbox.request("alice", 1000), "l")
    statuses = []
    for _ in range(times):
        deliver(sandbox, prepared)
        statuses.append(_status(sandbox, "l"))
    return statuses


def test_attempts_to_pay_fail_and_the_same_invoice_is_paid_later(sandbox: Sandbox) -> None:
    sandbox.faults.fail_payments("alice", 2)
    assert _pay(sandbox, 3) == ["unpaid", "unpaid", "paid"]
    words = 'pay attempt failed: "Failed: We could not find a usable set of paths."'
    assert refusals(sandbox) == [words, words]
    assert sum("onion message from bob" in line for line in sandbox.log("carol")) == 2


def test_attempts_to_pay_fail_until_told_otherwise(sandbox: Sandbox) -> None:
    sandbox.faults.fail_payments("alice", text='no "luck"')
    assert _pay(sandbox, 3) == ["unpaid"] * 3
    assert refusals(sandbox) == ['pay attempt failed: "no \\"luck\\""'] * 3
    (request,) = call(sandbox, "alice", "listinvoicerequests")["invoicerequests"]
    assert (request["active"], request["used"]) == (True, False)
    sandbox.faults.behave("alice")
    deliver(sandbox, prepare(sandbox, request["bolt12"], "other"))
    assert _status(sandbox, "other") == "paid"


def test_an_attempt_fails_after_it_was_in_flight(sandbox: Sandbox) -> None:
    hold = sandbox.faults.hold_payments("alice")
    sandbox.faults.fail_payments("alice", 1)
    _prepare(sandbox, "l")
    assert refusals(sandbox) == []
    (pay,) = call(sandbox, "alice", "listpays")["pays"]
    assert pay["status"] == "pending"
    hold.release()
    sandbox.settle()
    assert len(refusals(sandbox)) == 1


def test_a_payer_like_ldk_gives_up_after_a_failure(sandbox: Sandbox) -> None:
    sandbox.faults.fail_payments("alice", 1, as_ldk=True)
    assert _pay(sandbox, 3) == ["unpaid"] * 3
    assert sandbox.log("alice").count("RouteNotFound") == 1
    assert sum("onion message from bob" in line for line in sandbox.log("carol")) == 1
    # Only that request: the next one is paid.
    _prepare(sandbox, "other")
    assert _status(sandbox, "other") == "paid"


def test_a_payment_is_held_until_it_is_released(sandbox: Sandbox) -> None:
    hold = sandbox.faults.hold_payments("alice")
    _prepare(sandbox, "l")
    assert _status(sandbox, "l") == "unpaid"
    hold.release()
    call(sandbox, "carol", "waitinvoice", label="l")
    assert _status(sandbox, "l") == "paid"
    _prepare(sandbox, "after")
    assert _status(sandbox, "after") == "paid"


def test_a_delayed_payment_comes_late(sandbox: Sandbox, clock: ManualClock) -> None:
    sandbox.faults.delay_payments("alice", seconds=30)
    _prepare(sandbox, "l")
    clock.advance(29)
    sandbox.settle()
    assert _status(sandbox, "l") == "unpaid"
    clock.advance(1)
    call(sandbox, "carol", "waitinvoice", label="l")
    assert row(sandbox, "l")["paid_at"] == int(clock())


def test_a_payment_after_the_expiry_is_refused(sandbox: Sandbox, clock: ManualClock) -> None:
    hold = sandbox.faults.hold_payments("alice")
    request = sandbox.request("alice", 1000)
    deliver(sandbox, prepare(sandbox, request, "l", relative_expiry=60))
    clock.advance(61)
    hold.release()
    with pytest.raises(CallError) as error:
        call(sandbox, "carol", "waitinvoice", label="l")
    assert error.value.code == 903
    sandbox.settle()
    (text,) = refusals(sandbox)
    assert "incorrect_or_unknown_payment_details" in text


@pytest.mark.parametrize(
    ("fault", "takes_effect"),
    [(CallFault.CLOSE_BEFORE, False), (CallFault.CLOSE_AFTER, True), (CallFault.GARBAGE, True)],
)
def test_a_broken_call_takes_effect_or_not_as_told(
    sandbox: Sandbox, fault: CallFault, takes_effect: bool
) -> None:
    sandbox.faults.break_call("alice", "invoicerequest", fault)
    with Connection(sandbox.rpc_file("alice")) as connection:
        connection.request(1, "invoicerequest", {"amount": 1})
        answer = connection.read()
        assert answer == (b"\x00\xffthis is not JSON" if fault is CallFault.GARBAGE else b"")
    requests = call(sandbox, "alice", "listinvoicerequests")["invoicerequests"]
    assert len(requests) == (1 if takes_effect else 0)
    call(sandbox, "alice", "invoicerequest", amount=1)


def test_calls_are_never_answered_as_often_as_told(sandbox: Sandbox) -> None:
    sandbox.faults.break_call("alice", "invoicerequest", CallFault.NEVER, times=2)
    with Connection(sandbox.rpc_file("alice")) as connection:
        connection.request("never", "invoicerequest", {"amount": 1})
        connection.request("never", "invoicerequest", {"amount": 1})
        connection.request("third", "invoicerequest", {"amount": 1})
        assert connection.response()["id"] == "third"
    requests = call(sandbox, "alice", "listinvoicerequests")["invoicerequests"]
    assert len(requests) == 1


def test_a_refused_plugin_fails_with_the_given_error(sandbox: Sandbox) -> None:
    sandbox.faults.refuse_plugins("carol", -3, "no plugins here")
    with pytest.raises(CallError, match="no plugins here") as error:
        call(sandbox, "carol", "plugin", subcommand="start", plugin="/bin/true")
    assert error.value.code == -3


def test_a_restart_keeps_what_lightningd_keeps(sandbox: Sandbox) -> None:
    prepared = prepare(sandbox, sandbox.request("alice", 1000), "l")
    for name in ("alice", "carol"):
        sandbox.restart_node(name)
    deliver(sandbox, prepared)
    assert _status(sandbox, "l") == "paid"


def test_a_restart_breaks_connections(sandbox: Sandbox) -> None:
    with Connection(sandbox.rpc_file("carol")) as connection:
        connection.request(1, "wait", ["invoices", "created", 1])
        connection.request(2, "getinfo")
        assert connection.response()["id"] == 2
        sandbox.restart_node("carol")
        assert connection.read() == b""
    assert call(sandbox, "carol", "getinfo")["alias"] == "carol"


def test_a_stopped_node_is_unreachable_until_it_is_started(sandbox: Sandbox) -> None:
    sandbox.stop_node("carol")
    with pytest.raises(ConnectionRefusedError):
        Connection(sandbox.rpc_file("carol"))
    assert [peer["connected"] for peer in call(sandbox, "bob", "listpeers")["peers"]] == [
        True,
        False,
    ]
    sandbox.start_node("carol")
    assert len(call(sandbox, "carol", "listpeers")["peers"]) == 1


def test_the_observer_sees_calls_until_it_is_removed(sandbox: Sandbox) -> None:
    seen: list[tuple[str, str, str]] = []
    sandbox.observe_calls(lambda *what: seen.append(what))
    call(sandbox, "alice", "getinfo")
    sandbox.observe_calls(None)
    call(sandbox, "alice", "getinfo")
    assert seen == [("alice", "getinfo", "before"), ("alice", "getinfo", "after")]


@pytest.mark.parametrize(("phase", "requests"), [("before", 0), ("after", 1)])
def test_an_observer_may_restart_a_node(sandbox: Sandbox, phase: str, requests: int) -> None:
    restarted = threading.Event()

    def restart(node: str, method: str, now: str) -> None:
        if (method, now) == ("invoicerequest", phase) and not restarted.is_set():
            restarted.set()
            sandbox.restart_node(node)

    sandbox.observe_calls(restart)
    with Connection(sandbox.rpc_file("alice")) as connection:
        connection.request(1, "invoicerequest", {"amount": 1})
        assert connection.read() == b""
    sandbox.settle()
    rows = call(sandbox, "alice", "listinvoicerequests")["invoicerequests"]
    assert len(rows) == requests
