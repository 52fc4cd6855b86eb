"""The invoice_requests that a node has made, as the payer.

Source: lightningd's invoicerequest and listinvoicerequests; BOLT 12, "Invoice Requests".
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from coincurve import PrivateKey

from ...bolt12 import fields, signature, tlv
from ...bolt12.tlv import Record

#: Genesis block hash of regtest, the only network there is.
CHAIN = bytes.fromhex("06226e46111a0b59caaf126043eb5bbf28c34f3a5e332a1fc7b2b73cf188910f")
_METADATA_SIZE = 16


@dataclass
class StoredRequest:
    """An invoice_request that its payer has stored.

    :param id: 32 bytes, see :func:`request_id`.
    :param active: whether invoices for it are accepted.
    """

    id: bytes
    bolt12: str
    single_use: bool
    active: bool = True
    used: bool = False

    def mark_used(self) -> None:
        """Record that an invoice for it was paid; this ends a single-use one."""
        self.used = True
        self.active = self.active and not self.single_use

    def row(self) -> dict[str, Any]:
        """The fields that lightningd lists, in its order."""
        return {
            "invreq_id": self.id.hex(),
            "active": self.active,
            "single_use": self.single_use,
            "bolt12": self.bolt12,
            "used": self.used,
        }


def unsigned(
    payer_id: bytes,
    amount_msat: int,
    description: str | None,
    issuer: str | None,
    absolute_expiry: int | None,
) -> tuple[Record, ...]:
    """The fields of a new request, in order of type.

    :param payer_id: 33-byte node id.
    :param absolute_expiry: UNIX seconds.
    """
    values = {
        fields.INVREQ_METADATA: secrets.token_bytes(_METADATA_SIZE),
        fields.OFFER_DESCRIPTION: None if description is None else description.encode(),
        fields.OFFER_ABSOLUTE_EXPIRY: None
        if absolute_expiry is None
        else tlv.encode_tu(absolute_expiry),
        fields.OFFER_ISSUER: None if issuer is None else issuer.encode(),
        fields.INVREQ_CHAIN: CHAIN,
        fields.INVREQ_AMOUNT: tlv.encode_tu(amount_msat),
        fields.INVREQ_PAYER_ID: payer_id,
    }
    return tuple(Record(type_, value) for type_, value in values.items() if value is not None)


def sign(records: Sequence[Record], private_key: PrivateKey) -> tuple[Record, ...]:
    """The request with the payer's signature, in order of type."""
    sig = signature.sign("invoice_request", records, private_key.secret)
    return tuple(sorted((*records, Record(fields.SIGNATURE, sig))))


def request_id(records: Iterable[Record], *, with_paths: bool = True) -> bytes:
    """lightningd's 32-byte id of a request: the SHA-256 of its fields.

    An invoice repeats these fields, so it yields the id of its request.

    :param with_paths: False leaves invreq_paths out: their path_id is derived
        from this id.
    """
    shared = [
        record
        for record in records
        if fields.is_request_field(record.type)
        and (with_paths or record.type != fields.INVREQ_PATHS)
    ]
    return sha256(tlv.encode_stream(shared)).digest()
