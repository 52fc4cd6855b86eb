from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import pytest
from coincurve import PrivateKey

from sendinvoice_cli.bolt12 import fields
from sendinvoice_cli.bolt12.blinded_path import (
    BlindedPath,
    IntroductionNode,
    ShortChannelIdDirection,
    format_scid,
    parse_scid,
)
from sendinvoice_cli.bolt12.tlv import Record
from sendinvoice_cli.errors import LightningdError, UnreachableError
from sendinvoice_cli.node.info import NodeInfo, OnionApi
from sendinvoice_cli.node.rpc.client import NoAnswerError
from sendinvoice_cli.node.ways.connections import MAX_CONTACTS
from sendinvoice_cli.node.ways.graph import (
    CONNECT_SECONDS,
    TAKES_NO_MESSAGES,
    WANTS_CHANNEL,
    Graph,
)
from sendinvoice_cli.node.ways.routes import Route, Router
from sendinvoice_cli.onion import blinding
from sendinvoice_cli.sandbox.model import onion_layers
from tests.node.fake_client import (
    MESSAGES,
    MESSAGES_BY_CHANNEL,
    MESSAGES_BY_CHANNEL_ALONE,
    NO_MESSAGES,
    US,
    Answer,
    FakeClient,
    Network,
    Params,
    node_info,
)
from tests.support.requests_builder import node_id, path, request

_PAYER = node_id(9)


def _router(
    network: Network,
    *introduction_nodes: IntroductionNode,
    info: NodeInfo | None = None,
    allow_connect: bool = True,
    seconds_left: float | Callable[[], float] = math.inf,
    contacts: set[bytes] | None = None,
    client: FakeClient | None = None,
    graph: Graph | None = None,
    hops: int = 1,
    ways: int = 1,
    **answers: Answer,
) -> tuple[Router, FakeClient]:
    """A router for a request of node 9's, with paths that begin at these nodes."""
    client = client or FakeClient({**network.answers(), "disconnect": {}, **answers})
    made = [path(node) for node in introduction_nodes]
    paths = b"".join(each._replace(hops=each.hops * hops).encode() for each in made)
    changes = {fields.INVREQ_PAYER_ID: _PAYER, fields.INVREQ_PATHS: paths or None}
    info = info or node_info()
    router = Router(
        client,
        info,
        graph or Graph(client, US),
        request(changes, sign=False),
        allow_connect=allow_connect,
        seconds_left=seconds_left if callable(seconds_left) else lambda: seconds_left,
        contacts=contacts,
        ways=ways,
    )
    return router, client


def _nodes(*numbers: int) -> tuple[bytes, ...]:
    return tuple(node_id(number) for number in numbers)


def _ends(router: Router) -> list[tuple[str, str]]:
    """The targets that it could not reach, and why."""
    return [(end.target, end.reason) for end in router.dead_ends]


def _path(introduction_node: IntroductionNode) -> BlindedPath:
    return path(introduction_node)


def test_without_paths_the_payer_is_the_target() -> None:
    router, _ = _router(Network([2], [(2, 9)]))
    assert list(router.routes()) == [Route(_nodes(1, 2, 9))]
    assert router.dead_ends == []


def test_with_paths_the_payer_id_is_no_target() -> None:
    """BOLT 12: MUST use invreq_paths if present."""
    router, client = _router(Network([9]), node_id(3), connect=LightningdError("connect: no"))
    assert list(router.routes()) == []
    assert [end.target for end in router.dead_ends] == [node_id(3).hex()]
    assert ("connect", {"id": node_id(3).hex()}) in client.calls


def test_order_of_the_request() -> None:
    router, _ = _router(Network([3, 4, 5]), *_nodes(4, 5, 3))
    routes = list(router.routes())
    assert [route.nodes[-1] for route in routes] == list(_nodes(4, 5, 3))
    assert [route.their_path for route in routes] == [_path(node) for node in _nodes(4, 5, 3)]


@pytest.mark.parametrize(
    ("first", "order"), [(1, (5, 3, 4)), (2, (3, 4, 5)), (3, (4, 5, 3)), (7, (5, 3, 4))]
)
def test_order_from_another_one(first: int, order: tuple[int, ...]) -> None:
    router, _ = _router(Network([3, 4, 5]), *_nodes(4, 5, 3))
    assert [route.nodes[-1] for route in router.routes(first=first)] == list(_nodes(*order))


def test_dead_ends_are_passed_over() -> None:
    unknown_channel = ShortChannelIdDirection(1 << 40 | 2 << 16 | 3, 1)
    router, _ = _router(
        Network([2, 6], [(2, 5)], silent=[6], unknown=[4]),
        node_id(4),
        unknown_channel,
        node_id(6),
        node_id(5),
        listpeerchannels={"channels": []},
        connect=LightningdError("connect: All addresses failed"),
    )
    assert [route.nodes for route in router.routes()] == [_nodes(1, 2, 5)]
    assert _ends(router) == [
        (
            node_id(4).hex(),
            "no path to it is known, and lightningd cannot connect to it: All addresses failed",
        ),
        ("1x2x3/1", "lightningd does not know this channel"),
        (node_id(6).hex(), TAKES_NO_MESSAGES),
    ]


def test_each_target_is_looked_for_only_when_asked_for() -> None:
    router, client = _router(Network([2], unknown=[3]), node_id(2), node_id(3))
    routes = router.routes()
    assert next(routes).nodes == _nodes(1, 2)
    assert "listnodes" not in client.methods()


def test_introduction_node_by_channel() -> None:
    ends = sorted(_nodes(2, 3))
    half = {"source": ends[0].hex(), "destination": ends[1].hex(), "direction": 0, "public": True}
    named = ShortChannelIdDirection(7, 1)
    router, _ = _router(Network([2, 3]), named, listchannels={"channels": [half]})
    assert list(router.routes()) == [Route((US, ends[1]), _path(named))]


# --- connecting ---


def test_a_new_connection() -> None:
    router, client = _router(Network([2], unknown=[9]), connect={"features": MESSAGES})
    assert list(router.routes()) == [Route((US, _PAYER), has_channel=False)]
    assert client.calls.count(("connect", {"id": _PAYER.hex()})) == 1
    assert "disconnect" not in client.methods()


def test_a_new_connection_to_a_node_without_messages() -> None:
    router, _ = _router(Network([2], unknown=[9]), connect={"features": NO_MESSAGES})
    assert list(router.routes()) == []
    assert _ends(router) == [(_PAYER.hex(), "it does not take onion messages")]


def test_a_connection_that_takes_too_long() -> None:
    """lightningd is still connecting, and not gone."""
    router, _ = _router(Network([2], unknown=[9]), connect=NoAnswerError("too long"))
    assert list(router.routes()) == []
    assert "it did not answer within" in router.dead_ends[0].reason


def test_a_look_opens_no_connection() -> None:
    router, client = _router(Network([2]), connect={"features": MESSAGES})
    assert list(router.routes(connect=False)) == [
        Route((US, _PAYER), would_connect=True, has_channel=False)
    ]
    assert "connect" not in client.methods()


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (LightningdError("connect: …", rpc_code=400), "lightningd knows no address of it"),
        (LightningdError("connect: …", rpc_code=401), "it does not answer at any address"),
        (LightningdError("connect: …", rpc_code=402), "it closes the connection at once"),
        (LightningdError("connect: Tor is off"), "lightningd cannot connect to it: Tor is off"),
    ],
)
def test_connections_that_fail_are_told_in_plain_words(failure: Answer, words: str) -> None:
    router, _ = _router(Network([2], unknown=[9]), connect=failure)
    assert list(router.routes()) == []
    ((_, reason),) = _ends(router)
    assert words in reason
    assert router.dead_ends[0].hint is not None


@pytest.mark.parametrize("network", [Network([2], unknown=[9]), Network([2], hidden=[9])])
def test_a_look_at_a_node_without_address(network: Network) -> None:
    router, _ = _router(network, connect={"features": MESSAGES})
    assert list(router.routes(connect=False)) == []
    assert router.dead_ends[0].reason.endswith("knows no address of it")


@pytest.mark.parametrize("connect", [True, False], ids=["send", "look"])
@pytest.mark.parametrize(
    ("allow_connect", "node_forbids", "reason"),
    [(False, False, "--no-connect forbids"), (True, True, "fetchinvoice-noconnect forbids")],
)
def test_connections_forbidden(
    connect: bool, allow_connect: bool, node_forbids: bool, reason: str
) -> None:
    router, client = _router(
        Network([2], unknown=[9]),
        info=node_info(no_connect=node_forbids),
        allow_connect=allow_connect,
        connect={"features": MESSAGES},
    )
    assert list(router.routes(connect=connect)) == []
    assert reason in router.dead_ends[0].reason
    assert "connect" not in client.methods()


_AWAY = LightningdError("connect: All addresses failed", rpc_code=401)


def test_a_disabled_channel_is_the_last_resort() -> None:
    network = Network([2], [(2, 9)], disabled=[(2, 9)])
    router, client = _router(network, connect={"features": MESSAGES})
    assert list(router.routes()) == [Route((US, _PAYER), has_channel=False)]
    assert client.methods().count("connect") == 1
    failing, _ = _router(network, connect=LightningdError("connect: no address", rpc_code=400))
    assert list(failing.routes()) == [Route(_nodes(1, 2, 9))]
    assert failing.dead_ends == []
    forbidden, _ = _router(network, allow_connect=False)
    assert list(forbidden.routes()) == [Route(_nodes(1, 2, 9))]


@pytest.mark.parametrize("disabled", [[], [(2, 4)]], ids=["enabled", "disabled"])
def test_nodes_whose_announcement_was_not_seen(disabled: list[tuple[int, int]]) -> None:
    """They come after all nodes that are known to take messages."""
    channels = [(2, 4), (4, 9), (3, 9)]
    unsure = Network([2], channels, unannounced=[4], disabled=disabled)
    router, _ = _router(unsure, connect=LightningdError("connect: no"))
    # Nobody knows what software it runs.
    assert list(router.routes()) == [Route(_nodes(1, 2, 4, 9), counting_bytes=frozenset(_nodes(4)))]
    sure = Network([2, 3], channels, unannounced=[4], disabled=[*disabled, (3, 9)])
    router, _ = _router(sure, connect=LightningdError("connect: no"))
    assert list(router.routes()) == [Route(_nodes(1, 3, 9))]


def test_a_disabled_channel_to_a_node_that_is_away() -> None:
    router, _ = _router(Network([2], [(2, 9)], disabled=[(2, 9)]), connect=_AWAY)
    assert list(router.routes()) == []
    assert "does not answer at any address" in router.dead_ends[0].reason


# --- peers with and without a channel ---


@pytest.mark.parametrize(
    ("api", "scid"),
    [
        (OnionApi.INJECT_ONION, parse_scid("1x2x3")),
        (OnionApi.INJECT_HOPS, None),
        (OnionApi.SEND_HOPS, None),
    ],
)
def test_our_node_is_told_the_channel_by_our_alias(api: OnionApi, scid: int | None) -> None:
    """Where the onion begins at our node. Older calls do not know our aliases."""
    channel = {
        "peer_id": node_id(2).hex(),
        "peer_connected": True,
        "state": "CHANNELD_NORMAL",
        "alias": {"local": "1x2x3"},
    }
    router, _ = _router(
        Network([2], [(2, 9)]), info=node_info(api), listpeerchannels={"channels": [channel]}
    )
    assert [(route.nodes, route.first_scid) for route in router.routes()] == [
        (_nodes(1, 2, 9), scid)
    ]


def test_whether_the_first_link_is_a_channel() -> None:
    network = Network([2, 3, 4], channelless=[3, 4])
    router, _ = _router(network, *_nodes(2, 3, 1))
    assert [route.has_channel for route in router.routes()] == [True, False, True]


def test_a_new_connection_comes_after_a_path_without_a_channel() -> None:
    router, client = _router(Network([2], [(2, 9)], channelless=[2]))
    assert list(router.routes()) == [Route(_nodes(1, 2, 9), has_channel=False)]
    assert "connect" not in client.methods()


def test_a_peer_that_went_away_still_has_a_channel_once_it_is_back() -> None:
    router, _ = _router(
        Network([9], choosy=[9]),
        listpeers={"peers": [{"id": _PAYER.hex(), "connected": False}]},
        connect={"features": MESSAGES_BY_CHANNEL},
    )
    assert list(router.routes()) == [Route((US, _PAYER), has_channel=True)]


@pytest.mark.parametrize("connect", [True, False], ids=["send", "look"])
def test_no_connection_to_a_node_that_wants_a_channel(connect: bool) -> None:
    """By its announcement it would drop what we send."""
    router, client = _router(Network([2], choosy=[9]), connect={"features": MESSAGES_BY_CHANNEL})
    assert list(router.routes(connect=connect)) == []
    assert router.dead_ends[0].reason == WANTS_CHANNEL
    assert "connect" not in client.methods()


@pytest.mark.parametrize("connect", [True, False], ids=["send", "look"])
def test_no_connection_to_a_node_that_announces_no_messages(connect: bool) -> None:
    router, client = _router(Network([2], silent=[9]), connect={"features": NO_MESSAGES})
    assert list(router.routes(connect=connect)) == []
    assert router.dead_ends[0].reason == TAKES_NO_MESSAGES
    assert "connect" not in client.methods()


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        (NO_MESSAGES, TAKES_NO_MESSAGES),
        (MESSAGES_BY_CHANNEL, WANTS_CHANNEL),
        (MESSAGES_BY_CHANNEL_ALONE, WANTS_CHANNEL),
    ],
    ids=["takes none", "wants a channel", "wants a channel, in eclair's form"],
)
@pytest.mark.parametrize("closed", [{}, LightningdError("disconnect: Unknown peer")])
def test_a_connection_opened_for_nothing_is_closed(
    features: str, reason: str, closed: Answer
) -> None:
    """lightningd knows no announcement of the payer, so only the connection tells."""
    router, client = _router(
        Network([2], unknown=[9]), connect={"features": features}, disconnect=closed
    )
    assert list(router.routes()) == []
    assert _ends(router) == [(_PAYER.hex(), reason)]
    assert client.calls[-1] == ("disconnect", {"id": _PAYER.hex()})


def test_a_handful_of_connections_for_one_request() -> None:
    """The next search may use them again, but opens no other."""
    strangers = range(3, 3 + 2 * MAX_CONTACTS)
    network = Network([2], unknown=strangers)
    contacts: set[bytes] = set()
    no = LightningdError("connect: no")
    router, client = _router(network, *_nodes(*strangers), contacts=contacts, connect=no)
    assert list(router.routes()) == []
    assert client.methods().count("connect") == MAX_CONTACTS
    assert len(router.dead_ends) == len(strangers)
    assert f"{MAX_CONTACTS} other nodes were tried" in router.dead_ends[-1].reason

    connects: Answer = {"features": MESSAGES}
    again, client = _router(network, *_nodes(*strangers), contacts=contacts, connect=connects)
    assert [route.nodes[-1] for route in again.routes()] == list(_nodes(*strangers[:MAX_CONTACTS]))


def test_connections_that_failed_for_another_request_do_not_count() -> None:
    strangers = range(3, 3 + MAX_CONTACTS)
    network = Network([2], unknown=[*strangers, 9])

    def connect(params: Params) -> dict[str, Any]:
        if params["id"] == _PAYER.hex():
            return {"features": MESSAGES}
        raise LightningdError("connect: no")

    router, client = _router(network, *_nodes(*strangers), connect=connect)
    assert list(router.routes()) == []
    other, _ = _router(network, *_nodes(*strangers, 9), client=client, graph=router._graph)
    assert [route.nodes for route in other.routes()] == [_nodes(1, 9)]


def test_a_connection_gets_no_more_than_the_seconds_that_are_left() -> None:
    for left, patience in ((7.0, 7.0), (CONNECT_SECONDS + 1.0, CONNECT_SECONDS)):
        no_answer = NoAnswerError("too long")
        router, client = _router(Network([2], unknown=[9]), seconds_left=left, connect=no_answer)
        assert list(router.routes()) == []
        assert client.patience["connect"] == patience
        assert f"did not answer within {patience:.0f} s" in router.dead_ends[0].reason


def test_the_search_ends_with_the_time() -> None:
    """What was tried so far is told."""
    left = [20.0, 10.0, 0.0]
    router, client = _router(
        Network([2], unknown=[3, 4, 5, 6]),
        *_nodes(3, 4, 5, 6),
        seconds_left=lambda: left[client.methods().count("connect")],
        connect=LightningdError("connect: no"),
    )
    assert list(router.routes()) == []
    assert [end.target for end in router.dead_ends] == [node.hex() for node in _nodes(3, 4, 5)]
    assert "TIMEOUT" in router.dead_ends[-1].reason


def test_routes_that_are_as_good() -> None:
    """Each over another peer of ours."""
    network = Network([2, 3, 4], [(2, 9), (3, 9), (4, 5), (5, 9)], lnd=[2])
    (alone,) = _router(network)[0].routes()
    assert alone.others == ()
    (route,) = _router(network, ways=3)[0].routes()
    (other,) = route.others
    assert {route.nodes, other.nodes} == {_nodes(1, 2, 9), _nodes(1, 3, 9)}
    assert {route.counting_bytes, other.counting_bytes} == {frozenset(_nodes(2)), frozenset()}
    # The next copy avoids the nodes of the first.
    again = next(_router(network, ways=3)[0].routes(avoid=_nodes(2)))
    assert (again.nodes, again.others) == (_nodes(1, 3, 9), ())


# --- what software the nodes run ---


@pytest.mark.parametrize(
    ("network", "introduction_node", "counting"),
    [
        (Network([2], [(2, 3), (3, 9)]), None, ()),
        (Network([2], [(2, 3), (3, 9)], lnd=[2]), None, (2,)),
        (Network([2], [(2, 3), (3, 9)], lnd=[3]), None, (3,)),
        (Network([2], [(2, 3), (3, 9)], lnd=[2, 3]), 3, (2, 3)),
        (Network([2], [(2, 3), (3, 9)], lnd=[3]), 2, ()),
        # The payer runs no LND, since that makes no requests.
        (Network([2], [(2, 3), (3, 9)], unannounced=[9]), None, ()),
        (Network([2], [(2, 3), (3, 9)], unannounced=[9]), 9, (9,)),
    ],
)
def test_nodes_that_may_count_bytes(
    network: Network, introduction_node: int | None, counting: tuple[int, ...]
) -> None:
    starts = () if introduction_node is None else _nodes(introduction_node)
    router, _ = _router(network, *starts, hops=2, connect=LightningdError("connect: no"))
    (route,) = router.routes()
    assert route.counting_bytes == frozenset(_nodes(*counting))


# --- our own node at the beginning of their path ---


@pytest.mark.parametrize("api", [OnionApi.INJECT_ONION, OnionApi.INJECT_HOPS])
def test_our_own_node(api: OnionApi) -> None:
    router, client = _router(Network([2]), US, info=node_info(api))
    assert list(router.routes()) == [Route((US,), _path(US))]
    assert client.calls == []


def test_our_own_node_when_messages_can_only_go_to_a_peer() -> None:
    network = Network([2, 3], silent=[2])
    router, _ = _router(network, US, info=node_info(OnionApi.SEND_HOPS))
    assert list(router.routes()) == [Route(_nodes(1, 3, 1), _path(US))]


def test_our_own_node_without_such_a_peer() -> None:
    network = Network([2, 3], silent=[2])
    alone, _ = _router(Network([2], silent=[2]), US, info=node_info(OnionApi.SEND_HOPS))
    assert list(alone.routes()) == []
    assert alone.dead_ends[0].target == US.hex()
    with_another, _ = _router(network, US, node_id(3), info=node_info(OnionApi.SEND_HOPS))
    assert [route.nodes for route in with_another.routes()] == [_nodes(1, 3, 1), _nodes(1, 3)]


#: What node 1, which is ours, has for its private key.
_OUR_KEY = PrivateKey((1).to_bytes(32, "big"))
_REAL, _OURS, _THEIRS = 103 << 40 | 1 << 16, 7, 8
_CHANNEL = {
    "peer_id": node_id(3).hex(),
    "private": True,
    "short_channel_id": format_scid(_REAL),
    "alias": {"local": format_scid(_OURS), "remote": format_scid(_THEIRS)},
}


def _scid(scid: int) -> Record:
    return Record(blinding.SHORT_CHANNEL_ID, scid.to_bytes(8, "big"))


def _decrypt(params: Params) -> dict[str, Any]:
    """What lightningd answers to ``decryptencrypteddata``."""
    plain, next_path_key = onion_layers.decrypt_hop(
        _OUR_KEY, bytes.fromhex(params["path_key"]), bytes.fromhex(params["encrypted_data"])
    )
    return {
        "decryptencrypteddata": {"decrypted": plain.hex(), "next_path_key": next_path_key.hex()}
    }


def _router_from_us(
    network: Network,
    path_from_us: BlindedPath,
    *,
    api: OnionApi = OnionApi.INJECT_ONION,
    **answers: Answer,
) -> tuple[Router, FakeClient]:
    """A router for a request with this path; we have a channel with node 3."""
    channels: Answer = {"channels": [_CHANNEL]}
    defaults = {"listpeerchannels": channels, "decryptencrypteddata": _decrypt}
    client = FakeClient({**network.answers(), **defaults, **answers})
    changes = {fields.INVREQ_PAYER_ID: _PAYER, fields.INVREQ_PATHS: path_from_us.encode()}
    invreq = request(changes, sign=False)
    return Router(client, node_info(api), Graph(client, US), invreq), client


def _path_from_us(*data: Record, then: Sequence[int] = (9,)) -> BlindedPath:
    """A path that begins at our own node, which it tells ``data``."""
    others = [blinding.PathNode(node, ()) for node in _nodes(*then)]
    return blinding.blind_path([blinding.PathNode(US, data), *others])


@pytest.mark.parametrize("scid", [_REAL, _OURS, _THEIRS], ids=["real", "our alias", "their alias"])
def test_our_hop_names_the_next_node_by_a_channel(scid: int) -> None:
    """LDK writes the short_channel_id, by which lightningd finds no unannounced channel."""
    whole = _path_from_us(_scid(scid), then=[3])
    router, client = _router_from_us(Network([2, 3]), whole)

    (route,) = router.routes(connect=False)

    assert route.nodes == _nodes(1, 3)
    assert route.their_path is not None
    assert route.their_path.introduction_node == node_id(3)
    assert route.their_path.hops == whole.hops[1:]
    key = PrivateKey((3).to_bytes(32, "big"))
    # The next node can read its hop with the path key that it will be given.
    (hop,), path_key = route.their_path.hops, route.their_path.first_path_key
    assert onion_layers.open_hop(key, path_key, hop.encrypted_data).values == {}
    assert client.methods().count("decryptencrypteddata") == 1


#: A name of the unannounced channel that only its peer may use, and one of no channel.
_GUESSES = pytest.mark.parametrize("guess", [_REAL, _THEIRS], ids=["real", "their alias"])
_MADE_UP = 99


def _watch(*paths: BlindedPath, take: int | None = None) -> tuple[list[Route], list[str]]:
    """The first routes for a request with these paths, and the calls made until then."""
    client = FakeClient(
        {
            **Network([2, 3], [(2, 9)]).answers(),
            "listpeerchannels": {"channels": [{**_CHANNEL, "state": "CHANNELD_NORMAL"}]},
            "decryptencrypteddata": _decrypt,
        }
    )
    encoded = b"".join(each.encode() for each in paths)
    changes = {fields.INVREQ_PAYER_ID: _PAYER, fields.INVREQ_PATHS: encoded}
    router = Router(client, node_info(), Graph(client, US), request(changes, sign=False))
    found = list(islice(router.routes(), take))
    return found, client.methods()


@_GUESSES
@pytest.mark.parametrize("then", [[3], [3, 9]], ids=["to its peer", "beyond its peer"])
def test_the_payer_sees_no_difference_to_a_channel_that_does_not_exist(
    guess: int, then: list[int]
) -> None:
    """It gets the invoice by the same route, after the same calls."""
    good = _path(node_id(2))
    ends = [
        ShortChannelIdDirection(scid, direction)
        for direction in (0, 1)
        for scid in (guess, _MADE_UP)
    ]
    by_introduction = [_watch(_path(end), good, take=1) for end in ends]
    by_our_hop = [
        _watch(_path_from_us(_scid(scid), then=then), good, take=1) for scid in (guess, _MADE_UP)
    ]
    for seen in (by_introduction, by_our_hop):
        assert all(each == seen[0] for each in seen)
        routes, _ = seen[0]
        assert routes == [Route(_nodes(1, 2), good, has_channel=False)]


@_GUESSES
def test_nobody_beyond_its_peer_learns_of_the_channel(guess: int) -> None:
    for scid in (guess, _MADE_UP):
        assert _watch(_path_from_us(_scid(scid), then=[3, 9]))[0] == []


@_GUESSES
def test_its_peer_gets_the_invoice_when_no_other_path_resolves(guess: int) -> None:
    """LDK 0.1 names the channel by its real short_channel_id."""
    nowhere = _path(ShortChannelIdDirection(_MADE_UP, 0))
    routes, _ = _watch(_path_from_us(_scid(guess), then=[3]), nowhere)
    assert [route.nodes for route in routes] == [_nodes(1, 3)]


def test_our_hop_names_the_next_node_by_its_id() -> None:
    """It need not be a peer."""
    whole = _path_from_us(Record(blinding.NEXT_NODE_ID, _PAYER))
    router, _ = _router_from_us(Network([2], [(2, 9)]), whole)
    (route,) = router.routes()
    assert route.nodes == _nodes(1, 2, 9)
    assert route.their_path is not None
    assert route.their_path.hops == whole.hops[1:]


def test_our_hop_overrides_the_next_path_key() -> None:
    override = Record(blinding.NEXT_PATH_KEY_OVERRIDE, node_id(77))
    router, _ = _router_from_us(
        Network([9]), _path_from_us(Record(blinding.NEXT_NODE_ID, _PAYER), override)
    )
    (route,) = router.routes()
    assert route.their_path is not None
    assert route.their_path.first_path_key == node_id(77)


def test_several_hops_of_ours() -> None:
    next_node = Record(blinding.NEXT_NODE_ID, US)
    whole = blinding.blind_path(
        [
            blinding.PathNode(US, (next_node,)),
            blinding.PathNode(US, (_scid(_REAL),)),
            blinding.PathNode(node_id(3), ()),
        ]
    )
    router, _ = _router_from_us(Network([3]), whole)
    assert [route.nodes for route in router.routes()] == [_nodes(1, 3)]


_TO_PAYER = Record(blinding.NEXT_NODE_ID, _PAYER)


def _answered(**changes: object) -> Answer:
    def answer(params: Params) -> dict[str, Any]:
        return {"decryptencrypteddata": {**_decrypt(params)["decryptencrypteddata"], **changes}}

    return answer


@pytest.mark.parametrize(
    ("data", "answers"),
    [
        ([Record(blinding.PADDING, b"")], {}),
        ([Record(blinding.NEXT_NODE_ID, b"short")], {}),
        ([_TO_PAYER, Record(blinding.NEXT_PATH_KEY_OVERRIDE, b"")], {}),
        ([_TO_PAYER], {"decryptencrypteddata": LightningdError("Decryption failed!")}),
        ([_TO_PAYER], {"decryptencrypteddata": {}}),
        ([_TO_PAYER], {"decryptencrypteddata": {"decryptencrypteddata": None}}),
        ([_TO_PAYER], {"decryptencrypteddata": _answered(decrypted="04ff")}),
        ([_TO_PAYER], {"decryptencrypteddata": _answered(decrypted=4)}),
        ([_TO_PAYER], {"decryptencrypteddata": _answered(next_path_key="zz")}),
        ([_TO_PAYER], {"decryptencrypteddata": _answered(next_path_key="00")}),
    ],
)
def test_our_hop_is_left_to_lightningd(data: list[Record], answers: dict[str, Any]) -> None:
    """We cannot read it, or it does not tell the next node."""
    whole = _path_from_us(*data)
    router, _ = _router_from_us(Network([9]), whole, **answers)
    assert list(router.routes()) == [Route((US,), whole)]


def test_our_hop_names_a_channel_that_does_not_exist() -> None:
    router, _ = _router_from_us(Network([9]), _path_from_us(_scid(_MADE_UP)))
    assert list(router.routes()) == []
    ((target, reason),) = _ends(router)
    assert target == US.hex()
    assert f"channel {format_scid(_MADE_UP)}, which lightningd does not know" in reason


def test_our_hop_where_the_call_that_sends_takes_hops() -> None:
    whole = _path_from_us(_TO_PAYER)
    router, client = _router_from_us(Network([9]), whole, api=OnionApi.INJECT_HOPS)
    assert list(router.routes()) == [Route((US,), whole)]
    assert client.calls == []


def test_our_hop_when_the_next_node_cannot_be_reached() -> None:
    router, _ = _router_from_us(
        Network([2], unknown=[9]), _path_from_us(_TO_PAYER), connect=LightningdError("connect: no")
    )
    assert list(router.routes()) == []
    assert [end.target for end in router.dead_ends] == [_PAYER.hex()]


def test_our_hop_and_lightningd_gone() -> None:
    gone = UnreachableError("gone")
    router, _ = _router_from_us(Network([9]), _path_from_us(_TO_PAYER), decryptencrypteddata=gone)
    with pytest.raises(UnreachableError):
        list(router.routes())


# --- other ways ---


def test_avoid_nodes_where_possible() -> None:
    network = Network([2, 3], [(2, 9), (3, 4), (4, 9)])
    router, _ = _router(network)
    assert next(router.routes(avoid=_nodes(2))).nodes == _nodes(1, 3, 4, 9)
    assert next(router.routes(avoid=_nodes(2, 3))).nodes == _nodes(1, 2, 9)


# --- errors of lightningd ---


def test_a_failing_call_ends_one_target() -> None:
    def listchannels(params: object) -> dict[str, object]:
        raise LightningdError("listchannels: no")

    named = ShortChannelIdDirection(7, 1)
    router, _ = _router(Network([2]), named, node_id(2), listchannels=listchannels)
    assert [route.nodes for route in router.routes()] == [_nodes(1, 2)]
    assert _ends(router) == [("0x0x7/1", "listchannels: no")]


def test_lightningd_gone_ends_all() -> None:
    router, _ = _router(Network([]), *_nodes(2, 3), listpeers=UnreachableError("gone"))
    with pytest.raises(UnreachableError):
        list(router.routes())
    assert router.dead_ends == []


@pytest.mark.parametrize(
    ("nodes", "with_path", "back"),
    [
        ((1, 2, 9), False, (2, 1)),
        ((1, 9), False, (1,)),
        ((1, 2, 3), True, (3, 2, 1)),
        ((1, 2), True, (2, 1)),
        ((1,), True, (1,)),
        ((1, 3, 1), True, (1, 3, 1)),
    ],
)
def test_the_way_back(nodes: tuple[int, ...], with_path: bool, back: tuple[int, ...]) -> None:
    """It begins at a node that the payer reaches, and ends at ours."""
    route = Route(_nodes(*nodes), path() if with_path else None)
    assert route.reply_nodes == _nodes(*back)
