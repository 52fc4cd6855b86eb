"""Invoices that answer an invoice_request.

Source: BOLT 12, "Invoices".
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple

from ..errors import MalformedError
from . import fields, signature, string, tlv
from .blinded_path import BlindedPath
from .invoice_request import InvoiceRequest
from .tlv import Record

#: Seconds for which an invoice without invoice_relative_expiry is valid.
DEFAULT_RELATIVE_EXPIRY = 7200

#: invoice_features with MPP/optional (bit 17): the payer may pay in parts.
MPP_OPTIONAL = (1 << 17).to_bytes(3, "big")

#: The five numbers of a payinfo, for the module struct.
_PAYINFO_NUMBERS = "IIHQQ"
#: The odd types of invoices' own fields that BOLT 12 has not defined.
_LATER_FIELDS = frozenset(range(161, 240, 2)) - fields.FIELDS.keys()


class BlindedPayinfo(NamedTuple):
    """What a whole payment path costs and can carry (BOLT 12, ``blinded_payinfo``).

    :param fee_base_msat: fixed part of the fee.
    :param fee_proportional_millionths: proportional part of the fee.
    :param cltv_expiry_delta: blocks.
    :param htlc_minimum_msat: smallest payment part.
    :param htlc_maximum_msat: largest payment part.
    :param features: big-endian bitmap, the path's allowed_features.
    """

    fee_base_msat: int
    fee_proportional_millionths: int
    cltv_expiry_delta: int
    htlc_minimum_msat: int
    htlc_maximum_msat: int
    features: bytes = b""

    def encode(self) -> bytes:
        """The payinfo on the wire: 28 bytes and the features."""
        *numbers, features = self
        return struct.pack(f">{_PAYINFO_NUMBERS}H", *numbers, len(features)) + features


def decode_payinfos(data: bytes) -> tuple[BlindedPayinfo, ...]:
    """Read invoice_blindedpay: a list of payinfos, each of 28 bytes and its features.

    :raises MalformedError: cut short.
    """
    payinfos = []
    for one in fields.decode_field(fields.INVOICE_BLINDEDPAY, data):
        base, ppm, cltv_delta, least, most = struct.unpack_from(f">{_PAYINFO_NUMBERS}", one)
        payinfos.append(BlindedPayinfo(base, ppm, cltv_delta, least, most, one[28:]))
    return tuple(payinfos)


class PaymentPath(NamedTuple):
    """One way to pay: a blinded path to the receiver, and what it costs."""

    path: BlindedPath
    payinfo: BlindedPayinfo


def build_unsigned(
    invreq: InvoiceRequest,
    *,
    amount_msat: int,
    payment_hash: bytes,
    node_id: bytes,
    created_at: int,
    relative_expiry: int,
    payment_paths: Sequence[PaymentPath] = (),
) -> tuple[Record, ...]:
    """Build the invoice that answers ``invreq``, without the signature.

    :param amount_msat: the amount to ask for.
    :param payment_hash: 32 bytes, SHA256 of the preimage.
    :param node_id: 33-byte id of the receiver, who signs.
    :param created_at: UNIX seconds.
    :param relative_expiry: seconds from ``created_at``.
    :param payment_paths: most preferred first. Without any, the invoice has no
        invoice_paths, and lightningd's ``createinvoice`` adds a path.
    :returns: records in order of type.
    """
    # BOLT 12, "Invoices": what every writer sets.
    own = {
        fields.INVOICE_CREATED_AT: tlv.encode_tu(created_at),
        fields.INVOICE_PAYMENT_HASH: payment_hash,
        fields.INVOICE_AMOUNT: tlv.encode_tu(amount_msat),
        fields.INVOICE_FEATURES: MPP_OPTIONAL,
        fields.INVOICE_NODE_ID: node_id,
    }
    # To be left out only if it is 7200 s.
    if relative_expiry != DEFAULT_RELATIVE_EXPIRY:
        own[fields.INVOICE_RELATIVE_EXPIRY] = tlv.encode_tu(relative_expiry)
    # The favourite path first, and one payinfo for each, in the same order.
    if payment_paths:
        own[fields.INVOICE_PATHS] = b"".join(each.path.encode() for each in payment_paths)
        own[fields.INVOICE_BLINDEDPAY] = b"".join(each.payinfo.encode() for each in payment_paths)
    added = (Record(type_, value) for type_, value in own.items())
    # All fields of the request but signatures, unknown ones included.
    return tuple(sorted((*invreq.signed_fields(), *added)))


def encode(records: Sequence[Record]) -> str:
    """The ``lni1…`` string of an invoice, signed or not."""
    return string.encode("lni", tlv.encode_stream(records))


def decode(text: str) -> tuple[Record, ...]:
    """The records of an ``lni1…`` string.

    :raises MalformedError: the string or its TLV stream breaks a rule.
    """
    return tlv.decode_stream(string.decode(text, "lni"))


def check_signed(records: Sequence[Record], unsigned: Sequence[Record]) -> tuple[int, ...]:
    """Check that ``createinvoice`` returned the invoice it was given, signed.

    All fields of ``unsigned`` must be unchanged. New may be the signature, by invoice_node_id,
    payment paths if there were none, and odd fields of invoices that no version of ours knows: a
    later lightningd may write them, and their readers may ignore them (BOLT 1, "It's OK to be
    odd").

    :returns: the types of those odd fields.
    :raises MalformedError: its message names the field that is wrong.
    """
    signed = dict(records)
    asked = dict(unsigned)
    for type_, value in asked.items():
        if signed.get(type_) != value:
            raise MalformedError(f"{fields.field_name(type_)}: is not what was asked for")
    allowed = {fields.SIGNATURE, fields.INVOICE_PATHS, fields.INVOICE_BLINDEDPAY}
    odd = []
    for type_ in sorted(signed.keys() - asked.keys() - allowed):
        if type_ not in _LATER_FIELDS:
            raise MalformedError(f"{fields.field_name(type_)}: was not asked for")
        odd.append(type_)
    new = {}
    for type_ in allowed - asked.keys():
        if type_ not in signed:
            raise MalformedError(f"{fields.field_name(type_)}: missing")
        new[type_] = fields.decode_field(type_, signed[type_])
    # BOLT 12, "Invoices", the reader: the payer rejects all that is checked from here on.
    if fields.INVOICE_PATHS in new:
        paths, payinfos = len(new[fields.INVOICE_PATHS]), len(new[fields.INVOICE_BLINDEDPAY])
        if paths != payinfos:
            raise MalformedError(f"invoice_blindedpay: {payinfos} entries for {paths} paths")
    if not signature.verify(
        "invoice", records, signed[fields.INVOICE_NODE_ID], signed[fields.SIGNATURE]
    ):
        raise MalformedError("signature: is not that of invoice_node_id")
    return tuple(odd)


def answers(records: Sequence[Record], invreq: InvoiceRequest) -> bool:
    """Whether an invoice was made for this invoice_request (BOLT 12, "Invoices").

    It was if both have the same request fields, byte for byte.
    """
    return _request_fields(records) == _request_fields(invreq.records)


def _request_fields(records: Sequence[Record]) -> list[Record]:
    return [record for record in records if fields.is_request_field(record.type)]
