"""The formats of a batch: CSV with a header, JSON Lines, JSON over several lines, JSON arrays."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from ..errors import UsageError
from .file import MAX_LINE, join_pieces

COLUMNS = ("invreq", "label", "amount_msat", "timeout", "quantity")
REQUIRED = COLUMNS[:2]
EXAMPLE = (
    "a batch is a line invreq,label and then a line like lnr1...,refund-1 for each request; "
    'or lines like {"invreq": "lnr1...", "label": "refund-1"}; '
    f"{', '.join(COLUMNS[2:])} may be given, too"
)

_DELIMITERS = ",;\t"
#: Most lines, or parts of a long line, of one JSON object.
_MAX_PIECES = 100
_SPACE = re.compile(r"[ \t\n]*")
_SPACE_OR_COMMA = re.compile(r"[ \t\n,]*")

#: What a row holds, by column, or why it cannot be read.
Values = Mapping[str, Any] | UsageError


def read_values(pieces: Iterable[str]) -> Iterator[tuple[int, Values]]:
    """Read the rows of a file as they come.

    :param pieces: lines, or parts of long lines, as file.read_pieces() gives them.
    :returns: for each row the line on which it begins, 1 for the first, and what it holds.
    :raises UsageError: the header of a CSV lacks a column, or has an unknown one.
    """
    rest = iter(pieces)
    line = 1
    for piece in rest:
        start = piece.lstrip()
        if start:
            break
        line += 1
    else:
        return iter(())
    rest = chain((piece,), rest)
    if start.startswith("[") or (start.startswith("{") and _is_part(piece)):
        return _read_json(rest, line)
    read = _read_json_lines if start.startswith("{") else _read_csv
    return read(join_pieces(rest), line)


# --- JSON ---


def _is_part(text: str) -> bool:
    """Whether a text can be the beginning of a JSON object that goes on."""
    try:
        json.loads(text)
    except json.JSONDecodeError as failure:
        return _may_go_on(failure)
    except (ValueError, RecursionError):
        pass
    return False


def _may_go_on(failure: json.JSONDecodeError) -> bool:
    return failure.pos >= len(failure.doc.rstrip()) or not failure.doc.endswith("\n")


def _read_json_lines(lines: Iterable[str], first: int) -> Iterator[tuple[int, Values]]:
    for line, text in enumerate(lines, start=first):
        if not text.strip():
            continue
        try:
            yield line, _as_row(json.loads(text, object_pairs_hook=_object))
        except (ValueError, RecursionError) as failure:
            reason = _reason(failure, is_whole=len(text) < MAX_LINE)
            yield line, UsageError(f"this line is not JSON: {reason}", hint=EXAMPLE)


def _read_json(pieces: Iterator[str], line: int) -> Iterator[tuple[int, Values]]:
    """Read objects of any layout, one after the other, or in an array."""
    decode = json.JSONDecoder(object_pairs_hook=_object).raw_decode
    text, at, taken, is_array = next(pieces), 0, 1, False
    while True:
        space = (_SPACE_OR_COMMA if is_array else _SPACE).match(text, at)
        assert space is not None
        line += space[0].count("\n")
        at = space.end()
        if at == len(text):
            text, at, taken = next(pieces, ""), 0, 1
            if text:
                continue
            if is_array:
                yield (
                    line,
                    UsageError(
                        "the list ends without a ]", hint="is the file whole? save or copy it again"
                    ),
                )
            return
        if text[at] == ("]" if is_array else "["):
            is_array = not is_array
            at += 1
            continue
        try:
            value, end = decode(text, at)
        except (ValueError, RecursionError) as failure:
            may_go_on = isinstance(failure, json.JSONDecodeError) and _may_go_on(failure)
            piece = next(pieces, "") if may_go_on and taken < _MAX_PIECES else ""
            if not piece:
                reason = _reason(failure, is_whole=taken < _MAX_PIECES)
                message = f"from here on it is not JSON: {reason}; nothing more was read"
                yield line, UsageError(message, hint=EXAMPLE)
                return
            text, at, taken = text[at:] + piece, 0, taken + 1
            continue
        yield line, _as_row(value)
        line += text.count("\n", at, end)
        at = end


def _object(pairs: list[tuple[str, Any]]) -> Values:
    values = dict(pairs)
    if len(values) == len(pairs):
        return values
    return UsageError("the row names a column twice", hint="which value is meant?")


def _as_row(value: Any) -> Values:
    if isinstance(value, Mapping | UsageError):
        return value
    return UsageError("not a row: no JSON object, which has { and } around it", hint=EXAMPLE)


def _reason(failure: Exception, *, is_whole: bool) -> str:
    if is_whole and isinstance(failure, json.JSONDecodeError):
        return failure.msg.removesuffix(" at").removesuffix(" starting")
    return "it is too long"


# --- CSV ---


def _read_csv(lines: Iterator[str], first: int) -> Iterator[tuple[int, Values]]:
    header_line = next(lines)
    reader = csv.reader(
        chain((header_line,), lines),
        delimiter=max(_DELIMITERS, key=header_line.count),
        skipinitialspace=True,
        strict=True,
    )
    try:
        header = [column.strip().lower() for column in next(reader)]
    except csv.Error as failure:
        raise UsageError(f"the first line is not CSV: {failure}", hint=EXAMPLE) from None
    _check_header(header)
    while True:
        line = first + reader.line_num
        try:
            fields = [field.strip() for field in next(reader)]
        except StopIteration:
            return
        except csv.Error as failure:
            swallowed = first + reader.line_num - line - 1
            if swallowed or "unexpected end" in str(failure):
                # The lines after it may be part of its value, or rows: nobody can tell.
                yield (
                    line,
                    UsageError(
                        "a quote that opens here is never closed; nothing after it was read",
                        hint="close it, or write a quote within a value twice",
                    ),
                )
                return
            yield line, UsageError(f"not CSV: {failure}", hint=EXAMPLE)
            continue
        if any(fields[len(header) :]):
            yield (
                line,
                UsageError(
                    "the row has more values than there are columns",
                    hint="put a value that has a comma in it in double quotes",
                ),
            )
        else:
            yield line, {name: value for name, value in zip(header, fields) if name or value}  # noqa: B905


def _check_header(header: list[str]) -> None:
    names = [column for column in header if column]
    for column in names:
        if column.startswith("lnr1"):
            raise UsageError("the first line is a request, but must name columns", hint=EXAMPLE)
        if any(delimiter in column for delimiter in _DELIMITERS):
            raise UsageError(
                "the first line is in quotes as a whole", hint=f"save it without; {EXAMPLE}"
            )
        if column not in COLUMNS:
            raise UsageError(f"{column!r} is not a column of a batch", hint=EXAMPLE)
    if len(set(names)) < len(names):
        raise UsageError("a column is named twice", hint=EXAMPLE)
    for column in REQUIRED:
        if column not in names:
            raise UsageError(f"there is no column {column!r}", hint=EXAMPLE)
