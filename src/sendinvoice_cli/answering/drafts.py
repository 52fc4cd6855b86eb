"""The invoice before lightningd signs it, and what lightningd makes of it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from hashlib import sha256

from ..bolt12 import invoice, tlv
from ..bolt12.characters import describe
from ..bolt12.invoice_request import InvoiceRequest
from ..bolt12.tlv import Record
from ..errors import (
    LightningdError,
    MalformedError,
    SendInvoiceError,
    UnanswerableRequestError,
)
from ..node.invoices import StoredInvoice

#: JSON-RPC: a parameter is not valid.
_INVALID_PARAMS = -32602
_INVOICE = "lni1[02-9ac-hj-np-z]+"

#: Bytes of the signature record, and of the heads of the two records with payment paths.
_SIGNATURE_SIZE = 66
_PATHS_HEAD_SIZE = 4 + 2
#: Bytes of a payment path and of what it costs: two points and the number of hops; of each hop,
#: a point, a length, data and its tag; the payinfo. A path_id takes 34 bytes, and what a peer is
#: told between 24 and 36, so that with padding both take at most 37.
_OWN_PATH_SIZE = 67 + (35 + 34 + 16) + 28
_PEERS_PATH_SIZE = 67 + 2 * (35 + 37 + 16) + 28


class Drafts:
    """What lightningd was asked to sign, a draft for each attempt.

    They share a preimage, so the payment hash identifies any of them.
    """

    def __init__(self) -> None:
        #: 32 bytes; for lightningd only.
        self.preimage = secrets.token_bytes(32)
        self.payment_hash = sha256(self.preimage).digest()
        self._drafts: list[tuple[Record, ...]] = []

    def add(self, unsigned: tuple[Record, ...]) -> None:
        """Note a draft before lightningd gets it: all records but the signature."""
        self._drafts.append(unsigned)

    def check(self, stored: StoredInvoice) -> tuple[int, ...]:
        """Check that lightningd signed exactly one of the drafts, before anybody sees it.

        :returns: the types of the odd fields that it added.
        :raises LightningdError: it is a different invoice.
        """
        reason = ""
        for unsigned in self._drafts:
            try:
                return invoice.check_signed(invoice.decode(stored.bolt12), unsigned)
            except MalformedError as failure:
                reason = failure.message
        raise LightningdError(
            "createinvoice: lightningd returned a different invoice than it was given "
            f"({reason}); it was not sent",
            hint="lightningd before v24.08 drops fields that it does not know: upgrade it",
        )


def refusal_error(failure: LightningdError, invreq: InvoiceRequest) -> SendInvoiceError:
    """The error for a ``createinvoice`` that lightningd refused, without the invoice in it.

    A later lightningd refuses texts with characters that bolts PR 1341 bans.
    """
    banned = invreq.banned_character() if failure.rpc_code == _INVALID_PARAMS else None
    if banned is not None:
        name, character = banned
        return UnanswerableRequestError(
            f"lightningd refuses to answer this request, which has {describe(character)} in {name}",
            hint="ask the payer for a request without it: control, format, private-use and "
            "unassigned characters are banned from texts",
        )
    return LightningdError(
        re.sub(_INVOICE, "lni1…", failure.message), data=failure.data, rpc_code=failure.rpc_code
    )


def expected_size(unsigned: Sequence[Record], own_paths: int, peers_paths: int) -> int:
    """How many bytes an invoice will have; a few more where its peers' terms are small numbers.

    :param unsigned: its records without payment paths and signature.
    :param own_paths: how many payment paths begin at our node.
    :param peers_paths: how many begin at a peer.
    """
    paths_size = own_paths * _OWN_PATH_SIZE + peers_paths * _PEERS_PATH_SIZE
    return len(tlv.encode_stream(unsigned)) + _PATHS_HEAD_SIZE + paths_size + _SIGNATURE_SIZE
