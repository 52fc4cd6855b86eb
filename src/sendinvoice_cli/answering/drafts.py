"""The invoice before lightningd signs it, and what lightningd makes of it."""

from __future__ import annotations

import re
import secrets
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
from ..node import info
from ..node.info import NodeInfo
from ..node.invoices import StoredInvoice
from ..node.lightningd import Lightningd
from ..node.ways import payment_paths
from ..node.ways.inbound import Inbound
from ..onion.blinding import Blind, blind_path, placeholder
from .reading import Reading
from .receiving import Receiving, no_paths
from .warnings import ProgressWithWarnings

#: JSON-RPC: a parameter is not valid.
_INVALID_PARAMS = -32602
_INVOICE = "lni1[02-9ac-hj-np-z]+"

#: Bytes of the signature record.
_SIGNATURE_SIZE = 66


class Drafts:
    """What lightningd was asked to sign, a draft for each attempt.

    They share a preimage, so the payment hash identifies any of them.
    """

    def __init__(
        self,
        reading: Reading,
        receiving: Receiving,
        lightningd: Lightningd,
        progress: ProgressWithWarnings,
    ) -> None:
        self._reading = reading
        self._receiving = receiving
        self._lightningd = lightningd
        self._progress = progress
        #: 32 bytes; for lightningd only.
        self.preimage = secrets.token_bytes(32)
        self.payment_hash = sha256(self.preimage).digest()
        #: lightningd may have stored an earlier draft, although its answer was lost.
        self._drafts: list[tuple[Record, ...]] = []

    @property
    def is_prepared(self) -> bool:
        """Whether all that a draft needs is known."""
        lightningd = self._lightningd
        needs_secret = self._receiving.inbound.blinded and lightningd.base_secret is None
        return not needs_secret and lightningd.is_node_current()

    def prepare(self) -> None:
        """Ask lightningd for what a draft needs (``getinfo``, ``makesecret``).

        :raises LightningdError: lightningd says too little for paths that must not name our node.
        :raises UnreachableError: lightningd is gone.
        """
        node, inbound = self._lightningd.current_node(), self._receiving.inbound
        if not inbound.blinded or self._lightningd.base_secret is not None:
            return
        try:
            self._lightningd.read_base_secret()
        except LightningdError as error:
            if node.fronting_nodes:
                # lightningd's path would name our node.
                raise
            if not inbound.public:
                self._progress.warn(*no_paths(error.message))

    def write(self) -> tuple[Record, ...]:
        """Write a draft: all records but the signature.

        :raises LightningdError: this lightningd cannot answer the request.
        :raises UnreachableError: lightningd is gone.
        """
        info.check_paths(self._reading.invreq.paths, self._lightningd.node)
        lightningd, inbound = self._lightningd, self._receiving.inbound
        node, secret = lightningd.current_node(), lightningd.base_secret
        if not inbound.blinded or secret is None:
            # Without any paths, lightningd adds one; it leads over public channels.
            inbound, secret = Inbound(), b""
        self._drafts.append(self._build(node, inbound, secret))
        return self._drafts[-1]

    def expected_size(self) -> int:
        """How many bytes the invoice will have."""
        inbound = self._receiving.inbound
        if not inbound.blinded:
            # lightningd adds this path.
            inbound = Inbound(has_own_path=True)
        unsigned = self._build(self._lightningd.node, inbound, b"", placeholder)
        return len(tlv.encode_stream(unsigned)) + _SIGNATURE_SIZE

    def _build(
        self, node: NodeInfo, inbound: Inbound, secret: bytes, blind: Blind = blind_path
    ) -> tuple[Record, ...]:
        amount_msat, timeout = self._reading.amount_msat, self._reading.request.timeout
        return invoice.build_unsigned(
            self._reading.invreq,
            amount_msat=amount_msat,
            payment_hash=self.payment_hash,
            node_id=node.id,
            created_at=int(self._lightningd.clock()),
            relative_expiry=timeout,
            payment_paths=payment_paths.build(
                node,
                inbound,
                amount_msat=amount_msat,
                base_secret=secret,
                payment_hash=self.payment_hash,
                timeout=timeout,
                blind=blind,
            ),
        )

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
