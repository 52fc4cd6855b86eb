from __future__ import annotations

import pytest

from sendinvoice_cli.bolt12 import fields, invoice, tlv
from sendinvoice_cli.bolt12.invoice import BlindedPayinfo, PaymentPath
from sendinvoice_cli.bolt12.tlv import Record
from sendinvoice_cli.errors import MalformedError
from tests.support.requests_builder import (
    NODE_ID,
    OTHER_KEY,
    PAYER_KEY,
    PAYINFO,
    Changes,
    complete,
    path,
    point,
    records,
    request,
    signed,
    signed_invoice,
    unsigned_invoice,
)

_CHANGES = {
    fields.OFFER_METADATA: b"\0\0",
    fields.OFFER_ISSUER: "\u202eIssuer".encode(),
    33: b"odd",
    fields.INVREQ_FEATURES: b"\0\0\xaa",
    fields.INVREQ_PATHS: path(hops=2).encode(),
    159: b"",
    1_000_000_001: b"experimental",
    2_999_999_999: bytes(300),
}


@pytest.mark.parametrize("sign", [True, False], ids=["signed", "unsigned"])
def test_every_field_of_the_request_is_copied(sign: bool) -> None:
    unsigned = unsigned_invoice(request(_CHANGES, sign=sign))
    own = {164, 166, 168, 170, 174, 176}
    assert tuple(record for record in unsigned if record.type not in own) == records(_CHANGES)
    types = [record.type for record in unsigned]
    assert types == sorted(set(types))


def test_own_fields() -> None:
    found = dict(unsigned_invoice(amount_msat=123_456))
    assert found[fields.INVOICE_CREATED_AT] == tlv.encode_tu(1_700_000_000)
    assert found[fields.INVOICE_RELATIVE_EXPIRY] == bytes([90])
    assert found[fields.INVOICE_PAYMENT_HASH] == b"\x77" * 32
    assert found[fields.INVOICE_AMOUNT] == tlv.encode_tu(123_456)
    assert found[fields.INVOICE_NODE_ID] == NODE_ID
    # Bit 17 and no other: the payer may pay in parts.
    assert int.from_bytes(found[fields.INVOICE_FEATURES], "big") == 1 << 17
    assert fields.SIGNATURE not in found
    assert fields.INVOICE_PATHS not in found
    assert fields.INVOICE_BLINDEDPAY not in found


@pytest.mark.parametrize(
    ("seconds", "value"),
    [(7200, None), (7199, b"\x1c\x1f"), (1, b"\x01"), (2**32 - 1, b"\xff" * 4)],
)
def test_relative_expiry(seconds: int, value: bytes | None) -> None:
    """BOLT 12: an invoice that does not say lives for 7200 seconds."""
    found = dict(unsigned_invoice(relative_expiry=seconds))
    assert found.get(fields.INVOICE_RELATIVE_EXPIRY) == value


def test_payment_paths() -> None:
    payinfo = BlindedPayinfo(1, 2, 3, 4, 5, b"\xaa")
    found = dict(
        unsigned_invoice(
            payment_paths=[PaymentPath(path(hops=2), payinfo), PaymentPath(path(), PAYINFO)]
        )
    )
    assert found[fields.INVOICE_PATHS] == path(hops=2).encode() + path().encode()
    assert found[fields.INVOICE_BLINDEDPAY] == payinfo.encode() + PAYINFO.encode()


def test_payinfos_are_read_as_they_were_written() -> None:
    payinfos = (BlindedPayinfo(1, 2, 3, 4, 5, b"\xaa\xbb"), BlindedPayinfo(9, 8, 7, 6, 5))
    encoded = b"".join(payinfo.encode() for payinfo in payinfos)
    assert invoice.decode_payinfos(encoded) == payinfos
    with pytest.raises(MalformedError, match="cut short"):
        invoice.decode_payinfos(encoded[:-1])


def test_payinfo() -> None:
    encoded = BlindedPayinfo(1, 2, 3, 4, 5, b"\xaa\xbb").encode()
    assert encoded.hex() == "00000001000000020003" + "04".zfill(16) + "05".zfill(16) + ("0002aabb")


def test_string_round_trip() -> None:
    unsigned = unsigned_invoice(request(_CHANGES))
    text = invoice.encode(unsigned)
    assert text.startswith("lni1")
    assert invoice.decode(text) == unsigned


def test_the_invoice_asked_for() -> None:
    unsigned = unsigned_invoice(request(_CHANGES))
    invoice.check_signed(signed_invoice(unsigned), unsigned)


def test_the_invoice_asked_for_with_paths_of_ours() -> None:
    with_features = BlindedPayinfo(1, 2, 3, 4, 5, bytes(300))
    unsigned = unsigned_invoice(
        payment_paths=[PaymentPath(path(hops=2), with_features), PaymentPath(path(), PAYINFO)]
    )
    invoice.check_signed(signed_invoice(unsigned), unsigned)


def _tampered(unsigned: tuple[Record, ...], changes: Changes, message: str) -> None:
    with pytest.raises(MalformedError, match=f"^{message}"):
        invoice.check_signed(signed_invoice(unsigned, changes), unsigned)


@pytest.mark.parametrize("type_", [record.type for record in unsigned_invoice(request(_CHANGES))])
def test_each_field_changed_or_gone(type_: int) -> None:
    unsigned = unsigned_invoice(request(_CHANGES))
    name = f"{fields.field_name(type_)}: is not what was asked for"
    _tampered(unsigned, {type_: dict(unsigned)[type_] + b"\1"}, name)
    _tampered(unsigned, {type_: None}, name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({35: b""}, "field 35: was not asked for"),
        ({fields.INVOICE_FALLBACKS: b""}, "invoice_fallbacks: was not asked for"),
        ({2_999_999_997: b""}, "field 2999999997: was not asked for"),
        ({fields.INVOICE_PATHS: None}, "invoice_paths: missing"),
        ({fields.INVOICE_BLINDEDPAY: None}, "invoice_blindedpay: missing"),
        ({fields.INVOICE_PATHS: b""}, "invoice_paths: has no path"),
        ({fields.INVOICE_PATHS: path(hops=0).encode()}, "invoice_paths: a path has no hops"),
        ({fields.INVOICE_BLINDEDPAY: b""}, "invoice_blindedpay: 0 entries for 1 paths"),
        ({fields.INVOICE_BLINDEDPAY: PAYINFO.encode() * 2}, "invoice_blindedpay: 2 entries for 1"),
        ({fields.INVOICE_PATHS: path().encode() * 2}, "invoice_blindedpay: 1 entries for 2 paths"),
        ({fields.INVOICE_BLINDEDPAY: PAYINFO.encode()[:-1]}, "invoice_blindedpay: cut short"),
        ({fields.INVOICE_BLINDEDPAY: PAYINFO.encode() + b"\0"}, "invoice_blindedpay: cut short"),
    ],
)
def test_fields_added_wrongly(changes: Changes, message: str) -> None:
    _tampered(unsigned_invoice(), changes, message)


def test_odd_field_that_a_later_lightningd_adds_is_told_and_tolerated() -> None:
    """bolts PR 1280 has invoice_accountable (161), for example."""
    unsigned = unsigned_invoice()
    assert invoice.check_signed(signed_invoice(unsigned), unsigned) == ()
    signed = signed_invoice(unsigned, {239: b"\1", 161: b""})
    assert invoice.check_signed(signed, unsigned) == (161, 239)


@pytest.mark.parametrize("type_", [159, 160 + 2, 166, 178, 238, 241, 1001, 3_000_000_001])
def test_other_field_that_lightningd_adds_is_refused(type_: int) -> None:
    unsigned = unsigned_invoice(payment_paths=[PaymentPath(path(), PAYINFO)])
    with pytest.raises(MalformedError):
        invoice.check_signed(signed_invoice(unsigned, {type_: b"\1"}), unsigned)


def test_paths_of_ours_replaced() -> None:
    unsigned = unsigned_invoice(payment_paths=[PaymentPath(path(hops=2), PAYINFO)])
    _tampered(unsigned, {fields.INVOICE_PATHS: path().encode()}, "invoice_paths: is not what")


def test_relative_expiry_added() -> None:
    unsigned = unsigned_invoice(relative_expiry=7200)
    _tampered(unsigned, {fields.INVOICE_RELATIVE_EXPIRY: b"\1"}, "invoice_relative_expiry: was not")


@pytest.mark.parametrize(
    "tampered",
    [
        pytest.param(signed_invoice(unsigned_invoice(), key=OTHER_KEY), id="another key"),
        pytest.param(
            signed(complete(unsigned_invoice()), PAYER_KEY, "invoice_request"), id="the payer"
        ),
        pytest.param(
            (*complete(unsigned_invoice()), Record(fields.SIGNATURE, bytes(64))), id="zeros"
        ),
        pytest.param(complete(unsigned_invoice()), id="none"),
        pytest.param(
            (*complete(unsigned_invoice()), Record(fields.SIGNATURE, bytes(63))), id="63 bytes"
        ),
    ],
)
def test_bad_signatures(tampered: tuple[Record, ...]) -> None:
    with pytest.raises(MalformedError, match=r"^signature: "):
        invoice.check_signed(tampered, unsigned_invoice())


def test_another_node_with_its_own_signature() -> None:
    unsigned = unsigned_invoice()
    changes = {fields.INVOICE_NODE_ID: point(OTHER_KEY)}
    with pytest.raises(MalformedError, match=r"^invoice_node_id: is not what was asked for"):
        invoice.check_signed(signed_invoice(unsigned, changes, OTHER_KEY), unsigned)


def test_an_invoice_answers_its_request() -> None:
    asked = request(_CHANGES)
    assert invoice.answers(signed_invoice(unsigned_invoice(asked)), asked)
    # Signed or not is the same request.
    assert invoice.answers(unsigned_invoice(asked), request(_CHANGES, sign=False))


@pytest.mark.parametrize(
    "changes",
    [
        {fields.INVREQ_METADATA: b"other"},
        {fields.OFFER_DESCRIPTION: None},
        {35: b""},
        {2_999_999_999: b"other"},
    ],
)
def test_an_invoice_of_another_request(changes: Changes) -> None:
    other = request({**_CHANGES, **changes})
    assert not invoice.answers(unsigned_invoice(request(_CHANGES)), other)


@pytest.mark.parametrize("text", ["", "lnr1qq", "lni1", "lni1qqq"])
def test_strings_that_are_no_invoice(text: str) -> None:
    with pytest.raises(MalformedError):
        invoice.decode(text)
