from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sendinvoice_cli.node.ways.graph import Graph
from sendinvoice_cli.node.ways.search import find_path, find_paths
from tests.node.fake_client import NUMBERS, US, FakeClient, Network, graph_of
from tests.support.requests_builder import node_id


def _path(
    network: Network, target: int, avoid: tuple[int, ...] = (), **options: bool
) -> list[int] | None:
    graph, _ = graph_of(network)
    found = find_path(
        graph,
        node_id(target),
        avoid=[node_id(number) for number in avoid],
        **options,
    )
    return None if found is None else [NUMBERS[node] for node in found]


def test_ourselves() -> None:
    assert _path(Network(), 1) == [1]


def test_a_peer_needs_no_look_at_the_graph() -> None:
    graph, client = graph_of(Network(peers=[2], channels=[(2, 3)]))
    assert find_path(graph, node_id(2)) == (US, node_id(2))
    assert set(client.methods()) == {"listpeers", "listpeerchannels"}


def test_a_peer_that_takes_no_messages() -> None:
    assert _path(Network(peers=[2], channels=[(1, 2)], silent=[2]), 2) is None


def test_a_peer_that_is_away() -> None:
    network = Network(peers=[2], channels=[(2, 3)])
    answers = network.answers()
    away = {"id": node_id(2).hex(), "connected": False}
    client = FakeClient({**answers, "listpeers": {"peers": [away]}})
    assert find_path(Graph(client, US), node_id(3)) is None
    assert Graph(client, US).message_peers() == []


@pytest.mark.parametrize(
    ("network", "path"),
    [
        pytest.param(Network([2], [(2, 9)]), [1, 2, 9], id="a peer between"),
        pytest.param(Network([2], [(2, 3), (3, 9)]), [1, 2, 3, 9], id="two between"),
        pytest.param(
            Network([2], [(2, 3), (3, 4), (4, 5), (5, 6), (6, 9)]),
            [1, 2, 3, 4, 5, 6, 9],
            id="five between",
        ),
        pytest.param(
            Network([2, 3], [(2, 9), (3, 9)], silent=[2]), [1, 3, 9], id="around a silent peer"
        ),
        pytest.param(
            Network([2], [(2, 3), (3, 9), (2, 4), (4, 5), (5, 9)], silent=[3]),
            [1, 2, 4, 5, 9],
            id="the longer way around a silent node",
        ),
        pytest.param(
            Network([2], [(2, 3), (3, 9), (2, 4), (4, 5), (5, 9)], unknown=[3]),
            [1, 2, 4, 5, 9],
            id="around a node nothing is known of",
        ),
        pytest.param(Network([2, 3], [(2, 4), (4, 9), (3, 9)]), [1, 3, 9], id="the shorter of two"),
        pytest.param(
            Network([2], [(2, 3), (3, 9)], disabled=[(3, 2), (9, 3)]),
            [1, 2, 3, 9],
            id="disabled in the other direction",
        ),
        pytest.param(Network([2], [(1, 2), (1, 9)]), None, id="not over ourselves"),
        pytest.param(Network([2], [(2, 3), (4, 9)]), None, id="two islands"),
        pytest.param(Network([2], [(2, 9)], silent=[9]), None, id="a silent target"),
        pytest.param(Network([2], [(2, 9)], unknown=[9]), None, id="an unknown target"),
        pytest.param(Network([2], [(2, 3), (3, 9)], silent=[3]), None, id="only a silent way"),
        pytest.param(Network([2], [(2, 9)], silent=[2]), None, id="only a silent peer"),
        pytest.param(Network([], [(1, 2), (2, 9)]), None, id="no peers"),
        pytest.param(Network([2], [(2, 9)], disabled=[(2, 9)]), None, id="a disabled channel"),
    ],
)
def test_paths(network: Network, path: list[int] | None) -> None:
    assert _path(network, 9) == path


def test_disabled_channels_when_told_so() -> None:
    network = Network([2, 3], [(2, 9), (3, 4), (4, 9)], disabled=[(2, 9), (9, 2)])
    assert _path(network, 9) == [1, 3, 4, 9]
    assert _path(network, 9, with_disabled=True) == [1, 2, 9]
    silent = Network([2], [(2, 9)], disabled=[(2, 9)], silent=[2])
    assert _path(silent, 9, with_disabled=True) is None


def test_nodes_whose_announcement_was_not_seen() -> None:
    network = Network([2, 3], [(2, 9), (3, 4), (4, 9)], unannounced=[4], silent=[2])
    assert _path(network, 9) is None
    assert _path(network, 9, with_unknown=True) == [1, 3, 4, 9]
    target = Network([2], [(2, 9)], unannounced=[9])
    assert _path(target, 9) is None
    assert _path(target, 9, with_unknown=True) == [1, 2, 9]
    # One that nothing at all is known of has no channels, either.
    assert _path(Network([2], [(2, 9)], unknown=[9]), 9, with_unknown=True) is None
    # What a peer said itself counts more than what it did not announce.
    peer = Network([2], [(2, 9)], unannounced=[2])
    assert _path(peer, 9) == [1, 2, 9]


def test_avoid() -> None:
    network = Network([2, 3], [(2, 9), (3, 4), (4, 9)])
    assert _path(network, 9) == [1, 2, 9]
    assert _path(network, 9, avoid=(2,)) == [1, 3, 4, 9]
    assert _path(network, 9, avoid=(2, 4)) is None


def test_an_unknown_target_costs_one_question() -> None:
    graph, client = graph_of(Network([2], [(2, 9)], unknown=[9]))
    assert find_path(graph, node_id(9)) is None
    assert client.methods() == ["listpeers", "listnodes"]


def test_nothing_is_asked_twice_and_never_for_the_whole_graph() -> None:
    graph, client = graph_of(Network([2, 3], [(2, 4), (4, 5), (5, 9), (3, 5)], silent=[3]))
    for with_disabled in (False, True):
        assert find_path(graph, node_id(9), with_disabled=with_disabled)
        assert find_path(graph, node_id(9), avoid=[node_id(4)], with_disabled=with_disabled) is None
    asked = [(method, *params.items()) for method, params in client.calls]
    assert len(asked) == len(set(asked))
    assert all(params for method, params in client.calls if not method.startswith("listpeer"))


# --- several ways ---


def _ways(network: Network, ways: int) -> list[list[int]]:
    graph, _ = graph_of(network)
    found = find_paths(graph, node_id(9), ways=ways)
    return sorted([NUMBERS[node] for node in path] for path in found)


@pytest.mark.parametrize(
    ("network", "paths"),
    [
        pytest.param(
            Network([2, 3], [(2, 9), (3, 9)]), [[1, 2, 9], [1, 3, 9]], id="a payer behind two peers"
        ),
        pytest.param(
            Network([2, 3], [(2, 4), (3, 4), (4, 9)]),
            [[1, 2, 4, 9], [1, 3, 4, 9]],
            id="a node behind two peers",
        ),
        pytest.param(
            Network([2, 3], [(2, 4), (3, 5), (4, 9), (5, 9)]),
            [[1, 2, 4, 9], [1, 3, 5, 9]],
            id="by other nodes all the way",
        ),
        pytest.param(
            Network([2, 3, 4], [(2, 9), (3, 5), (5, 9), (4, 9)], silent=[4]),
            [[1, 2, 9]],
            id="another is longer, and one is silent",
        ),
        pytest.param(
            Network([2, 3], [(2, 9), (3, 9)], channelless=[3]),
            [[1, 2, 9]],
            id="not by a peer without a channel",
        ),
        pytest.param(
            Network([2, 3], [(2, 9), (3, 9)], channelless=[2, 3]),
            [[1, 2, 9], [1, 3, 9]],
            id="two peers without a channel",
        ),
        pytest.param(
            Network([2], [(2, 3), (2, 4), (3, 9), (4, 9)]),
            1,
            id="one peer, whatever comes behind it",
        ),
        pytest.param(Network([2, 9], [(2, 9)]), [[1, 9]], id="a peer"),
    ],
)
def test_paths_that_are_as_short(network: Network, paths: list[list[int]] | int) -> None:
    found = _ways(network, 4)
    assert (len(found) if isinstance(paths, int) else found) == paths
    assert len(_ways(network, 1)) == 1


def test_no_more_ways_than_asked_for() -> None:
    network = Network([2, 3, 4, 5], [(peer, 9) for peer in (2, 3, 4, 5)])
    assert [len(_ways(network, ways)) for ways in (1, 2, 3, 4, 5)] == [1, 2, 3, 4, 4]


def test_one_way_asks_no_more_for_others() -> None:
    """A single send needs one."""
    network = Network([2, 3], [(2, 9), (3, 9), *((9, number) for number in range(4, 9))])
    graph, client = graph_of(network)
    assert find_path(graph, node_id(9)) is not None
    assert client.methods().count("listchannels") == 1


# --- peers with and without a channel ---


@pytest.mark.parametrize(
    ("network", "path"),
    [
        pytest.param(
            Network([2, 3], [(2, 9), (3, 4), (4, 9)], channelless=[2]),
            [1, 3, 4, 9],
            id="the longer way over our channel",
        ),
        pytest.param(
            Network([2, 9], [(2, 9)], channelless=[9]), [1, 2, 9], id="not by the connection"
        ),
        pytest.param(
            Network([2, 9], [(2, 3)], channelless=[9]), [1, 9], id="by the connection, if need be"
        ),
        pytest.param(
            Network([2, 3], [(2, 9)], channelless=[2]), [1, 2, 9], id="by a peer without a channel"
        ),
        pytest.param(
            Network([2], [(2, 9)], choosy=[2, 9]), [1, 2, 9], id="nodes that want a channel"
        ),
        pytest.param(Network([9], choosy=[9]), [1, 9], id="a peer that wants a channel"),
        pytest.param(
            Network([9], choosy=[9], channelless=[9]), None, id="a peer that wants a channel, alone"
        ),
        pytest.param(
            Network([2], [(2, 9)], choosy=[2], channelless=[2]),
            None,
            id="no first hop that wants a channel",
        ),
        pytest.param(
            Network([2, 3], [(3, 2), (2, 9)], choosy=[2], channelless=[2]),
            [1, 3, 2, 9],
            id="that wants a channel, behind one that has one",
        ),
    ],
)
def test_first_hops(network: Network, path: list[int] | None) -> None:
    """LND from 0.21 drops messages of peers without a channel; others tell by features 66/67."""
    assert _path(network, 9) == path


@pytest.mark.parametrize(("channelless", "named"), [(2, [5, 6, 2]), (5, [2, 6, 5])])
def test_peers_with_a_channel_are_named_first(channelless: int, named: list[int]) -> None:
    """The others of a kind keep the order in which lightningd has them."""
    graph, client = graph_of(
        Network([2, 3, 4, 5, 6], channelless=[channelless, 4], choosy=[4, 6], silent=[3])
    )
    assert [NUMBERS[peer] for peer in graph.message_peers()] == named
    assert sorted(client.methods()) == ["listpeerchannels", "listpeers"]


def test_a_connection_costs_one_question_when_the_target_is_private() -> None:
    graph, client = graph_of(Network([2, 9], channelless=[9], unknown=[9]))
    assert find_path(graph, node_id(9)) == (US, node_id(9))
    assert client.methods() == ["listpeers", "listpeerchannels", "listchannels"]


@st.composite
def _networks(draw: st.DrawFn) -> Network:
    nodes = range(1, 10)
    pairs = [(one, other) for one in nodes for other in nodes if one < other]
    channels = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=14))
    directed = [*channels, *((other, one) for one, other in channels)]
    return Network(
        draw(st.lists(st.integers(2, 8), unique=True, max_size=3)),
        channels,
        silent=draw(st.sets(st.integers(2, 9), max_size=3)),
        disabled=draw(st.sets(st.sampled_from(directed), max_size=4)) if directed else (),
        channelless=draw(st.sets(st.integers(2, 8), max_size=3)),
        choosy=draw(st.sets(st.integers(2, 9), max_size=3)),
    )


def _distances(network: Network, starts: list[int]) -> dict[int, int]:
    """Hops from us to every node that a message reaches over these peers, by flooding."""
    edges = {
        (NUMBERS[bytes.fromhex(half["source"])], NUMBERS[bytes.fromhex(half["destination"])])
        for half in network.halves
        if half["active"]
    }
    distances = dict.fromkeys(starts, 1)
    frontier = list(distances)
    while frontier:
        wider = []
        for node in frontier:
            for source, destination in edges:
                if source != node or destination in network.silent or destination in distances:
                    continue
                if destination != 1:
                    distances[destination] = distances[node] + 1
                    wider.append(destination)
        frontier = wider
    return distances


@given(_networks())
@settings(max_examples=300)
def test_a_shortest_path_is_found_wherever_there_is_one(network: Network) -> None:
    found = _path(network, 9)
    peers = [peer for peer in network.peers if peer not in network.silent]
    by_channel = [peer for peer in peers if peer not in network.channelless]
    by_connection = [peer for peer in peers if peer not in network.choosy or peer in by_channel]
    expected = _distances(network, by_channel).get(9, _distances(network, by_connection).get(9))
    assert (None if found is None else len(found) - 1) == expected
    if found is None:
        return
    assert found[1] in network.peers
    _check_steps(network, found)


def _check_steps(network: Network, path: list[int]) -> None:
    """Every node hands it on to the next, and takes messages."""
    assert not set(path) & network.silent
    assert len(set(path)) == len(path)
    steps = [(node_id(one).hex(), node_id(other).hex()) for one, other in pairwise(path[1:])]
    halves = {(half["source"], half["destination"]) for half in network.halves if half["active"]}
    assert halves.issuperset(steps)


@given(_networks())
@settings(max_examples=200)
def test_all_ways_are_shortest_paths_over_different_peers(network: Network) -> None:
    shortest = _path(network, 9)
    found = _ways(network, 3)
    assert bool(found) == (shortest is not None)
    assert len({path[1] for path in found}) == len(found)
    for path in found:
        assert shortest is not None
        assert len(path) == len(shortest)
        _check_steps(network, path)
