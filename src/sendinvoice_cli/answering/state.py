"""What is known of the invoice: not made, perhaps made, or made; and what the label names."""

from typing import NamedTuple

from ..amounts import format_amount
from ..bolt12 import invoice, invoice_request
from ..bolt12.invoice_request import InvoiceRequest
from ..errors import LabelTakenError, LightningdError, MalformedError
from ..node import invoices
from ..node.invoices import StoredInvoice
from ..node.rpc.client import Client


class NotTried(NamedTuple):
    """lightningd was not asked to create the invoice.

    :param expired: the expired, unpaid invoice for this request and amount that has the label.
    """

    expired: StoredInvoice | None = None


class Unknown:
    """lightningd was asked to create it, and went away before it answered."""


class Issued(NamedTuple):
    """The invoice exists.

    :param is_resumed: another command created it, and may have sent it.
    """

    invoice: StoredInvoice
    is_resumed: bool = False


State = NotTried | Unknown | Issued


def look_up(
    client: Client, label: str, invreq: InvoiceRequest, amount_msat: int
) -> NotTried | Issued:
    """Ask lightningd what the label names (``listinvoices``).

    :raises LabelTakenError: an invoice for another request, or over another amount.
    """
    stored = invoices.find(client, label)
    if stored is None:
        return NotTried()
    if not _answers(stored, invreq):
        raise invoices.label_taken_error(label, stored.fields)
    if stored.amount_msat != amount_msat:
        other = "any amount" if stored.amount_msat is None else format_amount(stored.amount_msat)
        raise LabelTakenError(
            f"the label {label!r} belongs to an invoice for this request "
            f"over {other}, not {format_amount(amount_msat)}",
            hint="ask for that amount, or choose another label",
            data=stored.fields,
        )
    # lightningd's word counts, not our clock: payments of what it calls unpaid still arrive.
    if stored.status == "expired":
        return NotTried(stored)
    return Issued(stored, is_resumed=True)


def expired_error(expired: StoredInvoice, invreq: InvoiceRequest, now: float) -> LabelTakenError:
    """The error for an expired invoice, without ``--renew``.

    :param now: UNIX seconds.
    """
    hint = "--renew replaces it with a fresh one"
    if invoice_request.has_expired(invreq, now):
        hint = "the request has expired as well: ask the payer for a new one"
    return LabelTakenError(
        f"the invoice {expired.label!r} for this request has expired unpaid",
        hint=hint,
        data=expired.fields,
    )


def free_label(client: Client, expired: StoredInvoice) -> bool:
    """Delete an expired invoice, so that its label is free (``delinvoice``).

    :returns: False when the label names another invoice by now, or this one was paid after all.
    :raises LightningdError: lightningd refuses, and the invoice is unchanged.
    """
    # delinvoice knows labels only, and another command may have replaced the invoice.
    if invoices.find(client, expired.label) != expired:
        return False
    try:
        invoices.delete(client, expired.label, "expired")
    except LightningdError:
        if invoices.find(client, expired.label) == expired:
            raise
        return False
    return True


def _answers(stored: StoredInvoice, invreq: InvoiceRequest) -> bool:
    try:
        return invoice.answers(invoice.decode(stored.bolt12), invreq)
    except MalformedError:
        return False
