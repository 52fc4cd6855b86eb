"""The payment paths of an invoice, built from the channels of inbound.py. Makes no call.

Source: BOLT 4, "Route Blinding"; BOLT 12, "Invoices".
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from ...bolt12 import tlv
from ...bolt12.invoice import BlindedPayinfo, PaymentPath
from ...bolt12.tlv import Record
from ...onion import blinding
from ...onion.blinding import Blind, PathNode, blind_path
from ..info import NodeInfo
from .channels import Channel, Terms
from .inbound import Inbound

#: Blocks above what the timeout needs, since payers pad the CLTV.
_CLTV_MARGIN = 1100
_FASTEST_BLOCK_SECONDS = 300

#: htlc_maximum_msat of a path that sets no limit: all the bitcoin there can be.
_NO_MAXIMUM_MSAT = 21_000_000 * 100_000_000_000


def build(
    info: NodeInfo,
    inbound: Inbound,
    *,
    amount_msat: int,
    base_secret: bytes,
    payment_hash: bytes,
    timeout: int,
    blind: Blind = blind_path,
) -> list[PaymentPath]:
    """Build the payment paths of an invoice.

    :param amount_msat: of the invoice.
    :param base_secret: the 32 bytes from which lightningd derives path_ids.
    :param payment_hash: 32 bytes, of the invoice.
    :param timeout: seconds for which the paths must be valid.
    :param blind: makes the blinded paths.
    """
    # This path_id tells lightningd which invoice a payment is for.
    path_id = sha256(base_secret + payment_hash).digest()
    serving = [each.receivable_msat for each in inbound.blinded if each in inbound.channels]
    bits = _bits_to_tell(serving, amount_msat)
    paths = []
    for channel in inbound.blinded:
        if channel.terms is not None:
            most_msat = _most_to_tell(channel, channel.terms, amount_msat, bits)
            path = blind(_blinded_nodes(info, channel, channel.terms, path_id, timeout))
            payinfo = _payinfo(info, channel.terms, most_msat)
            paths.append(PaymentPath(path, payinfo))
    # Some payers use only the first path, and most ways lead over the public channels.
    return [_own_path(info, path_id, blind), *paths] if inbound.has_own_path else paths


def _own_path(info: NodeInfo, path_id: bytes, blind: Blind) -> PaymentPath:
    """The path of one hop, our node, that lightningd makes when an invoice has none."""
    path = blind([PathNode(info.id, (Record(blinding.PATH_ID, path_id),))])
    payinfo = BlindedPayinfo(
        fee_base_msat=0,
        fee_proportional_millionths=0,
        cltv_expiry_delta=info.cltv_final,
        htlc_minimum_msat=0,
        htlc_maximum_msat=_NO_MAXIMUM_MSAT,
    )
    return PaymentPath(path, payinfo)


def _blinded_nodes(
    info: NodeInfo, channel: Channel, terms: Terms, path_id: bytes, timeout: int
) -> list[PathNode]:
    """The nodes of a path: a peer, who forwards over a channel with us, and our node."""
    max_cltv_expiry = (
        info.blockheight
        + timeout // _FASTEST_BLOCK_SECONDS
        + terms.cltv_expiry_delta
        + info.cltv_final
        + _CLTV_MARGIN
    )
    relay = (
        terms.cltv_expiry_delta.to_bytes(2, "big")
        + terms.fee_proportional_millionths.to_bytes(4, "big")
        + tlv.encode_tu(terms.fee_base_msat)
    )
    constraints = max_cltv_expiry.to_bytes(4, "big") + tlv.encode_tu(terms.htlc_minimum_msat)
    for_peer = (
        Record(blinding.SHORT_CHANNEL_ID, channel.scid.to_bytes(8, "big")),
        Record(blinding.PAYMENT_RELAY, relay),
        Record(blinding.PAYMENT_CONSTRAINTS, constraints),
    )
    for_us = (Record(blinding.PATH_ID, path_id),)
    return blinding.padded([PathNode(channel.peer, for_peer), PathNode(info.id, for_us)])


def _payinfo(info: NodeInfo, terms: Terms, htlc_maximum_msat: int) -> BlindedPayinfo:
    return BlindedPayinfo(
        fee_base_msat=terms.fee_base_msat,
        fee_proportional_millionths=terms.fee_proportional_millionths,
        cltv_expiry_delta=terms.cltv_expiry_delta + info.cltv_final,
        htlc_minimum_msat=terms.htlc_minimum_msat,
        htlc_maximum_msat=htlc_maximum_msat,
    )


def _most_to_tell(channel: Channel, terms: Terms, amount_msat: int, bits: int) -> int:
    """The htlc_maximum_msat that the invoice tells of a channel.

    Whoever writes a request reads the invoice, without paying. So it does not tell what the
    peer owns in the channel: where that is enough, the most that the peer ever forwards, and
    where it is not, the first ``bits`` binary digits of it.
    """
    if channel.takes(amount_msat) and terms.htlc_maximum_msat is not None:
        return terms.htlc_maximum_msat
    enough_msat = amount_msat if channel.takes(amount_msat) else terms.htlc_minimum_msat
    return max(_rounded_down(channel.receivable_msat, bits), enough_msat)


def _bits_to_tell(receivable_msat: Sequence[int], amount_msat: int) -> int:
    """How many binary digits of each amount it takes so that all together reach the invoice's.

    One, if one of them is enough, or if not even the whole amounts are.
    """
    if max(receivable_msat, default=0) >= amount_msat or sum(receivable_msat) < amount_msat:
        return 1
    bits = 1
    while sum(_rounded_down(each, bits) for each in receivable_msat) < amount_msat:
        bits += 1
    return bits


def _rounded_down(number: int, bits: int) -> int:
    """Keep the first ``bits`` binary digits of a number."""
    dropped = max(number.bit_length() - bits, 0)
    return number >> dropped << dropped
