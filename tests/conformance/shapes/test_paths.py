"""Whichever way leads to the payer, it is found and taken."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from sendinvoice_cli.bolt12.blinded_path import BlindedPath, ShortChannelIdDirection, parse_scid
from sendinvoice_cli.bolt12.tlv import Record
from sendinvoice_cli.node.rpc.client import Client
from sendinvoice_cli.node.ways.graph import Graph
from sendinvoice_cli.node.ways.search import find_path
from sendinvoice_cli.onion import blinding
from sendinvoice_cli.onion.blinding import PathNode
from sendinvoice_cli.sandbox.model.topology import ChannelSpec, NodeSpec, Topology
from tests.networks import SENT, Result, shapes
from tests.networks.shapes import Shape, SimulatedShape
from tests.support.crafting import craft_request
from tests.support.requests_builder import node_id
from tests.support.schema import check_paid, check_result

from .inside import answer

#: A node, and a channel, that nobody knows.
NOBODY = node_id(77)
NOWHERE = ShortChannelIdDirection(987_654 << 40 | 3 << 16, 1)

#: From this version on, our own hop can be taken off a path.
UNWRAPS = (24, 11)


def pay(town: Shape, receiver: str, request: str, label: str) -> Result:
    """Answer a request, and see it paid."""
    options = ("--json", "-v", "--no-replies", "--timeout", 20)
    result = town.run(receiver, *options, request, label)
    assert result.exit == 0, result.stderr
    check_paid(result.json)
    return result


def plan(town: Shape, receiver: str, request: str) -> list[str]:
    """The path that a dry run shows, by names."""
    planned = answer(town, receiver, request, "a plan", dry_run=True).json
    check_result(planned, 0)
    assert planned["would_connect"] is False
    names = {node.id: name for name, node in town.nodes.items()}
    return [names[node] for node in planned["path"]]


def without_paths(town: Shape, amount_msat: int) -> str:
    """A request whose answer goes to the payer's own id."""
    return town.refund(amount_msat) if town.knows_paths else town.request(amount_msat)


# Which nodes hand a message on


def test_shorter_arm_of_a_diamond_takes_no_messages(town: Shape, label: str) -> None:
    """The payer is two hops away by the mute node, and three by the others."""
    mute = town.nodes["mute"].id
    assert {mute, town.nodes["relay"].id} == set(town.nodes["receiver"].peers())
    assert mute in town.nodes["payer"].peers()

    path = plan(town, "receiver", without_paths(town, 21_000))
    assert path == ["receiver", "relay", "router", "payer"]
    pay(town, "receiver", without_paths(town, 21_000), label)


def test_cheaper_payment_route_and_a_peer_without_channel(town: Shape, label: str) -> None:
    """All channels of the linked node are with the mute one, by which it is paid.

    Messages can only go over its peer the relay, and the payer is a peer of a
    peer of that one.
    """
    linked, mute, relay = (town.nodes[name] for name in ("linked", "mute", "relay"))
    (channel,) = linked.rpc("listpeerchannels")["channels"]
    assert channel["peer_id"] == mute.id
    assert set(linked.peers()) == {mute.id, relay.id}
    assert mute.id in town.nodes["payer"].peers()

    path = plan(town, "linked", without_paths(town, 21_000))
    assert path == ["linked", "relay", "router", "payer"]
    pay(town, "linked", without_paths(town, 21_000), label)


def test_refusal_comes_back_over_such_a_path(town: Shape, label: str) -> None:
    for name in ("receiver", "linked"):
        arguments = (without_paths(town, 1_000), f"{label}-{name}", "--amount-msat", "2000")
        result = town.run(name, "--json", *arguments)
        assert result.exit == 14, result
        assert "invoice amount is too large" in result.json["error"]["data"]["error"]


def test_node_without_messages_is_no_payer(town: Shape, label: str) -> None:
    """It is even a peer."""
    request = craft_request(town.nodes["mute"].id, 1_000)

    result = town.run("receiver", "--json", request, label)

    assert result.exit == 13
    check_result(result.json, 13)
    assert result.json["error"]["data"]["tried"] == [
        {"node": town.nodes["mute"].id, "reason": "it does not take onion messages"}
    ]
    assert town.nodes["receiver"].invoice(label) is None


def test_fetchinvoice_noconnect(town: Shape, label: str) -> None:
    """The linked node's lightningd has it set."""
    request = craft_request(NOBODY.hex(), 1_000)

    result = town.run("linked", "--json", "-v", request, label)

    assert result.exit == 13
    assert "fetchinvoice-noconnect forbids a connection" in result.json["error"]["message"]
    assert "call connect" not in result.stderr
    # Another node would have connected to it, had it known where.
    other = town.run("receiver", "--json", "-v", request, label)
    assert other.exit == 13
    assert "call connect" in other.stderr


# Several paths

Make = Callable[[Shape, bytes], BlindedPath]


def to_nobody(town: Shape, path_id: bytes) -> BlindedPath:
    """Begins at a node that nobody knows."""
    return town.path(("router", "payer"), path_id)._replace(introduction_node=NOBODY)


def by_unknown_channel(town: Shape, path_id: bytes) -> BlindedPath:
    """Begins at the end of a channel that nobody knows."""
    return town.path(("router", "payer"), path_id)._replace(introduction_node=NOWHERE)


def at_mute_node(town: Shape, path_id: bytes) -> BlindedPath:
    """Begins at a node that takes no messages."""
    return town.path(("mute", "payer"), path_id)


def good(town: Shape, path_id: bytes) -> BlindedPath:
    """Leads to the payer."""
    return town.path(("router", "payer"), path_id)


def broken(town: Shape, path_id: bytes) -> BlindedPath:
    """Leads from the router to nobody: no error comes back."""
    return town.path(("router", "mute"), path_id)._replace(introduction_node=town.id("router"))


def paths_of(town: Shape, *makers: Make) -> Callable[[bytes], list[BlindedPath]]:
    """These paths, one after the other."""
    return lambda path_id: [make(town, path_id) for make in makers]


@pytest.mark.parametrize("dead", [to_nobody, by_unknown_channel, at_mute_node])
def test_first_path_is_dead(town_with_paths: Shape, label: str, dead: Make) -> None:
    town = town_with_paths
    request = town.refund(31_000, paths=paths_of(town, dead, good))

    assert plan(town, "receiver", request) == ["receiver", "relay", "router"]
    pay(town, "receiver", request, label)


def test_first_path_swallows_everything(real_town: Shape, label: str) -> None:
    """The second copy goes into the second path."""
    town = real_town
    if not town.knows_paths:
        pytest.skip(f"{town.name} does not know invreq_paths")
    request = town.refund(32_000, paths=paths_of(town, broken, good))

    result = pay(town, "receiver", request, label)

    assert "Nothing heard yet; sending the invoice again" in result.stderr


def test_first_path_swallows_everything_in_the_sandbox(
    sandbox_town_with_paths: SimulatedShape, label: str
) -> None:
    town = sandbox_town_with_paths
    request = town.refund(32_000, paths=paths_of(town, broken, good))

    answered = answer(town, "receiver", request, label, pace=40, timeout=90)

    check_paid(answered.json)
    assert "Nothing heard yet; sending the invoice again" in answered.said.steps


def test_all_paths_are_tried_before_giving_up(town: Shape, label: str) -> None:
    request = town.refund(1_000, paths=paths_of(town, to_nobody, by_unknown_channel, at_mute_node))

    result = town.run("receiver", "--json", request, label)

    assert result.exit == 13
    check_result(result.json, 13)
    tried = {each["node"]: each["reason"] for each in result.json["error"]["data"]["tried"]}
    assert list(tried) == [NOBODY.hex(), str(NOWHERE), town.nodes["mute"].id]
    assert len(set(tried.values())) == 3
    assert tried[str(NOWHERE)] == "lightningd does not know this channel"
    for node, reason in tried.items():
        assert f"{node}: {reason}" in result.stderr
    assert town.nodes["receiver"].invoice(label) is None


@pytest.mark.parametrize("dead", [to_nobody, by_unknown_channel, at_mute_node])
def test_skipped_path_is_noted(sandbox_town: SimulatedShape, label: str, dead: Make) -> None:
    town = sandbox_town
    if not town.knows_paths:
        pytest.skip(f"{town.name} knows no invreq_paths")
    request = town.refund(1_000, paths=paths_of(town, dead, good))

    answered = answer(town, "receiver", request, label, dry_run=True)

    assert answered.json["exit_code"] == 0
    start = dead(town, bytes(32)).introduction_node
    name = start.hex() if isinstance(start, bytes) else str(start)
    assert any(name in step for step in answered.said.steps), answered.said.steps


def test_where_paths_are_not_known(town: Shape, label: str) -> None:
    """Where it takes field 90 for another one, it cannot sign such an invoice."""
    if town.knows_paths:
        pytest.skip(f"{town.name} knows invreq_paths")
    refund = town.refund(1_000, paths=paths_of(town, good))
    result = town.run("receiver", "--json", "-v", refund, label, "--timeout", 1)

    assert result.exit == 1
    check_result(result.json, 1)
    assert not SENT.search(result.stderr)
    assert town.nodes["receiver"].invoice(label) is None


# How a path begins


@pytest.mark.parametrize(
    ("names", "other"),
    [(("router", "payer"), "payer"), (("router", "payer"), "relay"), (("payer",), "router")],
)
def test_introduction_node_is_the_end_of_a_channel(
    town_with_paths: Shape, label: str, names: Sequence[str], other: str
) -> None:
    """Either end of it."""
    town = town_with_paths
    start = town.end_of_channel(names[0], other)
    request = town.refund(
        33_000, paths=lambda path_id: [town.path(names, path_id)._replace(introduction_node=start)]
    )

    whole = ["receiver", "relay", "router", "payer"]
    assert plan(town, "receiver", request) == whole[: whole.index(names[0]) + 1]
    result = pay(town, "receiver", request, label)
    assert result.stderr.count("call listchannels") <= 4


def test_both_directions_of_a_channel_are_tested(town: Shape) -> None:
    """Which of two nodes has the lesser id is chance, so both ends are named above."""
    ends = {town.end_of_channel("router", "payer"), town.end_of_channel("payer", "router")}
    assert {end.direction for end in ends} == {0, 1}
    assert len({end.scid for end in ends}) == 1


@pytest.mark.parametrize(
    "names",
    [
        ("receiver", "relay", "router", "payer"),
        ("relay", "router", "payer"),
        ("relay", "receiver", "relay", "router", "payer"),
        ("router", "payer", "router", "payer"),
        ("payer",),
    ],
    ids="-".join,
)
def test_paths_of_many_hops(town_with_paths: Shape, label: str, names: Sequence[str]) -> None:
    """From our own node, from a peer, in circles to hide the length, and of one hop."""
    town = town_with_paths
    request = town.refund(34_000, paths=lambda path_id: [town.path(names, path_id)])

    path = plan(town, "receiver", request)
    if names[0] == "receiver":
        # Where it can, it takes its own hop off.
        assert path == (["receiver", "relay"] if town.version >= UNWRAPS else ["receiver"])
    else:
        assert path[-1] == names[0]
    pay(town, "receiver", request, label)


def scid(shape: Shape, node: str, name: str) -> Record:
    """How a path names the only channel of a node, an unannounced one."""
    (channel,) = shape.nodes[node].rpc("listpeerchannels")["channels"]
    assert channel["private"] is True
    shown = channel["short_channel_id"] if name == "real" else channel["alias"][name]
    return Record(blinding.SHORT_CHANNEL_ID, parse_scid(shown).to_bytes(8, "big"))


names_of_a_channel = pytest.mark.parametrize("name", ["real", "local", "remote"])


@names_of_a_channel
def test_path_from_our_own_node_to_a_payer_with_an_unannounced_channel(
    label: str, name: str
) -> None:
    """LDK 0.1 names it by its real short_channel_id; lightningd itself knows our alias only."""
    topology = Topology(
        nodes=tuple(NodeSpec(each, has_address=False) for each in ("payer", "receiver")),
        channels=(ChannelSpec("payer", "receiver", public=False),),
    )
    with shapes.simulated(topology) as shape:

        def paths(path_id: bytes) -> list[BlindedPath]:
            us = PathNode(shape.id("receiver"), (scid(shape, "receiver", name),))
            payer = PathNode(shape.id("payer"), (Record(blinding.PATH_ID, path_id),))
            return [blinding.blind_path([us, payer])]

        pay(shape, "receiver", shape.refund(35_000, paths=paths), label)


@names_of_a_channel
def test_path_from_our_own_node_through_an_unannounced_channel(
    town_with_paths: Shape, label: str, name: str
) -> None:
    """To send by another name than our alias would confirm to the payer that we have it."""
    town = town_with_paths

    def paths(path_id: bytes) -> list[BlindedPath]:
        to_payer = Record(blinding.NEXT_NODE_ID, town.id("payer"))
        hops = (
            ("private", scid(town, "private", name)),
            ("router", to_payer),
            ("payer", Record(blinding.PATH_ID, path_id)),
        )
        return [blinding.blind_path([PathNode(town.id(node), (data,)) for node, data in hops])]

    request = town.refund(35_000, paths=paths)
    if name == "local":
        pay(town, "private", request, label)
        return
    result = town.run("private", "--json", "--no-replies", request, label)
    assert result.exit == 13
    # Before, only lightningd itself can read our hop, when the invoice exists already.
    refused = "lightningd does not know" if town.version >= UNWRAPS else "unknown next scid"
    assert refused in result.json["error"]["message"]


@pytest.mark.parametrize("start", ["introduction node", "our own hop"])
def test_no_request_can_ask_which_unannounced_channels_we_have(
    town_with_paths: Shape, label: str, start: str
) -> None:
    """A guess at one that exists ends as a guess at one that does not: by the next path."""
    town = town_with_paths
    real = scid(town, "private", "real")
    seen: list[tuple[list[str], list[str]]] = []
    for guess in (real, Record(blinding.SHORT_CHANNEL_ID, NOWHERE.scid.to_bytes(8, "big"))):

        def paths(path_id: bytes, guess: Record = guess) -> list[BlindedPath]:
            if start == "our own hop":
                us = PathNode(town.id("private"), (guess,))
                router = PathNode(town.id("router"), (Record(blinding.PATH_ID, path_id),))
                return [blinding.blind_path([us, router]), good(town, path_id)]
            end = ShortChannelIdDirection(int.from_bytes(guess.value, "big"), 0)
            return [
                town.path(("router", "payer"), path_id)._replace(introduction_node=end),
                good(town, path_id),
            ]

        result = pay(town, "private", town.refund(36_000, paths=paths), f"{label}-{len(seen)}")
        calls = re.findall(r"call (\S+)", result.stderr)
        refused = re.findall(r"call (\S+) .*failed", result.stderr)
        seen.append((calls[: calls.index("createinvoice")], refused))
    assert seen[0] == seen[1]


def test_payer_is_our_own_node(town: Shape, label: str) -> None:
    """It is our own request that is to be answered: delivered, and refused by ourselves.

    The oldest call cannot begin at our own node, so a peer hands it back.
    """
    request = craft_request(town.nodes["receiver"].id, 1_000)
    back = ["receiver"] if town.knows_paths else ["receiver", "relay", "receiver"]
    assert plan(town, "receiver", request) == back

    result = town.run("receiver", "--json", request, label, "--timeout", 20)

    assert result.exit == 14, result
    assert "Unknown invoice_request" in result.json["error"]["data"]["error"]


# Disabled channels, and nodes that are in no graph: the sandbox alone


#: Two names; the ends that call it disabled.
Channel = tuple[str, str, tuple[str, ...]]
Start = Callable[..., SimulatedShape]


@pytest.fixture
def start() -> Iterator[Start]:
    """Brings small shapes up, which have a payer and a receiver.

    What is looked for in them does not depend on lightningd's version.
    """
    with ExitStack() as started:

        def start_one(*channels: Channel, links: Sequence[tuple[str, str]] = ()) -> SimulatedShape:
            pairs = (*((left, right) for left, right, _ in channels), *links)
            names = dict.fromkeys(name for pair in pairs for name in pair)
            topology = Topology(
                nodes=tuple(NodeSpec(name, has_address=False) for name in names),
                channels=tuple(
                    ChannelSpec(
                        left,
                        right,
                        left_enabled=left not in disabled,
                        right_enabled=right not in disabled,
                    )
                    for left, right, disabled in channels
                ),
                links=tuple(links),
            )
            return started.enter_context(shapes.simulated(topology))

        yield start_one


def test_disabled_channel_is_gone_around(start: Start) -> None:
    """It mostly means that the two are not connected."""
    shape = start(
        ("receiver", "near", ()),
        ("near", "payer", ("near",)),
        ("near", "far", ()),
        ("far", "payer", ()),
    )
    request = without_paths(shape, 1_000)
    assert plan(shape, "receiver", request) == ["receiver", "near", "far", "payer"]
    check_paid(answer(shape, "receiver", request, "l").json)


def test_channel_that_is_disabled_backwards_only(start: Start) -> None:
    shape = start(("receiver", "near", ()), ("near", "payer", ("payer",)))
    request = without_paths(shape, 1_000)
    assert plan(shape, "receiver", request) == ["receiver", "near", "payer"]


def test_disabled_channel_is_better_than_none(start: Start) -> None:
    """Here the two are connected all the same, so the invoice arrives."""
    shape = start(
        ("receiver", "near", ()),
        ("near", "payer", ("near", "payer")),
    )
    request = without_paths(shape, 1_000)
    assert plan(shape, "receiver", request) == ["receiver", "near", "payer"]
    answered = answer(shape, "receiver", request, "l", timeout=1)
    assert answered.json["exit_code"] == 15
    assert len(shape.sandbox.received_invoices("payer")) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"more_features": (67,)}, "only from nodes that have a channel with it"),
        ({"more_features": (66,), "onion_messages": False}, "only from nodes that have a channel"),
        ({"is_lnd": True}, "only from nodes that have a channel"),
        ({"onion_messages": False}, "does not take onion messages"),
    ],
    ids=["features 39 and 67", "feature 66, as eclair has it", "LND", "no onion messages"],
)
def test_no_connection_to_a_node_that_would_drop_what_we_send(
    changes: dict[str, Any], words: str
) -> None:
    """It announces an address, and its features."""
    names = ("receiver", "near", "payer", "far")
    topology = Topology(
        nodes=tuple(NodeSpec(name, **(changes if name == "payer" else {})) for name in names),
        channels=(ChannelSpec("receiver", "near"), ChannelSpec("payer", "far")),
    )
    with shapes.simulated(topology) as shape:
        request = craft_request(shape.nodes["payer"].id, 1_000)
        answered = answer(shape, "receiver", request, "l").json
        assert answered["exit_code"] == 13
        ((_, reason),) = (each.values() for each in answered["error"]["data"]["tried"])
        assert words in reason
        assert shape.nodes["receiver"].peers() == [shape.nodes["near"].id]
        assert shape.nodes["receiver"].invoice("l") is None


def test_payer_is_a_peer_that_no_graph_knows(start: Start) -> None:
    shape = start(("receiver", "other", ()), links=[("receiver", "payer")])
    assert shape.nodes["receiver"].rpc("listnodes", id=shape.nodes["payer"].id)["nodes"] == []
    request = without_paths(shape, 1_000)
    assert plan(shape, "receiver", request) == ["receiver", "payer"]
    answered = answer(shape, "receiver", request, "l", timeout=3)
    assert len(shape.sandbox.received_invoices("payer")) == 1
    assert answered.json["exit_code"] == 15


def test_all_that_is_asked_is_about_single_nodes(town: Shape) -> None:
    """Nothing that grows with the graph."""
    asked: list[str] = []

    class Watched(Client):
        def call(self, method, params=None, **more):  # type: ignore[no-untyped-def]
            asked.append(method)
            assert method not in ("listchannels", "listnodes") or params
            return super().call(method, params, **more)

    rpc_file: Path = town.nodes["receiver"].rpc_file
    graph = Graph(Watched(rpc_file), town.id("receiver"))
    assert find_path(graph, town.id("payer")) == tuple(
        town.id(name) for name in ("receiver", "relay", "router", "payer")
    )
    assert len(asked) <= 2 * len(town.nodes)
