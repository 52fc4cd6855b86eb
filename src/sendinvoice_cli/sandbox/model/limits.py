"""How many onion messages a node takes from each peer, before it drops the rest in silence."""

from __future__ import annotations

from typing import NamedTuple


class Limit(NamedTuple):
    """A token bucket for each peer.

    :param per_second: how fast it fills.
    :param burst: how much it holds.
    :param in_bytes: whether a message costs its bytes on the wire; otherwise, one.
    """

    per_second: int
    burst: int
    in_bytes: bool = False


#: connectd/onion_message.c: ONION_MSG_MSEC and ONION_MSG_TOKENS_MAX.
LIGHTNINGD = Limit(per_second=4, burst=4)
#: onionmessage/ratelimit.go (PR 10713, v0.21): by default 512 kbit/s and 256 KiB.
LND = Limit(per_second=512_000 // 8, burst=256 * 1024, in_bytes=True)

#: Type, path_key and length, in front of the packet of an ``onion_message`` (BOLT 4).
_HEADER_SIZE = 2 + 33 + 2


class Allowance:
    """What one peer may still send; it is full at first.

    :param now: UNIX seconds.
    """

    def __init__(self, limit: Limit, now: float) -> None:
        self._limit = limit
        # In thousandths, since lightningd counts milliseconds.
        self._saved = limit.burst * 1000
        self._at = now

    def take(self, packet: bytes, now: float) -> bool:
        """Take what a message costs; False, and nothing is taken, if there is not enough.

        :param packet: its onion.
        :param now: UNIX seconds.
        """
        limit = self._limit
        saved = self._saved + round((now - self._at) * 1000) * limit.per_second
        cost = 1000 * (_HEADER_SIZE + len(packet) if limit.in_bytes else 1)
        self._saved, self._at = min(saved, limit.burst * 1000), now
        if self._saved < cost:
            return False
        self._saved -= cost
        return True
