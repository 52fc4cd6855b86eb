from __future__ import annotations

from itertools import product

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


def test_ldk_puts_the_length_in_front_which_tells_that_it_is_ldk() -> None:
    data = bytes.fromhex("0f050d") + b"RouteNotFound"
    assert invoice_error.decode(data) == InvoiceError("RouteNotFound", has_length=True)
    assert invoice_error.decode(data[1:]) == InvoiceError("RouteNotFound", has_length=False)


@given(
    st.text(max_size=300),
    st.none() | st.integers(0, 2**64 - 1),
    st.none() | st.binary(max_size=300),
)
def test_every_error_of_ldk_is_read(text: str, field: int | None, value: bytes | None) -> None:
    error = InvoiceError(text, field, value, has_length=True)
    assert invoice_error.decode(invoice_error.encode(error)) == error


def test_no_error_can_be_read_both_ways() -> None:
    """All short ones, made of the bytes that could be taken for types and lengths."""
    texts = ["".join(each) for size in range(5) for each in product("\0\1\3\4\5", repeat=size)]
    values = [
        None,
        *(bytes(each) for size in range(3) for each in product((0, 1, 3, 5), repeat=size)),
    ]
    for text, field, value in product(texts, (None, 0, 1, 3, 5, 0x0500, 0x0305), values):
        for has_length in (False, True):
            error = InvoiceError(text, field, value, has_length)
            assert invoice_error.decode(invoice_error.encode(error)) == error


@pytest.mark.parametrize(
    "data",
    [
        "0e050d",  # a length that is not that of what follows
        "10050d",
        "fd000f050d",  # not the shortest form
    ],
)
def test_another_length_in_front_is_refused(data: str) -> None:
    with pytest.raises(MalformedError):
        invoice_error.decode(bytes.fromhex(data) + b"RouteNotFound")
