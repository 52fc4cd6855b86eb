"""One request and its invoice: the steps of answering it, and what is known of it.

Each step blocks while lightningd answers. order.py puts them in order.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..bolt12 import fields, invoice, invoice_request
from ..errors import (
    InterruptedBySignalError,
    LabelTakenError,
    LightningdError,
    SendInvoiceError,
    UnreachableError,
)
from ..node import info, invoices
from ..node.invoices import Change, StoredInvoice
from ..node.rpc.client import CALL_SECONDS, ConnectionLostError
from ..outcome import Outcome
from . import endings, state, warnings
from .copies import Copies
from .courier import Courier
from .deadline import Deadline
from .drafts import Drafts, refusal_error
from .reading import Reading
from .receiving import Receiving
from .state import Issued, NotTried, State, Unknown

if TYPE_CHECKING:
    from .host import Host

#: Seconds that lightningd gets at least to sign the invoice, since without its answer nobody knows
#: whether the invoice exists.
SIGN_SECONDS = 5


class Exchange:
    """What is known of one request and its invoice, and the steps that change it."""

    def __init__(self, reading: Reading, host: Host, deadline: Deadline) -> None:
        self.reading = reading
        self.request = reading.request
        self.deadline = deadline
        self.copies = Copies()
        self.state: State = NotTried()
        # A reference to the host would keep the row of a batch in memory.
        self._ways = host.ways
        self._lightningd = host.lightningd
        self._client = host.lightningd.client
        self._progress = host.progress
        self.courier = self._make_courier()
        #: The channels through which we are to be paid.
        self.receiving = Receiving(reading, self._lightningd, self._progress)
        self.drafts = self._make_drafts()
        self._dry_run: dict[str, Any] = {}

    def _make_drafts(self) -> Drafts:
        return Drafts(self.reading, self.receiving, self._lightningd, self._progress)

    def _make_courier(self) -> Courier:
        deadline = self.deadline  # a reference to self would keep the row of a batch in memory
        return Courier(
            self.reading.invreq,
            self.copies,
            self._lightningd,
            self._progress,
            allow_connect=not self.request.no_connect,
            seconds_left=lambda: deadline.seconds_left,
            ways=self._ways,
        )

    # --- before the invoice exists ---

    def show(self) -> None:
        """Tell what the payer offers, and what we ask for."""
        self._progress.offered(self.reading.offered, self.reading.amount_msat)
        warning = self.reading.amount_warning()
        if warning is not None:
            self._progress.warn(*warning, even_if_quiet=True)

    def find_invoice(self) -> None:
        """Check the network, and find the invoice with the label (``listinvoices``).

        :raises UnanswerableRequestError: the request is for another network.
        :raises LabelTakenError: the label belongs to another invoice, or to an expired one.
        :raises RequestExpiredError: the request has expired, and no invoice exists for it.
        """
        info.check_chain(self.reading.invreq.chain, self._lightningd.node)
        self._look_up_label()
        now, timeout = self._lightningd.clock(), self.request.timeout
        if not self.exists:
            self.check_expiry()
        self._warn(warnings.autoclean(self._lightningd.node.autoclean_paid_seconds, timeout))
        if not (self.exists and self.invoice.is_paid):
            ends_at = self.invoice.expires_at if self.exists else now + timeout
            self._warn(warnings.expiry(self.reading.invreq.expires_at, ends_at, now))

    def check_expiry(self) -> None:
        """Refuse to answer a request that has expired.

        :raises RequestExpiredError: it has.
        """
        invoice_request.check_expiry(self.reading.invreq, self._lightningd.clock())

    def _warn(self, warning: tuple[str, str] | None) -> None:
        if warning is not None:
            self._progress.warn(*warning)

    def _look_up_label(self) -> None:
        reading, request = self.reading, self.request
        found = state.look_up(self._client, request.label, reading.invreq, reading.amount_msat)
        if isinstance(found, NotTried) and found.expired and not request.renew:
            raise state.expired_error(found.expired, reading.invreq, self._lightningd.clock())
        self.state = found
        if isinstance(found, Issued):
            self._progress.step(
                "This invoice was paid before; nothing was sent"
                if found.invoice.is_paid
                else "This invoice exists already; sending it again"
            )

    @property
    def exists(self) -> bool:
        """Whether the invoice exists."""
        return isinstance(self.state, Issued)

    @property
    def is_resumed(self) -> bool:
        """Whether another command created the invoice, and may have sent it."""
        return isinstance(self.state, Issued) and self.state.is_resumed

    @property
    def is_replaceable(self) -> bool:
        """Whether another command's invoice has expired, and the user wants a fresh one then."""
        return self.request.renew and self.is_resumed and self.invoice.status == "expired"

    @property
    def invoice(self) -> StoredInvoice:
        """The invoice, which must exist."""
        assert isinstance(self.state, Issued)
        return self.state.invoice

    @property
    def invoice_size(self) -> int:
        """Bytes of the invoice; as long as it does not exist, about as many as it will have."""
        if isinstance(self.state, Issued):
            return (len(self.state.invoice.bolt12) - len("lni1")) * 5 // 8
        return self.drafts.expected_size()

    def plan(self) -> None:
        """Find out what would be sent, for a dry run; changes nothing.

        :raises NoRouteError: it could not be sent.
        :raises UnanswerableRequestError: the invoice would be too long for an onion message.
        """
        route = next(self.courier.routes(connect=False), None)
        if route is None:
            raise self.courier.no_route_error()
        info.check_paths(self.reading.invreq.paths, self._lightningd.node)
        self.courier.check_size(route, self.invoice_size)
        inbound = self.receiving.inbound
        self._dry_run = {
            "status": "dry-run",
            "amount_msat": self.reading.amount_msat,
            "payer": self.reading.invreq.payer_id.hex(),
            "network": self._lightningd.node.network,
            "path": [node.hex() for node in route.nodes],
            "would_connect": route.would_connect,
            "payment_paths": [each.as_json() for each in inbound.blinded],
            "inbound": [each.as_json() for each in inbound.channels],
        }
        if self.reading.invreq.description is not None:
            self._dry_run["description"] = self.reading.invreq.description
        self.courier.show(route)

    def create(self) -> None:
        """Have lightningd sign and store the invoice, unless one exists by now.

        Call it again when the connection broke: it never creates a second invoice.

        :raises LabelTakenError: the label belongs to another invoice by now.
        :raises LightningdError: lightningd refused, or returned a different invoice.
        :raises UnanswerableRequestError: lightningd refused a text of the request.
        """
        if isinstance(self.state, NotTried) and self.state.expired:
            self._renew(self.state.expired)
            if self.exists:
                return
        drafts = self.drafts
        unsigned = drafts.write()
        try:
            stored = invoices.create(
                self._client,
                invoice.encode(unsigned),
                self.request.label,
                drafts.preimage,
                patience=min(CALL_SECONDS, max(self.deadline.seconds_left, SIGN_SECONDS)),
            )
        except ConnectionLostError:
            self.state = Unknown()
            raise
        except LabelTakenError:
            # Another command was faster, or lightningd stored this invoice before it went away.
            self._look_up_label()
            if not self.exists:
                raise
            stored = self.invoice
            if stored.payment_hash != drafts.payment_hash.hex():
                return
        except LightningdError as failure:
            raise refusal_error(failure, self.reading.invreq) from None
        try:
            added = drafts.check(stored)
        except LightningdError:
            self.state = NotTried()
            # Nobody has seen it, so nobody can pay it: free the label.
            with suppress(LightningdError):
                invoices.delete(self._client, self.request.label, "unpaid")
            raise
        self.state = Issued(stored)
        self._progress.step("Invoice created")
        if added:
            self._progress.warn(
                f"lightningd has added {', '.join(map(fields.field_name, added))} to the invoice",
                "this version does not know what that means; the payer may ignore it",
            )

    def _renew(self, expired: StoredInvoice) -> None:
        """Delete the expired invoice, unless a valid one exists after all."""
        if state.free_label(self._client, expired):
            self._progress.step("Deleted the expired invoice")
            self.state = NotTried()
        else:
            self._look_up_label()

    def replace(self) -> None:
        """Begin anew, with an invoice in the place of this one, which has expired."""
        self.state = NotTried(self.invoice)
        self.copies = Copies()
        self.courier = self._make_courier()
        self.drafts = self._make_drafts()

    # --- how it ends ---

    def learn(self, change: Change) -> bool:
        """Take a change of what has the invoice's label. "Paid" is final.

        The invoice is its payment_hash: another one may have taken its label.

        :returns: False when the invoice's state must be read.
        """
        reported = change.invoice
        if reported is not None and reported.payment_hash == self.invoice.payment_hash:
            self._update(reported)
            return True
        return self.invoice.is_paid

    def read_state(self) -> None:
        """Ask lightningd for the invoice's state (``listinvoices``).

        :raises LightningdError: it was deleted.
        """
        stored = invoices.find(self._client, payment_hash=self.invoice.payment_hash)
        if stored is not None:
            self._update(stored)
        elif not self.invoice.is_paid:
            raise LightningdError(
                f"the invoice {self.request.label!r} was deleted from lightningd meanwhile"
            )

    def _update(self, reported: StoredInvoice) -> None:
        self.state = Issued(self.invoice.updated(reported), self.is_resumed)

    def unpaid_error(self, behind: str | None = None) -> SendInvoiceError:
        """The error for an invoice that was not paid in time.

        :param behind: what lightningd says when it is behind the chain.
        """
        if not len(self.copies) and self.courier.dead_ends:
            return self.courier.no_route_error()
        now = self._lightningd.clock()
        return endings.unpaid_error(self.copies, self.invoice, self.reading.invreq, now, behind)

    def outcome(self, error: SendInvoiceError | None) -> Outcome:
        """The outcome: what is known, and the error. A paid invoice is a success in any case.

        :param error: what ended the steps; None if nothing did.
        """
        known: dict[str, Any] = {"label": self.request.label, **self._dry_run}
        found = self.state.invoice if isinstance(self.state, Issued) else None
        if isinstance(error, InterruptedBySignalError):
            error = endings.interrupted_error(error, self.request.label, found)
        elif isinstance(error, UnreachableError) and not isinstance(self.state, NotTried):
            error = endings.outcome_unknown_error(error, self.request.label, found)
        if found is not None and not self._dry_run:
            # A dry run tells what would be sent, be it an invoice that exists already.
            known.update(found.fields)
            known.setdefault("amount_msat", self.reading.amount_msat)
            if found.is_paid:
                error = None
        known["request"] = self.reading.offered.as_json()
        return Outcome(known, error, int(self._lightningd.clock()), self._progress.warnings)
