"""The invoices of one node, its indexes, and waiting for them to change.

Source: lightningd's createinvoice, listinvoices, delinvoice, waitinvoice and wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from operator import attrgetter
from typing import Any

from ...bolt12 import fields
from ...bolt12.invoice import DEFAULT_RELATIVE_EXPIRY
from ...bolt12.tlv import Record
from ...errors import MalformedError
from ..rpc.errors import (
    EXPIRED_DURING_WAIT,
    INVOICE_NOT_FOUND,
    LABEL_EXISTS,
    LIGHTNINGD,
    STATUS_UNEXPECTED,
    RpcError,
)
from .clock import Clock, Timers

INDEXES = ("created", "updated", "deleted")


@dataclass(frozen=True)
class Invoice:
    """One invoice, as the node stores it.

    :param invstring: the signed string: ``lni1…``, or a BOLT 11 one.
    :param preimage: 32 bytes.
    :param expires_at: UNIX seconds.
    :param created_index: 0 while it is not stored.
    :param updated_index: 0 while it has not been updated.
    :param payment: how it was paid, as lightningd lists it; empty while it is not.
    """

    label: str
    invstring: str
    preimage: bytes
    amount_msat: int
    description: str | None
    expires_at: int
    created_index: int = 0
    updated_index: int = 0
    status: str = "unpaid"
    payment: Mapping[str, Any] = field(default_factory=dict)

    @property
    def payment_hash(self) -> bytes:
        """32 bytes."""
        return sha256(self.preimage).digest()

    @property
    def kind(self) -> str:
        """The name of ``invstring`` in lightningd's JSON."""
        return "bolt12" if self.invstring.startswith("lni1") else "bolt11"

    def row(self) -> dict[str, Any]:
        """The fields that lightningd lists, in its order."""
        row = {
            "label": self.label,
            self.kind: self.invstring,
            "payment_hash": self.payment_hash.hex(),
            "amount_msat": self.amount_msat,
            "status": self.status,
            **self.payment,
            "description": self.description,
            "expires_at": self.expires_at,
            "created_index": self.created_index,
            "updated_index": self.updated_index or None,
        }
        return {name: value for name, value in row.items() if value is not None}


class InvoiceBook:
    """All invoices of a node. They survive its restarts."""

    def __init__(self, clock: Clock, timers: Timers) -> None:
        self._clock = clock
        self._timers = timers
        self._by_label: dict[str, Invoice] = {}
        self._indexes = dict.fromkeys(INDEXES, 0)
        self._next_pay_index = 1
        #: The last change of each index.
        self._last_change: dict[str, dict[str, Any]] = {}
        self._changed = asyncio.Event()

    def __iter__(self) -> Iterator[Invoice]:
        return iter(self._by_label.values())

    def add(self, invoice: Invoice) -> Invoice:
        """Store an invoice, and return it with its index.

        :raises RpcError: the label is taken; ``data`` is the row that has it.
        """
        label = invoice.label
        if label in self._by_label:
            raise RpcError(LABEL_EXISTS, "Duplicate label", self._by_label[label].row())
        self._by_label[label] = replace(invoice, created_index=self._indexes["created"] + 1)
        self._timers.at(invoice.expires_at, self.expire_due)
        change = {"status": "unpaid", "label": label, invoice.kind: invoice.invstring}
        self._grow("created", change)
        return self._by_label[label]

    def in_order(self, index: str | None, start: int) -> list[Invoice]:
        """The invoices in the order of an index (``created`` without one), from ``start`` on."""
        name = "updated_index" if index == "updated" else "created_index"
        rows = (invoice for invoice in self if getattr(invoice, name) >= start)
        return sorted(rows, key=attrgetter(name))

    def find_unpaid(self, payment_hash: bytes) -> Invoice | None:
        """The unpaid invoice with this 32-byte payment_hash, if there is one."""
        unpaid = (invoice for invoice in self if invoice.status == "unpaid")
        return next((each for each in unpaid if each.payment_hash == payment_hash), None)

    def pay(self, label: str, received_msat: int) -> None:
        """Mark an unpaid invoice paid."""
        invoice = self._by_label[label]
        payment = {
            "pay_index": self._next_pay_index,
            "amount_received_msat": received_msat,
            "paid_at": int(self._clock()),
            "payment_preimage": invoice.preimage.hex(),
        }
        self._next_pay_index += 1
        paid = replace(invoice, status="paid", payment=payment)
        self._update(paid, {"status": "paid", "label": label})

    def expire_due(self) -> None:
        """Mark the overdue unpaid invoices expired."""
        now = int(self._clock())
        for invoice in list(self):
            if invoice.status == "unpaid" and invoice.expires_at <= now:
                self._update(replace(invoice, status="expired"), {"status": "expired"})

    def delete(self, label: str, status: str) -> Invoice:
        """Remove an invoice that has the given status.

        :raises RpcError: there is none, or it has another status.
        """
        invoice = self._by_label.get(label)
        if invoice is None:
            raise RpcError(INVOICE_NOT_FOUND, "Unknown invoice")
        if invoice.status != status:
            raise RpcError(
                STATUS_UNEXPECTED,
                f"Invoice status is {invoice.status} not {status}",
                {"current_status": invoice.status, "expected_status": status},
            )
        del self._by_label[label]
        details = {"status": status, "label": label, invoice.kind: invoice.invstring}
        self._grow("deleted", details)
        return invoice

    async def wait_closed(self, label: str) -> Invoice:
        """Return the invoice once it is paid.

        :raises RpcError: there is none; it has expired, with the row in
            ``data``; or it was deleted.
        """
        invoice = self._by_label.get(label)
        if invoice is None:
            raise RpcError(LIGHTNINGD, "Label not found")
        while invoice.status == "unpaid":
            await self._changed.wait()
            now = self._by_label.get(label)
            if now is None or now.created_index != invoice.created_index:
                raise RpcError(LIGHTNINGD, "Invoice deleted during wait")
            invoice = now
        if invoice.status != "paid":
            raise RpcError(EXPIRED_DURING_WAIT, "invoice expired during wait", invoice.row())
        return invoice

    async def wait_index(self, index: str, next_value: int) -> tuple[int, dict[str, Any] | None]:
        """Return once an index has reached a value.

        :param index: one of ``INDEXES``.
        :returns: the index's value, and the change that took it there; None if
            it was there already.
        """
        if self._indexes[index] >= next_value:
            return self._indexes[index], None
        while self._indexes[index] < next_value:
            await self._changed.wait()
        return self._indexes[index], self._last_change[index]

    def _update(self, invoice: Invoice, change: dict[str, Any]) -> None:
        updated_index = self._indexes["updated"] + 1
        self._by_label[invoice.label] = replace(invoice, updated_index=updated_index)
        self._grow("updated", change)

    def _grow(self, index: str, change: dict[str, Any]) -> None:
        """Increase an index by one, and wake every call that waits for a change."""
        self._indexes[index] += 1
        self._last_change[index] = change
        self._changed.set()
        self._changed = asyncio.Event()


def check_fields(records: Iterable[Record]) -> None:
    """Check that every field of an invoice is valid.

    :raises MalformedError: one is not, or is unknown and even.
    """
    for record in records:
        if record.type in fields.FIELDS:
            fields.decode_field(record.type, record.value)
        elif record.type % 2 == 0:
            raise MalformedError(f"field {record.type}: unknown")


def known_fields(records: Iterable[Record]) -> tuple[Record, ...]:
    """The fields that BOLT 12 names."""
    return tuple(record for record in records if record.type in fields.FIELDS)


def relative_expiry(values: Mapping[int, bytes]) -> int:
    """Seconds from invoice_created_at to an invoice's end.

    :param values: the invoice's fields.
    """
    if fields.INVOICE_RELATIVE_EXPIRY not in values:
        return DEFAULT_RELATIVE_EXPIRY
    return int.from_bytes(values[fields.INVOICE_RELATIVE_EXPIRY], "big")
