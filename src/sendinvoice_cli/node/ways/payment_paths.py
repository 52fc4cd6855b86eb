"""The payment paths of an invoice, built from the channels of inbound.py. Makes no call.

Source: BOLT 4, "Route Blinding"; BOLT 12, "Invoices".
"""

from __future__ import annotations

from hashlib import sha256

from ...bolt12 import tlv
from ...bolt12.invoice import BlindedPayinfo, PaymentPath
from ...bolt12.tlv import Record
from ...onion import blinding
from ...onion.blinding import PathNode
from ..info import NodeInfo
from .channels import Channel, Terms
from .inbound import Inbound

#: Blocks above what the timeout needs, since payers pad the CLTV.
_CLTV_MARGIN = 1100
_FASTEST_BLOCK_SECONDS = 300

#: htlc_maximum_msat of a path that sets no limit: all the bitcoin there can be.
_NO_MAXIMUM_MSAT = 21_000_000 * 100_000_000_000


def build(
    info: NodeInfo, inbound: Inbound, base_secret: bytes, payment_hash: bytes, timeout: int
) -> list[PaymentPath]:
    """Build the payment paths of an invoice.

    :param base_secret: the 32 bytes from which lightningd derives path_ids.
    :param payment_hash: 32 bytes, of the invoice.
    :param timeout: seconds for which the paths must be valid.
    """
    # This path_id tells lightningd which invoice a payment is for.
    path_id = sha256(base_secret + payment_hash).digest()
    paths = [
        _build_one(info, channel, channel.terms, path_id, timeout)
        for channel in inbound.blinded
        if channel.terms is not None
    ]
    # Some payers use only the first path, and most ways lead over the public channels.
    return [_own_path(info, path_id), *paths] if inbound.public else paths


def _own_path(info: NodeInfo, path_id: bytes) -> PaymentPath:
    """The path of one hop, our node, that lightningd makes when an invoice has none."""
    path = blinding.blind_path([PathNode(info.id, (Record(blinding.PATH_ID, path_id),))])
    payinfo = BlindedPayinfo(
        fee_base_msat=0,
        fee_proportional_millionths=0,
        cltv_expiry_delta=info.cltv_final,
        htlc_minimum_msat=0,
        htlc_maximum_msat=_NO_MAXIMUM_MSAT,
    )
    return PaymentPath(path, payinfo)


def _build_one(
    info: NodeInfo, channel: Channel, terms: Terms, path_id: bytes, timeout: int
) -> PaymentPath:
    cltv_expiry_delta = terms.cltv_expiry_delta + info.cltv_final
    max_cltv_expiry = (
        info.blockheight + timeout // _FASTEST_BLOCK_SECONDS + cltv_expiry_delta + _CLTV_MARGIN
    )
    relay = (
        terms.cltv_expiry_delta.to_bytes(2, "big")
        + terms.fee_proportional_millionths.to_bytes(4, "big")
        + tlv.encode_tu(terms.fee_base_msat)
    )
    constraints = max_cltv_expiry.to_bytes(4, "big") + tlv.encode_tu(terms.htlc_minimum_msat)
    path = blinding.blind_path(
        [
            PathNode(
                channel.peer,
                (
                    Record(blinding.SHORT_CHANNEL_ID, channel.scid.to_bytes(8, "big")),
                    Record(blinding.PAYMENT_RELAY, relay),
                    Record(blinding.PAYMENT_CONSTRAINTS, constraints),
                ),
            ),
            PathNode(info.id, (Record(blinding.PATH_ID, path_id),)),
        ]
    )
    payinfo = BlindedPayinfo(
        fee_base_msat=terms.fee_base_msat,
        fee_proportional_millionths=terms.fee_proportional_millionths,
        cltv_expiry_delta=cltv_expiry_delta,
        htlc_minimum_msat=terms.htlc_minimum_msat,
        htlc_maximum_msat=channel.receivable_msat,
    )
    return PaymentPath(path, payinfo)
