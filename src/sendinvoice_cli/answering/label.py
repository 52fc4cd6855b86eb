"""What the label names in lightningd: nothing, or an invoice in one of its states."""

from typing import NamedTuple

from ..amounts import format_amount
from ..bolt12 import invoice, invoice_request
from ..bolt12.invoice_request import InvoiceRequest
from ..errors import LabelTakenError, LightningdError, MalformedError
from ..node import invoices
from ..node.invoices import StoredInvoice
from ..node.rpc.client import Client


class Free:
    """The label names no invoice."""


class Expired(NamedTuple):
    """The label names an expired, unpaid invoice for this request and amount."""

    invoice: StoredInvoice


class Resumed(NamedTuple):
    """The label names an unpaid invoice for this request and amount, which may have been sent."""

    invoice: StoredInvoice


class Paid(NamedTuple):
    """The label names the paid invoice for this request and amount."""

    invoice: StoredInvoice


Label = Free | Expired | Resumed | Paid


def look_up(
    client: Client, label: str, invreq: InvoiceRequest, amount_msat: int, now: float
) -> Label:
    """Ask lightningd what the label names (``listinvoices``).

    :param now: UNIX seconds.
    :raises LabelTakenError: an invoice for another request, or over another amount.
    """
    stored = invoices.find(client, label)
    if stored is None:
        return Free()
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
    if stored.is_paid:
        return Paid(stored)
    if stored.status == "expired" or stored.expires_at <= now:
        return Expired(stored)
    return Resumed(stored)


def expired_error(expired: Expired, invreq: InvoiceRequest, now: float) -> LabelTakenError:
    """The error for an expired invoice, without ``--renew``.

    :param now: UNIX seconds.
    """
    hint = "--renew replaces it with a fresh one"
    if invoice_request.has_expired(invreq, now):
        hint = "the request has expired as well: ask the payer for a new one"
    return LabelTakenError(
        f"the invoice {expired.invoice.label!r} for this request has expired unpaid",
        hint=hint,
        data=expired.invoice.fields,
    )


def delete(client: Client, expired: Expired) -> bool:
    """Delete an expired invoice, so that its label is free (``delinvoice``).

    :returns: False when the invoice has changed: it was paid after all, or another command has
        replaced it.
    :raises LightningdError: lightningd refuses, and the invoice is unchanged.
    """
    stored = expired.invoice
    try:
        invoices.delete(client, stored.label, stored.status)
    except LightningdError:
        if invoices.find(client, stored.label) == stored:
            raise
        return False
    return True


def _answers(stored: StoredInvoice, invreq: InvoiceRequest) -> bool:
    try:
        return invoice.answers(invoice.decode(stored.bolt12), invreq)
    except MalformedError:
        return False
