"""The errors for a request that ended without a payment, as far as we know."""

from __future__ import annotations

from typing import Any

from ..amounts import format_duration, format_time
from ..bolt12 import fields, invoice_request, payer, verdict
from ..bolt12.invoice_request import InvoiceRequest
from ..bolt12.verdict import Verdict
from ..errors import (
    InterruptedBySignalError,
    OutcomeUnknownError,
    PayerError,
    SendInvoiceError,
    TimedOutError,
    UnreachableError,
)
from ..node.invoices import StoredInvoice
from .copies import Copies, Replied

_NEW_REQUEST = "ask the payer for a new request"
_CLOCKS = "the clocks of this machine and of lightningd differ: set them right, then"
_TELL = "tell the payer what its node says, and ask for a new request"


def unpaid_error(
    copies: Copies,
    invoice: StoredInvoice,
    invreq: InvoiceRequest,
    now: float,
    behind: str | None = None,
) -> SendInvoiceError:
    """The error for an invoice that was not paid.

    :param now: UNIX seconds.
    :param behind: what lightningd says when it is behind the chain.
    """
    if copies.last_words is not None:
        return _payer_error(copies.last_words, invoice, invreq, now)
    said, hint = _why_unpaid(copies, invoice, invreq, now)
    if behind is not None:
        said = f"and lightningd is behind the chain ({behind})"
        if not invoice_request.has_expired(invreq, now):
            hint = "once lightningd has caught up, run the same command with --renew"
    return TimedOutError(
        f"the invoice was not paid in time, {said}", hint=hint, data={"invstring": invoice.bolt12}
    )


def _why_unpaid(
    copies: Copies, invoice: StoredInvoice, invreq: InvoiceRequest, now: float
) -> tuple[str, str]:
    """What is known of an invoice about which the payer said nothing, and the next step."""
    if invoice.status == "expired" and now < invoice.expires_at:
        early = format_duration(invoice.expires_at - now)
        again = _NEW_REQUEST if invoice_request.has_expired(invreq, now) else "use --renew"
        return f"because lightningd took it for expired {early} too early", f"{_CLOCKS} {again}"
    said = "and no answer came from the payer"
    if not len(copies):
        said = "because it expired before it could be sent"
    elif copies.is_being_paid:
        said = "although the payer said that it was paying"
    if invoice_request.has_expired(invreq, now):
        return f"{said}; the request expired meanwhile, which is the likely reason", _NEW_REQUEST
    if invoice.status == "unpaid" and now >= invoice.expires_at:
        again = f"{_CLOCKS} run the same command again"
        return f"{said}; lightningd takes it for valid still", again
    return _why_silent(said, copies, invoice, invreq)


def _why_silent(
    said: str, copies: Copies, invoice: StoredInvoice, invreq: InvoiceRequest
) -> tuple[str, str]:
    """What may be why the payer said nothing, and the next step."""
    if len(copies) and invreq.amount_msat not in (None, invoice.amount_msat):
        return (
            f"{said}; it asks for another amount than the request offers, which may be why",
            "ask for what is offered, under another label",
        )
    if len(copies) and not any(route.has_channel for route in copies.routes):
        peer = copies.routes[-1].nodes[1].hex()
        return said, (
            f"your node has no channel with {peer}, and some nodes drop messages from peers "
            "without a channel; open one, or ask the payer for a request with other paths"
        )
    if len(copies) and payer.is_ldk(invreq):
        silence = "LDK gives one up in silence when its attempt to pay fails"
        return said, f"{_NEW_REQUEST}: {silence}"
    return said, f"{_NEW_REQUEST}, or try this one again with --renew"


def interrupted_error(
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
        f"interrupted; invoice {label!r} may still be paid until {until}",
        hint=resume,
        data={"invstring": invoice.bolt12},
    )


def outcome_unknown_error(
    lost: UnreachableError, label: str, invoice: StoredInvoice | None
) -> OutcomeUnknownError:
    """The error for a lightningd that went away once the invoice may have existed.

    :param invoice: None when nobody knows whether it exists.
    """
    import shlex

    unknown = "exist" if invoice is None else "be paid"
    return OutcomeUnknownError(
        f"outcome unknown: {lost.message}; invoice {label!r} may or may not {unknown}",
        hint="once lightningd is back, run the same command again, or look with "
        f"'lightning-cli listinvoices {shlex.quote(label)}'",
    )


def describe(replied: Replied, bolt12: str) -> str:
    """What the payer said: in plain words where we know them, then in its own.

    :param bolt12: the invoice (``lni1…``), which payers like to repeat.
    """
    words = verdict.bare_words(replied.error).replace(bolt12, "lni1…")
    plain = replied.meaning.plain
    return words if plain is None else f"{plain} ({words})"


def _payer_error(
    replied: Replied, invoice: StoredInvoice, invreq: InvoiceRequest, now: float
) -> PayerError:
    """The error for a reply of the payer."""
    error, meaning = replied
    data: dict[str, Any] = {"error": error.text}
    about = ""
    if error.erroneous_field is not None:
        data["erroneous_field"] = error.erroneous_field
        about = f" (about {fields.field_name(error.erroneous_field)})"
    if error.suggested_value is not None:
        data["suggested_value"] = error.suggested_value.hex()
    has_lapsed = invoice_request.has_expired(invreq, now) or payer.is_ldk(invreq)
    told = describe(replied, invoice.bolt12)
    hint = meaning.next_step or _TELL
    if meaning.is_about_time and now < invoice.expires_at:
        left = format_duration(invoice.expires_at - now)
        told += f", although it is valid for another {left} by this machine's clock"
        hint = "the clocks of the payer and of this machine differ: set them right, then " + (
            _NEW_REQUEST if has_lapsed else "run the same command again, with --renew if it asks"
        )
    elif meaning.next_step is None and (
        meaning.verdict is Verdict.NOT_YET or meaning.is_about_time
    ):
        hint = _NEW_REQUEST if has_lapsed else "run the same command again later with --renew"
    did, message = {
        Verdict.REFUSED: ("refused", f"the payer refused the invoice{about}: {told}"),
        Verdict.GAVE_UP: ("gave up", f"the payer has given the request up: {told}"),
        Verdict.NOT_YET: ("could not pay", f"the payer could not pay the invoice: {told}"),
        Verdict.UNCLEAR: ("sent an error", f"the payer answered with an error: {told}"),
    }[meaning.verdict]
    return PayerError(message, hint=hint, data=data, what_payer_did=did)
