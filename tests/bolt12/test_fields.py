from __future__ import annotations

import pytest

from sendinvoice_cli.bolt12 import fields
from sendinvoice_cli.bolt12.blinded_path import ShortChannelIdDirection
from sendinvoice_cli.errors import MalformedError
from tests.bolt12.test_blinded_path import NOT_POINTS
from tests.support.requests_builder import NODE_ID, path

TU64 = [
    fields.OFFER_AMOUNT,
    fields.OFFER_ABSOLUTE_EXPIRY,
    fields.OFFER_QUANTITY_MAX,
    fields.INVREQ_AMOUNT,
    fields.INVREQ_QUANTITY,
    fields.INVOICE_CREATED_AT,
    fields.INVOICE_AMOUNT,
]
UTF8 = [
    fields.OFFER_CURRENCY,
    fields.OFFER_DESCRIPTION,
    fields.OFFER_ISSUER,
    fields.INVREQ_PAYER_NOTE,
]
POINTS = [fields.OFFER_ISSUER_ID, fields.INVREQ_PAYER_ID, fields.INVOICE_NODE_ID]
PATHS = [fields.OFFER_PATHS, fields.INVREQ_PATHS, fields.INVOICE_PATHS]

NOT_UTF8 = {
    "no lead byte": b"\xff",
    "cut short": b"abc\xc3",
    "overlong": b"\xc0\x80",
    "surrogate": b"\xed\xa0\x80",
    "beyond U+10FFFF": b"\xf4\x90\x80\x80",
}


def _refuse(type_: int, value: bytes, reason: str) -> None:
    """The field must be refused, by its name and the rule."""
    with pytest.raises(MalformedError, match=f"^{fields.field_name(type_)}: .*{reason}"):
        fields.decode_field(type_, value)


# BOLT 12's tables, once more: a wrong number would talk about another field.
@pytest.mark.parametrize(
    ("type_", "name"),
    [
        (0, "invreq_metadata"),
        (2, "offer_chains"),
        (4, "offer_metadata"),
        (6, "offer_currency"),
        (8, "offer_amount"),
        (10, "offer_description"),
        (12, "offer_features"),
        (14, "offer_absolute_expiry"),
        (16, "offer_paths"),
        (18, "offer_issuer"),
        (20, "offer_quantity_max"),
        (22, "offer_issuer_id"),
        (80, "invreq_chain"),
        (82, "invreq_amount"),
        (84, "invreq_features"),
        (86, "invreq_quantity"),
        (88, "invreq_payer_id"),
        (89, "invreq_payer_note"),
        (90, "invreq_paths"),
        (91, "invreq_bip_353_name"),
        (160, "invoice_paths"),
        (162, "invoice_blindedpay"),
        (164, "invoice_created_at"),
        (166, "invoice_relative_expiry"),
        (168, "invoice_payment_hash"),
        (170, "invoice_amount"),
        (172, "invoice_fallbacks"),
        (174, "invoice_features"),
        (176, "invoice_node_id"),
        (240, "signature"),
        (78, "field 78"),
        (1_000_000_001, "field 1000000001"),
    ],
)
def test_names(type_: int, name: str) -> None:
    assert fields.field_name(type_) == name


@pytest.mark.parametrize(
    ("type_", "shared"),
    [
        (0, True),
        (159, True),
        (160, False),
        (240, False),
        (999_999_999, False),
        (1_000_000_000, True),
        (2_999_999_999, True),
        (3_000_000_000, False),
    ],
)
def test_fields_that_request_and_invoice_share(type_: int, shared: bool) -> None:
    assert fields.is_request_field(type_) is shared


@pytest.mark.parametrize("type_", TU64)
def test_integers(type_: int) -> None:
    assert fields.decode_field(type_, b"\xff" * 8) == 2**64 - 1
    _refuse(type_, b"\0", "leading zero")
    _refuse(type_, b"\0\x01", "leading zero")
    _refuse(type_, b"\x01" * 9, "9 bytes")


def test_relative_expiry_is_smaller() -> None:
    assert fields.decode_field(fields.INVOICE_RELATIVE_EXPIRY, b"\xff" * 4) == 2**32 - 1
    _refuse(fields.INVOICE_RELATIVE_EXPIRY, b"\x01" * 5, "5 bytes")


@pytest.mark.parametrize("type_", UTF8)
@pytest.mark.parametrize("value", NOT_UTF8.values(), ids=list(NOT_UTF8))
def test_not_utf8(type_: int, value: bytes) -> None:
    _refuse(type_, value, "UTF-8")


@pytest.mark.parametrize("type_", UTF8)
def test_utf8(type_: int) -> None:
    assert fields.decode_field(type_, "₿ \0\x1b".encode()) == "₿ \0\x1b"


@pytest.mark.parametrize("type_", POINTS)
@pytest.mark.parametrize("value", NOT_POINTS.values(), ids=list(NOT_POINTS))
def test_not_points(type_: int, value: bytes) -> None:
    _refuse(type_, value, "not a valid public key")


@pytest.mark.parametrize("type_", PATHS)
def test_paths(type_: int) -> None:
    _refuse(type_, b"", "has no path")
    _refuse(type_, path(hops=0).encode(), "a path has no hops")
    _refuse(type_, path().encode()[:-1], "cut short")
    _refuse(type_, path(ShortChannelIdDirection(0, 2)).encode(), "not a valid public key")
    assert fields.decode_field(type_, path().encode()) == (path(),)


@pytest.mark.parametrize(
    ("type_", "size"),
    [(fields.INVREQ_CHAIN, 32), (fields.INVOICE_PAYMENT_HASH, 32), (fields.SIGNATURE, 64)],
)
def test_sizes(type_: int, size: int) -> None:
    assert fields.decode_field(type_, bytes(size)) == bytes(size)
    for wrong in (0, size - 1, size + 1):
        _refuse(type_, bytes(wrong), f"has {wrong} bytes, must have {size}")


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (b"\x05alice\x0bexample.com", ("alice", "example.com")),
        (b"\x00\x00", ("", "")),
        (b"\x07A-Z_0.9\x02-_", ("A-Z_0.9", "-_")),
    ],
)
def test_bip_353_names(value: bytes, name: tuple[str, str]) -> None:
    assert fields.decode_field(fields.INVREQ_BIP_353_NAME, value) == name


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "cut short"),
        (b"\x01", "cut short"),
        (b"\x01a", "cut short"),
        (b"\x01a\x02b", "cut short"),
        (b"\xff" + b"a" * 200, "cut short"),
        (b"\x01a\x01bc", "bytes after its end"),
        (b"\x01@\x01b", "character"),
        (b"\x01a\x01\x00", "character"),
        (b"\x02a b"[:3] + b"\x01b", "character"),
        (b"\x01a\x02\xc3\xa9", "character"),
        ("\x03\N{BITCOIN SIGN}\x01b".encode(), "character"),
    ],
)
def test_malformed_bip_353_names(value: bytes, reason: str) -> None:
    _refuse(fields.INVREQ_BIP_353_NAME, value, reason)


@pytest.mark.parametrize(
    ("features", "bit"),
    [
        ("", None),
        ("00", None),
        ("aa", None),
        ("aa" * 20, None),
        ("01", 0),
        ("03", 0),
        ("0100", 8),
        ("4000", 14),
        ("04000000000000000000000000000000", 122),
        ("aaaaaa50", 4),
    ],
)
def test_unknown_features(features: str, bit: int | None) -> None:
    assert fields.unknown_feature(bytes.fromhex(features)) == bit


def test_points_are_returned_as_they_came() -> None:
    assert fields.decode_field(fields.INVREQ_PAYER_ID, NODE_ID) == NODE_ID
