from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sendinvoice_cli.bolt12.blinded_path import BlindedPath, ShortChannelIdDirection, parse_scid
from sendinvoice_cli.bolt12.invoice import PaymentPath
from sendinvoice_cli.errors import LightningdError
from sendinvoice_cli.node.info import NodeInfo
from sendinvoice_cli.node.ways import channels, payment_paths
from sendinvoice_cli.node.ways import inbound as inbound_channels
from sendinvoice_cli.node.ways.channels import Channel, Terms
from sendinvoice_cli.node.ways.graph import Graph
from sendinvoice_cli.node.ways.inbound import Inbound
from tests.node.fake_client import NUMBERS, US, FakeClient, Network, node_info
from tests.support.requests_builder import node_id, path

#: option_onion_messages and option_route_blinding, both offered.
_ABLE = (1 << 39 | 1 << 25).to_bytes(5, "big").hex()


class _PrivateNode(Network):
    """Our node has no public channel; all peers are able to blind routes."""

    def features(self, number: int) -> str:
        return super().features(number) if number in self.silent else _ABLE


def _detail(number: int, update: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """An unannounced channel of ours.

    :param update: changes to what the peer asks for forwarding.
    """
    return {
        "peer_id": node_id(number).hex(),
        "short_channel_id": f"100x{number}x0",
        "peer_connected": True,
        "reestablished": True,
        "state": "CHANNELD_NORMAL",
        "private": True,
        "receivable_msat": 10**8,
        "alias": {"local": "1x1x1", "remote": f"9{number}x1x1"},
        "updates": {
            "remote": {
                "fee_base_msat": 1000,
                "fee_proportional_millionths": 10,
                "cltv_expiry_delta": 34,
                "htlc_minimum_msat": 0,
                "htlc_maximum_msat": 10**9,
                **(update or {}),
            }
        },
        **changes,
    }


def _client(*details: dict[str, Any], network: Network | None = None) -> FakeClient:
    network = network or _PrivateNode([2, 3, 4, 5, 6, 7, 8], unknown=[1])
    return FakeClient({**network.answers(), "listpeerchannels": {"channels": list(details)}})


def _choose(client: FakeClient, amount_msat: int = 1000, info: NodeInfo | None = None) -> list[int]:
    """The peers that blinded paths begin at."""
    inbound = _inbound(client, amount_msat, info)
    return [NUMBERS[each.peer] for each in inbound.blinded]


def _inbound(client: FakeClient, amount_msat: int = 1000, info: NodeInfo | None = None) -> Inbound:
    return inbound_channels.choose(client, info or node_info(), Graph(client, US), amount_msat)


def _received(found: Iterable[Channel]) -> list[tuple[int, int]]:
    """Each peer, and what can be received from it."""
    return [(NUMBERS[each.peer], each.receivable_msat) for each in found]


def _built(inbound: Inbound, timeout: int = 90) -> list[PaymentPath]:
    return payment_paths.build(
        node_info(),
        inbound,
        amount_msat=1000,
        base_secret=bytes(32),
        payment_hash=bytes(32),
        timeout=timeout,
    )


def test_a_channel() -> None:
    client = _client(_detail(2))
    assert _inbound(client) == Inbound(
        blinded=(
            Channel(
                "100x2x0",
                node_id(2),
                receivable_msat=10**8,
                scid=parse_scid("92x1x1"),
                terms=Terms(
                    fee_base_msat=1000,
                    fee_proportional_millionths=10,
                    cltv_expiry_delta=34,
                    htlc_minimum_msat=0,
                    htlc_maximum_msat=10**9,
                ),
            ),
        )
    )


@pytest.mark.parametrize(
    ("detail", "scid"),
    [
        ({"private": False, "short_channel_id": "96x2x0"}, "96x2x0"),
        ({}, "92x1x1"),
        ({"alias": {"local": "1x1x1"}}, "100x2x0"),
        ({"alias": {}}, "100x2x0"),
        # Announced later; until then, the peer knows it by its own alias only.
        ({"private": False, "short_channel_id": None}, "92x1x1"),
    ],
)
def test_the_name_by_which_the_peer_forwards(detail: dict[str, Any], scid: str) -> None:
    (channel,) = _inbound(_client(_detail(2, **detail))).blinded
    assert channel.scid == parse_scid(scid)


def test_a_channel_without_confirmation() -> None:
    """It has no short_channel_id yet, only aliases."""
    detail = _detail(2)
    del detail["short_channel_id"]
    (channel,) = _inbound(_client(detail)).blinded
    assert (channel.name, channel.scid) == ("1x1x1", parse_scid("92x1x1"))


def _listed(number: int, **changes: Any) -> dict[str, Any]:
    """A channel as ``listincoming`` has it."""
    return {
        "id": node_id(number).hex(),
        "short_channel_id": f"100x{number}x0",
        "fee_base_msat": 7,
        "fee_proportional_millionths": 8,
        "cltv_expiry_delta": 9,
        "htlc_min_msat": 10,
        "htlc_max_msat": 10**7,
        "incoming_capacity_msat": 10**12,
        "public": False,
        **changes,
    }


@pytest.mark.parametrize("updates", [{}, {"local": {}}, {"remote": {"htlc_maximum_msat": 10**9}}])
def test_what_a_peer_asks_is_in_listincoming_when_its_channel_does_not_tell(
    updates: dict[str, Any],
) -> None:
    """Before v24.02, and before the peer's first channel_update."""
    unconfirmed = _detail(3, updates=updates)
    del unconfirmed["short_channel_id"]
    client = _client(_detail(2, updates=updates), unconfirmed, _detail(4))
    listed = [_listed(2), _listed(3, short_channel_id="1x1x1", htlc_max_msat="5000msat")]
    client.answers["listincoming"] = {"incoming": listed}
    found = {NUMBERS[each.peer]: each for each in _inbound(client).blinded}
    # What listincoming calls htlc_max_msat is at most what the peer owns there.
    assert found[2].terms == Terms(
        fee_base_msat=7,
        fee_proportional_millionths=8,
        cltv_expiry_delta=9,
        htlc_minimum_msat=10,
        htlc_maximum_msat=None,
    )
    assert found[2].receivable_msat == 10**7
    assert (found[3].name, found[3].receivable_msat) == ("1x1x1", 5000)
    assert found[4].terms is not None
    assert found[4].terms.cltv_expiry_delta == 34
    assert client.methods().count("listincoming") == 1


def test_a_channel_whose_fees_are_unknown() -> None:
    client = _client(_detail(2, updates={}))
    client.answers["listincoming"] = {"incoming": [_listed(9)]}
    assert _choose(client) == []


def test_a_channel_that_is_being_spliced() -> None:
    assert _choose(_client(_detail(2, state="CHANNELD_AWAITING_SPLICE"))) == [2]


@pytest.mark.parametrize(
    "detail",
    [
        {"update": {"htlc_minimum_msat": 1001}},
        {"update": {"htlc_maximum_msat": 0}},
        {"receivable_msat": 0},
        {"receivable_msat": "0msat"},
        {"state": "CHANNELD_SHUTTING_DOWN"},
        {"peer_connected": False},
        {"reestablished": False},
    ],
)
def test_unusable_channels(detail: dict[str, Any]) -> None:
    assert _choose(_client(_detail(2, **detail))) == []


@pytest.mark.parametrize(
    "network",
    [
        _PrivateNode([], unknown=[1]),
        _PrivateNode([2], unknown=[1], silent=[2]),
        Network([2], unknown=[1]),
    ],
    ids=["away", "no messages", "no route blinding"],
)
def test_unusable_peers(network: Network) -> None:
    assert _choose(_client(_detail(2), network=network)) == []


def test_a_peer_that_takes_onion_messages_from_channel_peers_only() -> None:
    """We are one: eclair 0.14 offers feature 67 instead of 39."""
    able = (1 << 67 | 1 << 25).to_bytes(9, "big").hex()
    client = _client(_detail(2))
    peer = {"id": node_id(2).hex(), "connected": True, "num_channels": 1, "features": able}
    client.answers["listpeers"] = {"peers": [peer]}
    assert _choose(client) == [2]


def test_order() -> None:
    """The whole amount at once, then cheap; in parts, then wide. Unknown peers last."""
    amount_msat = 10**7
    client = _client(
        _detail(2, {"fee_base_msat": 5000}),
        _detail(3, {"fee_base_msat": 10}),
        _detail(4, {"fee_base_msat": 0, "htlc_maximum_msat": amount_msat - 1}),
        _detail(5, {"fee_base_msat": 0, "htlc_maximum_msat": amount_msat // 2}),
        _detail(6, {"fee_base_msat": 0}),
        network=_PrivateNode([2, 3, 4, 5, 6], unknown=[1, 6]),
    )
    assert _choose(client, amount_msat) == [3, 2, 4, 5, 6]


def test_not_too_many() -> None:
    client = _client(*(_detail(number) for number in range(2, 9)))
    assert len(_choose(client)) == inbound_channels.MAX_PATHS


def test_fronting_nodes() -> None:
    details = [_detail(2), _detail(3)]
    info = node_info()._replace(fronting_nodes=(node_id(3),))
    # They are used even when the node is public.
    for network in (_PrivateNode([2, 3]), _PrivateNode([2, 3], unknown=[1])):
        assert _choose(_client(*details, network=network), info=info) == [3]
    nobody = info._replace(fronting_nodes=(node_id(9),))
    with pytest.raises(LightningdError, match="payment-fronting-node"):
        _choose(_client(*details), info=nobody)


def test_fronting_nodes_that_are_away() -> None:
    """lightningd keeps them, last: nobody else may be named."""
    details = [_detail(2), _detail(3, peer_connected=False), _detail(4, receivable_msat=999)]
    info = node_info()._replace(fronting_nodes=(node_id(3), node_id(4)))
    client = _client(*details, network=_PrivateNode([2, 4], unknown=[1]))
    inbound = _inbound(client, info=info)
    assert [NUMBERS[each.peer] for each in inbound.blinded] == [4, 3]
    assert _received(inbound.channels) == [(4, 999)]
    assert inbound.could_suffice(1000)


def test_a_fronting_node_that_is_away_and_cannot_forward() -> None:
    info = node_info()._replace(fronting_nodes=(node_id(3),))
    client = _client(_detail(3, peer_connected=False), network=Network([2], unknown=[1]))
    with pytest.raises(LightningdError, match="payment-fronting-node"):
        _inbound(client, info=info)


def test_listincoming_fails() -> None:
    """The channels whose terms are known are used."""
    client = _client(_detail(2, updates={}), _detail(3))
    client.answers["listincoming"] = LightningdError("listincoming: no")
    inbound = _inbound(client)
    assert [NUMBERS[each.peer] for each in inbound.blinded] == [3]
    assert inbound.failure == "listincoming: no"


# --- a public node ---


def _public(
    number: int, receivable_msat: int, update: dict[str, Any] | None = None, **changes: Any
) -> dict[str, Any]:
    """An announced channel: its height leaves six confirmations of the 100 blocks there are."""
    scid = f"95x{number}x0"
    changes = {"short_channel_id": scid, "private": False, **changes}
    return _detail(number, update, receivable_msat=receivable_msat, **changes)


def _public_node(*channels: dict[str, Any], blind: bool = True) -> FakeClient:
    """Our node is announced; its peers forward along blinded paths, or none does."""
    numbers = [NUMBERS[bytes.fromhex(channel["peer_id"])] for channel in channels]
    return _client(*channels, network=(_PrivateNode if blind else Network)(numbers))


def test_a_public_channel_that_takes_it_serves() -> None:
    client = _public_node(_public(2, 999), _public(3, 1000), _detail(4))
    inbound = _inbound(client)
    assert _received(inbound.public) == [(3, 1000), (2, 999)]
    assert inbound.channels == inbound.public
    assert client.methods() == ["listpeerchannels", "listnodes", "listpeers"]


def test_the_spare_path_is_the_cheapest_public_channel_that_takes_all() -> None:
    """A payer that found our channels closed may avoid them for an hour, but not this path."""
    channels = [
        _public(2, 999, {"fee_base_msat": 0}),
        _public(3, 10**8, {"fee_base_msat": 20}),
        _public(4, 10**7, {"fee_base_msat": 10}),
        _public(5, 10**9, {"fee_base_msat": 0, "htlc_maximum_msat": 999}),
        _public(6, 10**9, {"fee_base_msat": 0, "htlc_minimum_msat": 1001}),
        _detail(7, {"fee_base_msat": 0}),
    ]
    inbound = _inbound(_public_node(*channels))
    assert [NUMBERS[each.peer] for each in inbound.blinded] == [4]
    assert inbound.has_own_path


def _behind(number: int, hops: int = 2) -> BlindedPath:
    """A path to a payer that begins at a node."""
    return path(node_id(number), hops=hops)


@pytest.mark.parametrize(
    ("peers", "payers_paths", "has_own_path"),
    [
        ([2], [_behind(2)], False),
        ([2, 2], [_behind(2), _behind(2, hops=3)], False),
        # The payer may come by another peer.
        ([2, 3], [_behind(2)], True),
        ([2], [_behind(2), _behind(3)], True),
        ([2], [], True),
        # It may be that peer, or may be anywhere.
        ([2], [_behind(2, hops=1)], True),
        ([2], [path(ShortChannelIdDirection(1, 0), hops=2)], True),
    ],
)
def test_the_path_of_our_node_is_left_out_where_the_spare_is_the_whole_way(
    peers: list[int], payers_paths: list[BlindedPath], has_own_path: bool
) -> None:
    inbound = _inbound(_public_node(*(_public(number, 10**8) for number in peers)))
    assert inbound.has_own_path
    found = inbound.for_payer_behind(payers_paths)
    assert found == inbound._replace(has_own_path=has_own_path)


def test_the_path_of_our_node_stays_for_a_peer_that_is_away() -> None:
    inbound = _inbound(_public_node(_public(2, 10**8), _public(3, 10**8, peer_connected=False)))
    assert inbound.for_payer_behind([_behind(2)]) == inbound


def test_without_a_spare_the_path_of_our_node_stays() -> None:
    inbound = _inbound(_public_node(_public(2, 10**8), blind=False))
    assert inbound.for_payer_behind([_behind(2)]) == inbound


def test_no_spare_path_through_peers_that_cannot_forward_along_it() -> None:
    inbound = _inbound(_public_node(_public(2, 10**8), blind=False))
    assert (inbound.blinded, inbound.has_own_path) == ((), True)


@pytest.mark.parametrize(
    "public",
    [
        _public(2, 0),
        _public(2, 999),
        _public(2, "999msat"),  # type: ignore[arg-type]
        _public(2, 10**8, state="CHANNELD_SHUTTING_DOWN"),
        _public(2, 10**8, peer_connected=False),
        _public(2, 10**8, reestablished=False),
        # The peer does not forward so much at once.
        _public(2, 10**8, {"htlc_maximum_msat": 999}),
        # Not announced yet.
        _public(2, 10**8, short_channel_id="96x2x0", private=True),
    ],
    ids=["empty", "small", "text", "closing", "away", "coming back", "narrow", "private"],
)
def test_the_unannounced_channel_with_inbound_is_used(public: dict[str, Any]) -> None:
    """For example a liquidity provider's: over the public ones, payers would fail."""
    inbound = _inbound(_public_node(public, _detail(3)))
    assert NUMBERS[inbound.channels[0].peer] in (2, 3)
    assert node_id(3) in [each.peer for each in inbound.blinded]
    assert inbound.public == ()
    assert inbound.at_once_msat >= 1000


def test_a_public_channel_that_is_too_young_to_be_known() -> None:
    """Announced with six confirmations; its peer forwards along a blinded path before."""
    young = _public(2, 10**8, short_channel_id="96x2x0")
    assert _inbound(_public_node(young)).public == ()
    assert _choose(_public_node(young)) == [2]
    assert _inbound(_public_node(_public(2, 10**8))).public != ()


def test_public_peers_get_blinded_paths_too_the_best_first() -> None:
    client = _public_node(_public(2, 600), _public(3, 900), _detail(4, receivable_msat=2000))
    assert _choose(client, 1000) == [4, 3, 2]


def test_two_public_channels_that_only_together_take_it() -> None:
    """A single-use request cannot be paid in parts: the channel that takes all of it is named."""
    client = _public_node(_public(2, 600), _public(3, 900))
    assert _inbound(client).total_msat == 1500
    # Nothing is better than its own path then.
    assert _choose(client, 1000) == []
    client = _public_node(_public(2, 600), _public(3, 900), _detail(4, receivable_msat=1000))
    assert _choose(client, 1000) == [4, 3, 2]


def test_more_can_come_in_parts_when_the_unannounced_channels_are_named() -> None:
    client = _public_node(_public(2, 600), _detail(3, receivable_msat=700))
    inbound = _inbound(client, 1000)
    assert [each.receivable_msat for each in inbound.blinded] == [700, 600]
    assert (inbound.total_msat, inbound.at_once_msat) == (1300, 700)


def test_public_channels_whose_peers_cannot_forward_along_blinded_paths() -> None:
    inbound = _inbound(_public_node(_public(2, 600), _detail(3), blind=False), 1000)
    assert (_received(inbound.public), inbound.blinded) == ([(2, 600)], ())


@pytest.mark.parametrize("network", [Network([]), _PrivateNode([], unknown=[1])])
def test_nothing_can_be_received(network: Network) -> None:
    inbound = _inbound(_client(network=network))
    assert inbound == Inbound()
    assert inbound.channels == ()
    assert (inbound.total_msat, inbound.at_once_msat) == (0, 0)


def test_what_is_told_of_a_channel() -> None:
    (channel,) = _inbound(_public_node(_public(2, 1000))).channels
    assert channel.as_json() == {"peer": node_id(2).hex(), "htlc_maximum_msat": 1000}


def test_channels_whose_peers_are_away() -> None:
    unconfirmed = _detail(8, alias={"local": "1x8x1", "remote": "98x1x1"})
    del unconfirmed["short_channel_id"]
    before_v24_02 = _detail(7)
    del before_v24_02["reestablished"]
    client = _client(
        _public(2, 600),
        _detail(3, receivable_msat=0),
        _detail(4, peer_connected=False),
        _detail(5, reestablished=False, receivable_msat=700),
        _detail(6, state="CHANNELD_AWAITING_LOCKIN"),
        before_v24_02,
        unconfirmed,
    )
    inbound = _inbound(client)
    assert _received(inbound.away) == [(4, 10**8), (5, 700)]
    assert {NUMBERS[each.peer] for each in inbound.blinded} == {2, 7, 8}


@pytest.mark.parametrize(
    ("here", "away", "amount_msat", "could_suffice"),
    [
        ([1000], [2000], 1000, False),
        ([600, 600], [], 1000, False),
        ([600, 600], [999], 1000, False),
        # Some payers cannot pay in parts.
        ([600, 600], [1000], 1000, True),
        ([], [1000], 1000, True),
        ([600], [399], 1000, False),
        ([600], [400], 1000, True),
        ([], [999], 1000, False),
    ],
)
def test_whether_peers_that_are_away_make_the_difference(
    here: list[int], away: list[int], amount_msat: int, could_suffice: bool
) -> None:
    inbound = Inbound(
        blinded=tuple(Channel("1x1x1", node_id(2), each, scid=1) for each in here),
        away=tuple(Channel("1x1x2", node_id(3), each, scid=2) for each in away),
    )
    assert inbound.could_suffice(amount_msat) == could_suffice


# --- terms that no payer accepts, and answers that are not channels ---

#: Blocks that our own node wants at the last hop.
_FINAL = node_info().cltv_final
_DEAR: list[dict[str, Any]] = [
    {"cltv_expiry_delta": 1009 - _FINAL},
    {"cltv_expiry_delta": 65535},
    # For 1,000 msat, LDK pays 10 msat and 50 sat.
    {"fee_base_msat": 50_011},
    {"fee_base_msat": 2**32 - 1},
    {"fee_proportional_millionths": 2**32 - 1, "fee_base_msat": 50_000},
]
_FAIR: list[dict[str, Any]] = [
    {"cltv_expiry_delta": 1008 - _FINAL},
    {"fee_base_msat": 50_010, "fee_proportional_millionths": 0},
]


@pytest.mark.parametrize("terms", _DEAR)
def test_a_channel_that_payers_refuse_is_left_out(terms: dict[str, Any]) -> None:
    inbound = _inbound(_client(_detail(2, terms), _detail(3)))
    assert [NUMBERS[each.peer] for each in inbound.blinded] == [3]
    assert [NUMBERS[each.peer] for each in inbound.refused] == [2]


@pytest.mark.parametrize("terms", _FAIR)
def test_a_channel_that_payers_just_accept(terms: dict[str, Any]) -> None:
    inbound = _inbound(_client(_detail(2, terms)))
    assert inbound.refused == ()
    assert inbound.suffices(1000)


@pytest.mark.parametrize("terms", _DEAR)
def test_a_public_channel_that_payers_refuse_does_not_serve(terms: dict[str, Any]) -> None:
    """Nor is it the spare."""
    inbound = _inbound(_public_node(_public(2, 10**8, terms), _public(3, 1000)))
    assert _received(inbound.public) == [(3, 1000)]
    assert [NUMBERS[each.peer] for each in inbound.blinded] == [3]
    assert [NUMBERS[each.peer] for each in inbound.refused] == [2]


@pytest.mark.parametrize("make", [_detail, lambda number, terms: _public(number, 10**8, terms)])
@pytest.mark.parametrize(
    ("terms", "is_named"),
    [
        # Core Lightning pays it.
        ({"cltv_expiry_delta": 2016 - _FINAL}, True),
        ({"fee_base_msat": 2**32 - 1, "fee_proportional_millionths": 2**32 - 1}, True),
        # Other nodes do not forward it.
        ({"cltv_expiry_delta": 2017 - _FINAL}, False),
        ({"cltv_expiry_delta": 65535}, False),
    ],
)
def test_the_last_resort(make: Any, terms: dict[str, Any], is_named: bool) -> None:
    """Nothing else can take the amount. It does not count as received through."""
    for others in ([], [_detail(3, receivable_msat=999)]):
        inbound = _inbound(_public_node(make(2, terms), *others))
        numbers = [NUMBERS[each.peer] for each in inbound.blinded]
        assert numbers == [3] * len(others) + [2] * is_named
        assert inbound.total_msat == 999 * len(others)
        assert not inbound.suffices(1000)


def test_a_long_delay_is_a_cost() -> None:
    """A payer's money is locked for so long, if the payment fails at us."""
    amount_msat = 10**8
    inbound = _inbound(
        _client(
            _detail(2, {"fee_base_msat": 0, "cltv_expiry_delta": 900}),
            _detail(3, {"fee_base_msat": 1000, "cltv_expiry_delta": 40}),
        ),
        amount_msat,
    )
    assert [NUMBERS[each.peer] for each in inbound.blinded] == [3, 2]


_NONSENSE: list[Any] = [None, -1, 2**64, 1.5, "x", "1x1", "", [], {}, True, "zz" * 33]


@given(data=st.data())
def test_nonsense_among_our_channels_is_left_out(data: st.DataObject) -> None:
    """A good channel beside it is used, and nothing raises anything else than our errors."""
    is_public = data.draw(st.booleans())
    broken = _public(2, 10**8) if is_public else _detail(2)
    place = data.draw(
        st.sampled_from(
            [
                *((broken, key) for key in broken),
                *((broken["updates"]["remote"], key) for key in broken["updates"]["remote"]),
                (broken["updates"], "remote"),
                (broken["alias"], "remote"),
                (broken["alias"], "local"),
            ]
        )
    )
    where, key = place
    if data.draw(st.booleans()):
        del where[key]
    else:
        where[key] = data.draw(st.sampled_from(_NONSENSE))
    client = _public_node(_public(3, 10**8), blind=True)
    client.answers["listpeerchannels"] = {"channels": [broken, *_NONSENSE, _public(3, 10**8)]}
    client.answers["listincoming"] = {"incoming": [*_NONSENSE, _listed(2)]}
    inbound = _inbound(client)
    assert 3 in [NUMBERS[each.peer] for each in inbound.public]
    _built(inbound)
    graph = Graph(client, US)
    assert graph.has_channel(node_id(3))
    assert graph.local_scid(node_id(3)) == parse_scid("1x1x1")
    assert graph.peer_by_channel(parse_scid("95x3x0")) == node_id(3)


@pytest.mark.parametrize(
    ("field", "size"),
    [
        ("fee_base_msat", 4),
        ("fee_proportional_millionths", 4),
        ("cltv_expiry_delta", 2),
        ("htlc_minimum_msat", 8),
        ("htlc_maximum_msat", 8),
    ],
)
def test_a_number_has_no_more_bytes_than_in_a_channel_update(field: str, size: int) -> None:
    """BOLT 7; a larger one would not fit into the invoice."""
    most = 2 ** (8 * size)
    channel = channels.read(_detail(2, {field: most - 1}))
    assert channel is not None
    assert channel.terms is not None
    assert getattr(channel.terms, field) == most - 1
    assert channels.read(_detail(2, {field: most})) is None


@given(
    cltv_expiry_delta=st.integers(0, 2**16 - 1),
    fee_base_msat=st.integers(0, 2**32 - 1),
    ppm=st.integers(0, 2**32 - 1),
    least_msat=st.integers(0, 2**64 - 1),
    most_msat=st.integers(0, 2**64 - 1),
)
def test_no_terms_keep_an_invoice_from_being_made(
    cltv_expiry_delta: int, fee_base_msat: int, ppm: int, least_msat: int, most_msat: int
) -> None:
    terms = {
        "cltv_expiry_delta": cltv_expiry_delta,
        "fee_base_msat": fee_base_msat,
        "fee_proportional_millionths": ppm,
        "htlc_minimum_msat": least_msat,
        "htlc_maximum_msat": most_msat,
    }
    for client in (_client(_detail(2, terms)), _public_node(_public(2, 10**8, terms))):
        inbound = _inbound(client)
        for each in _built(inbound, timeout=2**32 - 1):
            each.payinfo.encode()


@pytest.mark.parametrize("answer", [{}, {"channels": None}, {"channels": {}}, {"channels": [1]}])
def test_an_answer_without_channels(answer: dict[str, Any]) -> None:
    client = _client()
    client.answers["listpeerchannels"] = answer
    assert _inbound(client) == Inbound()


@pytest.mark.parametrize("answer", [{}, {"incoming": None}, {"incoming": [{}]}, {"incoming": [1]}])
def test_listincoming_without_channels(answer: dict[str, Any]) -> None:
    client = _client(_detail(2, updates={}))
    client.answers["listincoming"] = answer
    assert _inbound(client).blinded == ()
