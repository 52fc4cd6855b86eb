"""The errors for a request that ended without a payment, as far as we know."""

from __future__ import annotations

from typing import Any

from ..amounts import format_time
from ..bolt12 import fields
from ..bolt12.invoice_error import InvoiceError
from ..bolt12.verdict import Verdict
from ..errors import (
    InterruptedBySignalError,
    OutcomeUnknownError,
    PayerError,
    SendInvoiceError,
    TimedOutError,
)
from ..node.invoices import StoredInvoice
from .copies import Copies, Replied


def unpaid(copies: Copies, bolt12: str) -> SendInvoiceError:
    """The error for an invoice that was not paid in time.

    :param bolt12: the ``lni1…`` string.
    """
    if copies.last_words is not None:
        return _payer_error(copies.last_words, bolt12)
    said = "and no answer came from the payer"
    hint = "ask the payer for a new request, or try this one again with --renew"
    if not len(copies):
        said = "because it expired before it could be sent"
    elif copies.is_being_paid:
        said = "although the payer said that it was paying"
    elif not any(route.has_channel for route in copies.routes):
        peer = copies.routes[-1].nodes[1].hex()
        hint = (
            f"your node has no channel with {peer}, and some nodes drop messages from peers "
            "without a channel; open one, or ask the payer for a request with other paths"
        )
    return TimedOutError(
        f"the invoice was not paid in time, {said}", hint=hint, data={"invstring": bolt12}
    )


def interrupted(
    signal: InterruptedBySignalError, label: str, invoice: StoredInvoice | None
) -> InterruptedBySignalError:
    """The error for an interruption: it says whether the invoice may still be paid.

    :param invoice: None when it does not exist.
    """
    resume = "run the same command again to continue"
    if invoice is None:
        return type(signal)(f"interrupted; invoice {label!r} was not sent", hint=resume)
    until = format_time(invoice.expires_at)
    return type(signal)(
        f"interrupted; invoice {label!r} may still be paid until {until}: {invoice.bolt12}",
        hint=resume,
        data={"invstring": invoice.bolt12},
    )


def unknown(label: str) -> OutcomeUnknownError:
    """The error for a lightningd that went away once the invoice may have existed."""
    return OutcomeUnknownError(
        f"outcome unknown: lightningd is gone; invoice {label!r} may or may not be paid",
        hint="once lightningd is back, run the same command again, or look with "
        f"'lightning-cli listinvoices {label}'",
    )


def words(error: InvoiceError, bolt12: str) -> str:
    """What the payer said, without the invoice, which payers like to repeat.

    :param bolt12: the ``lni1…`` string.
    """
    return error.text.replace(bolt12, "lni1…")


def _payer_error(replied: Replied, bolt12: str) -> PayerError:
    """The error for a reply of the payer.

    :param bolt12: the invoice that the reply is about.
    """
    error = replied.error
    data: dict[str, Any] = {"error": error.text}
    about = ""
    if error.erroneous_field is not None:
        data["erroneous_field"] = error.erroneous_field
        about = f" (about {fields.field_name(error.erroneous_field)})"
    if error.suggested_value is not None:
        data["suggested_value"] = error.suggested_value.hex()
    text = words(error, bolt12)
    if replied.verdict is Verdict.NOT_YET:
        return PayerError(
            f"the payer could not pay the invoice: {text}",
            hint="run the same command again later with --renew; LDK gives a request up after "
            "one failed attempt: ask for a new request then",
            data=data,
        )
    return PayerError(f"the payer refused the invoice{about}: {text}", data=data)
