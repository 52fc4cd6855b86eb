"""What a node says about itself and the network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sendinvoice_cli.sandbox.model.family import Family
from sendinvoice_cli.sandbox.model.topology import ChannelSpec, NodeSpec, Topology, line
from tests.networks.sandbox import Sandbox
from tests.sandbox.conftest import Start
from tests.sandbox.wire import CallError, call, channel_between, with_node

_ONION_MESSAGES = 39


def _has_onion_messages(features: str) -> bool:
    return bool(int(features, 16) >> _ONION_MESSAGES & 1)


@pytest.mark.parametrize("family", list(Family))
def test_getinfo_tells_version_peers_and_features(start: Start, family: Family) -> None:
    info = call(start(line(family=family)), "bob", "getinfo")
    assert info["alias"] == "bob"
    assert info["version"] == family.version
    assert info["network"] == "regtest"
    assert (info["num_peers"], info["num_active_channels"]) == (2, 2)
    assert _has_onion_messages(info["our_features"]["node"])
    assert _has_onion_messages(info["our_features"]["init"])


def test_a_node_without_onion_messages_shows_it_and_sends_none(start: Start) -> None:
    sandbox = start(with_node(line(), "bob", onion_messages=False))
    assert not _has_onion_messages(call(sandbox, "bob", "getinfo")["our_features"]["node"])
    bob = sandbox.node_id("bob").hex()
    (peer,) = call(sandbox, "alice", "listpeers", id=bob)["peers"]
    assert not _has_onion_messages(peer["features"])
    (node,) = call(sandbox, "alice", "listnodes", id=bob)["nodes"]
    assert not _has_onion_messages(node["features"])
    with pytest.raises(CallError, match="not enabled"):
        call(sandbox, "bob", "injectonionmessage", path_key=bob, message="00")


def test_listchannels_lists_each_direction_and_filters(sandbox: Sandbox) -> None:
    ids = {name: sandbox.node_id(name).hex() for name in ("alice", "bob", "carol")}
    everything = call(sandbox, "alice", "listchannels")["channels"]
    pairs = {(half["source"], half["destination"]) for half in everything}
    assert pairs == {
        (ids["alice"], ids["bob"]),
        (ids["bob"], ids["alice"]),
        (ids["bob"], ids["carol"]),
        (ids["carol"], ids["bob"]),
    }
    by_source = call(sandbox, "alice", "listchannels", source=ids["bob"])["channels"]
    assert {half["destination"] for half in by_source} == {ids["alice"], ids["carol"]}
    by_destination = call(sandbox, "alice", "listchannels", destination=ids["carol"])["channels"]
    assert [half["source"] for half in by_destination] == [ids["bob"]]
    scid = by_destination[0]["short_channel_id"]
    by_scid = call(sandbox, "alice", "listchannels", short_channel_id=scid)["channels"]
    assert [half["direction"] for half in sorted(by_scid, key=lambda half: half["source"])] == [
        0,
        1,
    ]
    with pytest.raises(CallError, match="Can only specify one of"):
        call(sandbox, "alice", "listchannels", source=ids["bob"], destination=ids["bob"])


def test_a_disabled_direction_is_not_active(sandbox: Sandbox) -> None:
    channel_between(sandbox, "bob", "carol").enabled[sandbox.node_id("bob")] = False
    halves = call(sandbox, "alice", "listchannels")["channels"]
    bob, carol = (sandbox.node_id(name).hex() for name in ("bob", "carol"))
    inactive = [(half["source"], half["destination"]) for half in halves if not half["active"]]
    assert inactive == [(bob, carol)]


@pytest.fixture
def private(start: Start) -> Sandbox:
    """Carol has only an unannounced channel."""
    topology = line()
    first, second = topology.channels
    return start(replace(topology, channels=(first, replace(second, public=False))))


def test_a_private_channel_shows_to_its_ends_only(private: Sandbox) -> None:
    carol = private.node_id("carol").hex()
    assert len(call(private, "alice", "listchannels")["channels"]) == 2
    assert call(private, "alice", "listnodes", id=carol)["nodes"] == []
    (own,) = call(private, "carol", "listpeerchannels")["channels"]
    assert own["private"]
    (peers,) = call(private, "bob", "listpeerchannels", id=carol)["channels"]
    assert own["alias"]["remote"] == peers["alias"]["local"]
    assert own["alias"]["local"] == peers["alias"]["remote"]
    (incoming,) = call(private, "carol", "listincoming")["incoming"]
    assert incoming["short_channel_id"] == own["short_channel_id"]
    assert not incoming["public"]
    assert incoming["peer_features"]


def test_a_peer_without_a_channel_is_listed(start: Start) -> None:
    topology = replace(line(), links=(("alice", "carol"),))
    sandbox = start(topology)
    carol = sandbox.node_id("carol").hex()
    (peer,) = call(sandbox, "alice", "listpeers", id=carol)["peers"]
    assert (peer["connected"], peer["num_channels"]) == (True, 0)


def test_a_disconnected_peer_with_a_channel_is_listed(start: Start) -> None:
    nodes = (NodeSpec("alice"), NodeSpec("bob"))
    sandbox = start(Topology(nodes, (ChannelSpec("alice", "bob", connected=False),)))
    (peer,) = call(sandbox, "alice", "listpeers")["peers"]
    assert (peer["connected"], peer["num_channels"]) == (False, 1)
    assert "features" not in peer


def test_connect_makes_a_peer_and_disconnect_removes_it(sandbox: Sandbox) -> None:
    carol = sandbox.node_id("carol").hex()
    answer = call(sandbox, "alice", "connect", id=carol)
    assert answer["id"] == carol
    assert _has_onion_messages(answer["features"])
    assert [peer["id"] for peer in call(sandbox, "alice", "listpeers", id=carol)["peers"]] == [
        carol
    ]
    call(sandbox, "alice", "disconnect", id=carol)
    assert call(sandbox, "alice", "listpeers", id=carol)["peers"] == []
    with pytest.raises(CallError, match="Unknown peer"):
        call(sandbox, "alice", "disconnect", id=carol)


@pytest.mark.parametrize(
    ("has_address", "more", "code"),
    [(False, {}, 400), (True, {}, None), (False, {"host": "h"}, None)],
)
def test_connect_needs_an_address(
    start: Start, has_address: bool, more: dict[str, Any], code: int | None
) -> None:
    sandbox = start(with_node(line(), "carol", has_address=has_address))
    carol = sandbox.node_id("carol").hex()
    if code is None:
        assert call(sandbox, "alice", "connect", id=carol, **more)["direction"] == "out"
        return
    with pytest.raises(CallError, match="no address known") as error:
        call(sandbox, "alice", "connect", id=carol, **more)
    assert error.value.code == code


def test_connect_to_a_stopped_node_is_refused(sandbox: Sandbox) -> None:
    sandbox.stop_node("carol")
    with pytest.raises(CallError, match="Connection refused") as error:
        call(sandbox, "alice", "connect", id=sandbox.node_id("carol").hex())
    assert error.value.code == 401


@pytest.mark.parametrize("no_connect", [False, True])
def test_listconfigs_tells_noconnect_and_directory(start: Start, no_connect: bool) -> None:
    sandbox = start(with_node(line(), "alice", no_connect=no_connect))
    configs = call(sandbox, "alice", "listconfigs")["configs"]
    assert configs["fetchinvoice-noconnect"]["set"] is no_connect
    assert configs["lightning-dir"]["value_str"] == str(sandbox.lightning_dir("alice"))


def test_makesecret_depends_on_node_and_string(sandbox: Sandbox) -> None:
    secret = call(sandbox, "alice", "makesecret", string="x")["secret"]
    assert call(sandbox, "alice", "makesecret", string="x")["secret"] == secret
    assert call(sandbox, "bob", "makesecret", string="x")["secret"] != secret
    assert call(sandbox, "alice", "makesecret", string="y")["secret"] != secret
