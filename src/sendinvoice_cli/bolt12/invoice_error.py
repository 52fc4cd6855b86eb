"""The payer's refusal of an invoice (BOLT 12, "Invoice Errors")."""

from __future__ import annotations

from dataclasses import dataclass

from . import tlv
from .tlv import Record

ERRONEOUS_FIELD = 1
SUGGESTED_VALUE = 3
ERROR = 5


@dataclass(frozen=True)
class InvoiceError:
    """What the payer says is wrong.

    :param text: its words; bytes that are not UTF-8 are replaced.
    :param erroneous_field: type of the field it objects to, None when unsaid.
    :param suggested_value: bytes of a value it would accept there, None when unsaid.
    """

    text: str
    erroneous_field: int | None = None
    suggested_value: bytes | None = None


def decode(data: bytes) -> InvoiceError:
    """Read the content of onion message field 68.

    :raises MalformedError: not a TLV stream, or a bad erroneous_field.
    """
    values = dict(tlv.decode_stream(data))
    erroneous_field = None
    if ERRONEOUS_FIELD in values:
        erroneous_field = tlv.decode_tu(values[ERRONEOUS_FIELD], 8, "erroneous_field")
    return InvoiceError(
        text=values.get(ERROR, b"").decode("utf-8", "replace"),
        erroneous_field=erroneous_field,
        suggested_value=values.get(SUGGESTED_VALUE),
    )


def encode(error: InvoiceError) -> bytes:
    """The content of onion message field 68."""
    records = []
    if error.erroneous_field is not None:
        records.append(Record(ERRONEOUS_FIELD, tlv.encode_tu(error.erroneous_field)))
    if error.suggested_value is not None:
        records.append(Record(SUGGESTED_VALUE, error.suggested_value))
    records.append(Record(ERROR, error.text.encode()))
    return tlv.encode_stream(records)
