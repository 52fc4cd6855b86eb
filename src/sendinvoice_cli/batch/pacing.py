"""Sending no faster than any node on the route accepts messages.

A lightningd tells us nothing of what it drops, and cannot be told from an eclair, so every peer
link is paced for the strictest limit by number. The limit by size holds where an LND may be.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from ..node.ways.software import SOFTWARE

if TYPE_CHECKING:
    from ..node.ways.routes import Route

#: How much slower than a limit we send, since two clocks differ.
_MARGIN = 1.004

_MESSAGE_LIMITS = [each.messages for each in SOFTWARE if each.messages is not None]
#: Seconds between messages over one peer link.
INTERVAL = max(_MARGIN / limit.per_second for limit in _MESSAGE_LIMITS)
#: How many messages go at once after a pause: one less than nodes take, since
#: messages may bunch up on the way.
BURST = int(min(limit.burst for limit in _MESSAGE_LIMITS)) - 1

#: Bytes of payloads in the two sizes of onions (BOLT 4, "Onion Messages").
SMALL, LARGE = 1300, 32768
#: Bytes of an onion_message besides the payloads: type 2, path_key 33, length 2,
#: and in the onion version 1, public key 33, HMAC 32.
_OVERHEAD = 103

_SIZE_LIMITS = [each.size for each in SOFTWARE if each.size is not None]
#: Seconds for each byte over one peer link, and bytes that go at once after a pause.
_BYTE_INTERVAL = max(_MARGIN / limit.per_second for limit in _SIZE_LIMITS)
_BYTE_BURST = min(limit.burst for limit in _SIZE_LIMITS) - (LARGE + _OVERHEAD)

#: Above this number, we forget peer links that were not used for a while.
MAX_PEER_LINKS = 1000


class PeerLink(NamedTuple):
    """From one node to the next; node ids have 33 bytes.

    :param target: None for what lies behind an introduction node.
    :param counts_bytes: whether the target may limit the bytes that it takes.
    """

    source: bytes
    target: bytes | None
    counts_bytes: bool = False


def peer_links_of(route: Route) -> list[PeerLink]:
    """The peer links of a route."""
    peer_links = [
        PeerLink(source, target, target in route.counting_bytes)
        for source, target in pairwise(route.nodes)
    ]
    if route.hidden_nodes:
        # The last node is the payer, and LND makes no requests.
        peer_links.append(PeerLink(route.nodes[-1], None, route.hidden_nodes > 1))
    return peer_links


class Pacer:
    """Two token buckets for each peer link: one of messages, one of bytes.

    Times are seconds of any one clock; ``size`` is that of the onion's payloads
    in bytes: 1300 or 32768.

    :param interval: seconds between messages over one peer link; the pace of
        bytes changes in proportion, and 0 switches pacing off.
    :param burst: how many messages go at once after a pause.
    """

    def __init__(self, interval: float = INTERVAL, burst: int = BURST) -> None:
        self._interval = interval
        self._burst = burst
        self._byte_interval = _BYTE_INTERVAL * interval / INTERVAL
        # How long each bucket takes to fill.
        self._depths = (interval * burst, self._byte_interval * _BYTE_BURST)
        # When the two buckets of a peer link will be full again.
        self._full_at: dict[tuple[bytes, bytes | None], tuple[float, float]] = {}

    def anew(self) -> Pacer:
        """A pacer with the same pace and full buckets."""
        return Pacer(self._interval, self._burst)

    def turn(self, peer_links: Sequence[PeerLink], now: float, size: int = SMALL) -> float:
        """When a message that asks now may go over these peer links."""
        message, bytes_ = self._costs(size)
        message_depth, byte_depth = self._depths
        at = now
        for source, target, counts_bytes in peer_links:
            by_messages, by_bytes = self._full_at.get((source, target), (now, now))
            at = max(at, by_messages - (message_depth - message))
            if counts_bytes:
                at = max(at, by_bytes - (byte_depth - bytes_))
        return at

    def reserve(self, peer_links: Sequence[PeerLink], now: float, size: int = SMALL) -> float:
        """Take the message's tokens from every peer link, and return when it may go."""
        at = self.turn(peer_links, now, size)
        message, bytes_ = self._costs(size)
        for source, target, counts_bytes in peer_links:
            by_messages, by_bytes = self._full_at.get((source, target), (at, at))
            self._full_at[source, target] = (
                max(by_messages, at) + message,
                max(by_bytes, at) + (bytes_ if counts_bytes else 0),
            )
        if len(self._full_at) > MAX_PEER_LINKS:
            # Full buckets are as good as new ones.
            self._full_at = {ends: full for ends, full in self._full_at.items() if max(full) > now}
        return at

    def _costs(self, size: int) -> tuple[float, float]:
        """Seconds for which a message empties each bucket."""
        return self._interval, self._byte_interval * (size + _OVERHEAD)
