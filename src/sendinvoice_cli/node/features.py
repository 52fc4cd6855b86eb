"""Feature bits (BOLT 9)."""

from __future__ import annotations

#: option AMP. LND sets it, in ``init`` and in its announcement, and no other software does.
AMP = 30
#: option_onion_messages.
ONION_MESSAGES = 38
#: With this, a node takes onion messages only from peers that have a channel with it
#: (lightning/bolts PR 1343). It stands beside 38/39; eclair leaves those out.
ONION_MESSAGES_BY_CHANNEL = 66


def offers_feature(features: str, bit: int) -> bool:
    """Whether either bit of a feature pair is set: the even one requires, the odd one offers.

    :param features: big-endian bitmap in hex.
    :param bit: the even bit of the pair.
    """
    return int(features or "0", 16) >> bit & 3 != 0
