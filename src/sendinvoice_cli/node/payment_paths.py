"""Ways to be paid, for a node that others find no route to.

A node with public channels is found by its id, and lightningd's own path of
one hop will do. Any other node needs paths that begin at its peers.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from .info import ONION_MESSAGES, NodeInfo, offers_feature

#: Feature bit of option_route_blinding (BOLT 9).
ROUTE_BLINDING = 24

#: Most paths that an invoice gets.
MAX_PATHS = 5

#: States of a channel in which lightningd takes payments over it.
_USABLE_STATES = ("CHANNELD_NORMAL", "CHANNELD_AWAITING_SPLICE")

#: Blocks of room above what the timeout needs: payers pad the CLTV.
_CLTV_MARGIN = 1100
_FASTEST_BLOCK_SECONDS = 300


@dataclass(frozen=True)
class IncomingChannel:
    """A channel through which a payment can come.

    :param peer: 33-byte node id.
    :param scid: short_channel_id by which the peer forwards.
    :param capacity_msat: the most that can come at once.
    """

    peer: bytes
    scid: int
    fee_base_msat: int
    fee_proportional_millionths: int
    cltv_expiry_delta: int
    htlc_minimum_msat: int
    capacity_msat: int

    def __str__(self) -> str:
        return f"{self.peer.hex()} (up to {self.capacity_msat} msat)"

    def as_json(self) -> dict[str, Any]:
        """For a dry run: ``peer`` (hex) and ``htlc_maximum_msat``."""
        return {"peer": self.peer.hex(), "htlc_maximum_msat": self.capacity_msat}

    def fee_msat(self, amount_msat: int) -> int:
        """What the peer takes for forwarding an amount."""
        return self.fee_base_msat + amount_msat * self.fee_proportional_millionths // 1_000_000


def choose(client: Client, info: NodeInfo, graph: Graph, amount_msat: int) -> list[IncomingChannel]:
    """Choose the channels whose peers the invoice's paths begin at, the best first.

    Empty for a node that is public, unless it is configured to have its
    payments fronted, and where no channel will do.

    :raises LightningdError: none of the configured fronting nodes will do.
    """
    if not info.fronting_nodes and graph.is_public(info.id):
        return []
    usable = [
        channel
        for channel in _incoming(client, info, graph)
        if channel.htlc_minimum_msat <= amount_msat and channel.capacity_msat > 0
    ]
    if info.fronting_nodes and not usable:
        raise LightningdError(
            "payment-fronting-node is set, and no such node has a channel through which "
            "this amount could come"
        )
    return sorted(usable, key=lambda channel: _rank(channel, graph, amount_msat))[:MAX_PATHS]


def build(
    client: Client,
    info: NodeInfo,
    channels: Sequence[IncomingChannel],
    payment_hash: bytes,
    timeout: int,
) -> list[PaymentPath]:
    """Make the blinded paths for an invoice (``makesecret``).

    :param payment_hash: 32 bytes, of the invoice.
    :param timeout: seconds for which they must be good.
    """
    if not channels:
        return []
    base = client.call("makesecret", {"string": "bolt12-invoice-base"})["secret"]
    # By this path_id lightningd knows which invoice a payment is for.
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
    """Smaller is better.

    One that carries the whole amount comes first, since some payers fail at
    paying in parts; among those the cheapest, among the others the widest.
    """
    carries_all = channel.capacity_msat >= amount_msat
    fee_msat = channel.fee_msat(amount_msat)
    return (
        not graph.is_public(channel.peer),
        not carries_all,
        (fee_msat, -channel.capacity_msat) if carries_all else (-channel.capacity_msat, fee_msat),
    )


def _incoming(client: Client, info: NodeInfo, graph: Graph) -> list[IncomingChannel]:
    """Channels whose peers can forward along a blinded path (``listincoming``)."""
    details = {
        # listincoming calls a channel that has no confirmation yet by our alias for it.
        channel.get("short_channel_id") or channel.get("alias", {}).get("local"): channel
        for channel in client.call("listpeerchannels")["channels"]
        if channel.get("state") in _USABLE_STATES
    }
    found = []
    for each in client.call("listincoming")["incoming"]:
        peer = bytes.fromhex(each["id"])
        detail = details.get(each["short_channel_id"])
        features = graph.peer_features(peer)
        if (
            detail is None
            or features is None
            or not offers_feature(features, ROUTE_BLINDING)
            or not offers_feature(features, ONION_MESSAGES)
            or (info.fronting_nodes and peer not in info.fronting_nodes)
        ):
            continue
        found.append(
            IncomingChannel(
                peer=peer,
                scid=_forwarding_scid(each, detail),
                fee_base_msat=_msat(each["fee_base_msat"]),
                fee_proportional_millionths=each["fee_proportional_millionths"],
                cltv_expiry_delta=each["cltv_expiry_delta"],
                htlc_minimum_msat=_msat(each["htlc_min_msat"]),
                # incoming_capacity_msat counts all of a peer's channels.
                capacity_msat=min(_msat(each["htlc_max_msat"]), _msat(detail["receivable_msat"])),
            )
        )
    return found


def _forwarding_scid(incoming: dict[str, Any], detail: dict[str, Any]) -> int:
    """The name under which the peer forwards into this channel.

    An unannounced channel goes by the alias that the peer gave us: it refuses
    the real short_channel_id when scid_alias was negotiated. (next_node_id
    would do for lightningd, but LDK understands no payment path with it.)
    """
    alias = None if incoming.get("public") else detail.get("alias", {}).get("remote")
    return parse_scid(alias or incoming["short_channel_id"])


def _msat(value: int | str) -> int:
    return int(value.removesuffix("msat")) if isinstance(value, str) else value
