"""invoice_requests, invoices and blinded paths to test with, all from fixed keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from coincurve import PrivateKey

from sendinvoice_cli.bolt12 import fields, invoice, invoice_request, signature, string, tlv
from sendinvoice_cli.bolt12.blinded_path import BlindedHop, BlindedPath, IntroductionNode
from sendinvoice_cli.bolt12.invoice_request import InvoiceRequest
from sendinvoice_cli.bolt12.tlv import Record

PAYER_KEY = b"\x42" * 32
NODE_KEY = b"\x43" * 32
OTHER_KEY = b"\x44" * 32

#: What a field is changed to: other bytes, or None to leave it out.
Changes = Mapping[int, bytes | None]


def point(private_key: bytes) -> bytes:
    """The 33-byte public key of a private one."""
    return bytes(PrivateKey(private_key).public_key.format())


@cache
def node_id(number: int) -> bytes:
    """The id of the test's node of that number, 1 or more."""
    return point(number.to_bytes(32, "big"))


PAYER_ID = point(PAYER_KEY)
NODE_ID = point(NODE_KEY)

#: A request with everything it must have, and a description.
FIELDS: Mapping[int, bytes] = {
    fields.INVREQ_METADATA: bytes(range(16)),
    fields.OFFER_DESCRIPTION: b"A refund",
    fields.INVREQ_AMOUNT: tlv.encode_tu(100_000),
    fields.INVREQ_PAYER_ID: PAYER_ID,
}


def path(
    introduction_node: IntroductionNode = NODE_ID, hops: int = 1, data: bytes = b"\x99" * 20
) -> BlindedPath:
    """A well-formed blinded path that nobody can follow."""
    return BlindedPath(
        introduction_node,
        node_id(200),
        tuple(BlindedHop(node_id(201 + at), data) for at in range(hops)),
    )


def records(changes: Changes | None = None) -> tuple[Record, ...]:
    """The fields of a request, with changes."""
    merged = {**FIELDS, **(changes or {})}
    return tuple(
        Record(type_, value) for type_, value in sorted(merged.items()) if value is not None
    )


def signed(
    unsigned: Sequence[Record], private_key: bytes, message_name: str = "invoice_request"
) -> tuple[Record, ...]:
    """The records, and the signature in its place among them."""
    digest = signature.signature_hash(message_name, "signature", signature.merkle_root(unsigned))
    # Without the random part that signature.sign() adds: the same every time.
    sig = bytes(PrivateKey(private_key).sign_schnorr(digest, bytes(32)))
    return tuple(sorted((*unsigned, Record(fields.SIGNATURE, sig))))


def encode(of: Iterable[Record]) -> str:
    """An ``lnr1…`` string."""
    return string.encode("lnr", tlv.encode_stream(of))


def request_string(changes: Changes | None = None, *, sign: bool = True) -> str:
    """An ``lnr1…`` string, signed by the payer unless told otherwise."""
    unsigned = records(changes)
    return encode(signed(unsigned, PAYER_KEY) if sign else unsigned)


def request(changes: Changes | None = None, *, sign: bool = True) -> InvoiceRequest:
    """A decoded request."""
    return invoice_request.decode(request_string(changes, sign=sign))


def unsigned_invoice(
    of: InvoiceRequest | None = None,
    *,
    amount_msat: int = 100_000,
    relative_expiry: int = 90,
    payment_paths: Sequence[invoice.PaymentPath] = (),
) -> tuple[Record, ...]:
    """The invoice of our node for a request, as it is given to lightningd."""
    return invoice.build_unsigned(
        of or request(),
        amount_msat=amount_msat,
        payment_hash=b"\x77" * 32,
        node_id=NODE_ID,
        created_at=1_700_000_000,
        relative_expiry=relative_expiry,
        payment_paths=payment_paths,
    )


PAYINFO = invoice.BlindedPayinfo(0, 0, 0, 0, 2**63)


def complete(unsigned: Sequence[Record], changes: Changes | None = None) -> tuple[Record, ...]:
    """What lightningd's createinvoice adds but the signature: payment paths; then changes."""
    merged: dict[int, bytes | None] = {
        fields.INVOICE_PATHS: path().encode(),
        fields.INVOICE_BLINDEDPAY: PAYINFO.encode(),
        **dict(unsigned),
        **(changes or {}),
    }
    return tuple(
        Record(type_, value) for type_, value in sorted(merged.items()) if value is not None
    )


def signed_invoice(
    unsigned: Sequence[Record], changes: Changes | None = None, key: bytes = NODE_KEY
) -> tuple[Record, ...]:
    """What lightningd's createinvoice returns; or something else, with changes or another key."""
    return signed(complete(unsigned, changes), key, "invoice")
