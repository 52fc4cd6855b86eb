"""One request and its invoice: the steps of answering it, and what is known of it.

Each step blocks while lightningd answers. answer.py puts them in order.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from ..amounts import format_duration, format_sat
from ..bolt12 import fields, invoice, invoice_request
from ..bolt12.invoice import PaymentPath
from ..bolt12.tlv import Record
from ..errors import (
    InterruptedBySignalError,
    LabelTakenError,
    LightningdError,
    SendInvoiceError,
    UnreachableError,
    UsageError,
)
from ..node import info, invoices
from ..node.events.link import Link
from ..node.info import NodeInfo
from ..node.invoices import Change, StoredInvoice
from ..node.rpc.client import ConnectionLostError
from ..node.ways import inbound, payment_paths
from ..node.ways.graph import short_id
from ..node.ways.inbound import Inbound
from ..outcome import Offered, Outcome
from ..request import Request, amount_to_ask, offered_amount
from . import endings, label, receiving
from .copies import Copies
from .courier import Courier
from .drafts import Drafts, expected_size, refusal_error
from .label import Expired, Free, Label, Paid, Resumed

if TYPE_CHECKING:
    from .warnings import ProgressWithWarnings


class NotTried:
    """lightningd was not asked to create the invoice."""


class Unknown:
    """lightningd was asked, and went away before it answered."""


class Issued(NamedTuple):
    """The invoice exists."""

    invoice: StoredInvoice


class Exchange:
    """What is known of one request and its invoice, and the steps that change it.

    :param ways: how many routes that are as good to look for.
    """

    def __init__(
        self, request: Request, link: Link, progress: "ProgressWithWarnings", *, ways: int = 1
    ) -> None:
        self.request = request
        self._ways = ways
        self.copies = Copies()
        self.issue: NotTried | Unknown | Issued = NotTried()
        self._link = link
        self._client = link.client
        self._progress = progress
        self._offered: Offered | None = None
        self._label: Label = Free()
        self._inbound = Inbound()
        self._drafts = Drafts()
        self._dry_run: dict[str, Any] = {}

    # --- before the invoice exists ---

    def read(self) -> None:
        """Read the invoice_request; makes no call.

        :raises MalformedError: it breaks the rules of its encoding.
        :raises UnanswerableRequestError: BOLT 12 has readers reject it.
        :raises UsageError: the label, the amount or the quantity is wrong or missing.
        """
        text = self.request.label
        if text != text.encode(errors="ignore").decode():
            raise UsageError("the label is not valid UTF-8", hint="choose another label")
        self._invreq = invreq = invoice_request.decode(self.request.invreq)
        may_connect = not self.request.no_connect
        self.courier = Courier(
            invreq,
            self.copies,
            self._link,
            self._progress,
            allow_connect=may_connect,
            ways=self._ways,
        )
        self._offered = Offered.of(invreq)
        self._amount_msat = amount_to_ask(self.request, invreq)
        self._progress.offered(self._offered, self._amount_msat)
        self._warn_of_amount(offered_amount(self.request, invreq))

    def _warn_of_amount(self, offered_msat: int | None) -> None:
        """Warn that the payer offers another amount (msat), and say what that costs."""
        if offered_msat in (None, self._amount_msat):
            return
        difference = self._amount_msat - offered_msat
        loss = (
            "payers refuse to pay more than they offer"
            if difference > 0
            else f"{format_sat(-difference)} may be lost"
        )
        self._progress.warn(
            f"asking for {format_sat(self._amount_msat)}, but the payer offers "
            f"{format_sat(offered_msat)}: {loss}",
            "without --amount-msat you ask for what is offered; "
            "some payers refuse any other amount silently",
            even_if_quiet=True,
        )

    def find_invoice(self) -> None:
        """Check the network, and find the invoice with the label (``listinvoices``).

        :raises UnanswerableRequestError: the request is for another network.
        :raises LabelTakenError: the label belongs to another invoice, or to an expired one.
        :raises RequestExpiredError: the request has expired, and no invoice exists for it.
        """
        info.check_chain(self._invreq.chain, self._link.node)
        self._look_up_label()
        self._warn_of_autoclean()
        if not self.exists:
            invoice_request.check_expiry(self._invreq, self._link.clock())
        if not (self.exists and self.invoice.is_paid):
            self._warn_of_expiry()

    def _look_up_label(self) -> None:
        request = self.request
        found = label.look_up(
            self._client, request.label, self._invreq, self._amount_msat, self._link.clock()
        )
        if isinstance(found, Expired) and not request.renew:
            raise label.expired_error(found, self._invreq, self._link.clock())
        self._label = found
        if isinstance(found, Paid | Resumed):
            self.issue = Issued(found.invoice)
            self._progress.step(
                "This invoice was paid before; nothing was sent"
                if isinstance(found, Paid)
                else "This invoice exists already; sending it again"
            )

    def _warn_of_autoclean(self) -> None:
        age = self._link.node.autoclean_paid_seconds
        if age is not None and age < self.request.timeout:
            self._progress.warn(
                f"lightningd deletes paid invoices after {age} s (autoclean-paidinvoices-age), "
                "before TIMEOUT ends",
                "after that, the same command asks for the money again; set a longer age",
            )

    def _warn_of_expiry(self) -> None:
        """Warn that the request does not live as long as the wait."""
        now, expires_at = self._link.clock(), self._invreq.expires_at
        ends_at = self.invoice.expires_at if self.exists else now + self.request.timeout
        if expires_at is not None and expires_at < ends_at:
            when = f"expires in {format_duration(expires_at - now)}, before TIMEOUT ends"
            self._progress.warn(
                f"the request {when if now < expires_at else 'has expired meanwhile'}",
                "after that, LDK ignores it in silence, and Core Lightning still pays",
            )

    @property
    def exists(self) -> bool:
        """Whether the invoice exists."""
        return isinstance(self.issue, Issued)

    @property
    def is_resumed(self) -> bool:
        """Whether another command created the invoice, and may have sent it."""
        return isinstance(self._label, Resumed)

    @property
    def invoice(self) -> StoredInvoice:
        """The invoice, which must exist."""
        assert isinstance(self.issue, Issued)
        return self.issue.invoice

    @property
    def invoice_size(self) -> int:
        """Bytes of the invoice; as long as it does not exist, about as many as it will have."""
        if isinstance(self.issue, Issued):
            return (len(self.issue.invoice.bolt12) - len("lni1")) * 5 // 8
        found = self._inbound
        own_paths = int(found.has_own_path or not found.blinded)
        return expected_size(self._unsigned(self._link.node, ()), own_paths, len(found.blinded))

    def choose_payment_paths(self) -> None:
        """Choose the channels through which we are paid.

        :raises LightningdError: no node of ``payment-fronting-node`` can carry the amount.
        """
        graph, node = self._link.graph(), self._link.current_node()
        found = inbound.choose(self._client, node, graph, self._amount_msat)
        if self.request.timeout <= inbound.OLD_TERMS_SECONDS:
            found = found.for_payer_behind(self._invreq.paths)
        self._inbound = found
        name = graph.name if self._progress.wants_route else short_id
        for text in receiving.steps(found, self._amount_msat, name):
            self._progress.step(text)
        warning = receiving.warning(found, self._amount_msat, name)
        if warning is not None:
            self._progress.warn(*warning)

    def plan(self) -> None:
        """Find out what would be sent, for a dry run; changes nothing.

        :raises NoRouteError: it could not be sent.
        """
        route = next(self.courier.routes(connect=False), None)
        if route is None:
            raise self.courier.no_route_error()
        info.check_paths(self._invreq.paths, self._link.node)
        self._dry_run = {
            "status": "dry-run",
            "amount_msat": self._amount_msat,
            "payer": self._invreq.payer_id.hex(),
            "network": self._link.node.network,
            "path": [node.hex() for node in route.nodes],
            "would_connect": route.would_connect,
            "payment_paths": [each.as_json() for each in self._inbound.blinded],
            "inbound": [each.as_json() for each in self._inbound.channels],
        }
        if self._invreq.description is not None:
            self._dry_run["description"] = self._invreq.description
        self.courier.show(route)

    def create(self) -> None:
        """Have lightningd sign and store the invoice, unless one exists by now.

        Call it again when the connection broke: it never creates a second invoice.

        :raises LabelTakenError: the label belongs to another invoice by now.
        :raises LightningdError: lightningd refused, or returned a different invoice.
        :raises UnanswerableRequestError: lightningd refused a text of the request.
        """
        if isinstance(self._label, Expired) and not self._renew(self._label):
            return
        unsigned, drafts = self._write(), self._drafts
        # lightningd may have stored an earlier draft, although its answer was lost.
        drafts.add(unsigned)
        try:
            stored = invoices.create(
                self._client, invoice.encode(unsigned), self.request.label, drafts.preimage
            )
        except ConnectionLostError:
            self.issue = Unknown()
            raise
        except LabelTakenError:
            # Another command was faster, or lightningd stored this invoice before it went away.
            self._look_up_label()
            if not isinstance(self._label, Resumed | Paid):
                raise
            stored = self._label.invoice
            if stored.payment_hash != drafts.payment_hash.hex():
                return
            self._label = Free()
        except LightningdError as failure:
            raise refusal_error(failure, self._invreq) from None
        try:
            added = drafts.check(stored)
        except LightningdError:
            self.issue = NotTried()
            # Nobody has seen it, so nobody can pay it: free the label.
            with suppress(LightningdError):
                invoices.delete(self._client, self.request.label, "unpaid")
            raise
        self.issue = Issued(stored)
        self._progress.step("Invoice created")
        if added:
            self._progress.warn(
                f"lightningd has added {', '.join(map(fields.field_name, added))} to the invoice",
                "this version does not know what that means; the payer may ignore it",
            )

    def _renew(self, expired: Expired) -> bool:
        """Delete the expired invoice; False when a valid one exists after all."""
        if label.delete(self._client, expired):
            self._progress.step("Deleted the expired invoice")
            self._label = Free()
        else:
            self._look_up_label()
        return not self.exists

    def _write(self) -> tuple[Record, ...]:
        info.check_paths(self._invreq.paths, self._link.node)
        node = self._link.current_node()
        return self._unsigned(node, self._build_paths(node) if self._inbound.blinded else ())

    def _unsigned(self, node: NodeInfo, paths: Sequence[PaymentPath]) -> tuple[Record, ...]:
        return invoice.build_unsigned(
            self._invreq,
            amount_msat=self._amount_msat,
            payment_hash=self._drafts.payment_hash,
            node_id=node.id,
            created_at=int(self._link.clock()),
            relative_expiry=self.request.timeout,
            payment_paths=paths,
        )

    def _build_paths(self, node: NodeInfo) -> list[PaymentPath]:
        """Our payment paths. Without any, lightningd adds one; it leads over public channels."""
        try:
            secret = self._link.base_secret()
        except LightningdError as error:
            if node.fronting_nodes:
                # lightningd's path would name our node.
                raise
            if not self._inbound.public:
                self._progress.warn(*receiving.no_paths(error.message))
            return []
        return payment_paths.build(
            node,
            self._inbound,
            amount_msat=self._amount_msat,
            base_secret=secret,
            payment_hash=self._drafts.payment_hash,
            timeout=self.request.timeout,
        )

    # --- how it ends ---

    def learn(self, change: Change) -> bool:
        """Take a change of what has the invoice's label. "Paid" is final.

        The invoice is its payment_hash: another one may have taken its label.

        :returns: False when the invoice's state must be read.
        """
        reported = change.invoice
        if reported is not None and reported.payment_hash == self.invoice.payment_hash:
            self.issue = Issued(self.invoice.updated(reported))
            return True
        return self.invoice.is_paid

    def read_state(self) -> None:
        """Ask lightningd for the invoice's state (``listinvoices``).

        :raises LightningdError: it was deleted.
        """
        stored = invoices.find(self._client, payment_hash=self.invoice.payment_hash)
        if stored is not None:
            self.issue = Issued(self.invoice.updated(stored))
        elif not self.invoice.is_paid:
            raise LightningdError(
                f"the invoice {self.request.label!r} was deleted from lightningd meanwhile"
            )

    def unpaid(self) -> SendInvoiceError:
        """The error for an invoice that was not paid in time."""
        if not len(self.copies) and self.courier.dead_ends:
            return self.courier.no_route_error()
        now = self._link.clock()
        return endings.unpaid_error(self.copies, self.invoice, self._invreq, now)

    def outcome(self, error: SendInvoiceError | None) -> Outcome:
        """The outcome: what is known, and the error. A paid invoice is a success in any case.

        :param error: what ended the steps; None if nothing did.
        """
        known: dict[str, Any] = {"label": self.request.label, "status": None, **self._dry_run}
        found = self.issue.invoice if isinstance(self.issue, Issued) else None
        if isinstance(error, InterruptedBySignalError):
            error = endings.interrupted_error(error, self.request.label, found)
        elif isinstance(error, UnreachableError) and not isinstance(self.issue, NotTried):
            error = endings.outcome_unknown_error(self.request.label)
        if found is not None:
            known.update(found.fields)
            if found.is_paid:
                error = None
        if self._offered is not None:
            known["request"] = self._offered.as_json()
        return Outcome(known, error, int(self._link.clock()), self._progress.warnings)
