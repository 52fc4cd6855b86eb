"""Nodes that restart, with channels that come back later, and frozen nodes."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest

from sendinvoice_cli.sandbox.model.family import Family
from sendinvoice_cli.sandbox.model.topology import line
from tests.networks.faults import CallFault, Sync
from tests.networks.sandbox import Sandbox
from tests.sandbox.conftest import Start
from tests.sandbox.wire import (
    CallError,
    Connection,
    call,
    deliver,
    payment_path,
    prepare,
    refusals,
    row,
)
from tests.support.manual_clock import ManualClock


@pytest.mark.parametrize("family", [Family.V24_02, Family.V26_06])
def test_channels_come_back_later_than_peers(start: Start, family: Family) -> None:
    sandbox = start(line(family=family))
    prepared = prepare(sandbox, sandbox.request("alice", 1_000_000, "x"), "l")
    sandbox.restart_node("carol", channels_later=True)
    for node, peer in (("carol", "bob"), ("bob", "carol")):
        (channel,) = call(sandbox, node, "listpeerchannels", id=sandbox.node_id(peer).hex())[
            "channels"
        ]
        assert (channel["peer_connected"], channel["reestablished"]) == (True, False)
    deliver(sandbox, prepared)
    (refusal,) = refusals(sandbox)
    assert refusal.startswith("pay attempt failed: ")
    if family is Family.V26_06:
        assert "temporary_channel_failure" in refusal
        assert "channel says max is 999999msat" in refusal
    assert row(sandbox, "l")["status"] == "unpaid"
    sandbox.reestablish_channels("carol")
    (own,) = call(sandbox, "carol", "listpeerchannels")["channels"]
    assert own["reestablished"] is True
    deliver(sandbox, prepared)
    # xpay remembers that the channel failed.
    assert row(sandbox, "l")["status"] == ("unpaid" if family is Family.V26_06 else "paid")


def test_xpay_tries_a_channel_that_failed_again_after_an_hour(
    sandbox: Sandbox, clock: ManualClock
) -> None:
    request = sandbox.request("alice", 1_000_000, "x")
    prepared = prepare(sandbox, request, "l", relative_expiry=7200)
    sandbox.restart_node("carol", channels_later=True)
    deliver(sandbox, prepared)
    sandbox.reestablish_channels("carol")
    clock.advance(3599)
    deliver(sandbox, prepared)
    assert row(sandbox, "l")["status"] == "unpaid"
    clock.advance(1)
    deliver(sandbox, prepared)
    assert row(sandbox, "l")["status"] == "paid"


def test_the_next_restart_brings_the_channels_back(sandbox: Sandbox) -> None:
    sandbox.restart_node("carol", channels_later=True)
    sandbox.restart_node("carol")
    (own,) = call(sandbox, "carol", "listpeerchannels")["channels"]
    assert own["reestablished"] is True


def test_a_frozen_payer_handles_messages_in_order_once_it_is_thawed(sandbox: Sandbox) -> None:
    sandbox.freeze_node("alice")
    for label in ("first", "second"):
        prepared = prepare(sandbox, sandbox.request("alice", 1000), label)
        deliver(sandbox, prepared)
    assert sandbox.received_invoices("alice") == []
    sandbox.restart_node("carol", channels_later=True)
    sandbox.reestablish_channels("carol")
    sandbox.thaw_node("alice")
    sandbox.settle()
    assert [row(sandbox, label)["pay_index"] for label in ("first", "second")] == [1, 2]


def test_a_frozen_node_answers_once_it_is_thawed(sandbox: Sandbox) -> None:
    sandbox.freeze_node("alice")
    with Connection(sandbox.rpc_file("alice")) as connection:
        connection.request("early", "getinfo")
        assert call(sandbox, "bob", "getinfo")["num_peers"] == 2
        assert not connection.has_answer()
        sandbox.thaw_node("alice")
        assert connection.response()["id"] == "early"


def test_what_was_sent_to_a_frozen_node_is_lost_with_the_connection(sandbox: Sandbox) -> None:
    sandbox.freeze_node("alice")
    deliver(sandbox, prepare(sandbox, sandbox.request("alice", 1000), "l"))
    sandbox.disconnect("alice", "bob")
    sandbox.thaw_node("alice")
    sandbox.settle()
    assert sandbox.received_invoices("alice") == []


# A node that has just started


def test_peers_come_back_later(sandbox: Sandbox) -> None:
    sandbox.restart_node("carol", peers_later=True)
    (channel,) = call(sandbox, "carol", "listpeerchannels")["channels"]
    assert (channel["peer_connected"], channel["reestablished"]) == (False, False)
    assert call(sandbox, "carol", "getinfo")["num_peers"] == 0
    sandbox.return_peers("carol")
    (channel,) = call(sandbox, "carol", "listpeerchannels")["channels"]
    assert (channel["peer_connected"], channel["reestablished"]) == (True, True)


@pytest.mark.parametrize("family", [Family.V24_02, Family.V26_06])
def test_an_invoice_that_was_tried_while_peers_were_away(start: Start, family: Family) -> None:
    """xpay remembers the channel of lightningd's own path; a path from bob does not need it."""
    sandbox = start(replace(line(family=family), links=(("alice", "carol"),)))
    for label in ("own path", "path from bob"):
        request = sandbox.request("alice", 1_000_000, "x")
        sandbox.restart_node("carol", peers_later=True)
        sandbox.connect("alice", "carol")
        preimage = sha256(label.encode()).digest()
        paths = [payment_path(sandbox, preimage)] if label == "path from bob" else []
        prepared = prepare(sandbox, request, label, payment_paths=paths, preimage=preimage)
        deliver(sandbox, prepared, ("carol", "alice"), reply_names=("alice", "carol"))
        assert row(sandbox, label)["status"] == "unpaid"
        sandbox.return_peers("carol")
        deliver(sandbox, prepared, ("carol", "alice"), reply_names=("alice", "carol"))
        is_blocked = family is Family.V26_06 and label == "own path"
        assert row(sandbox, label)["status"] == ("unpaid" if is_blocked else "paid")


@pytest.mark.parametrize("sync", list(Sync))
def test_a_payment_to_a_node_behind_the_chain_stays_in_flight(sandbox: Sandbox, sync: Sync) -> None:
    warning, text = sync.value
    sandbox.faults.fall_behind("carol", sync)
    assert call(sandbox, "carol", "getinfo")[warning] == text
    assert not any(name.startswith("warning") for name in call(sandbox, "bob", "getinfo"))
    deliver(sandbox, prepare(sandbox, sandbox.request("alice", 1000), "l"))
    assert row(sandbox, "l")["status"] == "unpaid"
    assert [pay["status"] for pay in call(sandbox, "alice", "listpays")["pays"]] == ["pending"]
    sandbox.faults.catch_up("carol")
    call(sandbox, "carol", "waitinvoice", label="l")
    assert warning not in call(sandbox, "carol", "getinfo")


def test_a_node_that_shuts_down_answers_nothing_else(sandbox: Sandbox) -> None:
    sandbox.faults.shut_down("carol")
    for method in ("getinfo", "listpeers"):
        with pytest.raises(CallError, match="shutting down") as error:
            call(sandbox, "carol", method)
        assert error.value.code == -5
    assert call(sandbox, "bob", "getinfo")["alias"] == "bob"
    sandbox.faults.clear()
    assert call(sandbox, "carol", "getinfo")["alias"] == "carol"


def test_only_calls_with_these_parameters_break(sandbox: Sandbox) -> None:
    alice, bob = (sandbox.node_id(name).hex() for name in ("alice", "bob"))
    sandbox.faults.break_call("carol", "connect", CallFault.NEVER, id=alice)
    with Connection(sandbox.rpc_file("carol")) as connection:
        connection.request("hangs", "connect", {"id": alice})
        connection.request("works", "connect", {"id": bob})
        assert connection.response()["id"] == "works"
        assert not connection.has_answer()
