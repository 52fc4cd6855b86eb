"""lightningd's invoices: the only memory that this command has."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from ..errors import LabelTakenError, LightningdError
from .rpc import answers
from .rpc.client import CALL_SECONDS, Client

LABEL_TAKEN = 900
#: How ``waitinvoice`` fails when the invoice has expired, and when it does not exist (any more).
_EXPIRED = 903
_DELETED = -1

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
_AMOUNTS = {"amount_msat", "amount_received_msat"}
_NUMBERS = {"created_index", "updated_index", "pay_index", "expires_at", "paid_at"}
_REQUIRED = {"label", "payment_hash", "status", "expires_at"}
#: The order in which an invoice goes through its statuses.
_STATUS_ORDER = {"unpaid": 0, "expired": 1, "paid": 2}

#: Most changes asked for at once.
_PAGE = 500


class StoredInvoice(NamedTuple):
    """An invoice as lightningd last reported it.

    :param fields: the documented fields, amounts as integers (msat). They include the preimage
        only once the invoice is paid.
    """

    fields: Mapping[str, Any]

    @classmethod
    def read(cls, answer: Mapping[str, Any]) -> "StoredInvoice":
        """Take the documented fields out of lightningd's answer.

        :raises (LookupError, TypeError, ValueError): a field that we rely on is missing or odd.
        """
        known = {name: answer[name] for name in RPC_FIELDS if name in answer}
        for name in known.keys() & _AMOUNTS:
            known[name] = answers.amount(known[name])
        for name in known.keys() & _NUMBERS:
            answers.number(known[name], answers.MAX_U64)
        if not known.keys() >= _REQUIRED:
            raise KeyError
        if _STATUS_ORDER[known["status"]] < _STATUS_ORDER["paid"]:
            known.pop("payment_preimage", None)
        return cls(known)

    @property
    def label(self) -> str:
        """The label, unique in lightningd."""
        return str(self.fields["label"])

    @property
    def status(self) -> str:
        """``unpaid``, ``expired`` or ``paid``."""
        return str(self.fields["status"])

    @property
    def is_paid(self) -> bool:
        """Whether it is paid, which is final."""
        return self.status == "paid"

    @property
    def expires_at(self) -> int:
        """When it can no longer be paid, UNIX seconds."""
        return int(self.fields["expires_at"])

    @property
    def amount_msat(self) -> int | None:
        """What it asks for, None for any amount."""
        return self.fields.get("amount_msat")

    @property
    def bolt12(self) -> str:
        """The ``lni1…`` string; empty for an invoice of another kind."""
        return str(self.fields.get("bolt12", ""))

    @property
    def payment_hash(self) -> str:
        """32 bytes, in hex."""
        return str(self.fields["payment_hash"])

    def updated(self, newer: "StoredInvoice") -> "StoredInvoice":
        """The newer of the two: a report that arrives later may still be the older one."""
        order = _STATUS_ORDER
        return newer if order[newer.status] >= order[self.status] else self


class Change(NamedTuple):
    """Something happened to an invoice.

    :param label: which one; None when lightningd does not say.
    :param invoice: its new state; None when it must be asked for.
    """

    label: str | None
    invoice: StoredInvoice | None = None


def create(
    client: Client, invstring: str, label: str, preimage: bytes, patience: float = CALL_SECONDS
) -> StoredInvoice:
    """Let lightningd sign and store an invoice (``createinvoice``).

    :param invstring: the unsigned ``lni1…`` string.
    :param preimage: 32 bytes.
    :param patience: seconds that lightningd gets to answer.
    :raises LabelTakenError: its ``data`` is the invoice that has the label.
    """
    try:
        answer = client.call(
            "createinvoice",
            {"invstring": invstring, "label": label, "preimage": preimage.hex()},
            patience=patience,
        )
    except LightningdError as failure:
        if failure.rpc_code == LABEL_TAKEN:
            raise label_taken_error(label, failure.data) from None
        raise
    with answers.reading("createinvoice"):
        return StoredInvoice.read(answer)


def label_taken_error(label: str, stored: Mapping[str, Any] | None) -> LabelTakenError:
    """The error for a label that another invoice has."""
    data = None
    with suppress(LightningdError), answers.reading("createinvoice"):
        data = StoredInvoice.read(stored).fields if stored else None
    return LabelTakenError(
        f"the label {label!r} belongs to another invoice", hint="choose another label", data=data
    )


def find(
    client: Client, label: str | None = None, *, payment_hash: str | None = None
) -> StoredInvoice | None:
    """The invoice with this label or payment_hash, None when there is none (``listinvoices``).

    :param payment_hash: 32 bytes, in hex.
    """
    by = {"label": label} if payment_hash is None else {"payment_hash": payment_hash}
    answer = client.call("listinvoices", by)
    with answers.reading("listinvoices"):
        found = answer["invoices"]
        return StoredInvoice.read(found[0]) if found else None


def delete(client: Client, label: str, status: str) -> None:
    """Delete an invoice that still has this status (``delinvoice``).

    :param status: ``unpaid`` or ``expired``.
    :raises LightningdError: its status has changed.
    """
    client.call("delinvoice", {"label": label, "status": status})


def wait_until_closed(client: Client, label: str) -> Iterator[Change]:
    """Yield once, when the invoice is paid, has expired or was deleted (``waitinvoice``).

    :raises UnreachableError: lightningd is gone.
    :raises LightningdError: lightningd's answer is malformed, or it cannot wait.
    """
    try:
        answer = client.call("waitinvoice", {"label": label}, patience=None)
    except LightningdError as failure:
        if failure.rpc_code not in (_EXPIRED, _DELETED):
            raise
        yield Change(label)
    else:
        with answers.reading("waitinvoice"):
            closed = StoredInvoice.read(answer)
        yield Change(label, closed)


class Feed:
    """All changes of all invoices since it was created (``wait invoices updated``, ``… deleted``).

    lightningd's two indexes only grow, so :meth:`changes` and :meth:`deletions` miss nothing when
    they are called again after the connection broke.

    :raises UnreachableError: lightningd is gone.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._next_updated = self._wait("updated", 0)[0] + 1
        self._next_deleted = self._wait("deleted", 0)[0] + 1

    def changes(self) -> Iterator[Change]:
        """Yield every change. Blocks in between, and never ends.

        :raises UnreachableError: lightningd is gone.
        """
        while True:
            index, _ = self._wait("updated", self._next_updated)
            while True:
                page = self._client.call(
                    "listinvoices",
                    {"index": "updated", "start": self._next_updated, "limit": _PAGE},
                )["invoices"]
                for changed in page:
                    self._next_updated = int(changed["updated_index"]) + 1
                    yield Change(changed["label"], StoredInvoice.read(changed))
                if len(page) < _PAGE:
                    break
            # The invoice with this index may have been deleted by now.
            self._next_updated = max(self._next_updated, index + 1)

    def deletions(self) -> Iterator[Change]:
        """Yield every deletion. Blocks in between, and never ends.

        :raises UnreachableError: lightningd is gone.
        """
        while True:
            index, label = self._wait("deleted", self._next_deleted)
            if index > self._next_deleted:
                label = None
            self._next_deleted = index + 1
            yield Change(label)

    def _wait(self, name: str, index: int) -> tuple[int, str | None]:
        """Wait until an index reaches a number.

        :returns: the index, and the label of the changed invoice if lightningd says it.
        """
        answer = self._client.call(
            "wait",
            {"subsystem": "invoices", "indexname": name, "nextvalue": index},
            patience=None if index else CALL_SECONDS,
        )
        with answers.reading("wait"):
            # "details" before v25.05.
            details = answer.get("invoices") or answer.get("details") or {}
            return int(answer.get(name, 0)), details.get("label")
