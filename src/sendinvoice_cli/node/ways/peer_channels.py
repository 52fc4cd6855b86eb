"""Our own channels, as ``listpeerchannels`` shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..rpc import answers

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


def is_readable(channel: Any) -> bool:
    """Whether an entry names its peer, and its aliases if any. We do without any other."""
    try:
        answers.node_id(channel["peer_id"])
        return all(isinstance(each, str) for each in channel.get("alias", {}).values())
    except (AttributeError, KeyError, TypeError, ValueError):
        return False


def is_open(channel: Mapping[str, Any]) -> bool:
    """Whether a channel of ours can carry payments while its peer is connected."""
    return channel.get("state") in _OPEN_STATES


def is_connected(channel: Mapping[str, Any]) -> bool:
    """Whether the peer of a channel is connected, and the channel is ready for payments."""
    # lightningd has "reestablished" from v24.02 on.
    return bool(channel.get("peer_connected")) and bool(channel.get("reestablished", True))
