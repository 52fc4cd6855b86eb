"""The payer's error about an invoice (BOLT 12, "Invoice Errors")."""

from collections.abc import Mapping
from typing import NamedTuple

from ..errors import MalformedError
from . import tlv
from .tlv import Record

ERRONEOUS_FIELD = 1
SUGGESTED_VALUE = 3
ERROR = 5


class InvoiceError(NamedTuple):
    """What the payer says is wrong.

    :param text: its words, of any length; bytes that are not UTF-8 are replaced.
    :param erroneous_field: type of the field that it rejects, None when not given.
    :param suggested_value: bytes that it would accept there, None when not given.
    :param has_length: whether the stream's length stands in front of it, which only LDK does.
    """

    text: str
    erroneous_field: int | None = None
    suggested_value: bytes | None = None
    has_length: bool = False


def decode(data: bytes) -> InvoiceError:
    """Read the content of onion message field 68.

    BOLT 12 has a bare TLV stream there. LDK (0.1 to 0.3) writes the stream's length in
    front, as a BigSize. The two cannot be confused: in BOLT 12 every error has
    the field ``error`` (5), so a bare stream begins with a type of at most 5.
    As a length, that would leave at most 5 bytes, too few for an error.

    :raises MalformedError: not a TLV stream, or a bad erroneous_field.
    """
    values = _complete(data)
    has_length = False
    if values is None:
        values = _complete(_without_length(data))
        has_length = values is not None
    if values is None:
        # It breaks the rules, but its words may be readable.
        values = dict(tlv.decode_stream(data))
    erroneous_field = None
    if ERRONEOUS_FIELD in values:
        erroneous_field = tlv.decode_tu(values[ERRONEOUS_FIELD], 8, "erroneous_field")
    return InvoiceError(
        text=values.get(ERROR, b"").decode("utf-8", "replace"),
        erroneous_field=erroneous_field,
        suggested_value=values.get(SUGGESTED_VALUE),
        has_length=has_length,
    )


def encode(error: InvoiceError) -> bytes:
    """The content of onion message field 68, as BOLT 12 has it or, with ``has_length``, as LDK."""
    records = []
    if error.erroneous_field is not None:
        records.append(Record(ERRONEOUS_FIELD, tlv.encode_tu(error.erroneous_field)))
    if error.suggested_value is not None:
        records.append(Record(SUGGESTED_VALUE, error.suggested_value))
    records.append(Record(ERROR, error.text.encode()))
    stream = tlv.encode_stream(records)
    return tlv.encode_bigsize(len(stream)) + stream if error.has_length else stream


def _complete(data: bytes) -> Mapping[int, bytes] | None:
    """The fields if ``error`` is among them and no even type is; else None."""
    try:
        values = dict(tlv.decode_stream(data))
    except MalformedError:
        return None
    return values if ERROR in values and all(type_ % 2 for type_ in values) else None


def _without_length(data: bytes) -> bytes:
    """The bytes after a BigSize that is their exact length; else none."""
    try:
        length, start = tlv.decode_bigsize(data, 0)
    except MalformedError:
        return b""
    return data[start:] if length == len(data) - start else b""
