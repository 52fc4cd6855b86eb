"""Ways to be paid: which of our channels can take a payment now, and how payers find them.

By default lightningd adds a payment path of one hop, our node; then payers use
our public channels. If these cannot take the amount, the invoice gets blinded
paths that begin at our peers, and payers use our channels with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from ..bolt12 import tlv
from ..bolt12.blinded_path import parse_scid
from ..bolt12.invoice import BlindedPayinfo, PaymentPath
from ..bolt12.tlv import Record
from ..errors import LightningdError
from ..onion import blinding
from ..onion.blinding import PathNode
from .client import Client
from .graph import Graph
from .info import NodeInfo, offers_feature

#: Feature bit of option_route_blinding (BOLT 9).
ROUTE_BLINDING = 24

#: Most blinded paths that an invoice gets.
MAX_PATHS = 5

#: Confirmations at which a public channel is announced (BOLT 7).
_ANNOUNCEMENT_DEPTH = 6

#: Blocks above what the timeout needs, since payers pad the CLTV.
_CLTV_MARGIN = 1100
_FASTEST_BLOCK_SECONDS = 300


@dataclass(frozen=True)
class Channel:
    """A channel of ours that can take a payment now.

    :param name: its short_channel_id, or our alias while it has none.
    :param peer: 33-byte node id.
    :param capacity_msat: the most that one payment part can have.
    """

    name: str
    peer: bytes
    capacity_msat: int

    def __str__(self) -> str:
        return f"{self.peer.hex()[:16]} (up to {self.capacity_msat // 1000:,} sat)"

    def as_json(self) -> dict[str, Any]:
        """For a dry run: ``peer`` (hex) and ``htlc_maximum_msat``."""
        return {"peer": self.peer.hex(), "htlc_maximum_msat": self.capacity_msat}


@dataclass(frozen=True)
class IncomingChannel(Channel):
    """A channel whose peer can forward a payment along a blinded path.

    :param scid: short_channel_id by which the peer forwards.
    :param cltv_expiry_delta: blocks.
    """

    scid: int
    fee_base_msat: int
    fee_proportional_millionths: int
    cltv_expiry_delta: int
    htlc_minimum_msat: int

    def fee_msat(self, amount_msat: int) -> int:
        """The peer's fee for forwarding an amount."""
        return self.fee_base_msat + amount_msat * self.fee_proportional_millionths // 1_000_000


@dataclass(frozen=True)
class Inbound:
    """The channels through which a payment can come now: either blinded or public ones.

    :param blinded: channels that get a blinded path in the invoice, best first.
    :param public: channels that payers find by themselves, widest first; used with
        the path that lightningd adds. Empty when this node is not public, or its
        public channels can take nothing.
    """

    blinded: tuple[IncomingChannel, ...] = ()
    public: tuple[Channel, ...] = ()

    @property
    def channels(self) -> tuple[Channel, ...]:
        """All of them."""
        return self.blinded or self.public

    @property
    def total_msat(self) -> int:
        """The most that can come in parts, one over each channel."""
        return _total(self.channels)

    @property
    def at_once_msat(self) -> int:
        """The most that can come in one part."""
        return _at_once(self.channels)


def choose(client: Client, info: NodeInfo, graph: Graph, amount_msat: int) -> Inbound:
    """Choose the channels through which a payment is to come.

    If a public channel can take the amount (``listpeerchannels``), lightningd's
    own path serves. Otherwise, and with ``payment-fronting-node``, blinded paths
    are considered (``listincoming``), over public and unannounced channels.

    :param amount_msat: of the invoice.
    :raises LightningdError: no node of ``payment-fronting-node`` can forward this amount.
    """
    rows = graph.usable_channels()
    public: list[Channel] = []
    if not info.fronting_nodes and graph.is_public(info.id):
        public = _public(rows, info.blockheight)
        # One channel must take all of it: a request may be single-use (CLN's
        # default, which no field tells), and CLN pays those in one part only.
        if _at_once(public) >= amount_msat:
            return Inbound(public=tuple(public))
    blinded = [
        channel
        for channel in _incoming(client, info, graph, rows)
        if channel.htlc_minimum_msat <= amount_msat and channel.capacity_msat > 0
    ]
    if info.fronting_nodes and not blinded:
        raise LightningdError(
            "payment-fronting-node is set, but none of its nodes has a channel that can carry "
            "this amount"
        )
    blinded = sorted(blinded, key=lambda channel: _rank(channel, graph, amount_msat))[:MAX_PATHS]
    if _at_once(blinded) < amount_msat and _total(blinded) <= _total(public):
        return Inbound(public=tuple(public))
    return Inbound(blinded=tuple(blinded))


def build(
    client: Client,
    info: NodeInfo,
    channels: Sequence[IncomingChannel],
    payment_hash: bytes,
    timeout: int,
) -> list[PaymentPath]:
    """Build the blinded paths for an invoice (BOLT 4, "Route Blinding"; ``makesecret``).

    :param channels: ``Inbound.blinded``; without any, no path is built.
    :param payment_hash: 32 bytes, of the invoice.
    :param timeout: seconds for which the paths must be valid.
    """
    if not channels:
        return []
    base = client.call("makesecret", {"string": "bolt12-invoice-base"})["secret"]
    # This path_id tells lightningd which invoice a payment is for.
    path_id = sha256(bytes.fromhex(base) + payment_hash).digest()
    return [_build_one(info, channel, path_id, timeout) for channel in channels]


def _build_one(
    info: NodeInfo, channel: IncomingChannel, path_id: bytes, timeout: int
) -> PaymentPath:
    cltv_expiry_delta = channel.cltv_expiry_delta + info.cltv_final
    max_cltv_expiry = (
        info.blockheight + timeout // _FASTEST_BLOCK_SECONDS + cltv_expiry_delta + _CLTV_MARGIN
    )
    relay = (
        channel.cltv_expiry_delta.to_bytes(2, "big")
        + channel.fee_proportional_millionths.to_bytes(4, "big")
        + tlv.encode_tu(channel.fee_base_msat)
    )
    constraints = min(max_cltv_expiry, 2**32 - 1).to_bytes(4, "big") + tlv.encode_tu(
        channel.htlc_minimum_msat
    )
    path = blinding.blind_path(
        [
            PathNode(
                channel.peer,
                (
                    Record(blinding.SHORT_CHANNEL_ID, channel.scid.to_bytes(8, "big")),
                    Record(blinding.PAYMENT_RELAY, relay),
                    Record(blinding.PAYMENT_CONSTRAINTS, constraints),
                ),
            ),
            PathNode(info.id, (Record(blinding.PATH_ID, path_id),)),
        ]
    )
    payinfo = BlindedPayinfo(
        fee_base_msat=channel.fee_base_msat,
        fee_proportional_millionths=channel.fee_proportional_millionths,
        cltv_expiry_delta=cltv_expiry_delta,
        htlc_minimum_msat=channel.htlc_minimum_msat,
        htlc_maximum_msat=channel.capacity_msat,
    )
    return PaymentPath(path, payinfo)


def _rank(channel: IncomingChannel, graph: Graph, amount_msat: int) -> tuple[Any, ...]:
    """A key to sort channels by, best first.

    Channels with public peers come first, since payers find those. Among them,
    channels that carry the whole amount come first, the cheapest in front,
    because some payers cannot pay in parts; then the others, widest first.
    """
    carries_all = channel.capacity_msat >= amount_msat
    fee_msat = channel.fee_msat(amount_msat)
    return (
        not graph.is_public(channel.peer),
        not carries_all,
        (fee_msat, -channel.capacity_msat) if carries_all else (-channel.capacity_msat, fee_msat),
    )


def _incoming(
    client: Client, info: NodeInfo, graph: Graph, rows: Iterable[dict[str, Any]]
) -> list[IncomingChannel]:
    """Channels whose peers can forward along a blinded path (``listincoming``)."""
    by_name = {_name(row): row for row in rows}
    found = []
    for each in client.call("listincoming")["incoming"]:
        peer = bytes.fromhex(each["id"])
        # Without a short_channel_id, listincoming shows our alias.
        row = by_name.get(each["short_channel_id"])
        features = graph.peer_features(peer)
        if (
            row is None
            or features is None
            or not offers_feature(features, ROUTE_BLINDING)
            or not graph.takes_ours(peer)
            or (info.fronting_nodes and peer not in info.fronting_nodes)
        ):
            continue
        found.append(
            IncomingChannel(
                name=each["short_channel_id"],
                peer=peer,
                # incoming_capacity_msat is the sum over all channels of the peer.
                capacity_msat=min(_msat(each["htlc_max_msat"]), _capacity_msat(row)),
                scid=_forwarding_scid(each, row),
                fee_base_msat=_msat(each["fee_base_msat"]),
                fee_proportional_millionths=each["fee_proportional_millionths"],
                cltv_expiry_delta=each["cltv_expiry_delta"],
                htlc_minimum_msat=_msat(each["htlc_min_msat"]),
            )
        )
    return found


def _public(rows: Iterable[dict[str, Any]], blockheight: int) -> list[Channel]:
    """Announced channels that can take anything, widest first."""
    found = [
        Channel(_name(row), bytes.fromhex(row["peer_id"]), _capacity_msat(row))
        for row in rows
        if _is_announced(row, blockheight) and _capacity_msat(row) > 0
    ]
    return sorted(found, key=lambda channel: -channel.capacity_msat)


def _is_announced(row: dict[str, Any], blockheight: int) -> bool:
    """Whether a channel is public and deep enough in the chain to be announced (BOLT 7)."""
    scid = row.get("short_channel_id")
    if row.get("private") or scid is None:
        return False
    height = parse_scid(scid) >> 40
    return blockheight - height + 1 >= _ANNOUNCEMENT_DEPTH


def _name(row: dict[str, Any]) -> str:
    return str(row.get("short_channel_id") or row.get("alias", {}).get("local"))


def _capacity_msat(row: dict[str, Any]) -> int:
    """The most that one payment part can have: what the peer owns there and will forward."""
    receivable_msat = _msat(row["receivable_msat"])
    # Missing before v24.02, and before the peer's first channel_update.
    forwarded = row.get("updates", {}).get("remote", {}).get("htlc_maximum_msat")
    return receivable_msat if forwarded is None else min(receivable_msat, _msat(forwarded))


def _at_once(channels: Iterable[Channel]) -> int:
    return max((channel.capacity_msat for channel in channels), default=0)


def _total(channels: Iterable[Channel]) -> int:
    return sum(channel.capacity_msat for channel in channels)


def _forwarding_scid(incoming: dict[str, Any], row: dict[str, Any]) -> int:
    """The short_channel_id by which the peer forwards into this channel.

    For an unannounced channel that is the alias that the peer gave us: with
    scid_alias, it refuses the real one. (lightningd accepts next_node_id, too,
    but LDK cannot read a payment path with it.)
    """
    alias = None if incoming.get("public") else row.get("alias", {}).get("remote")
    return parse_scid(alias or incoming["short_channel_id"])


def _msat(value: int | str) -> int:
    return int(value.removesuffix("msat")) if isinstance(value, str) else value
