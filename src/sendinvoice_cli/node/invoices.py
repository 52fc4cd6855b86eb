"""lightningd's invoices: the only memory this command has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import LabelTakenError, LightningdError
from .client import Client

LABEL_TAKEN = 900

#: The fields of an invoice that the sendinvoice RPC documents, in its order.
RPC_FIELDS = (
    "label",
    "description",
    "payment_hash",
    "status",
    "expires_at",
    "created_index",
    "amount_msat",
    "bolt12",
    "updated_index",
    "pay_index",
    "amount_received_msat",
    "paid_at",
    "payment_preimage",
)
_AMOUNTS = ("amount_msat", "amount_received_msat")


def create(client: Client, invstring: str, label: str, preimage: bytes) -> dict[str, Any]:
    """Have an unsigned invoice signed and stored (``createinvoice``).

    :param preimage: 32 bytes.
    :returns: the invoice's fields, see :func:`fields`.
    :raises LabelTakenError: ``data`` is the invoice that has the label.
    """
    try:
        answer = client.call(
            "createinvoice",
            {"invstring": invstring, "label": label, "preimage": preimage.hex()},
        )
    except LightningdError as failure:
        if failure.rpc_code == LABEL_TAKEN:
            raise label_taken(label, failure.data) from None
        raise
    return fields(answer)


def label_taken(label: str, stored: Mapping[str, Any] | None) -> LabelTakenError:
    """The error for a label that another invoice has."""
    return LabelTakenError(
        f"the label {label!r} belongs to another invoice",
        hint="choose another label",
        data=fields(stored) if stored else None,
    )


def find(client: Client, label: str) -> dict[str, Any] | None:
    """The invoice with this label, None when there is none (``listinvoices``)."""
    answer = client.call("listinvoices", {"label": label})
    found = answer.get("invoices") or [None]
    return fields(found[0]) if found[0] is not None else None


def delete(client: Client, label: str, status: str) -> None:
    """Delete an invoice that still has this status (``delinvoice``).

    :param status: ``unpaid`` or ``expired``.
    :raises LightningdError: it has another one by now.
    """
    client.call("delinvoice", {"label": label, "status": status})


def wait_until_closed(client: Client, label: str) -> None:
    """Return when the invoice is paid or has expired (``waitinvoice``); its state tells which."""
    try:
        client.call("waitinvoice", {"label": label}, patience=None)
    except LightningdError as failure:
        if failure.rpc_code is None:
            raise


def fields(invoice: Mapping[str, Any]) -> dict[str, Any]:
    """The documented fields of an invoice as lightningd reports it, amounts as integers (msat).

    The preimage is among them only once the invoice is paid.
    """
    known = {name: invoice[name] for name in RPC_FIELDS if name in invoice}
    for name in _AMOUNTS:
        if isinstance(known.get(name), str):
            known[name] = int(known[name].removesuffix("msat"))
    if known.get("status") != "paid":
        known.pop("payment_preimage", None)
    return known
