"""What software a node may run, and so how many onion messages it takes.

Nodes limit the onion messages that they take from each peer, and silently drop the rest.
"""

from typing import NamedTuple

from ..features import AMP, ONION_MESSAGES_BY_CHANNEL, offers_feature


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
    :param channel_peers_only: it drops the messages of peers that have no channel with it, and does
        not say so by feature bits 66/67.
    :param source: where its code, or its configuration, says so.
    """

    name: str
    feature: int | None
    messages: Limit | None
    size: Limit | None
    channel_peers_only: bool
    source: str


SOFTWARE = (
    Software(
        "lightningd",
        feature=None,
        messages=Limit(per_second=4, burst=4),
        size=None,
        channel_peers_only=False,
        source="connectd/onion_message.c, ONION_MSG_MSEC and ONION_MSG_TOKENS_MAX",
    ),
    Software(
        "eclair",
        feature=None,
        messages=Limit(per_second=10, burst=10),
        size=None,
        channel_peers_only=False,
        source="reference.conf, onion-messages.max-per-peer-per-second (PR 2090)",
    ),
    Software(
        "LND",
        feature=AMP,
        messages=None,
        size=Limit(per_second=512 * 125, burst=256 * 1024),
        channel_peers_only=True,
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


def takes_channel_peers_only(features: str) -> bool:
    """Whether a node takes onion messages only from peers that have a channel with it.

    BOLT 9: that is what bits 66/67 say, whether 38/39 stand beside them or not.

    :param features: its feature bits (bitmap in hex).
    """
    return offers_feature(features, ONION_MESSAGES_BY_CHANNEL) or all(
        each.channel_peers_only for each in may_run(features)
    )
