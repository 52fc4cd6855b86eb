"""What lightningd knows of the network, by small questions; each is asked only once."""

import time
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from typing import Any

from ...bolt12.blinded_path import ShortChannelIdDirection, format_scid, parse_scid
from ...errors import LightningdError
from ..features import ONION_MESSAGES, ONION_MESSAGES_BY_CHANNEL, offers_feature
from ..rpc import answers
from ..rpc.answers import reading
from ..rpc.client import CALL_SECONDS, Client, NoAnswerError
from .channels import OUR_CHANNEL_FIELDS, is_connected, is_open, is_readable
from .failures import Failures
from .software import takes_channel_peers_only

#: Seconds that a connection may take: it may use Tor, and try several addresses.
CONNECT_SECONDS = 180
#: Seconds that lightningd gets to tell a node's name.
NAME_SECONDS = 1

_PEER_FIELDS = {"peers": [{"id": True, "connected": True, "features": True}]}
_NODE_FIELDS = {
    "nodes": [{"nodeid": True, "alias": True, "features": True, "addresses": [{"type": True}]}]
}
_CHANNEL_FIELDS = {"channels": [{"source": True, "destination": True, "active": True}]}


class UnwillingNodeError(LightningdError):
    """A node that lightningd can connect to takes no onion messages from us."""


#: Why we do not send to a node, or connect to it.
TAKES_NO_MESSAGES = "it does not take onion messages"
WANTS_CHANNEL = "it takes onion messages only from nodes that have a channel with it"


def short_id(node: bytes) -> str:
    """The start of a node id, for people."""
    return node.hex()[:16]


class Graph:
    """What lightningd knows of the network. It remembers every answer.

    Every method that asks lightningd raises LightningdError for an answer that is malformed, and
    UnreachableError when lightningd is gone.

    :param own_id: 33-byte id of our node; all node ids here are 33 bytes.
    :param clock: tells the time in seconds.
    """

    def __init__(
        self, client: Client, own_id: bytes, clock: Callable[[], float] = time.time
    ) -> None:
        self._client = client
        self._clock = clock
        self.own_id = own_id
        #: Connections that failed.
        self.failures = Failures(clock)
        self._nodes: dict[bytes, dict[str, Any]] = {}
        #: False once lightningd was too slow to tell a name.
        self._has_names = True
        self._neighbours: dict[tuple[bytes, bool, bool], frozenset[bytes]] = {}

    def renewed(self) -> "Graph":
        """A graph that asks everything anew, but remembers which connections failed."""
        graph = Graph(self._client, self.own_id, self._clock)
        graph.failures = self.failures
        return graph

    # --- our peers and channels ---

    @cached_property
    def _peers(self) -> dict[bytes, str]:
        """Feature bits that each connected peer sent in ``init``, in hex (``listpeers``)."""
        answer = self._client.call("listpeers", reply_filter=_PEER_FIELDS)
        with reading("listpeers"):
            return {
                answers.node_id(peer["id"]): answers.features(peer.get("features", ""))
                for peer in answer["peers"]
                if peer["connected"]
            }

    @cached_property
    def _our_channels(self) -> list[dict[str, Any]]:
        answer = self._client.call("listpeerchannels", reply_filter=OUR_CHANNEL_FIELDS)
        channels = answer.get("channels")
        if not isinstance(channels, list):
            return []
        return [each for each in channels if is_readable(each)]

    @cached_property
    def _channel_peers(self) -> frozenset[bytes]:
        """The nodes that have an open channel with us."""
        return frozenset(answers.node_id(each["peer_id"]) for each in self.open_channels())

    def open_channels(self) -> list[dict[str, Any]]:
        """Our open channels, as ``listpeerchannels`` shows them. Some peers may be away."""
        return [each for each in self._our_channels if is_open(each)]

    def has_channel(self, node: bytes) -> bool:
        """Whether a node has an open channel with us, connected or not."""
        return node in self._channel_peers

    def local_scid(self, node: bytes) -> int | None:
        """The alias by which our node knows an open channel with a connected peer, if any."""
        for channel in self.open_channels():
            alias = channel.get("alias", {}).get("local")
            if alias and is_connected(channel) and channel["peer_id"] == node.hex():
                with suppress(ValueError):
                    return parse_scid(alias)
        return None

    def peer_by_channel(self, scid: int, *, by_any_name: bool = False) -> bytes | None:
        """The other end of a channel of ours, None for an unknown channel.

        An unannounced channel is known by the alias that we gave it, as for lightningd itself.
        Whoever guesses its short_channel_id must not learn from our answer that it exists (BOLT 2
        on option_scid_alias).

        :param scid: the channel's name as one 64-bit number.
        :param by_any_name: know every channel by its short_channel_id and by both aliases.
        """
        name = format_scid(scid)
        for channel in self._our_channels:
            aliases = channel.get("alias", {})
            names = [aliases.get("local")]
            if by_any_name or not channel.get("private", True):
                names += [channel.get("short_channel_id"), aliases.get("remote")]
            if name in names:
                return answers.node_id(channel["peer_id"])
        return None

    def message_peers(self) -> list[bytes]:
        """Connected peers that take onion messages from us, those with a channel first."""
        # Another thread may connect to a node meanwhile.
        found = [node for node in tuple(self._peers) if self.takes_ours(node)]
        return sorted(found, key=lambda node: not self.has_channel(node))

    def takes_ours(self, node: bytes) -> bool:
        """Whether a node is a connected peer that takes onion messages from us."""
        return node in self._peers and self.takes_messages(node) and not self.wants_channel(node)

    def peer_features(self, node: bytes) -> str | None:
        """Feature bits of a connected peer (bitmap in hex), None for any other node."""
        return self._peers.get(node)

    def connect(self, node: bytes, patience: float = CONNECT_SECONDS) -> None:
        """Connect to a node (``connect``), unless an attempt has failed a short while ago.

        :param patience: seconds that lightningd may take.
        :raises LightningdError: it cannot be reached.
        :raises UnwillingNodeError: it takes no onion messages from us; lightningd has closed the
            connection again (``disconnect``).
        :raises NoAnswerError: lightningd is still trying after that time.
        :raises UnreachableError: lightningd is gone.
        """
        failure = self.failures.find(node, patience)
        if failure is not None:
            raise failure
        try:
            answer = self._client.call("connect", {"id": node.hex()}, patience=patience)
            with reading("connect"):
                self._peers[node] = answers.features(answer.get("features", ""))
            if not self.takes_ours(node):
                self._close(node)
        except NoAnswerError as error:
            self.failures.add(node, error, patience)
            raise
        except LightningdError as error:
            self.failures.add(node, error)
            raise

    def _close(self, node: bytes) -> None:
        """Close a connection that was opened for nothing."""
        wants_channel = self.wants_channel(node)
        # Another thread may have closed it already.
        self._peers.pop(node, None)
        with suppress(LightningdError, NoAnswerError):
            self._client.call("disconnect", {"id": node.hex()})
        raise UnwillingNodeError(WANTS_CHANNEL if wants_channel else TAKES_NO_MESSAGES)

    # --- other nodes ---

    def is_public(self, node: bytes) -> bool:
        """Whether a node has a public channel (``listnodes``)."""
        return bool(self._node(node))

    def name(self, node: bytes) -> str:
        """The name a node gives itself (``listnodes``), or else the start of its id in hex.

        A name is not worth failing for, whatever lightningd answers, nor waiting for: once it
        takes NAME_SECONDS to answer, it is asked for no other name.
        """
        try:
            if node not in self._nodes and not self._has_names:
                return short_id(node)
            return self._node(node, NAME_SECONDS).get("alias") or short_id(node)
        except NoAnswerError:
            self._has_names = False
        except Exception:
            pass
        return short_id(node)

    def has_address(self, node: bytes) -> bool:
        """Whether a node announces an address (``listnodes``)."""
        return bool(self._node(node).get("addresses"))

    def takes_messages(self, node: bytes, with_unknown: bool = False) -> bool:
        """Whether a node takes onion messages from peers that it has a channel with.

        BOLT 9: bits 38/39, or 66/67 alone, as some nodes set them.

        :param with_unknown: what to return for a node with public channels whose
            announcement lightningd has not seen.
        """
        features = self.features(node)
        if features is None:
            return with_unknown and self.is_public(node)
        return offers_feature(features, ONION_MESSAGES) or offers_feature(
            features, ONION_MESSAGES_BY_CHANNEL
        )

    def wants_channel(self, node: bytes) -> bool:
        """Whether a node takes onion messages from channel peers only, and we have no channel."""
        features = self.features(node)
        return (
            features is not None
            and takes_channel_peers_only(features)
            and not self.has_channel(node)
        )

    def features(self, node: bytes) -> str | None:
        """Feature bits (bitmap in hex) that a connected peer sent, or else that a node announces.

        None when lightningd has seen neither.
        """
        features = self.peer_features(node)
        return self._node(node).get("features") if features is None else features

    def end_of_channel(self, end: ShortChannelIdDirection) -> bytes | None:
        """The node at one end of a channel, public or ours; None for an unknown channel."""
        scid = format_scid(end.scid)
        answer = self._client.call("listchannels", {"short_channel_id": scid})
        with reading("listchannels"):
            for half in answer["channels"]:
                # Before v24.11, lightningd lists our unannounced channels as well.
                if half["public"]:
                    # One direction is enough: node 0 is the source of direction 0.
                    at_source = half["direction"] == end.direction
                    return answers.node_id(half["source" if at_source else "destination"])
        peer = self.peer_by_channel(end.scid)
        return None if peer is None else sorted((self.own_id, peer))[end.direction]

    def neighbours(self, node: bytes, *, outwards: bool, with_disabled: bool) -> frozenset[bytes]:
        """Nodes with a public channel from ``node`` or, not ``outwards``, towards it."""
        key = (node, outwards, with_disabled)
        if key not in self._neighbours:
            near, far = ("source", "destination") if outwards else ("destination", "source")
            answer = self._client.call(
                "listchannels", {near: node.hex()}, reply_filter=_CHANNEL_FIELDS
            )
            with reading("listchannels"):
                ends = [(answers.node_id(half[far]), half["active"]) for half in answer["channels"]]
            for any_state in (False, True):
                self._neighbours[node, outwards, any_state] = frozenset(
                    end for end, is_active in ends if any_state or is_active
                )
        return self._neighbours[key]

    def _node(self, node: bytes, patience: float = CALL_SECONDS) -> dict[str, Any]:
        if node not in self._nodes:
            answer = self._client.call(
                "listnodes", {"id": node.hex()}, reply_filter=_NODE_FIELDS, patience=patience
            )
            with reading("listnodes"):
                found: dict[str, Any] = dict(answer["nodes"][0]) if answer["nodes"] else {}
                if "features" in found:
                    answers.features(found["features"])
                if not isinstance(found.get("alias", ""), str):
                    raise TypeError("an alias is a string")
                self._nodes[node] = found
        return self._nodes[node]
