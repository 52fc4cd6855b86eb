"""What software a node may run, and so how many onion messages it takes.

Nodes limit the onion messages that they take from each peer, and silently drop the rest.
"""

from __future__ import annotations

from typing import NamedTuple

from ..features import AMP, offers_feature


class Limit(NamedTuple):
    """What a node takes from each peer: a token bucket of messages or of bytes.

    :param per_second: how fast the bucket fills.
    :param burst: how much it holds.
    """

    per_second: float
    burst: float


class Software(NamedTuple):
    """One kind of node.

    :param name: of the software.
    :param feature: the feature (its even bit) that only this software offers; None if all of its
        features are those of others as well.
    :param messages: how many messages it takes, None when it does not count them.
    :param size: how many bytes of ``onion_message`` it takes, None when it does not count them.
    :param source: where its code, or its configuration, says so.
    """

    name: str
    feature: int | None
    messages: Limit | None
    size: Limit | None
    source: str


SOFTWARE = (
    Software(
        "lightningd",
        feature=None,
        messages=Limit(per_second=4, burst=4),
        size=None,
        source="connectd/onion_message.c, ONION_MSG_MSEC and ONION_MSG_TOKENS_MAX",
    ),
    Software(
        "eclair",
        feature=None,
        messages=Limit(per_second=10, burst=10),
        size=None,
        source="reference.conf, onion-messages.max-per-peer-per-second (PR 2090)",
    ),
    Software(
        "LND",
        feature=AMP,
        messages=None,
        size=Limit(per_second=512 * 125, burst=256 * 1024),
        source="onionmessage/ratelimit.go, by default 512 kbit/s and 256 KiB (PR 10713, v0.21)",
    ),
)


def may_run(features: str | None) -> tuple[Software, ...]:
    """The software that a node may run.

    :param features: its feature bits (bitmap in hex), None when nobody knows them.
    """
    if features is None:
        return SOFTWARE
    recognised = tuple(
        each
        for each in SOFTWARE
        if each.feature is not None and offers_feature(features, each.feature)
    )
    return recognised or tuple(each for each in SOFTWARE if each.feature is None)


def may_count_bytes(features: str | None) -> bool:
    """Whether a node may limit the bytes that it takes from each peer.

    :param features: its feature bits (bitmap in hex), None when nobody knows them.
    """
    return any(each.size is not None for each in may_run(features))
