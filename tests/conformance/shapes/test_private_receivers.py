"""A receiver that others find no route to names peers of its own to be paid through."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sendinvoice_cli.amounts import format_sat
from sendinvoice_cli.bolt12 import fields
from sendinvoice_cli.bolt12.blinded_path import format_scid
from sendinvoice_cli.onion import blinding
from sendinvoice_cli.sandbox.model.family import Family
from sendinvoice_cli.sandbox.model.topology import ChannelSpec, NodeSpec, Topology
from tests.networks import Node, shapes, wait_for
from tests.networks.shapes import FRONTING, Shape, SimulatedShape
from tests.support.schema import check_paid, check_result

from .conftest import FRONTED
from .inside import answer
from .reading import payment_paths, read_fields, read_relay, unblind


def channels(node: Node) -> list[dict[str, Any]]:
    """The node's channels, always in the same order, once nothing moves in them any more."""
    wait_for(
        lambda: not any(channel["htlcs"] for channel in node.rpc("listpeerchannels")["channels"]),
        f"the last payment at the {node.role}",
    )
    listed = node.rpc("listpeerchannels")["channels"]
    return sorted(listed, key=lambda channel: str(channel["short_channel_id"]))


def test_the_private_nodes_are_private(town: Shape) -> None:
    """What the tests below rest on."""
    for name, count in (("private", 1), ("double", 2)):
        node = town.nodes[name]
        assert [channel["private"] for channel in channels(node)] == [True] * count
        for other in ("payer", "router", name):
            assert town.nodes[other].rpc("listnodes", id=node.id)["nodes"] == []
        assert node.peers() == [town.nodes["router"].id]


def test_one_private_channel(town: Shape, label: str) -> None:
    """Payer, router, receiver: paid, and the amount is intact."""
    (before,) = channels(town.nodes["private"])

    result = town.run("private", "--json", "-v", "--no-replies", town.request(50_000_123), label)

    assert result.exit == 0
    check_paid(result.json)
    assert result.json["amount_msat"] == result.json["amount_received_msat"] == 50_000_123
    (after,) = channels(town.nodes["private"])
    assert after["to_us_msat"] - before["to_us_msat"] == 50_000_123
    most = format_sat(before["receivable_msat"])
    assert f"To be paid through the channel with router (up to {most})" in result.stderr
    # Inside of the invoice: from the router, who says what it takes.
    ((path, payinfo),) = payment_paths(result.json["bolt12"])
    assert path.introduction_node == town.id("router")
    assert len(path.hops) == 2
    (policy,) = town.nodes["private"].rpc("listincoming")["incoming"]
    assert payinfo.fee_base_msat == policy["fee_base_msat"]
    assert payinfo.fee_proportional_millionths == policy["fee_proportional_millionths"]
    assert payinfo.htlc_maximum_msat == before["updates"]["remote"]["htlc_maximum_msat"]


def test_an_invoice_does_not_tell_what_its_node_can_receive(town: Shape, label: str) -> None:
    """Whoever writes a request reads the invoice, and needs not pay."""
    told = []
    for number in range(2):
        result = town.run("private", "--json", town.request(7_000_001), f"{label}-{number}")
        check_paid(result.json)
        told.append(payment_paths(result.json["bolt12"])[0][1])
    assert told[0] == told[1]

    balances = [channel["receivable_msat"] for channel in channels(town.nodes["double"])]
    amount_msat = max(balances) + 1
    request = town.request(amount_msat, single_use=False)
    with town.hushed(request):
        result = town.run("double", "--json", "--no-replies", request, label, "--timeout", 3)
    maxima = [payinfo.htlc_maximum_msat for _, payinfo in payment_paths(result.json["bolt12"])]
    assert sum(maxima) >= amount_msat
    for most in maxima:
        assert most not in balances
        assert most % (1 << most.bit_length() - 5) == 0


def test_path_names_the_channel_by_its_alias(sandbox_town: SimulatedShape, label: str) -> None:
    """The real short_channel_id would be refused: that is what scid_alias is for."""
    town = sandbox_town
    (channel,) = channels(town.nodes["private"])
    result = town.run("private", "--json", "--no-replies", town.request(1_000), label)
    check_paid(result.json)

    ((path, _),) = payment_paths(result.json["bolt12"])
    keys = [town.sandbox.private_key(name) for name in ("router", "private")]
    of_router, _ = unblind(path, keys)

    named = format_scid(int.from_bytes(of_router[blinding.SHORT_CHANNEL_ID], "big"))
    assert named == channel["alias"]["remote"]
    assert named != channel["short_channel_id"]


def test_two_private_channels_and_more_than_either_carries(town: Shape, label: str) -> None:
    if not town.knows_paths:
        pytest.skip(f"pay of {town.name} uses the first path of an invoice only")
    before = channels(town.nodes["double"])
    assert all(channel["receivable_msat"] < 1_500_000_000 for channel in before)
    request = town.request(1_500_000_000, single_use=False)

    result = town.run("double", "--json", "-v", "--no-replies", request, label)

    assert result.exit == 0
    check_paid(result.json)
    assert result.json["amount_received_msat"] == 1_500_000_000
    came = [
        now["to_us_msat"] - then["to_us_msat"]
        for now, then in zip(channels(town.nodes["double"]), before, strict=True)
    ]
    assert all(came)
    assert sum(came) == 1_500_000_000


@pytest.fixture(params=list(Family))
def narrow_and_wide(request: pytest.FixtureRequest) -> Iterator[Shape]:
    """A receiver with two private channels, the narrow one being the cheaper."""
    names = ("payer", "router", "dear", "receiver")
    private: dict[str, Any] = {"left_msat": 900_000_000, "public": False}
    topology = Topology(
        nodes=tuple(NodeSpec(name, request.param, has_address=False) for name in names),
        channels=(
            ChannelSpec("payer", "router", 5_000_000_000, left_msat=4_000_000_000),
            ChannelSpec("router", "dear", 5_000_000_000),
            ChannelSpec("router", "receiver", left_msat=200_000_000, public=False),
            ChannelSpec("dear", "receiver", fee_base_msat=500, fee_ppm=1000, **private),
        ),
    )
    with shapes.simulated(topology) as shape:
        yield shape


def test_one_that_carries_all_goes_first(narrow_and_wide: Shape) -> None:
    """Payers fail at paying a single-use request in parts."""
    shape = narrow_and_wide
    for amount_msat, order in (
        (100_000_000, ["router", "dear"]),
        (500_000_000, ["dear", "router"]),
    ):
        request = shape.request(amount_msat)
        planned = answer(shape, "receiver", request, f"{amount_msat}", dry_run=True)
        assert [path["peer"] for path in planned.json["payment_paths"]] == [
            shape.nodes[name].id for name in order
        ]

        answered = answer(shape, "receiver", request, f"{amount_msat}")

        check_paid(answered.json)
        assert answered.json["amount_received_msat"] == amount_msat
        paths = payment_paths(answered.json["bolt12"])
        assert [path.introduction_node for path, _ in paths] == [shape.id(name) for name in order]


@pytest.fixture(params=list(Family))
def greedy_peer(request: pytest.FixtureRequest) -> Iterator[Shape]:
    """A receiver with a wide channel whose peer asks for an absurd delay, and a narrow one."""
    names = ("payer", "router", "greedy", "receiver")
    topology = Topology(
        nodes=tuple(NodeSpec(name, request.param, has_address=False) for name in names),
        channels=(
            ChannelSpec("payer", "router", 5_000_000_000, left_msat=4_000_000_000),
            ChannelSpec("payer", "greedy", 5_000_000_000, left_msat=4_000_000_000),
            ChannelSpec("router", "receiver", left_msat=200_000_000, public=False),
            ChannelSpec(
                "greedy", "receiver", left_msat=900_000_000, public=False, cltv_delta=65_530
            ),
        ),
    )
    with shapes.simulated(topology) as shape:
        yield shape


def test_absurd_terms_of_one_peer_do_no_harm(greedy_peer: Shape) -> None:
    """Its channel is left out; where nothing else is enough, that is the warning."""
    shape = greedy_peer
    answered = answer(shape, "receiver", shape.request(100_000_000), "enough")
    check_paid(answered.json)
    paths = payment_paths(answered.json["bolt12"])
    assert [path.introduction_node for path, _ in paths] == [shape.id("router")]
    assert answered.said.warnings == []
    assert any("Not to be paid through greedy" in step for step in answered.said.steps)

    planned = answer(shape, "receiver", shape.request(500_000_000), "wide", dry_run=True)
    (warning,) = planned.said.warnings
    assert "a delay of 65,530 blocks" in warning
    assert planned.json["inbound"] == planned.json["payment_paths"]


@pytest.fixture(params=list(Family))
def inbound_elsewhere(request: pytest.FixtureRequest) -> Iterator[Shape]:
    """A receiver whose public channel has nothing to receive, and whose unannounced one has."""
    names = ("payer", "router", "provider", "receiver")
    topology = Topology(
        nodes=tuple(NodeSpec(name, request.param, has_address=False) for name in names),
        channels=(
            ChannelSpec("payer", "router", 5_000_000_000, left_msat=4_000_000_000),
            ChannelSpec("router", "provider", 5_000_000_000),
            ChannelSpec("router", "receiver", left_msat=20_000_000),
            ChannelSpec("provider", "receiver", left_msat=900_000_000, public=False),
        ),
    )
    with shapes.simulated(topology) as shape:
        yield shape


def test_paid_through_the_unannounced_channel_that_has_the_inbound(
    inbound_elsewhere: Shape,
) -> None:
    """Payers know the receiver, but not this way to it."""
    shape = inbound_elsewhere
    result = answer(shape, "receiver", shape.request(100_000_000), "unannounced")

    check_paid(result.json)
    (best, *_), *_ = payment_paths(result.json["bolt12"])
    assert best.introduction_node == shape.id("provider")

    # What the public channel can take comes over that; the spare path leads over it as well.
    request = shape.request(1_000_000)
    result = answer(shape, "receiver", request, "public")

    check_paid(result.json)
    *own, (spare, _) = payment_paths(result.json["bolt12"])
    assert spare.introduction_node == shape.id("router")
    # A payer that is known to be behind that router needs no other.
    is_behind = fields.INVREQ_PATHS in read_fields(request, "lnr")
    assert len(own) == (0 if is_behind else 1)
    assert all(path.introduction_node == shape.id("receiver") for path, _ in own)


def test_dry_run_shows_the_payment_paths(town: Shape, label: str) -> None:
    result = town.run("private", "--json", "-v", "--dry-run", town.request(1_000), label)

    assert result.exit == 0
    check_result(result.json, 0)
    (channel,) = channels(town.nodes["private"])
    router = town.nodes["router"].id
    assert result.json["payment_paths"] == [
        {"peer": router, "htlc_maximum_msat": channel["receivable_msat"]}
    ]
    assert "To be paid through the channel with router" in result.stderr
    assert "call makesecret" not in result.stderr
    assert town.nodes["private"].invoice(label) is None

    for_people = town.run("private", "--dry-run", town.request(1_000), label)
    assert for_people.exit == 0


def test_more_than_all_channels_carry(town: Shape, label: str) -> None:
    planned = town.run("double", "--json", "--dry-run", town.request(1_000), label)
    most = sum(path["htlc_maximum_msat"] for path in planned.json["payment_paths"])

    enough = town.run("double", "--dry-run", town.request(most), label)
    too_much = town.run("double", "--dry-run", town.request(most + 1), label)

    assert (enough.exit, too_much.exit) == (0, 0)
    warning, hint = enough.stderr.splitlines()
    assert f"can receive {format_sat(most)} now, only several together" in warning
    assert "cannot pay in parts" in hint
    warning, hint = too_much.stderr.splitlines()
    assert format_sat(most + 1) in warning
    assert f"{format_sat(most)} now" in warning
    assert "open a channel with inbound capacity" in hint


def test_public_receiver_keeps_the_path_of_its_node(town: Shape, label: str) -> None:
    planned = town.run("linked", "--json", "--dry-run", town.request(2_000), label)
    assert planned.json["payment_paths"] == []

    result = town.run("linked", "--json", "-v", "--no-replies", town.request(2_000), label)

    assert result.exit == 0
    check_paid(result.json)
    assert "To be paid through the public channel with mute" in result.stderr
    assert "call listincoming" not in result.stderr
    ((path, _),) = payment_paths(result.json["bolt12"])
    assert path.introduction_node == town.id("linked")
    assert len(path.hops) == 1


def test_refusal_reaches_a_private_receiver(town: Shape, label: str) -> None:
    """The reply path begins at a node that the payer reaches."""
    result = town.run(
        "private", "--json", town.request(1_000), label, "--amount-msat", 2000, "--timeout", 20
    )

    assert result.exit == 14
    check_result(result.json, 14)
    assert "invoice amount is too large" in result.json["error"]["data"]["error"]


def test_paths_are_good_for_as_long_as_the_invoice(
    sandbox_town: SimulatedShape, label: str
) -> None:
    """max_cltv_expiry covers TIMEOUT, and what payers add."""
    town = sandbox_town
    found = {}
    for days in (1, 30):
        result = town.run(
            *("private", "--json", "--no-replies", town.request(1_000), f"{label}-{days}"),
            *("--timeout", days * 86_400),
        )
        check_paid(result.json)
        ((path, payinfo),) = payment_paths(result.json["bolt12"])
        keys = [town.sandbox.private_key(name) for name in ("router", "private")]
        height = town.nodes["private"].rpc("getinfo")["blockheight"]
        last = read_relay(unblind(path, keys)[0]).max_cltv_expiry
        # A block in ten minutes; CLN's own margin is 1008.
        assert last >= height + days * 144 + payinfo.cltv_expiry_delta + 1008
        found[days] = last
    assert found[30] > found[1]


# Peers that will not do


@pytest.fixture(params=list(Family))
def behind_mute(request: pytest.FixtureRequest) -> Iterator[Shape]:
    """A receiver whose only channel is with a node that takes no onion messages."""
    family = request.param
    names = ("payer", "router", "mute", "receiver")
    nodes = tuple(
        NodeSpec(name, family, has_address=False, onion_messages=name != "mute") for name in names
    )
    channels_ = (
        ChannelSpec("payer", "router"),
        ChannelSpec("payer", "mute"),
        ChannelSpec("mute", "receiver", public=False),
    )
    with shapes.simulated(Topology(nodes, channels_, (("router", "receiver"),))) as shape:
        yield shape


def test_peer_without_onion_messages_is_left_out(behind_mute: Shape) -> None:
    planned = answer(behind_mute, "receiver", behind_mute.request(1_000), "l", dry_run=True)

    assert planned.json["exit_code"] == 0
    assert planned.json["payment_paths"] == []
    (warning,) = planned.said.warnings
    assert warning.startswith("this node has no channel through which it can be paid")
    assert "open a channel with inbound capacity" in warning


# payment-fronting-node


def test_fronting_node_of_a_public_receiver(real_town: Shape, label: str) -> None:
    town = real_town
    if town.version < FRONTING:
        pytest.skip(f"{town.name} has no payment-fronting-node")
    front = FRONTED["receiver"]
    assert town.nodes["router"].rpc("listnodes", id=town.nodes["receiver"].id)["nodes"]

    planned = town.run("receiver", "--json", "--dry-run", town.request(3_000_000), label)
    result = town.run("receiver", "--json", "-v", town.request(3_000_000), label)

    assert [path["peer"] for path in planned.json["payment_paths"]] == [town.nodes[front].id]
    assert result.exit == 0
    check_paid(result.json)
    assert result.json["amount_received_msat"] == 3_000_000
    ((path, _),) = payment_paths(result.json["bolt12"])
    assert path.introduction_node == town.id(front)
    assert f"To be paid through the channel with {front}" in result.stderr


def test_fronting_nodes_in_the_sandbox(sandbox_town: SimulatedShape, label: str) -> None:
    """The sandbox has no payment-fronting-node, so the command is told of one."""
    town = sandbox_town
    config = {"payment-fronting-node": {"values_str": [town.nodes["relay"].id], "sources": ["x"]}}

    answered = answer(town, "receiver", town.request(3_000_000), label, config)

    check_paid(answered.json)
    assert answered.json["amount_received_msat"] == 3_000_000
    ((path, _),) = payment_paths(answered.json["bolt12"])
    assert path.introduction_node == town.id("relay")
    # A public channel goes by its real name.
    keys = [town.sandbox.private_key(name) for name in ("relay", "receiver")]
    of_relay, _ = unblind(path, keys)
    named = int.from_bytes(of_relay[blinding.SHORT_CHANNEL_ID], "big")
    assert named == town.scid("relay", "receiver")


def test_fronting_node_that_will_not_do(sandbox_town: SimulatedShape, label: str) -> None:
    """Rather no invoice than one that tells whose it is."""
    town = sandbox_town
    config = {"payment-fronting-node": {"values_str": [town.nodes["mute"].id]}}

    answered = answer(town, "receiver", town.request(1_000), label, config)

    assert answered.json["exit_code"] == 1
    assert "payment-fronting-node" in answered.json["error"]["message"]
    assert town.nodes["receiver"].invoice(label) is None
