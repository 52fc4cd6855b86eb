"""What the user asks for: one invoice_request, and how to answer it."""

from __future__ import annotations

import re
from typing import NamedTuple

from .bolt12.invoice_request import MAX_AMOUNT_MSAT, InvoiceRequest
from .errors import UsageError

DEFAULT_TIMEOUT = 90
MAX_TIMEOUT = 2**32 - 1

_AMOUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?)(msat|sat|btc)?")
#: Digits after the decimal point of each unit, down to 1 msat.
_UNIT_DIGITS = {"msat": 0, "sat": 3, "btc": 11}


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


def parse_amount(text: str) -> int:
    """Read an amount as lightningd does: ``1000``, ``1000msat``, ``1sat``, ``0.00000001btc``.

    :returns: msat, more than 0.
    :raises UsageError: not an amount.
    """
    match = _AMOUNT.fullmatch(text)
    if match is None or (match[2] is None and "." in match[1]):
        raise UsageError(
            f"{text!r} is not an amount",
            hint="amounts look like 1000, 1000msat, 1sat or 0.00000001btc; a bare number is msat",
        )
    whole, _, fraction = match[1].partition(".")
    digits = _UNIT_DIGITS[match[2] or "msat"]
    fraction = fraction.rstrip("0")
    if len(fraction) > digits:
        raise UsageError(f"{text}: the smallest amount is 1 msat")
    number = (whole + fraction.ljust(digits, "0")).lstrip("0")
    if not number:
        raise UsageError(f"{text}: the amount must be more than 0")
    # Compare lengths first: int() refuses to read thousands of digits.
    if len(number) > len(str(MAX_AMOUNT_MSAT)) or int(number) > MAX_AMOUNT_MSAT:
        raise UsageError(f"{text}: more than all bitcoin there will ever be")
    return int(number)


def parse_timeout(text: str) -> int:
    """Read a TIMEOUT: 1 … 2^32-1 seconds.

    :raises UsageError: not such a number.
    """
    return _parse_int(text, "TIMEOUT", MAX_TIMEOUT)


def parse_quantity(text: str) -> int:
    """Read a QUANTITY: 1 … 2^64-1.

    :raises UsageError: not such a number.
    """
    return _parse_int(text, "QUANTITY", 2**64 - 1)


def amount_to_ask(request: Request, invreq: InvoiceRequest) -> int:
    """The amount of the invoice, in msat.

    :raises UsageError: QUANTITY is missing, not allowed or too large, or neither the user nor the
        invoice_request names an amount in bitcoin.
    """
    _check_quantity(request.quantity, invreq.quantity_max)
    if request.amount_msat is not None:
        return request.amount_msat
    if invreq.amount_msat is not None:
        return invreq.amount_msat
    if invreq.offer_amount is None or invreq.currency is not None:
        other = f", only {invreq.offer_amount} {invreq.currency}" * bool(invreq.currency)
        raise UsageError(f"the request names no amount in bitcoin{other}", hint="give AMOUNT_MSAT")
    amount_msat = invreq.offer_amount * (request.quantity or 1)
    if amount_msat > MAX_AMOUNT_MSAT:
        raise UsageError(
            "QUANTITY times the offered amount is more than all bitcoin there will ever be"
        )
    return amount_msat


def _check_quantity(quantity: int | None, quantity_max: int | None) -> None:
    if quantity_max is None:
        if quantity is not None:
            raise UsageError("this request takes no QUANTITY")
        return
    limit = f" (1 to {quantity_max})" if quantity_max else ""
    if quantity is None:
        raise UsageError(f"this request needs a QUANTITY{limit}")
    if quantity_max and quantity > quantity_max:
        raise UsageError(f"QUANTITY {quantity} is more than this request allows{limit}")


def _parse_int(text: str, name: str, maximum: int) -> int:
    value = int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else 0
    if not 1 <= value <= maximum:
        raise UsageError(f"{name} must be a whole number from 1 to {maximum}, not {text!r}")
    return value
