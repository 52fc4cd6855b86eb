"""The file of a batch: JSON Lines, or CSV with a header, read as it comes."""

from __future__ import annotations

import codecs
import csv
import json
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

from ..errors import SendInvoiceError, UsageError
from ..request import Request, parse_amount, parse_quantity, parse_timeout

COLUMNS = ("invreq", "label", "amount_msat", "timeout", "quantity")
_REQUIRED = ("invreq", "label")
_PARSERS = {
    "amount_msat": parse_amount,
    "timeout": parse_timeout,
    "quantity": parse_quantity,
}


#: Longest line that is read, in characters. An invoice_request has at most 65,536.
MAX_LINE = 2**20
_READ_SIZE = 2**16


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


def lines_of(descriptor: int) -> Iterator[str]:
    """Read the lines of a file as they come; bytes that are not UTF-8 become lone surrogates.

    A line over MAX_LINE characters is cut, so its row cannot be read.

    This uses no file object: a thread that waits for input would hold the object's lock, and
    the process could not end.

    :param descriptor: of the open file.
    :raises UsageError: it cannot be read.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    rest = ""
    try:
        while data := os.read(descriptor, _READ_SIZE):
            *lines, rest = (rest + decoder.decode(data)).split("\n")
            for line in lines:
                yield line[:MAX_LINE] + "\n"
            rest = rest[:MAX_LINE]
    except OSError as failure:
        raise UsageError(f"cannot read the batch: {failure.strerror}") from None
    if rest := rest + decoder.decode(b"", final=True):
        yield rest


def read(lines: Iterable[str], defaults: Request) -> Iterator[Row]:
    """Read rows one by one, so that work begins before the file has ended.

    The first line tells the format: an object makes it JSON Lines, anything
    else is a CSV header.

    :param defaults: values for what a row leaves out.
    :raises UsageError: the header lacks a column, or has an unknown one.
    """
    iterator = iter(lines)
    skipped = 0
    first = ""
    for line in iterator:
        first = line.lstrip("\ufeff")
        if first.strip():
            break
        skipped += 1
    if not first.strip():
        return
    rest = chain((first,), iterator)
    values = _read_json if first.lstrip().startswith("{") else _read_csv
    for number, (line_number, row) in enumerate(values(rest), start=1):
        yield _row(number, skipped + line_number, row, defaults)


def _read_json(lines: Iterable[str]) -> Iterator[tuple[int, Any]]:
    for line_number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        yield line_number, value


class _Lines:
    """An iterator of lines that remembers in ``taken`` which lines it has given out."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.taken: list[str] = []
        self._lines = iter(lines)
        self._again: deque[str] = deque()

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self.taken.append(line)
        return line

    def put_back(self, lines: Sequence[str]) -> None:
        """Give these lines out again."""
        self._again.extendleft(reversed(lines))


def _read_csv(lines: Iterable[str]) -> Iterator[tuple[int, Any]]:
    source = _Lines(lines)
    reader = csv.reader(source, strict=True)
    try:
        header = [column.strip() for column in next(reader)]
    except csv.Error as failure:
        raise UsageError(f"the first line is not CSV: {failure}") from None
    _check_header(header)
    next_line = 1
    while True:
        next_line += len(source.taken)
        line_number = next_line
        source.taken.clear()
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error:
            # An unclosed quote swallows the lines after it: only the first line is bad.
            source.put_back(source.taken[1:])
            del source.taken[1:]
            reader = csv.reader(source, strict=True)
            yield line_number, None
            continue
        if not fields:
            continue
        row: dict[str, Any] | None = None
        if len(fields) <= len(header):
            row = {column: value for column, value in zip(header, fields) if value}  # noqa: B905
        yield line_number, row


def _check_header(header: list[str]) -> None:
    expected = f"the first line must be a JSON object, or a CSV header of {', '.join(COLUMNS)}"
    for column in header:
        if column not in COLUMNS:
            raise UsageError(f"{column!r} is not a column of a batch", hint=expected)
    if len(set(header)) < len(header):
        raise UsageError("a column is named twice", hint=expected)
    for column in _REQUIRED:
        if column not in header:
            raise UsageError(f"there is no column {column!r}", hint=expected)


def _row(number: int, line: int, values: Any, defaults: Request) -> Row:
    label = values.get("label") if isinstance(values, Mapping) else None
    label = label if isinstance(label, str) else None
    try:
        return Row(number, line, _request(values, defaults), label=label)
    except SendInvoiceError as failure:
        return Row(number, line, None, failure, label)


def _request(values: Any, defaults: Request) -> Request:
    if not isinstance(values, Mapping):
        raise UsageError("not a row: neither a JSON object nor CSV that fits the header")
    for name in values:
        if name not in COLUMNS:
            raise UsageError(f"{name!r} is not one of {', '.join(COLUMNS)}")
    for name in _REQUIRED:
        if not values.get(name):
            raise UsageError(f"{name} is missing")
        if not isinstance(values[name], str):
            raise UsageError(f"{name} is not text")
    chosen: dict[str, Any] = {name: values[name] for name in _REQUIRED}
    for name, parse in _PARSERS.items():
        value = values.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise UsageError(f"{name} is neither a number nor text")
        chosen[name] = parse(str(value))
    return defaults._replace(**chosen)
