from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from coincurve import PrivateKey, PublicKey

from sendinvoice_cli.bolt12 import tlv
from sendinvoice_cli.bolt12.blinded_path import parse_scid
from sendinvoice_cli.bolt12.invoice import PaymentPath
from sendinvoice_cli.errors import LightningdError
from sendinvoice_cli.node import payment_paths
from sendinvoice_cli.node.graph import Graph
from sendinvoice_cli.node.info import NodeInfo
from sendinvoice_cli.node.payment_paths import Channel, Inbound, IncomingChannel
from sendinvoice_cli.onion import blinding
from tests.node.fake_client import NUMBERS, US, FakeClient, Network, node_info
from tests.requests_builder import node_id

#: option_onion_messages and option_route_blinding, both offered.
_ABLE = (1 << 39 | 1 << 25).to_bytes(5, "big").hex()
_HASH = b"\x77" * 32


class _PrivateNode(Network):
    """Our node has no public channel; all peers are able to blind routes."""

    def features(self, number: int) -> str:
        return super().features(number) if number in self.silent else _ABLE


def _incoming(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": node_id(number).hex(),
        "short_channel_id": f"100x{number}x0",
        "fee_base_msat": 1000,
        "fee_proportional_millionths": 10,
        "cltv_expiry_delta": 34,
        "htlc_min_msat": 0,
        "htlc_max_msat": 10**9,
        "incoming_capacity_msat": 10**12,
        "public": False,
        **changes,
    }


def _detail(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "peer_id": node_id(number).hex(),
        "short_channel_id": f"100x{number}x0",
        "peer_connected": True,
        "reestablished": True,
        "state": "CHANNELD_NORMAL",
        "private": True,
        "receivable_msat": 10**8,
        "alias": {"local": "1x1x1", "remote": f"9{number}x1x1"},
        **changes,
    }


def _client(
    incoming: list[dict[str, Any]],
    details: list[dict[str, Any]],
    network: Network | None = None,
) -> FakeClient:
    network = network or _PrivateNode([2, 3, 4, 5, 6, 7, 8], unknown=[1])
    return FakeClient(
        {
            **network.answers(),
            "listincoming": {"incoming": incoming},
            "listpeerchannels": {"channels": details},
            "makesecret": {"secret": "5e" * 32},
        }
    )


def _choose(client: FakeClient, amount_msat: int = 1000, info: NodeInfo | None = None) -> list[int]:
    """The peers that blinded paths begin at."""
    inbound = _inbound(client, amount_msat, info)
    return [NUMBERS[channel.peer] for channel in inbound.blinded]


def _inbound(client: FakeClient, amount_msat: int = 1000, info: NodeInfo | None = None) -> Inbound:
    return payment_paths.choose(client, info or node_info(), Graph(client, US), amount_msat)


def test_a_channel() -> None:
    client = _client([_incoming(2)], [_detail(2)])
    assert _inbound(client) == Inbound(
        blinded=(
            IncomingChannel(
                name="100x2x0",
                peer=node_id(2),
                scid=parse_scid("92x1x1"),
                fee_base_msat=1000,
                fee_proportional_millionths=10,
                cltv_expiry_delta=34,
                htlc_minimum_msat=0,
                # What the peer can send, not what all its channels could.
                capacity_msat=10**8,
            ),
        )
    )


@pytest.mark.parametrize(
    ("incoming", "detail", "scid"),
    [
        ({"public": True}, {}, "100x2x0"),
        ({}, {}, "92x1x1"),
        ({}, {"alias": {"local": "1x1x1"}}, "100x2x0"),
        ({}, {"alias": {}}, "100x2x0"),
    ],
)
def test_the_name_by_which_the_peer_forwards(
    incoming: dict[str, Any], detail: dict[str, Any], scid: str
) -> None:
    client = _client([_incoming(2, **incoming)], [_detail(2, **detail)])
    (channel,) = _inbound(client).blinded
    assert channel.scid == parse_scid(scid)


def test_a_channel_without_confirmation() -> None:
    """It has no short_channel_id yet; listincoming calls it by our alias."""
    detail = _detail(2)
    del detail["short_channel_id"]
    client = _client([_incoming(2, short_channel_id="1x1x1")], [detail])
    (channel,) = _inbound(client).blinded
    assert channel.scid == parse_scid("92x1x1")


def test_a_channel_that_is_being_spliced() -> None:
    client = _client([_incoming(2)], [_detail(2, state="CHANNELD_AWAITING_SPLICE")])
    assert _choose(client) == [2]


@pytest.mark.parametrize(
    ("incoming", "detail"),
    [
        ({"htlc_min_msat": 1001}, {}),
        ({"htlc_max_msat": 0}, {}),
        ({}, {"receivable_msat": 0}),
        ({}, {"receivable_msat": "0msat"}),
        ({}, {"state": "CHANNELD_SHUTTING_DOWN"}),
        ({}, {"peer_connected": False}),
        ({}, {"reestablished": False}),
        ({}, {"short_channel_id": "1x1x9"}),
    ],
)
def test_channels_that_will_not_do(incoming: dict[str, Any], detail: dict[str, Any]) -> None:
    client = _client([_incoming(2, **incoming)], [_detail(2, **detail)])
    assert _choose(client) == []


@pytest.mark.parametrize(
    "network",
    [
        _PrivateNode([], unknown=[1]),
        _PrivateNode([2], unknown=[1], silent=[2]),
        Network([2], unknown=[1]),
    ],
    ids=["away", "no messages", "no route blinding"],
)
def test_peers_that_will_not_do(network: Network) -> None:
    assert _choose(_client([_incoming(2)], [_detail(2)], network)) == []


def test_a_peer_that_takes_onion_messages_from_channel_peers_only() -> None:
    """We are one: eclair 0.14 offers feature 67 instead of 39."""
    able = (1 << 67 | 1 << 25).to_bytes(9, "big").hex()
    client = _client([_incoming(2)], [_detail(2)])
    peer = {"id": node_id(2).hex(), "connected": True, "num_channels": 1, "features": able}
    client.answers["listpeers"] = {"peers": [peer]}
    assert _choose(client) == [2]


def test_order() -> None:
    """The whole amount at once, then cheap; in parts, then wide. Unknown peers last."""
    amount_msat = 10**7
    numbers = [2, 3, 4, 5, 6]
    incoming = [
        _incoming(2, fee_base_msat=5000),
        _incoming(3, fee_base_msat=10),
        _incoming(4, htlc_max_msat=amount_msat - 1, fee_base_msat=0),
        _incoming(5, htlc_max_msat=amount_msat // 2, fee_base_msat=0),
        _incoming(6, fee_base_msat=0),
    ]
    details = [_detail(number) for number in numbers]
    client = _client(incoming, details, _PrivateNode(numbers, unknown=[1, 6]))
    assert _choose(client, amount_msat) == [3, 2, 4, 5, 6]


def test_not_too_many() -> None:
    numbers = range(2, 9)
    client = _client(
        [_incoming(number) for number in numbers], [_detail(number) for number in numbers]
    )
    assert len(_choose(client)) == payment_paths.MAX_PATHS


def test_fronting_nodes() -> None:
    numbers = [2, 3]
    incoming, details = [_incoming(each) for each in numbers], [_detail(each) for each in numbers]
    info = replace(node_info(), fronting_nodes=(node_id(3),))
    # They are used even when the node is public.
    for network in (_PrivateNode(numbers), _PrivateNode(numbers, unknown=[1])):
        assert _choose(_client(incoming, details, network), info=info) == [3]
    nobody = replace(node_info(), fronting_nodes=(node_id(9),))
    with pytest.raises(LightningdError, match="payment-fronting-node"):
        _choose(_client(incoming, details), info=nobody)


# --- a public node ---


def _public(number: int, receivable_msat: int, **changes: Any) -> dict[str, Any]:
    """An announced channel: its height leaves six confirmations of the 100 blocks there are."""
    scid = f"95x{number}x0"
    changes = {"short_channel_id": scid, "private": False, **changes}
    return _detail(number, receivable_msat=receivable_msat, **changes)


def _public_node(*channels: dict[str, Any], blind: bool = True) -> FakeClient:
    """Our node is announced; its peers forward along blinded paths, or none does."""
    numbers = [NUMBERS[bytes.fromhex(channel["peer_id"])] for channel in channels]
    incoming = [
        _incoming(
            number,
            short_channel_id=channel["short_channel_id"],
            public=not channel["private"],
            htlc_max_msat=10**9 if channel["receivable_msat"] else 0,
        )
        for number, channel in zip(numbers, channels, strict=True)
    ]
    return _client(incoming, list(channels), (_PrivateNode if blind else Network)(numbers))


def test_a_public_channel_that_takes_it_needs_no_blinded_path() -> None:
    client = _public_node(_public(2, 999), _public(3, 1000), _detail(4))
    assert _inbound(client) == Inbound(
        public=(Channel("95x3x0", node_id(3), 1000), Channel("95x2x0", node_id(2), 999))
    )
    # What peers offer does not matter then: no call is spent on it.
    assert client.methods() == ["listpeerchannels", "listnodes"]


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
        _public(2, 10**8, updates={"remote": {"htlc_maximum_msat": 999}}),
        # Not announced yet.
        _public(2, 10**8, short_channel_id="96x2x0", private=True),
    ],
    ids=["empty", "small", "text", "closing", "away", "coming back", "narrow", "private"],
)
def test_the_unannounced_channel_with_inbound_is_used(public: dict[str, Any]) -> None:
    """As a liquidity provider's: payers would come by the public ones, and fail."""
    inbound = _inbound(_public_node(public, _detail(3)))
    assert NUMBERS[inbound.channels[0].peer] in (2, 3)
    assert node_id(3) in [channel.peer for channel in inbound.blinded]
    assert inbound.public == ()
    assert inbound.at_once_msat >= 1000


def test_a_public_channel_that_is_too_young_to_be_known() -> None:
    """Announced with six confirmations; its peer forwards along a blinded path before."""
    young = _public(2, 10**8, short_channel_id="96x2x0")
    assert _choose(_public_node(young)) == [2]
    assert _choose(_public_node(_public(2, 10**8))) == []


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
    assert [channel.capacity_msat for channel in inbound.blinded] == [700, 600]
    assert (inbound.total_msat, inbound.at_once_msat) == (1300, 700)


def test_public_channels_whose_peers_cannot_forward_along_blinded_paths() -> None:
    inbound = _inbound(_public_node(_public(2, 600), _detail(3), blind=False), 1000)
    assert inbound == Inbound(public=(Channel("95x2x0", node_id(2), 600),))


@pytest.mark.parametrize("network", [Network([]), _PrivateNode([], unknown=[1])])
def test_nothing_can_be_received(network: Network) -> None:
    inbound = _inbound(_client([], [], network))
    assert inbound == Inbound()
    assert inbound.channels == ()
    assert (inbound.total_msat, inbound.at_once_msat) == (0, 0)


def test_what_is_told_of_a_channel() -> None:
    (channel,) = _inbound(_public_node(_public(2, 1000))).channels
    assert channel.as_json() == {"peer": node_id(2).hex(), "htlc_maximum_msat": 1000}
    assert str(channel) == f"{node_id(2).hex()[:16]} (up to 1 sat)"


def test_channels_that_are_back() -> None:
    unconfirmed = _detail(8, alias={"local": "1x8x1", "remote": "98x1x1"})
    del unconfirmed["short_channel_id"]
    before_v24_02 = _detail(7)
    del before_v24_02["reestablished"]
    client = _client(
        [],
        [
            _public(2, 600),
            _detail(3, receivable_msat=0),
            _detail(4, peer_connected=False),
            _detail(5, reestablished=False),
            _detail(6, state="CHANNELD_AWAITING_LOCKIN"),
            before_v24_02,
            unconfirmed,
        ],
    )
    usable = Graph(client, US).usable_channels()
    assert [each.get("short_channel_id") or each["alias"]["local"] for each in usable] == [
        "95x2x0",
        "100x3x0",
        "100x7x0",
        "1x8x1",
    ]
    assert client.methods() == ["listpeerchannels"]


# --- the paths themselves ---

_CHANNEL = IncomingChannel(
    name="100x2x0",
    peer=node_id(2),
    capacity_msat=10**8,
    scid=parse_scid("92x1x1"),
    fee_base_msat=1000,
    fee_proportional_millionths=10,
    cltv_expiry_delta=34,
    htlc_minimum_msat=500,
)


def _build(channel: IncomingChannel = _CHANNEL, timeout: int = 90) -> PaymentPath:
    client = _client([], [])
    (built,) = payment_paths.build(client, node_info(), [channel], _HASH, timeout)
    return built


def _read(path: PaymentPath) -> list[dict[int, bytes]]:
    """What the peer and our node decrypt."""
    path_key = path.path.first_path_key
    found = []
    for number, hop in zip((2, 1), path.path.hops, strict=True):
        secret = PrivateKey(number.to_bytes(32, "big")).ecdh(path_key)
        assert hop.blinded_node_id == blinding.blind_node_id(node_id(number), secret)
        found.append(dict(tlv.decode_stream(blinding.decrypt(secret, hop.encrypted_data))))
        factor = blinding.blinding_factor(path_key, secret)
        path_key = _multiplied(path_key, factor)
    return found


def _multiplied(point: bytes, factor: bytes) -> bytes:
    return bytes(PublicKey(point).multiply(factor).format())


def test_no_channels_no_questions() -> None:
    client = _client([], [])
    assert payment_paths.build(client, node_info(), [], _HASH, 90) == []
    assert client.calls == []


def test_a_path() -> None:
    path = _build()
    assert path.path.introduction_node == node_id(2)
    peers, ours = _read(path)
    assert peers[blinding.SHORT_CHANNEL_ID] == parse_scid("92x1x1").to_bytes(8, "big")
    assert peers[blinding.PAYMENT_RELAY].hex() == "00220000000a03e8"
    # lightningd's own way to tell which invoice is being paid.
    assert ours == {blinding.PATH_ID: sha256(b"\x5e" * 32 + _HASH).digest()}


@pytest.mark.parametrize("timeout", [1, 90, 86_400, 2**32 - 1])
def test_cltv(timeout: int) -> None:
    """Room for payers that pad it, and for the blocks that come while it waits."""
    path = _build(timeout=timeout)
    peers, _ = _read(path)
    constraints = peers[blinding.PAYMENT_CONSTRAINTS]
    max_cltv_expiry = int.from_bytes(constraints[:4], "big")
    assert path.payinfo.cltv_expiry_delta == 34 + 18
    assert max_cltv_expiry >= 100 + 34 + 18 + 1008 + timeout // 600
    assert tlv.decode_tu(constraints[4:], 8, "htlc_minimum_msat") == 500


def test_payinfo() -> None:
    payinfo = _build().payinfo
    assert (payinfo.fee_base_msat, payinfo.fee_proportional_millionths) == (1000, 10)
    assert (payinfo.htlc_minimum_msat, payinfo.htlc_maximum_msat) == (500, 10**8)
    # BOLT 12: as the paths' allowed_features, and those are empty.
    assert payinfo.features == b""


@pytest.mark.parametrize(
    ("amount_msat", "fee_msat"), [(0, 1000), (99_999, 1000), (100_000, 1001), (10**9, 11_000)]
)
def test_fees(amount_msat: int, fee_msat: int) -> None:
    assert _CHANNEL.fee_msat(amount_msat) == fee_msat
