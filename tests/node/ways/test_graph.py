from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from sendinvoice_cli.bolt12.blinded_path import ShortChannelIdDirection
from sendinvoice_cli.errors import LightningdError
from sendinvoice_cli.node.rpc.client import ConnectionLostError, NoAnswerError
from sendinvoice_cli.node.ways.failures import FAILED_SECONDS
from sendinvoice_cli.node.ways.graph import Graph, UnwillingNodeError
from sendinvoice_cli.node.ways.search import find_path
from tests.node.fake_client import (
    MESSAGES,
    NO_MESSAGES,
    US,
    Answer,
    FakeClient,
    Network,
    Params,
    graph_of,
)
from tests.support.requests_builder import node_id


def test_aliases_and_features() -> None:
    graph, client = graph_of(Network([2], unknown=[3], silent=[4]))
    assert graph.name(node_id(2)) == "node 2"
    assert graph.name(node_id(3)) == node_id(3).hex()[:16]
    assert graph.is_public(node_id(2))
    assert not graph.is_public(node_id(3))
    assert graph.takes_messages(node_id(5))
    assert not graph.takes_messages(node_id(4))
    assert graph.peer_features(node_id(2)) == MESSAGES
    assert graph.peer_features(node_id(4)) is None
    asked = [params["id"] for method, params in client.calls if method == "listnodes"]
    assert len(asked) == len(set(asked))


def test_another_thread_may_connect_while_peers_are_looked_at() -> None:
    graph, client = graph_of(Network([2, 3], choosy=[2, 3]))
    channels = client.answers["listpeerchannels"]
    assert isinstance(channels, Mapping)

    def connect_meanwhile(_: Params) -> Mapping[str, Any]:
        graph.connect(node_id(5))
        return channels

    client.answers |= {"connect": {"features": MESSAGES}, "listpeerchannels": connect_meanwhile}
    assert graph.message_peers() == [node_id(2), node_id(3)]
    assert graph.takes_ours(node_id(5))


def test_two_threads_may_connect_to_an_unwilling_node_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graph, client = graph_of(Network([2]))
    client.answers |= {"connect": {"features": NO_MESSAGES}, "disconnect": {}}
    takes_ours = graph.takes_ours

    def let_the_other_go_first(node: bytes) -> bool:
        monkeypatch.setattr(graph, "takes_ours", takes_ours)
        with pytest.raises(UnwillingNodeError):
            graph.connect(node)
        return takes_ours(node)

    monkeypatch.setattr(graph, "takes_ours", let_the_other_go_first)
    with pytest.raises(UnwillingNodeError):
        graph.connect(node_id(5))


def test_names_are_not_waited_for() -> None:
    """A lightningd that hung in listnodes delayed the result by 30 s for each node."""
    graph, client = graph_of(Network([2, 3, 4]))
    assert graph.name(node_id(2)) == "node 2"
    client.answers["listnodes"] = NoAnswerError("it hangs")
    before = len(client.calls)
    assert [graph.name(node_id(number)) for number in (3, 4, 3)] == [
        node_id(3).hex()[:16],
        node_id(4).hex()[:16],
        node_id(3).hex()[:16],
    ]
    assert len(client.calls) == before + 1
    assert client.patience["listnodes"] == 1
    # What is known already costs nothing.
    assert graph.name(node_id(2)) == "node 2"


@pytest.mark.parametrize(
    ("bits", "takes", "takes_only_channel_peers"),
    [
        ((), False, False),
        ((38,), True, False),
        ((39,), True, False),
        ((66,), True, True),
        ((67,), True, True),
        ((38, 66), True, True),
        ((39, 67), True, True),
        # LND, which tells by neither.
        ((31, 39), True, True),
        ((30, 39), True, True),
        ((31,), False, True),
    ],
)
def test_whose_messages_a_node_takes(
    bits: tuple[int, ...], takes: bool, takes_only_channel_peers: bool
) -> None:
    """BOLT 9: 66/67 narrow 38/39 down to channel peers, or stand alone (eclair)."""
    features = f"{sum(1 << bit for bit in bits):020x}"
    for has_channel in (True, False):
        network = Network([2], channelless=[] if has_channel else [2])
        peer = {"id": node_id(2).hex(), "connected": True, "features": features}
        graph = Graph(FakeClient({**network.answers(), "listpeers": {"peers": [peer]}}), US)
        assert graph.takes_messages(node_id(2)) is takes
        assert graph.wants_channel(node_id(2)) is (takes_only_channel_peers and not has_channel)
        takes_ours = takes and (has_channel or not takes_only_channel_peers)
        assert graph.takes_ours(node_id(2)) is takes_ours
        assert graph.message_peers() == [node_id(2)] * takes_ours


@pytest.mark.parametrize(
    ("state", "is_open"),
    [
        ("CHANNELD_NORMAL", True),
        ("CHANNELD_AWAITING_SPLICE", True),
        ("CHANNELD_AWAITING_LOCKIN", False),
        ("CHANNELD_SHUTTING_DOWN", False),
        ("CLOSINGD_COMPLETE", False),
        ("AWAITING_UNILATERAL", False),
        ("ONCHAIN", False),
    ],
)
def test_a_channel_counts_while_it_is_open(state: str, is_open: bool) -> None:
    graph, client = graph_of(Network([2], choosy=[2]))
    client.answers["listpeerchannels"] = {
        "channels": [{"peer_id": node_id(2).hex(), "state": state}]
    }
    assert graph.has_channel(node_id(2)) is is_open
    assert (find_path(graph, node_id(2)) is not None) is is_open


def test_a_peer_just_connected() -> None:
    graph, client = graph_of(Network())
    client.answers["connect"] = {"features": MESSAGES}
    graph.connect(node_id(9))
    assert find_path(graph, node_id(9)) == (US, node_id(9))


@pytest.mark.parametrize(
    "failure",
    [
        LightningdError("no address"),
        NoAnswerError("too long"),
        {"features": NO_MESSAGES},
        {"features": "absurd"},
        {"features": 7},
    ],
)
@pytest.mark.parametrize("is_renewed", [False, True], ids=["same graph", "renewed"])
def test_a_connection_that_failed_is_tried_again_after_a_minute(
    failure: Answer, is_renewed: bool
) -> None:
    now = [1000.0]
    client = FakeClient({**Network().answers(), "connect": failure, "disconnect": {}})
    graph = Graph(client, US, lambda: now[0])
    for seconds, count in ((0, 1), (FAILED_SECONDS - 1, 1), (FAILED_SECONDS + 1, 2)):
        now[0] = 1000.0 + seconds
        with pytest.raises((LightningdError, NoAnswerError)):
            graph.connect(node_id(9))
        assert client.methods().count("connect") == count
        graph = graph.renewed() if is_renewed else graph


def test_a_clock_set_back_does_not_prolong_the_memory() -> None:
    now = [10_000.0]
    client = FakeClient({"connect": LightningdError("no address")})
    graph = Graph(client, US, lambda: now[0])
    for _ in range(2):
        with pytest.raises(LightningdError):
            graph.connect(node_id(9))
        now[0] = 5_000.0
    assert client.methods() == ["connect", "connect"]


def test_a_connection_that_took_too_long_is_tried_again_with_more_time() -> None:
    client = FakeClient({"connect": NoAnswerError("too long")})
    graph = Graph(client, US)
    for patience in (5, 4, 5, 6, 6):
        with pytest.raises(NoAnswerError):
            graph.connect(node_id(9), patience)
    assert client.methods() == ["connect", "connect"]
    assert client.patience["connect"] == 6


def test_a_connection_is_tried_again_once_lightningd_is_back() -> None:
    graph, client = graph_of(Network())
    client.answers["connect"] = ConnectionLostError("lost")
    with pytest.raises(ConnectionLostError):
        graph.connect(node_id(9))
    client.answers["connect"] = {"features": MESSAGES}
    graph.connect(node_id(9))
    assert graph.peer_features(node_id(9)) == MESSAGES


# --- ends of channels ---

_SCID = 103 << 40 | 1 << 16 | 2
_NAME = "103x1x2"


def _end(direction: int, **answers: Answer) -> bytes | None:
    none: dict[str, Answer] = {
        "listchannels": {"channels": []},
        "listpeerchannels": {"channels": []},
    }
    client = FakeClient({**none, **answers})
    return Graph(client, US).end_of_channel(ShortChannelIdDirection(_SCID, direction))


@pytest.mark.parametrize("known", [0, 1], ids=["node 0's half", "node 1's half"])
@pytest.mark.parametrize("direction", [0, 1])
def test_ends_of_a_public_channel(known: int, direction: int) -> None:
    """BOLT 7: the direction is 0 for what the node with the lesser id says."""
    ends = sorted((node_id(5), node_id(6)))

    def listchannels(params: object) -> dict[str, object]:
        assert params == {"short_channel_id": _NAME}
        source, destination = (ends[known].hex(), ends[1 - known].hex())
        half = {"source": source, "destination": destination, "direction": known, "public": True}
        return {"channels": [half]}

    assert _end(direction, listchannels=listchannels) == ends[direction]


@pytest.mark.parametrize(
    "channel",
    [
        {"short_channel_id": _NAME, "private": False},
        {"short_channel_id": "1x1x1", "alias": {"local": _NAME}, "private": False},
        {"alias": {"local": "1x1x1", "remote": _NAME}, "private": False},
        {"short_channel_id": "1x1x1", "alias": {"local": _NAME}, "private": True},
    ],
)
@pytest.mark.parametrize("direction", [0, 1])
@pytest.mark.parametrize("peer", [2, 3, 4, 5])
def test_ends_of_our_own_channel(channel: dict[str, object], direction: int, peer: int) -> None:
    channels = [{"peer_id": node_id(9).hex()}, {"peer_id": node_id(peer).hex(), **channel}]
    ends = sorted((US, node_id(peer)))
    assert _end(direction, listpeerchannels={"channels": channels}) == ends[direction]


@pytest.mark.parametrize(
    "names", [{"short_channel_id": _NAME}, {"alias": {"local": "1x1x1", "remote": _NAME}}]
)
def test_an_unannounced_channel_is_known_by_our_alias_only(names: dict[str, object]) -> None:
    """Before v24.11, ``listchannels`` has it as well."""
    peer = node_id(5)
    own: Answer = {"channels": [{"peer_id": peer.hex(), "private": True, **names}]}
    half = {"source": US.hex(), "destination": peer.hex(), "direction": 0, "public": False}
    for listed in ([], [half]):
        assert _end(0, listpeerchannels=own, listchannels={"channels": listed}) is None
    graph = Graph(FakeClient({"listpeerchannels": own}), US)
    assert graph.peer_by_channel(_SCID, by_any_name=True) == peer


def test_a_channel_nobody_knows() -> None:
    channels = [{"peer_id": node_id(9).hex(), "short_channel_id": "1x1x1"}]
    assert _end(0, listpeerchannels={"channels": channels}) is None


@pytest.mark.parametrize(
    ("changes", "scid"),
    [
        ({}, 1 << 40 | 2 << 16 | 3),
        ({"alias": {}}, None),
        ({"peer_connected": False}, None),
        ({"state": "ONCHAIN"}, None),
        ({"peer_id": node_id(3).hex()}, None),
    ],
)
def test_how_our_node_knows_a_channel(changes: dict[str, Any], scid: int | None) -> None:
    channel = {
        "peer_id": node_id(2).hex(),
        "peer_connected": True,
        "state": "CHANNELD_NORMAL",
        "alias": {"local": "1x2x3", "remote": "4x5x6"},
        **changes,
    }
    graph = Graph(FakeClient({"listpeerchannels": {"channels": [channel]}}), US)
    assert graph.local_scid(node_id(2)) == scid
