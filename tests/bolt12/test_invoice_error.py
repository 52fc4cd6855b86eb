from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sendinvoice_cli.bolt12 import invoice_error, tlv
from sendinvoice_cli.bolt12.invoice_error import InvoiceError
from sendinvoice_cli.bolt12.tlv import Record
from sendinvoice_cli.errors import MalformedError


@given(
    st.text(),
    st.none() | st.integers(0, 2**64 - 1),
    st.none() | st.binary(max_size=300),
)
def test_round_trip(text: str, erroneous_field: int | None, suggested_value: bytes | None) -> None:
    error = InvoiceError(text, erroneous_field, suggested_value)
    assert invoice_error.decode(invoice_error.encode(error)) == error


@given(st.binary(max_size=60))
def test_any_bytes_are_an_error_or_refused(data: bytes) -> None:
    try:
        found = invoice_error.decode(data)
    except MalformedError:
        return
    assert isinstance(found.text, str)


def test_wire_form() -> None:
    """BOLT 12: erroneous_field 1, suggested_value 3, error 5."""
    error = invoice_error.decode(bytes.fromhex("0101aa0302beef05026e6f"))
    assert error == InvoiceError("no", 170, b"\xbe\xef")


def test_bytes_that_are_not_utf8_are_replaced() -> None:
    assert invoice_error.decode(b"\x05\x03a\xffb").text == "a\N{REPLACEMENT CHARACTER}b"


def test_no_text() -> None:
    assert invoice_error.decode(b"") == InvoiceError("")


def test_unknown_odd_fields_are_ignored() -> None:
    stream = tlv.encode_stream([Record(5, b"no"), Record(7, b"?")])
    assert invoice_error.decode(stream) == InvoiceError("no")


@pytest.mark.parametrize("data", ["010200aa", "0109" + "01" * 9, "05056e6f", "05"])
def test_malformed(data: str) -> None:
    with pytest.raises(MalformedError):
        invoice_error.decode(bytes.fromhex(data))
