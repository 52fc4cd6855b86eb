"""What the user asks for: one invoice_request, and how to answer it."""

import re
from typing import NamedTuple

from .amounts import format_sat
from .bolt12 import string
from .bolt12.invoice_request import MAX_AMOUNT_MSAT, InvoiceRequest
from .errors import UsageError

DEFAULT_TIMEOUT = 90
MAX_TIMEOUT = 2**32 - 1

_AMOUNT = r"([0-9]+(?:\.[0-9]+)?)(msat|sat|btc)?"
_AMOUNTS = "amounts look like 1000, 1000msat, 1sat or 0.00000001btc; a bare number is msat"
#: Digits after the decimal point of each unit, down to 1 msat.
_UNIT_DIGITS = {"msat": 0, "sat": 3, "btc": 11}
#: A number as spreadsheets shorten it.
_EXPONENT = r"[0-9]+([.,][0-9]+)?[eE][+-]?[0-9]+"
_TIMEOUT = "([0-9]{1,20})([smhd]?)"
_UNIT_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


class Request(NamedTuple):
    """One invoice_request, and how the user wants it answered.

    :param invreq: the ``lnr1…`` string.
    :param label: of the invoice, unique in lightningd.
    :param amount_msat: None for the amount that the invoice_request offers.
    :param timeout: seconds to wait, and the invoice's relative expiry.
    :param quantity: number of items, None when not given.
    :param dry_run: check and show only; change nothing.
    :param renew: replace an expired, unpaid invoice for this request under this label.
    :param no_connect: never open a connection to another node.
    :param no_replies: do not start the reply helper.
    :param must_match: refuse an ``amount_msat`` that is not what the invoice_request offers.
    """

    invreq: str
    label: str
    amount_msat: int | None = None
    timeout: int = DEFAULT_TIMEOUT
    quantity: int | None = None
    dry_run: bool = False
    renew: bool = False
    no_connect: bool = False
    no_replies: bool = False
    must_match: bool = False


def are_swapped(invreq: str, label: str) -> bool:
    """Whether the invoice_request stands where the label belongs."""
    return _is_request(label) and not _is_request(invreq)


def _is_request(text: str) -> bool:
    return string.identify(text) is string.Kind.REQUEST


def parse_amount(text: str) -> int:
    """Read an amount as lightningd does: ``1000``, ``1000msat``, ``1sat``, ``0.00000001btc``.

    :returns: msat, more than 0.
    :raises UsageError: not an amount.
    """
    match = re.fullmatch(_AMOUNT, text)
    if re.fullmatch(_EXPONENT, text):
        raise UsageError(
            f"{text} is not a whole number",
            hint="write out all its digits; spreadsheets shorten long numbers in narrow columns",
        )
    if match is None or (match[2] is None and "." in match[1]):
        raise UsageError(
            f"{text!r} is not an amount",
            hint=_AMOUNTS,
        )
    whole, _, fraction = match[1].partition(".")
    digits = _UNIT_DIGITS[match[2] or "msat"]
    fraction = fraction.rstrip("0")
    if len(fraction) > digits:
        raise UsageError(f"{text}: the smallest amount is 1 msat", hint=_AMOUNTS)
    number = (whole + fraction.ljust(digits, "0")).lstrip("0")
    if not number:
        raise UsageError(f"{text}: the amount must be more than 0", hint=_AMOUNTS)
    # Compare lengths first: int() refuses to read thousands of digits.
    if len(number) > len(str(MAX_AMOUNT_MSAT)) or int(number) > MAX_AMOUNT_MSAT:
        raise UsageError(f"{text}: more than all bitcoin there will ever be", hint=_AMOUNTS)
    return int(number)


def parse_timeout(text: str) -> int:
    """Read a TIMEOUT: ``90``, ``90s``, ``10m``, ``1h`` or ``2d``.

    :returns: 1 … 2^32-1 seconds.
    :raises UsageError: not such a time.
    """
    match = re.fullmatch(_TIMEOUT, text)
    seconds = int(match[1]) * _UNIT_SECONDS[match[2]] if match else 0
    if not 1 <= seconds <= MAX_TIMEOUT:
        raise UsageError(
            f"TIMEOUT must be from 1 to {MAX_TIMEOUT} seconds, not {text!r}",
            hint="times look like 90, 90s, 10m, 1h or 2d; a bare number is seconds",
        )
    return seconds


def parse_quantity(text: str) -> int:
    """Read a QUANTITY: 1 … 2^64-1.

    :raises UsageError: not such a number.
    """
    value = int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else 0
    if not 1 <= value < 2**64:
        raise UsageError(
            f"QUANTITY must be a whole number from 1 to {2**64 - 1}, not {text!r}",
            hint="it is a number of items, such as 3",
        )
    return value


def amount_to_ask(request: Request, invreq: InvoiceRequest) -> int:
    """The amount of the invoice, in msat.

    :raises UsageError: QUANTITY is missing, not allowed or too large; neither the user nor the
        invoice_request names an amount in bitcoin; or they name two that must match.
    """
    _check_quantity(request.quantity, invreq.quantity_max)
    offered_msat = offered_amount(request, invreq)
    if request.amount_msat is not None:
        if request.must_match and offered_msat not in (None, request.amount_msat):
            raise _mismatch_error(request.amount_msat, offered_msat)
        return request.amount_msat
    if offered_msat is None:
        other = f", only {invreq.offer_amount} {invreq.currency}" * bool(invreq.currency)
        raise UsageError(
            f"the request names no amount in bitcoin{other}",
            hint="agree on one with the payer, and ask for it with --amount-msat",
        )
    if offered_msat > MAX_AMOUNT_MSAT:
        raise UsageError(
            "QUANTITY times the offered amount is more than all bitcoin there will ever be",
            hint="ask for fewer items",
        )
    return offered_msat


def offered_amount(request: Request, invreq: InvoiceRequest) -> int | None:
    """What the payer offers, in msat: invreq_amount or, without one, offer_amount times QUANTITY.

    BOLT 12, "Invoices": the quantity is the user's or, if the payer has named one, invreq_quantity.

    :returns: None when the invoice_request has no amount, or one in another currency.
    """
    if invreq.amount_msat is not None:
        return invreq.amount_msat
    if invreq.offer_amount is None or invreq.currency is not None:
        return None
    return invreq.offer_amount * (request.quantity or invreq.quantity or 1)


def _mismatch_error(amount_msat: int, offered_msat: int) -> UsageError:
    """The error for an AMOUNT_MSAT that is not what is offered: the third word is not TIMEOUT."""
    hint = (
        f"to ask for that nevertheless, give --amount-msat {amount_msat}; "
        "quote a label that has blanks"
    )
    if amount_msat <= MAX_TIMEOUT:
        hint = f"to wait {amount_msat} s, give --timeout {amount_msat}; {hint}"
    return UsageError(
        f"AMOUNT_MSAT {amount_msat} asks for {format_sat(amount_msat)}, "
        f"but the payer offers {format_sat(offered_msat)}",
        hint=hint,
    )


def _check_quantity(quantity: int | None, quantity_max: int | None) -> None:
    if quantity_max is None:
        if quantity is not None:
            raise UsageError(
                "this request takes no QUANTITY",
                hint="leave it out: the payer has fixed the number",
            )
        return
    limit = f" (1 to {quantity_max})" if quantity_max else ""
    if quantity is None:
        raise UsageError(
            f"this request needs a QUANTITY{limit}",
            hint="say how many items it is for, such as --quantity 1",
        )
    if quantity_max and quantity > quantity_max:
        raise UsageError(
            f"QUANTITY {quantity} is more than this request allows{limit}",
            hint=f"ask for {quantity_max} items or fewer",
        )
