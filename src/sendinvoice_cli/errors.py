"""Every error, with its RPC code and its exit status.

The exit statuses and the codes are public API. The tables in the documentation
repeat :class:`ExitStatus` and the classes below; tests compare them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, ClassVar


class ExitStatus(IntEnum):
    """The command's exit statuses. One that is not listed means failure."""

    PAID = 0
    ERROR = 1
    USAGE = 2
    PARTLY_PAID = 3
    UNREACHABLE = 4
    OUTCOME_UNKNOWN = 5
    REQUEST_EXPIRED = 12
    NO_ROUTE = 13
    PAYER_ERROR = 14
    TIMED_OUT = 15
    LABEL_TAKEN = 20
    INTERRUPTED = 130
    TERMINATED = 143

    @property
    def meaning(self) -> str:
        """One line for the documentation."""
        return _MEANINGS[self]


_MEANINGS: Mapping[ExitStatus, str] = {
    ExitStatus.PAID: "paid (batch: all paid; dry run: could be sent)",
    ExitStatus.ERROR: "any other error",
    ExitStatus.USAGE: (
        "usage error, or the invoice_request is malformed or not one that can be answered; "
        "nothing was sent"
    ),
    ExitStatus.PARTLY_PAID: "batch: some paid, some not",
    ExitStatus.UNREACHABLE: "lightningd cannot be reached; nothing was sent",
    ExitStatus.OUTCOME_UNKNOWN: (
        "the connection to lightningd was lost after the invoice was created, and not regained: "
        "outcome unknown"
    ),
    ExitStatus.REQUEST_EXPIRED: "the request has expired",
    ExitStatus.NO_ROUTE: "no route to the payer",
    ExitStatus.PAYER_ERROR: "the payer answered with an error",
    ExitStatus.TIMED_OUT: "timed out unpaid",
    ExitStatus.LABEL_TAKEN: "the label belongs to another invoice, or to an expired one",
    ExitStatus.INTERRUPTED: "interrupted by SIGINT",
    ExitStatus.TERMINATED: "interrupted by SIGTERM",
}


class SendInvoiceError(Exception):
    """An error that no other class names.

    :param message: what happened, on one line.
    :param hint: what to do about it, on one line; None when there is nothing to do.
    :param data: more details, JSON-compatible.
    """

    #: The numeric code of the ``sendinvoice`` RPC.
    code: ClassVar[int] = -1
    #: The status the command exits with.
    exit_status: ClassVar[ExitStatus] = ExitStatus.ERROR

    def __init__(
        self, message: str, *, hint: str | None = None, data: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.data = data

    def as_json(self) -> dict[str, Any]:
        """The JSON object ``error``: ``code``, ``message``, ``hint`` and, where known, ``data``."""
        error: dict[str, Any] = {"code": self.code, "message": self.message, "hint": self.hint}
        if self.data is not None:
            error["data"] = dict(self.data)
        return error


class UsageError(SendInvoiceError):
    """The command was called wrongly."""

    code = -32602
    exit_status = ExitStatus.USAGE


class MalformedError(SendInvoiceError):
    """A BOLT 12 string, TLV stream or field breaks a rule of its encoding."""

    code = -32602
    exit_status = ExitStatus.USAGE


class UnanswerableRequestError(SendInvoiceError):
    """The invoice_request is well-formed, but not one that can be answered."""

    code = -32602
    exit_status = ExitStatus.USAGE


class UnreachableError(SendInvoiceError):
    """lightningd cannot be reached; nothing was sent."""

    exit_status = ExitStatus.UNREACHABLE


class OutcomeUnknownError(SendInvoiceError):
    """lightningd went away after the invoice was created, and did not come back."""

    exit_status = ExitStatus.OUTCOME_UNKNOWN


class LightningdError(SendInvoiceError):
    """lightningd refused a call, or answered with something that cannot be used.

    ``rpc_code`` is lightningd's own error code, None where it gave none.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        data: Mapping[str, Any] | None = None,
        rpc_code: int | None = None,
    ) -> None:
        super().__init__(message, hint=hint, data=data)
        self.rpc_code = rpc_code


class RequestExpiredError(SendInvoiceError):
    """The invoice_request has expired."""

    code = 1002
    exit_status = ExitStatus.REQUEST_EXPIRED


class NoRouteError(SendInvoiceError):
    """No way to reach the payer was found."""

    code = 1003
    exit_status = ExitStatus.NO_ROUTE


class PayerError(SendInvoiceError):
    """The payer answered with an error message.

    ``what_payer_did`` is its outcome in two or three words, such as ``refused``.
    """

    code = 1004
    exit_status = ExitStatus.PAYER_ERROR

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        data: Mapping[str, Any] | None = None,
        what_payer_did: str = "refused",
    ) -> None:
        super().__init__(message, hint=hint, data=data)
        self.what_payer_did = what_payer_did


class TimedOutError(SendInvoiceError):
    """The invoice was not paid in time."""

    code = 1005
    exit_status = ExitStatus.TIMED_OUT


class LabelTakenError(SendInvoiceError):
    """The label belongs to another invoice, or to an expired one."""

    code = 900
    exit_status = ExitStatus.LABEL_TAKEN


class InterruptedBySignalError(SendInvoiceError):
    """The user, or the system, stopped the command (SIGINT)."""

    exit_status = ExitStatus.INTERRUPTED


class TerminatedBySignalError(InterruptedBySignalError):
    """The command was told to end (SIGTERM)."""

    exit_status = ExitStatus.TERMINATED


def unexpected_error(failure: Exception) -> SendInvoiceError:
    """The error for what should not happen: a bug of ours, or an answer that nobody foresaw."""
    return SendInvoiceError(
        f"unexpected error: {type(failure).__name__}: {failure}",
        hint="this should not happen: report it where you got sendinvoice from, with what the same "
        "command prints with -v, and with the versions of sendinvoice and lightningd",
    )
