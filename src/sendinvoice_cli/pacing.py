"""Sending no faster than every node on the way takes it.

lightningd reads a burst of 4 onion messages and then 4 a second from each
peer, at every hop, and drops the rest in silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

#: Seconds between messages over one link. lightningd takes one each 0.25.
INTERVAL = 0.251
#: How many go at once after a pause. lightningd takes 4; the one left over
#: makes up for messages that bunch up on the way.
BURST = 3

#: More links than that are looked through for some that can be forgotten.
MAX_LINKS = 1000

#: A directed link; None stands for what lies behind an introduction node.
Link = tuple[bytes, bytes | None]


def links_of(nodes: Sequence[bytes], *, leads_on: bool) -> list[Link]:
    """The directed links of a path.

    :param nodes: 33-byte node ids.
    :param leads_on: a blinded path follows, whose nodes are not known.
    """
    links: list[Link] = list(pairwise(nodes))
    if leads_on:
        links.append((nodes[-1], None))
    return links


class Pacer:
    """A token bucket for each link. Times are seconds of one clock, whichever."""

    def __init__(self, interval: float = INTERVAL, burst: int = BURST) -> None:
        self._interval = interval
        self._burst = burst
        self._tolerance = interval * (burst - 1)
        # When the bucket of a link will be full again, less one token.
        self._full_at: dict[Link, float] = {}

    def anew(self) -> Pacer:
        """Another one of the same pace, with full buckets."""
        return Pacer(self._interval, self._burst)

    def turn(self, links: Sequence[Link], now: float) -> float:
        """When a message may go that asks now."""
        return max([now, *(self._full_at.get(link, now) - self._tolerance for link in links)])

    def reserve(self, links: Sequence[Link], now: float) -> float:
        """Take a token from every link, and return when the message may go."""
        at = self.turn(links, now)
        for link in links:
            self._full_at[link] = max(self._full_at.get(link, at), at) + self._interval
        if len(self._full_at) > MAX_LINKS:
            # Those that have not been used for a while are as good as new.
            self._full_at = {link: full for link, full in self._full_at.items() if full > now}
        return at
