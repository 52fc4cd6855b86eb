"""Sending no faster than any node on the route accepts messages.

Nodes limit the onion messages that they take from each peer, and silently drop
the rest. We cannot tell which software a node runs, so every peer link is paced
for the strictest limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple


class Limit(NamedTuple):
    """What a node takes from each peer: a token bucket of messages or of bytes.

    :param per_second: how fast the bucket fills.
    :param burst: how much it holds.
    """

    per_second: float
    burst: float


#: Limits by number of messages.
MESSAGE_LIMITS = {
    # connectd/onion_message.c, ONION_MSG_MSEC and ONION_MSG_TOKENS_MAX
    "lightningd": Limit(per_second=4, burst=4),
    # reference.conf, onion-messages.max-per-peer-per-second (PR 2090)
    "eclair": Limit(per_second=10, burst=10),
}
#: Limits by size of the ``onion_message`` on the wire, in bytes.
BYTE_LIMITS = {
    # onionmessage/ratelimit.go, by default 512 kbit/s and 256 KiB (PR 10713, v0.21)
    "LND": Limit(per_second=512 * 125, burst=256 * 1024),
}

#: How much slower than a limit we send, since two clocks differ.
_MARGIN = 1.004

#: Seconds between messages over one peer link.
INTERVAL = max(_MARGIN / limit.per_second for limit in MESSAGE_LIMITS.values())
#: How many messages go at once after a pause: one less than nodes take, since
#: messages may bunch up on the way.
BURST = int(min(limit.burst for limit in MESSAGE_LIMITS.values())) - 1

#: Bytes of payloads in the two sizes of onions (BOLT 4, "Onion Messages").
SMALL, LARGE = 1300, 32768
#: Bytes of an onion_message besides the payloads: type 2, path_key 33, length 2,
#: and in the onion version 1, public key 33, HMAC 32.
_OVERHEAD = 103

#: Seconds for each byte over one peer link, and bytes that go at once after a pause.
_BYTE_INTERVAL = max(_MARGIN / limit.per_second for limit in BYTE_LIMITS.values())
_BYTE_BURST = min(limit.burst for limit in BYTE_LIMITS.values()) - (LARGE + _OVERHEAD)

#: Above this number, we forget peer links that were not used for a while.
MAX_LINKS = 1000

#: From one node id to the next; None stands for what lies behind an introduction node.
PeerLink = tuple[bytes, bytes | None]


def links_of(nodes: Sequence[bytes], *, leads_on: bool) -> list[PeerLink]:
    """The peer links of a route.

    :param nodes: 33-byte node ids.
    :param leads_on: a blinded path follows, whose nodes we do not know.
    """
    links: list[PeerLink] = list(pairwise(nodes))
    if leads_on:
        links.append((nodes[-1], None))
    return links


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
        # When the two buckets of a link will be full again.
        self._full_at: dict[PeerLink, tuple[float, float]] = {}

    def anew(self) -> Pacer:
        """A pacer with the same pace and full buckets."""
        return Pacer(self._interval, self._burst)

    def turn(self, links: Sequence[PeerLink], now: float, size: int = SMALL) -> float:
        """When a message that asks now may go over these links."""
        costs = self._costs(size)
        turns = [
            full_at - (depth - cost)
            for link in links
            for full_at, depth, cost in zip(
                self._full_at.get(link, (now, now)), self._depths, costs, strict=True
            )
        ]
        return max([now, *turns])

    def reserve(self, links: Sequence[PeerLink], now: float, size: int = SMALL) -> float:
        """Take the message's tokens from every link, and return when it may go."""
        at = self.turn(links, now, size)
        message, bytes_ = self._costs(size)
        for link in links:
            by_messages, by_bytes = self._full_at.get(link, (at, at))
            self._full_at[link] = (max(by_messages, at) + message, max(by_bytes, at) + bytes_)
        if len(self._full_at) > MAX_LINKS:
            # Full buckets are as good as new ones.
            self._full_at = {link: full for link, full in self._full_at.items() if max(full) > now}
        return at

    def _costs(self, size: int) -> tuple[float, float]:
        """Seconds for which a message empties each bucket."""
        return self._interval, self._byte_interval * (size + _OVERHEAD)
