"""What lightningd knows of the network, by small questions; each is asked only once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

from ...bolt12.blinded_path import ShortChannelIdDirection, format_scid
from ...errors import LightningdError
from ..info import ONION_MESSAGES, ONION_MESSAGES_BY_CHANNEL, offers_feature
from ..rpc.client import Client, NoAnswerError

#: Seconds that a connection may take: it may use Tor, and try several addresses.
CONNECT_SECONDS = 180

_PEER_FIELDS = {"peers": [{"id": True, "connected": True, "features": True, "num_channels": True}]}
_NODE_FIELDS = {
    "nodes": [{"nodeid": True, "alias": True, "features": True, "addresses": [{"type": True}]}]
}
_CHANNEL_FIELDS = {"channels": [{"source": True, "destination": True, "active": True}]}


class _Peer(NamedTuple):
    """A node that is connected to us, or has a channel with us, or both.

    :param features: feature bits of its ``init`` (bitmap in hex), None when not connected.
    """

    features: str | None
    has_channel: bool

    @property
    def takes_ours(self) -> bool:
        """Whether it takes onion messages from us, now."""
        return self.features is not None and (
            offers_feature(self.features, ONION_MESSAGES)
            or (self.has_channel and offers_feature(self.features, ONION_MESSAGES_BY_CHANNEL))
        )


#: States of a channel in which lightningd takes payments over it.
_OPEN_STATES = ("CHANNELD_NORMAL", "CHANNELD_AWAITING_SPLICE")

#: The fields that we ask ``listpeerchannels`` for.
OUR_CHANNEL_FIELDS = {
    "channels": [
        {
            "peer_id": True,
            "peer_connected": True,
            "reestablished": True,
            "state": True,
            "private": True,
            "short_channel_id": True,
            "alias": {"local": True, "remote": True},
            "receivable_msat": True,
            "updates": {
                "remote": {
                    "htlc_minimum_msat": True,
                    "htlc_maximum_msat": True,
                    "cltv_expiry_delta": True,
                    "fee_base_msat": True,
                    "fee_proportional_millionths": True,
                }
            },
        }
    ]
}


def is_open(channel: Mapping[str, Any]) -> bool:
    """Whether a channel of ours can carry payments while its peer is connected."""
    return channel.get("state") in _OPEN_STATES


def is_connected(channel: Mapping[str, Any]) -> bool:
    """Whether the peer of a channel is connected, and the channel is ready for payments."""
    # lightningd has "reestablished" from v24.02 on.
    return bool(channel.get("peer_connected")) and bool(channel.get("reestablished", True))


class Graph:
    """What lightningd knows of the network. It remembers every answer.

    :param own_id: 33-byte id of our node; all node ids here are 33 bytes.
    """

    def __init__(self, client: Client, own_id: bytes) -> None:
        self._client = client
        self.own_id = own_id
        #: How connections failed.
        self._failed: dict[bytes, LightningdError | NoAnswerError] = {}
        self._nodes: dict[bytes, dict[str, Any]] = {}
        self._neighbours: dict[tuple[bytes, bool, bool], frozenset[bytes]] = {}

    def renewed(self) -> Graph:
        """A graph that asks everything anew, but remembers which connections failed."""
        graph = Graph(self._client, self.own_id)
        graph._failed = self._failed
        return graph

    @cached_property
    def _peers(self) -> dict[bytes, _Peer]:
        """Our peers (``listpeers``)."""
        answer = self._client.call("listpeers", reply_filter=_PEER_FIELDS)
        return {
            bytes.fromhex(peer["id"]): _Peer(
                features=peer.get("features", "") if peer["connected"] else None,
                has_channel=peer["num_channels"] > 0,
            )
            for peer in answer["peers"]
        }

    @cached_property
    def _our_channels(self) -> list[dict[str, Any]]:
        answer = self._client.call("listpeerchannels", reply_filter=OUR_CHANNEL_FIELDS)
        channels: list[dict[str, Any]] = answer["channels"]
        return channels

    def usable_channels(self) -> list[dict[str, Any]]:
        """Our channels that can carry payments now, as ``listpeerchannels`` shows them."""
        return [each for each in self._our_channels if is_open(each) and is_connected(each)]

    def message_peers(self) -> list[bytes]:
        """Connected peers that take onion messages from us, those with a channel first."""
        found = [node for node, peer in self._peers.items() if peer.takes_ours]
        return sorted(found, key=lambda node: not self.has_channel(node))

    def has_channel(self, node: bytes) -> bool:
        """Whether a node has a channel with us, connected or not."""
        return node in self._peers and self._peers[node].has_channel

    def takes_ours(self, node: bytes) -> bool:
        """Whether a node is a connected peer that takes onion messages from us."""
        return node in self._peers and self._peers[node].takes_ours

    def wants_channel(self, node: bytes) -> bool:
        """Whether a node takes onion messages from channel peers only, and we have no channel."""
        features = self._features(node)
        return (
            features is not None
            and not offers_feature(features, ONION_MESSAGES)
            and offers_feature(features, ONION_MESSAGES_BY_CHANNEL)
            and not self.has_channel(node)
        )

    def peer_features(self, node: bytes) -> str | None:
        """Feature bits of a connected peer (bitmap in hex), None for any other node."""
        peer = self._peers.get(node)
        return None if peer is None else peer.features

    def connect(self, node: bytes) -> None:
        """Connect to a node (``connect``), unless an earlier attempt has failed.

        :raises LightningdError: it cannot be reached.
        :raises NoAnswerError: lightningd is still trying after CONNECT_SECONDS.
        :raises UnreachableError: lightningd is gone.
        """
        if node in self._failed:
            raise self._failed[node]
        try:
            answer = self._client.call("connect", {"id": node.hex()}, patience=CONNECT_SECONDS)
        except (LightningdError, NoAnswerError) as failure:
            self._failed[node] = failure
            raise
        self._peers[node] = _Peer(answer.get("features", ""), self.has_channel(node))

    def is_public(self, node: bytes) -> bool:
        """Whether a node has a public channel (``listnodes``)."""
        return bool(self._node(node))

    def alias(self, node: bytes) -> str | None:
        """The name a node gives itself (``listnodes``), None when there is none."""
        return self._node(node).get("alias")

    def has_address(self, node: bytes) -> bool:
        """Whether a node announces an address (``listnodes``)."""
        return bool(self._node(node).get("addresses"))

    def takes_messages(self, node: bytes, with_unknown: bool = False) -> bool:
        """Whether a node takes onion messages from peers that it has a channel with.

        :param with_unknown: what to return for a node with public channels whose
            announcement lightningd has not seen.
        """
        features = self._features(node)
        if features is None:
            return with_unknown and self.is_public(node)
        return offers_feature(features, ONION_MESSAGES) or offers_feature(
            features, ONION_MESSAGES_BY_CHANNEL
        )

    def end_of_channel(self, end: ShortChannelIdDirection) -> bytes | None:
        """The node at one end of a channel, public or ours; None for an unknown channel."""
        scid = format_scid(end.scid)
        answer = self._client.call("listchannels", {"short_channel_id": scid})
        for half in answer["channels"]:
            # One direction is enough: node 0 is the source of direction 0.
            at_source = half["direction"] == end.direction
            return bytes.fromhex(half["source" if at_source else "destination"])
        peer = self.peer_by_channel(end.scid)
        return None if peer is None else sorted((self.own_id, peer))[end.direction]

    def peer_by_channel(self, scid: int) -> bytes | None:
        """The other end of a channel of ours, None for an unknown channel.

        :param scid: its short_channel_id, or the alias of either end, as one 64-bit number.
        """
        name = format_scid(scid)
        for channel in self._our_channels:
            if name in (
                channel.get("short_channel_id"),
                channel.get("alias", {}).get("local"),
                channel.get("alias", {}).get("remote"),
            ):
                return bytes.fromhex(channel["peer_id"])
        return None

    def senders_to(self, node: bytes, with_disabled: bool) -> frozenset[bytes]:
        """Nodes with a channel towards ``node``."""
        return self._around(node, False, with_disabled)

    def receivers_from(self, node: bytes, with_disabled: bool) -> frozenset[bytes]:
        """Nodes with a channel from ``node``."""
        return self._around(node, True, with_disabled)

    def _around(self, node: bytes, outwards: bool, with_disabled: bool) -> frozenset[bytes]:
        key = (node, outwards, with_disabled)
        if key not in self._neighbours:
            near, far = ("source", "destination") if outwards else ("destination", "source")
            answer = self._client.call(
                "listchannels", {near: node.hex()}, reply_filter=_CHANNEL_FIELDS
            )
            for any_state in (False, True):
                self._neighbours[node, outwards, any_state] = frozenset(
                    bytes.fromhex(half[far])
                    for half in answer["channels"]
                    if any_state or half["active"]
                )
        return self._neighbours[key]

    def _features(self, node: bytes) -> str | None:
        """Feature bits (bitmap in hex) that a connected peer sent, or else that a node announces.

        None when lightningd has seen neither.
        """
        features = self.peer_features(node)
        return self._node(node).get("features") if features is None else features

    def _node(self, node: bytes) -> dict[str, Any]:
        if node not in self._nodes:
            answer = self._client.call("listnodes", {"id": node.hex()}, reply_filter=_NODE_FIELDS)
            self._nodes[node] = answer["nodes"][0] if answer["nodes"] else {}
        return self._nodes[node]
