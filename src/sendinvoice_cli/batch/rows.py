"""The rows of a batch: what each asks for, or why it cannot be read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ..bolt12 import invoice_request
from ..errors import SendInvoiceError, UsageError
from ..outcome import Offered, Outcome, Result
from ..request import Request, are_swapped, parse_amount, parse_quantity, parse_timeout
from .formats import COLUMNS, EXAMPLE, REQUIRED, Values, read_values

_PARSERS = {
    "amount_msat": parse_amount,
    "timeout": parse_timeout,
    "quantity": parse_quantity,
}
_SURROGATES = re.compile("[\ud800-\udfff]")


class Row(NamedTuple):
    """One row of the file.

    :param number: 1 for the first request.
    :param line: the line of the file on which it begins, 1 for the first.
    :param request: None when the row cannot be read.
    :param error: why it cannot be read.
    :param label: None when it cannot be read.
    """

    number: int
    line: int
    request: Request | None
    error: SendInvoiceError | None = None
    label: str | None = None


def read(pieces: Iterable[str], defaults: Request) -> Iterator[Row]:
    """Read rows one by one, so that work begins before the file has ended.

    Rows without any value are skipped.

    :param pieces: the text, as file.read_pieces() gives it.
    :param defaults: values for what a row leaves out.
    :raises UsageError: it is no batch, has no rows, or its first row cannot be read.
    """
    number = line = 0
    try:
        for line, found in read_values(pieces):
            values = found if isinstance(found, UsageError) else _given(found)
            if values:
                number += 1
                yield _row(number, line, values, defaults)
    except UsageError as failure:
        if not number:
            raise
        yield Row(number + 1, line + 1, None, failure)
    if not number:
        raise UsageError("the batch has no rows", hint=EXAMPLE)


def unanswered(row: Row, error: SendInvoiceError, ended_at: float) -> Result:
    """The result of a row for which nothing was done; it ended at ``ended_at`` (UNIX seconds).

    A request that cannot be read is the error that counts, as for a single one.
    """
    known: dict[str, Any] = {} if row.label is None else {"label": row.label}
    if row.request is not None:
        try:
            invreq = invoice_request.decode(row.request.invreq)
            known["request"] = Offered.of(invreq).as_json()
        except SendInvoiceError as unreadable:
            error = unreadable
    return Result(row.number, row.line, Outcome(known, error, int(ended_at)))


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are given, without the blanks around them."""
    stripped = (
        (name, value.strip() if isinstance(value, str) else value) for name, value in values.items()
    )
    return {name: value for name, value in stripped if value not in (None, "")}


def _row(number: int, line: int, values: Values, defaults: Request) -> Row:
    label = values.get("label") if isinstance(values, Mapping) else None
    # Whatever is reported of it must be text.
    label = _SURROGATES.sub("\ufffd", label) if isinstance(label, str) else None
    if isinstance(values, UsageError):
        return Row(number, line, None, values)
    try:
        return Row(number, line, _request(values, defaults), label=label)
    except SendInvoiceError as failure:
        return Row(number, line, None, failure, label)


def _request(values: Mapping[str, Any], defaults: Request) -> Request:
    for name, value in values.items():
        if name not in COLUMNS:
            raise UsageError(
                f"{name!r} is not one of {', '.join(COLUMNS)}"
                if name
                else f"the value {value!r} stands in a column without a name",
                hint="correct the name, or take the value out",
            )
        if isinstance(value, str) and _SURROGATES.search(value):
            raise UsageError(
                f"the {name} has bytes or characters that are not UTF-8",
                hint="save the file as UTF-8; a spreadsheet calls it CSV UTF-8",
            )
    for name in REQUIRED:
        if name not in values:
            raise UsageError(f"{name} is missing", hint=EXAMPLE)
        if not isinstance(values[name], str):
            raise UsageError(f"the {name} is not text", hint='put it in double quotes: "7"')
    if are_swapped(values["invreq"], values["label"]):
        raise UsageError("invreq and label are swapped", hint="the request belongs in invreq")
    chosen: dict[str, Any] = {name: values[name] for name in REQUIRED}
    for name, parse in _PARSERS.items():
        if name not in values:
            continue
        value = values[name]
        if isinstance(value, float):
            raise UsageError(
                f"{name} {value!r} is not a whole number", hint="write out all its digits"
            )
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise UsageError(f"{name} is neither a number nor text", hint=EXAMPLE)
        chosen[name] = parse(str(value))
    return defaults._replace(**chosen)
