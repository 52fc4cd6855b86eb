"""Onion messages: forwarding, replies, and the limit for each peer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sendinvoice_cli.bolt12 import invoice, tlv
from sendinvoice_cli.bolt12.blinded_path import BlindedPath, parse_scid
from sendinvoice_cli.bolt12.tlv import Record
from sendinvoice_cli.onion import blinding, message
from sendinvoice_cli.onion.blinding import PathNode
from sendinvoice_cli.sandbox.model import sphinx
from sendinvoice_cli.sandbox.model.family import Family
from sendinvoice_cli.sandbox.model.topology import ChannelSpec, NodeSpec, Topology, line
from tests.networks.sandbox import Sandbox
from tests.sandbox.conftest import Start
from tests.sandbox.wire import (
    CallError,
    call,
    deliver,
    onion_hop,
    prepare,
    refusals,
    send,
    with_node,
)
from tests.support.manual_clock import ManualClock

_ALL_FAMILIES = pytest.mark.parametrize("family", list(Family))


def _greet(sandbox: Sandbox, *names: str) -> None:
    """Send a message that nobody answers."""
    send(sandbox, names, [Record(1001, b"hello")])
    sandbox.settle()


def _arrived(sandbox: Sandbox, name: str, sender: str = "bob") -> int:
    return sandbox.log(name).count(f"onion message from {sender}")


@_ALL_FAMILIES
def test_a_peer_may_send_four_at_once_and_then_four_a_second(
    start: Start, clock: ManualClock, family: Family
) -> None:
    sandbox = start(line(family=family))
    for _ in range(6):
        _greet(sandbox, "carol", "bob", "alice")
    if family is Family.V24_02:
        # It had no limit yet.
        assert _arrived(sandbox, "alice") == 6
        return
    assert _arrived(sandbox, "bob", "carol") == 4
    assert sandbox.log("bob").count("onion message from carol dropped: too many") == 2
    clock.advance(0.25)
    _greet(sandbox, "carol", "bob", "alice")
    _greet(sandbox, "carol", "bob", "alice")
    assert _arrived(sandbox, "bob", "carol") == 5
    clock.advance(60)
    for _ in range(6):
        _greet(sandbox, "carol", "bob", "alice")
    assert _arrived(sandbox, "bob", "carol") == 9
    assert _arrived(sandbox, "alice") == 9


def test_lnd_limits_bytes_instead_of_messages(start: Start, clock: ManualClock) -> None:
    sandbox = start(with_node(line(), "bob", is_lnd=True))
    for _ in range(9):
        send(sandbox, ("carol", "bob"), [Record(1001, bytes(2000))])
    sandbox.settle()
    # 256 KiB are 7 messages of 32,871 bytes,
    assert _arrived(sandbox, "bob", "carol") == 7
    assert sandbox.log("bob").count("onion message from carol dropped: too many") == 2
    for _ in range(30):
        _greet(sandbox, "carol", "bob")
    # and 22 of 1,403; one second makes room for 46 more.
    assert _arrived(sandbox, "bob", "carol") == 7 + 22
    clock.advance(1)
    for _ in range(60):
        _greet(sandbox, "carol", "bob")
    assert _arrived(sandbox, "bob", "carol") == 7 + 22 + 46


def test_each_peer_has_a_limit_of_its_own(start: Start) -> None:
    sandbox = start(replace(line(("alice", "bob", "carol", "dave")), links=(("bob", "dave"),)))
    for _ in range(4):
        _greet(sandbox, "carol", "bob")
        _greet(sandbox, "dave", "bob")
    assert _arrived(sandbox, "bob", "carol") == 4
    assert _arrived(sandbox, "bob", "dave") == 4


@_ALL_FAMILIES
def test_a_message_needs_connected_peers(start: Start, family: Family) -> None:
    sandbox = start(line(family=family))
    sandbox.disconnect("alice", "bob")
    _greet(sandbox, "carol", "bob", "alice")
    assert _arrived(sandbox, "alice") == 0
    dropped = [entry for entry in sandbox.log("bob") if "unknown next peer" in entry]
    assert len(dropped) == 1
    sandbox.connect("alice", "bob")
    _greet(sandbox, "carol", "bob", "alice")
    assert _arrived(sandbox, "alice") == 1


def test_a_message_that_cannot_leave_is_an_error(sandbox: Sandbox) -> None:
    sandbox.disconnect("carol", "bob")
    with pytest.raises(CallError, match="unknown next peer") as error:
        _greet(sandbox, "carol", "bob", "alice")
    assert error.value.code == -1


def test_sendonionmessage_refuses_a_first_node_that_is_no_peer(start: Start) -> None:
    sandbox = start(line(family=Family.V24_02))
    with pytest.raises(CallError, match="Unknown first peer") as error:
        _greet(sandbox, "carol", "alice")
    assert error.value.code == -1


def test_a_node_without_onion_messages_forwards_none(start: Start) -> None:
    sandbox = start(with_node(line(), "bob", onion_messages=False))
    _greet(sandbox, "carol", "bob", "alice")
    assert _arrived(sandbox, "alice") == 0


_LIKE_LND = {"is_lnd": True}
#: lightning/bolts PR 1343, and eclair's form of it.
_CHANNEL_PEERS_ONLY = {"more_features": (67,)}
_LIKE_ECLAIR = {"onion_messages": False, "more_features": (66,)}


@pytest.mark.parametrize(
    ("changes", "bits", "from_stranger"),
    [
        ({}, {39}, 1),
        (_LIKE_LND, {31, 39}, 0),
        (_CHANNEL_PEERS_ONLY, {39, 67}, 0),
        (_LIKE_ECLAIR, {66}, 0),
    ],
)
def test_some_nodes_take_messages_only_from_channel_peers(
    start: Start, changes: dict[str, Any], bits: set[int], from_stranger: int
) -> None:
    """Carol has a channel with bob, and dave is connected to him without one."""
    topology = with_node(line(("alice", "bob", "carol", "dave")), "bob", **changes)
    sandbox = start(replace(topology, links=(("bob", "dave"),)))
    _greet(sandbox, "dave", "bob", "alice")
    assert _arrived(sandbox, "bob", "dave") == from_stranger
    assert _arrived(sandbox, "alice") == from_stranger
    _greet(sandbox, "carol", "bob", "alice")
    assert _arrived(sandbox, "alice") == from_stranger + 1
    features = int(call(sandbox, "bob", "getinfo")["our_features"]["init"], 16)
    assert {bit for bit in (30, 31, 38, 39, 66, 67) if features >> bit & 1} == bits


def _by_scid(sandbox: Sandbox, which: str) -> BlindedPath:
    """A path from bob to alice, which names her by their channel."""
    alice, bob = sandbox.node_id("alice"), sandbox.node_id("bob")
    (channel,) = call(sandbox, "alice", "listpeerchannels")["channels"]
    shown = channel["short_channel_id"] if which == "real" else channel["alias"]["remote"]
    scid = Record(blinding.SHORT_CHANNEL_ID, parse_scid(shown).to_bytes(8, "big"))
    return blinding.blind_path([PathNode(bob, (scid,)), PathNode(alice, ())])


@pytest.mark.parametrize(("family", "arrives"), [(Family.V26_06, 1), (Family.V24_02, 0)])
@pytest.mark.parametrize("which", ["real", "alias"])
def test_a_short_channel_id_may_name_the_next_node_from_v24_08_on(
    start: Start, family: Family, arrives: int, which: str
) -> None:
    sandbox = start(with_node(line(family=family), "carol", family=Family.V26_06))
    send(sandbox, ("carol", "bob"), [Record(1001, b"hello")], _by_scid(sandbox, which))
    sandbox.settle()
    assert _arrived(sandbox, "alice") == arrives


@pytest.mark.parametrize(("which", "arrives"), [("real", 0), ("alias", 1)])
def test_an_unannounced_channel_goes_by_its_alias_only(
    start: Start, which: str, arrives: int
) -> None:
    names = ("alice", "bob", "carol")
    sandbox = start(
        Topology(
            tuple(NodeSpec(name) for name in names),
            (ChannelSpec("alice", "bob", public=False), ChannelSpec("bob", "carol")),
        )
    )
    path = _by_scid(sandbox, which)
    send(sandbox, ("carol", "bob"), [Record(1001, b"hello")], path)
    sandbox.settle()
    assert _arrived(sandbox, "alice") == arrives
    assert sum("unknown next scid" in entry for entry in sandbox.log("bob")) == 1 - arrives


# decryptencrypteddata


def test_decryptencrypteddata(sandbox: Sandbox) -> None:
    bob, carol = sandbox.node_id("bob"), sandbox.node_id("carol")
    data = (Record(blinding.NEXT_NODE_ID, carol),)
    path = blinding.blind_path([PathNode(bob, data), PathNode(carol, ())])
    hop = {
        "encrypted_data": path.hops[0].encrypted_data.hex(),
        "path_key": path.first_path_key.hex(),
    }

    answer = call(sandbox, "bob", "decryptencrypteddata", **hop)["decryptencrypteddata"]

    assert answer["decrypted"] == tlv.encode_stream(data).hex()
    rest = {
        "encrypted_data": path.hops[1].encrypted_data.hex(),
        "path_key": answer["next_path_key"],
    }
    assert (
        call(sandbox, "carol", "decryptencrypteddata", **rest)["decryptencrypteddata"]["decrypted"]
        == ""
    )
    with pytest.raises(CallError, match=r"^Decryption failed!$") as error:
        call(sandbox, "carol", "decryptencrypteddata", **hop)
    assert error.value.code == -32602


# createonion and the calls that take its work


def test_createonion_uses_the_session_key(sandbox: Sandbox) -> None:
    bob = sandbox.node_id("bob")
    hop = onion_hop(bob, b"x")
    made = call(
        sandbox,
        "alice",
        "createonion",
        hops=[{"pubkey": bob.hex(), "payload": hop.payload.hex()}],
        assocdata="00",
        session_key="41" * 32,
        onion_size=100,
    )
    packet, secrets = sphinx.build([hop], 100, b"\0", b"\x41" * 32)
    assert made == {"onion": packet.hex(), "shared_secrets": [secret.hex() for secret in secrets]}


_BOB = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"


@pytest.mark.parametrize(
    ("hops", "message_"),
    [
        ([], "At least one hop must be specified."),
        ([{"pubkey": _BOB}], "Hop 0 does not have a payload"),
        ([{"payload": "0100"}], "Hop 0 does not have a pubkey"),
        (
            [{"pubkey": _BOB, "payload": "0500"}],
            "hops[0] payload is not prefixed with length!",
        ),
        (
            [{"pubkey": "zz", "payload": "0100"}],
            "hops: should be a pubkey: invalid token '\"zz\"'",
        ),
        (
            [{"pubkey": _BOB, "payload": "fd0514" + "00" * 1300}],
            "Payloads exceed maximum onion packet size.",
        ),
    ],
)
def test_createonion_refuses_bad_hops(
    sandbox: Sandbox, hops: list[dict[str, str]], message_: str
) -> None:
    with pytest.raises(CallError) as error:
        call(sandbox, "alice", "createonion", hops=hops, assocdata="")
    assert (error.value.code, error.value.message) == (-32602, message_)


@pytest.mark.parametrize(
    ("packet", "code", "text"),
    [
        ("00", -1, "onion_message_parse: can't parse onionpacket: WIRE_INVALID_ONION_KEY"),
        ("00" * 70000, -32602, "onion message too long"),
    ],
)
def test_injectonionmessage_refuses_bad_packets(
    sandbox: Sandbox, packet: str, code: int, text: str
) -> None:
    with pytest.raises(CallError) as error:
        call(sandbox, "alice", "injectonionmessage", path_key=_BOB, message=packet)
    assert (error.value.code, error.value.message) == (code, text)


@pytest.mark.parametrize(
    ("hops", "text"),
    [
        ([], "hops must be an (non-empty) array"),
        ([{"id": _BOB}], "hops[0]: Parsing '{id:%,tlv:': object does not have member tlv"),
        ([{"id": _BOB, "tlv": "00" * 33000}], "Creating onion failed (tlvs too long?)"),
    ],
)
@pytest.mark.parametrize("family", [Family.V24_02, Family.V24_08])
def test_message_calls_refuse_bad_hops(
    start: Start, family: Family, hops: list[dict[str, str]], text: str
) -> None:
    sandbox = start(line(family=family))
    params: dict[str, Any] = {"blinding": _BOB, "hops": hops}
    method = "injectonionmessage"
    if family is Family.V24_02:
        method = "sendonionmessage"
        params["first_id"] = sandbox.node_id("bob").hex()
    with pytest.raises(CallError) as error:
        call(sandbox, "alice", method, **params)
    assert (error.value.code, error.value.message) == (-32602, text)


# Replies


def _refused(sandbox: Sandbox, reply_names: tuple[str, ...]) -> int:
    """Have alice refuse an invoice; returns how many answers have reached carol."""
    prepared = prepare(sandbox, sandbox.request("alice", 1000, "x"), "l", amount_msat=1001)
    names = ("carol", "bob", "alice")
    deliver(sandbox, prepared, names, reply_names=reply_names)
    assert refusals(sandbox) == ["invoice amount is too large"]
    return sum("onion message from" in entry for entry in sandbox.log("carol"))


@_ALL_FAMILIES
def test_a_reply_path_from_a_peer_is_answered(start: Start, family: Family) -> None:
    assert _refused(start(line(family=family)), ("bob", "carol")) == 1


@pytest.mark.parametrize(
    ("family", "answers"), [(Family.V26_06, 1), (Family.V24_08, 1), (Family.V24_02, 0)]
)
def test_a_reply_path_from_further_away_is_answered_from_v24_08_on(
    start: Start, family: Family, answers: int
) -> None:
    assert _refused(start(line(family=family)), ("carol",)) == answers


@_ALL_FAMILIES
def test_a_reply_path_from_the_payer_itself_is_answered_from_v24_08_on(
    start: Start, family: Family
) -> None:
    answers = 0 if family is Family.V24_02 else 1
    assert _refused(start(line(family=family)), ("alice", "bob", "carol")) == answers


_TWO_SIDES = Topology(
    nodes=tuple(NodeSpec(name) for name in ("alice", "bob", "carol", "dave")),
    channels=(ChannelSpec("alice", "bob"), ChannelSpec("carol", "dave")),
    links=(("bob", "carol"),),
)


@pytest.mark.parametrize(
    ("has_address", "no_connect", "answers"), [(True, False, 1), (False, False, 0), (True, True, 0)]
)
def test_a_payer_connects_to_reply_if_it_may_and_can(
    start: Start, has_address: bool, no_connect: bool, answers: int
) -> None:
    topology = with_node(_TWO_SIDES, "dave", has_address=has_address)
    sandbox = start(with_node(topology, "alice", no_connect=no_connect))
    assert _refused(sandbox, ("dave", "carol")) == answers


def test_without_a_reply_path_nothing_comes_back(sandbox: Sandbox) -> None:
    prepared = prepare(sandbox, sandbox.request("alice", 1000), "l", amount_msat=1001)
    stream = tlv.encode_stream(invoice.decode(prepared.bolt12))
    content = [Record(message.INVOICE, stream)]
    send(sandbox, ("carol", "bob", "alice"), content)
    sandbox.settle()
    assert refusals(sandbox) == ["invoice amount is too large"]
    assert sandbox.log("carol") == []
