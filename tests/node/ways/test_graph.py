from __future__ import annotations

import pytest

from sendinvoice_cli.bolt12.blinded_path import ShortChannelIdDirection
from sendinvoice_cli.errors import LightningdError, SendInvoiceError
from sendinvoice_cli.node.rpc.client import ConnectionLostError, NoAnswerError
from sendinvoice_cli.node.ways.graph import Graph
from sendinvoice_cli.node.ways.search import find_path
from tests.node.fake_client import MESSAGES, NO_MESSAGES, US, Answer, FakeClient, Network, graph_of
from tests.support.requests_builder import node_id


def test_aliases_and_features() -> None:
    graph, client = graph_of(Network([2], unknown=[3], silent=[4]))
    assert graph.alias(node_id(2)) == "node 2"
    assert graph.alias(node_id(3)) is None
    assert graph.is_public(node_id(2))
    assert not graph.is_public(node_id(3))
    assert graph.takes_messages(node_id(5))
    assert not graph.takes_messages(node_id(4))
    assert graph.peer_features(node_id(2)) == MESSAGES
    assert graph.peer_features(node_id(4)) is None
    asked = [params["id"] for method, params in client.calls if method == "listnodes"]
    assert len(asked) == len(set(asked))


@pytest.mark.parametrize(("features", "expected"), [(MESSAGES, True), (NO_MESSAGES, False)])
def test_a_peer_just_connected(features: str, expected: bool) -> None:
    graph, client = graph_of(Network())
    client.answers["connect"] = {"features": features}
    graph.connect(node_id(9))
    assert graph.takes_messages(node_id(9)) is expected
    assert (find_path(graph, node_id(9)) is not None) is expected


@pytest.mark.parametrize("failure", [LightningdError("no address"), NoAnswerError("too long")])
def test_a_connection_that_failed_is_not_tried_again(failure: SendInvoiceError) -> None:
    graph, client = graph_of(Network())
    client.answers["connect"] = failure
    for _ in range(2):
        with pytest.raises(type(failure)):
            graph.connect(node_id(9))
    assert client.methods() == ["connect"]


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
        half = {"source": source, "destination": destination, "direction": known}
        return {"channels": [half]}

    assert _end(direction, listchannels=listchannels) == ends[direction]


@pytest.mark.parametrize(
    "names",
    [
        {"short_channel_id": _NAME},
        {"short_channel_id": "1x1x1", "alias": {"local": _NAME}},
        {"alias": {"local": "1x1x1", "remote": _NAME}},
    ],
)
@pytest.mark.parametrize("direction", [0, 1])
@pytest.mark.parametrize("peer", [2, 3, 4, 5])
def test_ends_of_our_own_channel(names: dict[str, object], direction: int, peer: int) -> None:
    channels = [{"peer_id": node_id(9).hex()}, {"peer_id": node_id(peer).hex(), **names}]
    ends = sorted((US, node_id(peer)))
    assert _end(direction, listpeerchannels={"channels": channels}) == ends[direction]


def test_a_channel_nobody_knows() -> None:
    channels = [{"peer_id": node_id(9).hex(), "short_channel_id": "1x1x1"}]
    assert _end(0, listpeerchannels={"channels": channels}) is None
