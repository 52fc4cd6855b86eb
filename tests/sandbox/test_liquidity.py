"""Liquidity: payments fail without it, and succeed once it is there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sendinvoice_cli.sandbox.model.family import Family
from sendinvoice_cli.sandbox.model.topology import ChannelSpec, NodeSpec, Topology, line
from tests.networks.sandbox import Sandbox
from tests.sandbox.conftest import Start
from tests.sandbox.wire import call, channel_between, deliver, payment_path, prepare, refusals, row

_AMOUNT_MSAT = 300_000_000
_PREIMAGE = bytes(range(32))


def _status(sandbox: Sandbox) -> str:
    return str(row(sandbox, "l")["status"])


@pytest.mark.parametrize(
    ("family", "words"),
    [
        (Family.V26_06, "Total source capacity is only 100000000msat (in 1 channels)."),
        (Family.V24_02, "Ran out of routes to try"),
    ],
)
@pytest.mark.parametrize("by", ["widening", "another channel"])
def test_a_payer_short_of_money_pays_once_it_has_more(
    start: Start, family: Family, words: str, by: str
) -> None:
    first = ChannelSpec("alice", "bob", left_msat=100_000_000)
    topology = line(family=family)
    sandbox = start(replace(topology, channels=(first, topology.channels[1])))
    prepared = prepare(sandbox, sandbox.request("alice", _AMOUNT_MSAT, "x"), "l")
    deliver(sandbox, prepared)
    (refusal,) = refusals(sandbox)
    assert refusal.startswith('pay attempt failed: "')
    assert words in refusal
    assert _request(sandbox)["active"] is True
    assert [pay["status"] for pay in call(sandbox, "alice", "listpays")["pays"]] == ["failed"]
    if by == "widening":
        channel_between(sandbox, "alice", "bob").balances[sandbox.node_id("alice")] += _AMOUNT_MSAT
    else:
        sandbox.open_channel(ChannelSpec("alice", "carol"))
    deliver(sandbox, prepared)
    assert _status(sandbox) == "paid"
    assert _request(sandbox)["active"] is False
    assert refusals(sandbox) == [refusal]


def _request(sandbox: Sandbox) -> dict[str, Any]:
    (found,) = call(sandbox, "alice", "listinvoicerequests")["invoicerequests"]
    assert isinstance(found, dict)
    return found


def test_a_wider_channel_shows_to_everybody(sandbox: Sandbox) -> None:
    channel_between(sandbox, "bob", "carol").balances[sandbox.node_id("bob")] += 200_000_000
    (own,) = call(sandbox, "carol", "listpeerchannels")["channels"]
    assert (own["total_msat"], own["receivable_msat"]) == (1_200_000_000, 700_000_000)
    halves = call(sandbox, "alice", "listchannels", short_channel_id=own["short_channel_id"])
    assert {half["amount_msat"] for half in halves["channels"]} == {1_200_000_000}


_WITHOUT_INBOUND = Topology(
    nodes=tuple(NodeSpec(name) for name in ("alice", "bob", "dave", "carol")),
    channels=(
        ChannelSpec("alice", "bob"),
        ChannelSpec("alice", "dave"),
        ChannelSpec("bob", "carol", left_msat=0),
        ChannelSpec("dave", "carol", public=False),
    ),
)


def test_lightningds_own_path_fails_over_an_empty_public_channel(start: Start) -> None:
    sandbox = start(_WITHOUT_INBOUND)
    deliver(sandbox, prepare(sandbox, sandbox.request("alice", _AMOUNT_MSAT), "l"))
    (refusal,) = refusals(sandbox)
    channel = f"105x1x0/{int(sandbox.node_id('bob') > sandbox.node_id('carol'))}"
    assert refusal.startswith(
        f'pay attempt failed: "Failed after 1 attempts. We got temporary_channel_failure for '
        f"{channel}, assuming it can't carry {_AMOUNT_MSAT}msat."
    )
    assert f"channel says max is {_AMOUNT_MSAT - 1}msat" in refusal
    assert _status(sandbox) == "unpaid"


def test_a_blinded_path_is_paid_over_an_unannounced_channel(start: Start) -> None:
    sandbox = start(_WITHOUT_INBOUND)
    request = sandbox.request("alice", _AMOUNT_MSAT)
    paths = [payment_path(sandbox, _PREIMAGE, peer="dave")]
    deliver(sandbox, prepare(sandbox, request, "l", payment_paths=paths, preimage=_PREIMAGE))
    assert refusals(sandbox) == []
    assert _status(sandbox) == "paid"


def test_a_peer_forwards_over_any_of_its_channels(start: Start) -> None:
    """lightningd's own path works when the unannounced channel is with the same peer."""
    topology = line()
    channels = (
        topology.channels[0],
        ChannelSpec("bob", "carol", left_msat=0),
        ChannelSpec("bob", "carol", public=False),
    )
    sandbox = start(replace(topology, channels=channels))
    deliver(sandbox, prepare(sandbox, sandbox.request("alice", _AMOUNT_MSAT), "l"))
    assert _status(sandbox) == "paid"
    own = call(sandbox, "carol", "listpeerchannels")["channels"]
    assert [each["to_us_msat"] for each in own] == [1_000_000_000, 500_000_000 + _AMOUNT_MSAT]


def test_each_channel_lists_what_it_can_receive(start: Start) -> None:
    sandbox = start(_WITHOUT_INBOUND)
    own = {each["private"]: each for each in call(sandbox, "carol", "listpeerchannels")["channels"]}
    incoming = {each["public"]: each for each in call(sandbox, "carol", "listincoming")["incoming"]}
    for is_public, peer, receivable, spendable in (
        (True, "bob", 0, 990_000_000),
        (False, "dave", 500_000_000, 500_000_000),
    ):
        channel, way_in = own[not is_public], incoming[is_public]
        assert channel["peer_id"] == way_in["id"] == sandbox.node_id(peer).hex()
        assert channel["short_channel_id"] == way_in["short_channel_id"]
        assert channel["state"] == "CHANNELD_NORMAL"
        assert (channel["peer_connected"], channel["reestablished"]) == (True, True)
        assert (channel["receivable_msat"], channel["spendable_msat"]) == (receivable, spendable)
        assert (way_in["htlc_max_msat"], way_in["enabled"]) == (receivable, True)
        (of_peer,) = call(sandbox, peer, "listpeerchannels", id=sandbox.node_id("carol").hex())[
            "channels"
        ]
        assert of_peer["spendable_msat"] == receivable
        assert of_peer["alias"]["local"] == channel["alias"]["remote"]


def test_a_channel_with_a_disconnected_peer_is_not_usable(sandbox: Sandbox) -> None:
    sandbox.disconnect("bob", "carol")
    (own,) = call(sandbox, "carol", "listpeerchannels")["channels"]
    assert (own["peer_connected"], own["reestablished"]) == (False, False)
    (incoming,) = call(sandbox, "carol", "listincoming")["incoming"]
    assert incoming["enabled"] is False


def test_a_payment_fails_over_a_disconnected_public_channel(start: Start) -> None:
    sandbox = start(replace(line(), links=(("alice", "carol"),)))
    prepared = prepare(sandbox, sandbox.request("alice", 1000), "l")
    sandbox.disconnect("bob", "carol")
    deliver(sandbox, prepared, ("carol", "alice"), reply_names=("carol",))
    (refusal,) = refusals(sandbox)
    assert "We got temporary_channel_failure for 104x1x0/" in refusal
