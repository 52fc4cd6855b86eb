"""The invoice before lightningd signs it, and what lightningd makes of it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from hashlib import sha256

from ..bolt12 import invoice, tlv
from ..bolt12.characters import describe
from ..bolt12.invoice import PaymentPath
from ..bolt12.invoice_request import InvoiceRequest
from ..bolt12.tlv import Record
from ..errors import (
    LightningdError,
    MalformedError,
    SendInvoiceError,
    UnanswerableRequestError,
)
from ..node.info import NodeInfo
from ..node.invoices import StoredInvoice
from ..node.lightningd import Lightningd
from ..node.ways import payment_paths
from .reading import Reading
from .receiving import Receiving, no_paths
from .warnings import ProgressWithWarnings

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

        :raises UnreachableError: lightningd is gone.
        """
        node, inbound = self._lightningd.current_node(), self._receiving.inbound
        secret = self._lightningd.base_secret
        paths: Sequence[PaymentPath] = ()
        # Without any, lightningd adds one; it leads over public channels.
        if inbound.blinded and secret is not None:
            paths = payment_paths.build(
                node,
                inbound,
                amount_msat=self._reading.amount_msat,
                base_secret=secret,
                payment_hash=self.payment_hash,
                timeout=self._reading.request.timeout,
            )
        self._drafts.append(self._build(node, paths))
        return self._drafts[-1]

    def expected_size(self) -> int:
        """How many bytes the invoice will have; see :func:`expected_size`."""
        inbound = self._receiving.inbound
        own_paths = int(inbound.has_own_path or not inbound.blinded)
        return expected_size(
            self._build(self._lightningd.node, ()), own_paths, len(inbound.blinded)
        )

    def _build(self, node: NodeInfo, paths: Sequence[PaymentPath]) -> tuple[Record, ...]:
        return invoice.build_unsigned(
            self._reading.invreq,
            amount_msat=self._reading.amount_msat,
            payment_hash=self.payment_hash,
            node_id=node.id,
            created_at=int(self._lightningd.clock()),
            relative_expiry=self._reading.request.timeout,
            payment_paths=paths,
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


def expected_size(unsigned: Sequence[Record], own_paths: int, peers_paths: int) -> int:
    """How many bytes an invoice will have; a few more where its peers' terms are small numbers.

    :param unsigned: its records without payment paths and signature.
    :param own_paths: how many payment paths begin at our node.
    :param peers_paths: how many begin at a peer.
    """
    paths_size = own_paths * _OWN_PATH_SIZE + peers_paths * _PEERS_PATH_SIZE
    return len(tlv.encode_stream(unsigned)) + _PATHS_HEAD_SIZE + paths_size + _SIGNATURE_SIZE
