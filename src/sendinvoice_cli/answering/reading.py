"""Reading what the user asks for, before lightningd is asked. Makes no call."""

from __future__ import annotations

from typing import NamedTuple

from ..amounts import format_sat
from ..bolt12.invoice_request import InvoiceRequest
from ..errors import UsageError
from ..outcome import Offered
from ..request import Request, amount_to_ask, offered_amount


class Reading(NamedTuple):
    """A request as we understand it.

    :param invreq: the invoice_request.
    :param offered: what the payer offers.
    :param amount_msat: what we ask for.
    :param offered_msat: what the payer offers, None when that is open.
    """

    request: Request
    invreq: InvoiceRequest
    offered: Offered
    amount_msat: int
    offered_msat: int | None

    def amount_warning(self) -> tuple[str, str] | None:
        """What to warn of when we ask for another amount than is offered, and a hint."""
        if self.offered_msat in (None, self.amount_msat):
            return None
        difference = self.amount_msat - self.offered_msat
        loss = (
            "payers refuse to pay more than they offer"
            if difference > 0
            else f"{format_sat(-difference)} may be lost"
        )
        return (
            f"asking for {format_sat(self.amount_msat)}, but the payer offers "
            f"{format_sat(self.offered_msat)}: {loss}",
            "without --amount-msat you ask for what is offered; "
            "some payers refuse any other amount silently",
        )


def read(request: Request, invreq: InvoiceRequest) -> Reading:
    """Read what the user wants of an invoice_request.

    :raises UsageError: the label, the amount or the quantity is wrong or missing.
    """
    label = request.label
    if label != label.encode(errors="ignore").decode():
        raise UsageError("the label is not valid UTF-8", hint="choose another label")
    return Reading(
        request,
        invreq,
        Offered.of(invreq),
        amount_to_ask(request, invreq),
        offered_amount(request, invreq),
    )
