"""Our channels, and what our peers ask for forwarding payments to us over them.

Most of it comes from strangers: a peer's channel_update may hold any number (BOLT 7). It
is checked here; a channel that cannot be read is left out.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ...bolt12.blinded_path import parse_scid
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

#: Blocks by which a payment may be locked up. LDK takes no path that needs more
#: (``max_total_cltv_expiry_delta``), and no node forwards more than BOLT 4 allows
#: ("expiry_too_far").
_PAYER_CLTV = 1008
_FORWARDER_CLTV = 2016

#: The fee that LDK pays at most: a share of the amount, and a part that is always allowed
#: (``max_total_routing_fee_msat``). Core Lightning pays less by default.
_FEE_SHARE = 100
_FREE_FEE_MSAT = 50_000

#: What a locked amount costs a payer: 10 % a year (``riskfactor`` of Core Lightning's pay).
_BLOCKS_A_YEAR = 52_596
_RISK_SHARE = 10

#: Confirmations at which a public channel is announced (BOLT 7).
_ANNOUNCEMENT_DEPTH = 6


class Terms(NamedTuple):
    """What a peer asks for forwarding over one channel (BOLT 7, ``channel_update``).

    :param fee_base_msat: at most four bytes, like fee_proportional_millionths.
    :param cltv_expiry_delta: blocks; at most two bytes.
    :param htlc_maximum_msat: None where lightningd does not tell it apart from what the
        peer owns there.
    """

    fee_base_msat: int
    fee_proportional_millionths: int
    cltv_expiry_delta: int
    htlc_minimum_msat: int
    htlc_maximum_msat: int | None

    def fee_msat(self, amount_msat: int) -> int:
        """The fee for forwarding an amount."""
        return self.fee_base_msat + amount_msat * self.fee_proportional_millionths // 1_000_000

    def cost_msat(self, amount_msat: int) -> int:
        """The fee, and what it costs to have the amount locked for ``cltv_expiry_delta``."""
        locked = amount_msat * self.cltv_expiry_delta // (_BLOCKS_A_YEAR * _RISK_SHARE)
        return self.fee_msat(amount_msat) + locked

    def is_forwardable(self, cltv_final: int) -> bool:
        """Whether nodes forward payments that take so long.

        :param cltv_final: blocks that lightningd wants at the last hop of a payment.
        """
        return self.cltv_expiry_delta + cltv_final <= _FORWARDER_CLTV

    def is_payable(self, amount_msat: int, cltv_final: int) -> bool:
        """Whether payers accept these terms for an amount, unless told to pay any price."""
        return (
            self.cltv_expiry_delta + cltv_final <= _PAYER_CLTV
            and self.fee_msat(amount_msat) <= amount_msat // _FEE_SHARE + _FREE_FEE_MSAT
        )


class Channel(NamedTuple):
    """An open channel of ours.

    :param name: its short_channel_id, or our alias while it has none.
    :param peer: 33-byte node id.
    :param receivable_msat: the most that one payment part can have: what the peer owns
        there and will forward.
    :param scid: short_channel_id by which the peer forwards into it.
    :param is_public: whether it is to be announced, and has a short_channel_id.
    :param is_connected: whether it can carry payments now; its peer may be away.
    :param terms: None where lightningd does not tell them.
    """

    name: str
    peer: bytes
    receivable_msat: int
    scid: int
    is_public: bool = False
    is_connected: bool = True
    terms: Terms | None = None

    def as_json(self) -> dict[str, Any]:
        """For a dry run: ``peer`` (hex) and ``htlc_maximum_msat``."""
        return {"peer": self.peer.hex(), "htlc_maximum_msat": self.receivable_msat}

    def is_announced(self, blockheight: int) -> bool:
        """Whether the network may know it: BOLT 7 has it announced with six confirmations."""
        return self.is_public and blockheight - (self.scid >> 40) + 1 >= _ANNOUNCEMENT_DEPTH

    def takes_part_of(self, amount_msat: int) -> bool:
        """Whether a payment of this amount, or a part of it, can come through it."""
        least_msat = 0 if self.terms is None else self.terms.htlc_minimum_msat
        return self.receivable_msat > 0 and least_msat <= amount_msat

    def takes(self, amount_msat: int) -> bool:
        """Whether a payment of this amount can come through it in one part."""
        return self.takes_part_of(amount_msat) and amount_msat <= self.receivable_msat

    def is_forwardable(self, cltv_final: int) -> bool:
        """Whether nodes forward payments through it; see :class:`Terms`."""
        return self.terms is None or self.terms.is_forwardable(cltv_final)

    def is_payable(self, amount_msat: int, cltv_final: int) -> bool:
        """Whether payers accept its terms; unknown ones count as accepted."""
        return self.terms is None or self.terms.is_payable(amount_msat, cltv_final)


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


def read(detail: Mapping[str, Any]) -> Channel | None:
    """Read an open channel of ours from ``listpeerchannels``.

    :returns: None for one that no payment can use: a field is missing or of the wrong kind.
    """
    try:
        # lightningd tells them from v24.02 on, once it has the peer's first update.
        update = detail.get("updates", {}).get("remote", {})
        terms = _read_terms(update) if "cltv_expiry_delta" in update else None
        receivable_msat = answers.amount(detail["receivable_msat"])
        if "htlc_maximum_msat" in update:
            receivable_msat = min(receivable_msat, answers.amount(update["htlc_maximum_msat"]))
        alias = detail.get("alias", {})
        scid = detail.get("short_channel_id")
        is_public = scid is not None and not detail.get("private")
        return Channel(
            name=str(scid or alias["local"]),
            peer=answers.node_id(detail["peer_id"]),
            receivable_msat=receivable_msat,
            # An unannounced channel goes by the alias that the peer gave us: with scid_alias,
            # it refuses the real one. So does any channel that has no short_channel_id yet.
            # (lightningd accepts next_node_id, too, but LDK cannot read a payment path with it.)
            scid=parse_scid(str(scid if is_public else alias.get("remote") or scid)),
            is_public=is_public,
            is_connected=is_connected(detail),
            terms=terms,
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def with_listed_terms(channels: Iterable[Channel], listed: Any) -> list[Channel]:
    """Give channels without terms those of ``listincoming``, and leave out who is not there.

    :param listed: its ``incoming``.
    """
    by_name: dict[str, tuple[int, Terms]] = {}
    for each in listed if isinstance(listed, list) else ():
        try:
            # Without a short_channel_id, this is our alias. incoming_capacity_msat is the
            # sum over all channels of the peer.
            terms = _read_terms({**each, "htlc_minimum_msat": each["htlc_min_msat"]})
            by_name[str(each["short_channel_id"])] = answers.amount(each["htlc_max_msat"]), terms
        except (KeyError, TypeError, ValueError):
            continue
    found = []
    for channel in channels:
        if channel.terms is not None:
            found.append(channel)
        elif channel.name in by_name:
            most_msat, terms = by_name[channel.name]
            receivable_msat = min(channel.receivable_msat, most_msat)
            found.append(channel._replace(receivable_msat=receivable_msat, terms=terms))
    return found


def _read_terms(update: Mapping[str, Any]) -> Terms:
    """:raises (KeyError, TypeError, ValueError): a field is missing, or no number of its size."""
    most = update.get("htlc_maximum_msat")
    return Terms(
        fee_base_msat=answers.amount(update["fee_base_msat"], answers.MAX_U32),
        fee_proportional_millionths=answers.number(
            update["fee_proportional_millionths"], answers.MAX_U32
        ),
        cltv_expiry_delta=answers.number(update["cltv_expiry_delta"], answers.MAX_U16),
        htlc_minimum_msat=answers.amount(update["htlc_minimum_msat"]),
        htlc_maximum_msat=None if most is None else answers.amount(most),
    )
