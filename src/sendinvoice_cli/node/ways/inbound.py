"""Which of our channels can take a payment now, and how payers find them.

Payers find public channels by themselves: a payment path of one hop, our node,
leads over them. Where these cannot take the amount, the invoice gets blinded
paths instead; they begin at our peers, and payers use our channels with them.

Where public channels serve, one blinded path goes with them as a spare. A payer
that tries to pay while lightningd restarts finds our channels closed, and may
avoid public ones for an hour (Core Lightning's xpay does), but not a blinded path.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from ...bolt12.blinded_path import parse_scid
from ...errors import LightningdError
from ..info import NodeInfo, offers_feature
from ..rpc.client import Client
from .graph import Graph

#: Feature bit of option_route_blinding (BOLT 9).
ROUTE_BLINDING = 24

#: Most blinded paths that an invoice gets.
MAX_PATHS = 5

#: Confirmations at which a public channel is announced (BOLT 7).
_ANNOUNCEMENT_DEPTH = 6


class Channel(NamedTuple):
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


class IncomingChannel(NamedTuple):
    """A channel whose peer can forward a payment along a blinded path.

    :param scid: short_channel_id by which the peer forwards.
    :param cltv_expiry_delta: blocks.
    """

    channel: Channel
    scid: int
    fee_base_msat: int
    fee_proportional_millionths: int
    cltv_expiry_delta: int
    htlc_minimum_msat: int

    def fee_msat(self, amount_msat: int) -> int:
        """The peer's fee for forwarding an amount."""
        return self.fee_base_msat + amount_msat * self.fee_proportional_millionths // 1_000_000


class Inbound(NamedTuple):
    """The channels through which a payment can come now.

    :param public: channels that payers find by themselves, widest first. Empty when
        this node is not public, or its public channels do not serve.
    :param blinded: channels that get a blinded path in the invoice, best first;
        beside public ones at most one, the spare.
    """

    blinded: tuple[IncomingChannel, ...] = ()
    public: tuple[Channel, ...] = ()

    @property
    def channels(self) -> tuple[Channel, ...]:
        """All of them. A spare is one of the public channels."""
        return self.public or tuple(each.channel for each in self.blinded)

    @property
    def paths(self) -> int:
        """How many payment paths the invoice has; without any of ours, lightningd adds one."""
        return len(self.blinded) + bool(self.public or not self.blinded)

    @property
    def total_msat(self) -> int:
        """The most that can come in parts, one over each channel."""
        return sum(channel.capacity_msat for channel in self.channels)

    @property
    def at_once_msat(self) -> int:
        """The most that can come in one part."""
        return max((channel.capacity_msat for channel in self.channels), default=0)


def choose(client: Client, info: NodeInfo, graph: Graph, amount_msat: int) -> Inbound:
    """Choose the channels through which a payment is to come (``listpeerchannels``).

    If a public channel can take the amount, the public ones serve. Otherwise, and
    with ``payment-fronting-node``, blinded paths over public and unannounced
    channels serve, if one of these can take it, or all of them take more.

    :param amount_msat: of the invoice.
    :raises LightningdError: no node of ``payment-fronting-node`` can forward this amount.
    """
    details = graph.usable_channels()
    public = Inbound()
    if not info.fronting_nodes and graph.is_public(info.id):
        announced = [each for each in details if _is_announced(each, info.blockheight)]
        public = Inbound(public=_public(announced))
        # One channel must take all of it: a request may be single-use (CLN's
        # default, which no field tells), and CLN pays those in one part only.
        if public.at_once_msat >= amount_msat:
            can_take_all = [
                each
                for each in _incoming(client, info, graph, announced)
                if each.htlc_minimum_msat <= amount_msat <= each.channel.capacity_msat
            ]
            spare = sorted(can_take_all, key=lambda each: each.fee_msat(amount_msat))[:1]
            return public._replace(blinded=tuple(spare))
    forwarded = [
        each
        for each in _incoming(client, info, graph, details)
        if each.htlc_minimum_msat <= amount_msat and each.channel.capacity_msat > 0
    ]
    if info.fronting_nodes and not forwarded:
        raise LightningdError(
            "payment-fronting-node is set, but none of its nodes has a channel that can carry "
            "this amount"
        )
    best = sorted(forwarded, key=lambda each: _rank(each, graph, amount_msat))[:MAX_PATHS]
    blinded = Inbound(blinded=tuple(best))
    if blinded.at_once_msat < amount_msat and blinded.total_msat <= public.total_msat:
        return public
    return blinded


def _rank(incoming: IncomingChannel, graph: Graph, amount_msat: int) -> tuple[Any, ...]:
    """A key to sort channels by, best first.

    Channels with public peers come first, since payers find those. Among them,
    channels that carry the whole amount come first, the cheapest in front,
    because some payers cannot pay in parts; then the others, widest first.
    """
    capacity_msat, fee_msat = incoming.channel.capacity_msat, incoming.fee_msat(amount_msat)
    carries_all = capacity_msat >= amount_msat
    return (
        not graph.is_public(incoming.channel.peer),
        not carries_all,
        (fee_msat, -capacity_msat) if carries_all else (-capacity_msat, fee_msat),
    )


def _incoming(
    client: Client, info: NodeInfo, graph: Graph, details: Iterable[dict[str, Any]]
) -> list[IncomingChannel]:
    """Channels whose peers can forward along a blinded path.

    Our channels tell what their peers ask for forwarding; where one does not (before v24.02,
    and before the peer's first channel_update), ``listincoming`` does.
    """
    forwarding = [
        detail for detail in details if _forwards(bytes.fromhex(detail["peer_id"]), info, graph)
    ]
    listed = {}
    if any("cltv_expiry_delta" not in _update(detail) for detail in forwarding):
        for each in client.call("listincoming")["incoming"]:
            # Without a short_channel_id, this is our alias. incoming_capacity_msat is the
            # sum over all channels of the peer.
            listed[each["short_channel_id"]] = {
                **each,
                "htlc_minimum_msat": each["htlc_min_msat"],
                "htlc_maximum_msat": each["htlc_max_msat"],
            }
    found = []
    for detail in forwarding:
        update = listed.get(_name(detail), _update(detail))
        if "cltv_expiry_delta" not in update:
            continue
        found.append(
            IncomingChannel(
                _channel(detail, min(_msat(update["htlc_maximum_msat"]), _capacity_msat(detail))),
                scid=_forwarding_scid(detail),
                fee_base_msat=_msat(update["fee_base_msat"]),
                fee_proportional_millionths=update["fee_proportional_millionths"],
                cltv_expiry_delta=update["cltv_expiry_delta"],
                htlc_minimum_msat=_msat(update["htlc_minimum_msat"]),
            )
        )
    return found


def _forwards(peer: bytes, info: NodeInfo, graph: Graph) -> bool:
    """Whether a connected peer can forward payments to us along a blinded path, and may."""
    features = graph.peer_features(peer)
    return (
        features is not None
        and offers_feature(features, ROUTE_BLINDING)
        and graph.takes_ours(peer)
        and (not info.fronting_nodes or peer in info.fronting_nodes)
    )


def _public(announced: Iterable[dict[str, Any]]) -> tuple[Channel, ...]:
    """Announced channels that can take anything, widest first."""
    found = [_channel(detail, _capacity_msat(detail)) for detail in announced]
    return tuple(
        sorted(
            (channel for channel in found if channel.capacity_msat > 0),
            key=lambda channel: -channel.capacity_msat,
        )
    )


def _channel(detail: dict[str, Any], capacity_msat: int) -> Channel:
    return Channel(_name(detail), bytes.fromhex(detail["peer_id"]), capacity_msat)


def _is_announced(detail: dict[str, Any], blockheight: int) -> bool:
    """Whether a channel is public and deep enough in the chain to be announced (BOLT 7)."""
    scid = detail.get("short_channel_id")
    if detail.get("private") or scid is None:
        return False
    height = parse_scid(scid) >> 40
    return blockheight - height + 1 >= _ANNOUNCEMENT_DEPTH


def _name(detail: dict[str, Any]) -> str:
    return str(detail.get("short_channel_id") or detail.get("alias", {}).get("local"))


def _capacity_msat(detail: dict[str, Any]) -> int:
    """The most that one payment part can have: what the peer owns there and will forward."""
    receivable_msat = _msat(detail["receivable_msat"])
    forwarded = _update(detail).get("htlc_maximum_msat")
    return receivable_msat if forwarded is None else min(receivable_msat, _msat(forwarded))


def _update(detail: dict[str, Any]) -> dict[str, Any]:
    """The peer's channel_update. Missing before v24.02, and before the peer's first."""
    update: dict[str, Any] = detail.get("updates", {}).get("remote", {})
    return update


def _forwarding_scid(detail: dict[str, Any]) -> int:
    """The short_channel_id by which the peer forwards into this channel.

    For an unannounced channel that is the alias that the peer gave us: with
    scid_alias, it refuses the real one. (lightningd accepts next_node_id, too,
    but LDK cannot read a payment path with it.)
    """
    alias = detail.get("alias", {}).get("remote") if detail.get("private") else None
    return parse_scid(alias or _name(detail))


def _msat(value: int | str) -> int:
    return int(value.removesuffix("msat")) if isinstance(value, str) else value
