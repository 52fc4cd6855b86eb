"""The invoice_requests that one node has made, as the payer.

Source: lightningd's invoicerequest, listinvoicerequests and
disableinvoicerequest; BOLT 12, "Invoice Requests".
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from coincurve import PrivateKey

from ...bolt12 import fields, signature, tlv
from ...bolt12.tlv import Record
from ..rpc.errors import LIGHTNINGD, OFFER_DISABLED, RpcError

#: Genesis block hash of regtest, the only network there is.
CHAIN = bytes.fromhex("06226e46111a0b59caaf126043eb5bbf28c34f3a5e332a1fc7b2b73cf188910f")
_METADATA_SIZE = 16


@dataclass(frozen=True)
class StoredRequest:
    """One row.

    :param id: 32 bytes, see :func:`request_id`.
    """

    id: bytes
    bolt12: str
    records: tuple[Record, ...]
    single_use: bool
    label: str | None
    active: bool = True
    used: bool = False

    def row(self) -> dict[str, Any]:
        """The fields that lightningd lists, in its order."""
        row: dict[str, Any] = {
            "invreq_id": self.id.hex(),
            "active": self.active,
            "single_use": self.single_use,
            "bolt12": self.bolt12,
            "used": self.used,
        }
        if self.label is not None:
            row["label"] = self.label
        return row


class RequestBook:
    """All invoice_requests of a node. They outlive its restarts."""

    def __init__(self) -> None:
        self._by_id: dict[bytes, StoredRequest] = {}

    def __iter__(self) -> Iterator[StoredRequest]:
        return iter(self._by_id.values())

    def add(self, request: StoredRequest) -> None:
        """Store a new one."""
        self._by_id[request.id] = request

    def find(self, id_: bytes) -> StoredRequest | None:
        """The request with this id."""
        return self._by_id.get(id_)

    def disable(self, id_: bytes) -> StoredRequest:
        """Take no more invoices for a request.

        :raises RpcError: there is none, or it is disabled already.
        """
        request = self._by_id.get(id_)
        if request is None:
            raise RpcError(LIGHTNINGD, "Unknown invoice_request")
        if not request.active:
            raise RpcError(OFFER_DISABLED, "invoice_request is not active")
        self._by_id[id_] = replace(request, active=False)
        return self._by_id[id_]

    def mark_used(self, id_: bytes) -> None:
        """Remember that an invoice for it was paid; a single-use one is over then."""
        request = self._by_id[id_]
        self._by_id[id_] = replace(
            request, used=True, active=request.active and not request.single_use
        )


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
    records = [
        Record(fields.INVREQ_METADATA, secrets.token_bytes(_METADATA_SIZE)),
        Record(fields.INVREQ_CHAIN, CHAIN),
        Record(fields.INVREQ_AMOUNT, tlv.encode_tu(amount_msat)),
        Record(fields.INVREQ_PAYER_ID, payer_id),
    ]
    if description is not None:
        records.append(Record(fields.OFFER_DESCRIPTION, description.encode()))
    if issuer is not None:
        records.append(Record(fields.OFFER_ISSUER, issuer.encode()))
    if absolute_expiry is not None:
        records.append(Record(fields.OFFER_ABSOLUTE_EXPIRY, tlv.encode_tu(absolute_expiry)))
    return tuple(sorted(records))


def sign(records: Sequence[Record], private_key: PrivateKey) -> tuple[Record, ...]:
    """A request with the payer's signature."""
    sig = signature.sign("invoice_request", records, private_key.secret)
    return tuple(sorted((*records, Record(fields.SIGNATURE, sig))))


def request_id(records: Iterable[Record], *, with_paths: bool = True) -> bytes:
    """The 32 bytes by which lightningd knows a request: SHA256 over its fields.

    An invoice has them all, so it is known by the same id.

    :param with_paths: False leaves invreq_paths out, since the path's own
        secret comes from this id.
    """
    shared = [
        record
        for record in records
        if fields.is_request_field(record.type)
        and (with_paths or record.type != fields.INVREQ_PATHS)
    ]
    return sha256(tlv.encode_stream(shared)).digest()
