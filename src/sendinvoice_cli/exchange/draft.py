"""The invoice before lightningd signs it, and the check of what lightningd returns."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256

from ..bolt12 import invoice, tlv
from ..bolt12.invoice import PaymentPath
from ..bolt12.invoice_request import InvoiceRequest
from ..bolt12.tlv import Record
from ..errors import LightningdError, MalformedError
from ..node.invoices import StoredInvoice

#: Bytes that an invoice adds to its request: for its own fields, and for each payment path.
_OWN_FIELDS_SIZE = 200
_PAYMENT_PATH_SIZE = 240


@dataclass(frozen=True)
class Draft:
    """What lightningd is asked to sign.

    :param unsigned: all records but the signature.
    :param preimage: 32 bytes; for lightningd only.
    """

    unsigned: tuple[Record, ...]
    preimage: bytes

    @property
    def payment_hash(self) -> bytes:
        """SHA256 of the preimage, 32 bytes."""
        return sha256(self.preimage).digest()

    def encode(self) -> str:
        """The unsigned ``lni1…`` string."""
        return invoice.encode(self.unsigned)

    def check(self, stored: StoredInvoice) -> None:
        """Check that lightningd signed exactly this invoice, before anybody sees it.

        :raises LightningdError: it is a different invoice.
        """
        try:
            invoice.check_signed(invoice.decode(stored.bolt12), self.unsigned)
        except MalformedError as failure:
            raise LightningdError(
                "createinvoice: lightningd returned a different invoice than it was given "
                f"({failure.message}); it was not sent",
                hint="lightningd before v24.08 drops fields that it does not know: upgrade it",
            ) from None


def check_any(drafts: Sequence[Draft], stored: StoredInvoice) -> None:
    """Check that lightningd signed one of several drafts.

    :param drafts: at least one.
    :raises LightningdError: it is another invoice than any of them.
    """
    for each in drafts[:-1]:
        with suppress(LightningdError):
            each.check(stored)
            return
    drafts[-1].check(stored)


def draft(
    invreq: InvoiceRequest,
    *,
    amount_msat: int,
    node_id: bytes,
    preimage: bytes,
    created_at: int,
    relative_expiry: int,
    payment_paths: Sequence[PaymentPath],
) -> Draft:
    """Write the invoice.

    :param node_id: 33 bytes, ours.
    :param preimage: 32 bytes.
    :param created_at: UNIX seconds.
    :param relative_expiry: seconds from then.
    """
    unsigned = invoice.build_unsigned(
        invreq,
        amount_msat=amount_msat,
        payment_hash=sha256(preimage).digest(),
        node_id=node_id,
        created_at=created_at,
        relative_expiry=relative_expiry,
        payment_paths=payment_paths,
    )
    return Draft(unsigned, preimage)


def expected_size(invreq: InvoiceRequest, payment_paths: int) -> int:
    """About how many bytes an invoice will have.

    :param payment_paths: how many it gets from us; if none, lightningd adds one.
    """
    paths_size = payment_paths * _PAYMENT_PATH_SIZE
    return len(tlv.encode_stream(invreq.records)) + _OWN_FIELDS_SIZE + paths_size
