"""What the payer's software is, as far as its request tells, so that hints fit.

Sources: BOLT 12, "Invoice Requests"; LDK 0.0.118 to 0.3, ``offers/refund.rs`` and
``offers/signer.rs``; Core Lightning v23.08 to v26.06, ``plugins/offers.c``.
"""

from __future__ import annotations

from .invoice_request import InvoiceRequest

#: Bytes of LDK's invreq_metadata: an encrypted payment id (32), the nonce (16) where the request's
#: paths do not hold that, as they do from 0.1 on, and an HMAC (32) in requests without paths.
_LDK_METADATA_SIZES = (32, 48, 80)


def is_ldk(invreq: InvoiceRequest) -> bool:
    """Whether the request is of LDK's kind.

    LDK does not sign its refunds: BOLT 12 has no signature in them. Core Lightning signs its own,
    and its metadata has 16 bytes.
    """
    return not invreq.is_signed and len(invreq.metadata) in _LDK_METADATA_SIZES
