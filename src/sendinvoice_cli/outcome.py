"""What users are told: what the payer offers, the outcome, a batch's results and counts."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import ExitStatus, SendInvoiceError

if TYPE_CHECKING:
    from .bolt12.invoice_request import InvoiceRequest


class Offered(NamedTuple):
    """What the payer offers, as the JSON object ``request``.

    :param amount_msat: invreq_amount, None when the request leaves it open.
    :param payer_id: 33-byte point, in hex.
    :param absolute_expiry: UNIX seconds, None for never.
    :param offer_amount: amount of one item, in ``currency`` or, without one, in msat.
    :param bip_353_name: ``user@domain``.
    :param signed: whether the request carries a signature, which then is valid.
    :param paths: number of blinded paths to the payer.
    """

    amount_msat: int | None
    description: str | None
    issuer: str | None
    payer_note: str | None
    payer_id: str
    absolute_expiry: int | None
    quantity: int | None
    quantity_max: int | None
    currency: str | None
    offer_amount: int | None
    bip_353_name: str | None
    signed: bool
    paths: int

    @classmethod
    def of(cls, invreq: "InvoiceRequest") -> "Offered":
        """What the payer offers with an invoice_request."""
        return cls(
            amount_msat=invreq.amount_msat,
            description=invreq.description,
            issuer=invreq.issuer,
            payer_note=invreq.payer_note,
            payer_id=invreq.payer_id.hex(),
            absolute_expiry=invreq.expires_at,
            quantity=invreq.quantity,
            quantity_max=invreq.quantity_max,
            currency=invreq.currency,
            offer_amount=invreq.offer_amount,
            bip_353_name=invreq.bip_353_name,
            signed=invreq.is_signed,
            paths=len(invreq.paths),
        )

    def as_json(self) -> dict[str, Any]:
        """The fields that are present."""
        return {name: value for name, value in self._asdict().items() if value is not None}


class Outcome(NamedTuple):
    """How one request ended.

    :param known: the JSON fields of the result, as far as they are known.
    :param error: None for success.
    :param ended_at: UNIX seconds.
    :param warnings: what was warned of meanwhile.
    """

    known: Mapping[str, Any]
    error: SendInvoiceError | None
    ended_at: int
    warnings: Sequence[str] = ()

    @property
    def exit_status(self) -> ExitStatus:
        """The status that the command exits with."""
        return ExitStatus.PAID if self.error is None else self.error.exit_status

    def as_json(self) -> dict[str, Any]:
        """The JSON object of this result."""
        unknown = {name: None for name in ("status", "request") if name not in self.known}
        return {
            **self.known,
            **unknown,
            "warnings": list(self.warnings),
            "ended_at": self.ended_at,
            "exit_code": int(self.exit_status),
            "error": None if self.error is None else self.error.as_json(),
        }


class Result(NamedTuple):
    """The outcome of one row of a batch.

    :param row: number of the row, 1 for the first request.
    :param line: line of the file on which the row begins, 1 for the first.
    """

    row: int
    line: int
    outcome: Outcome

    def as_json(self) -> dict[str, Any]:
        """The JSON object of this result, with ``row`` and ``line`` in front."""
        return {"row": self.row, "line": self.line, **self.outcome.as_json()}


class Counts(NamedTuple):
    """How far a batch is, in rows; ``total`` is None until the whole file is read."""

    paid: int
    failed: int
    waiting: int
    total: int | None
