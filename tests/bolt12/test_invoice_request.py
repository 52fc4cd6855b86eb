from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sendinvoice_cli.bolt12 import fields, invoice_request, signature, string, tlv
from sendinvoice_cli.bolt12.blinded_path import ShortChannelIdDirection
from sendinvoice_cli.bolt12.invoice_request import MAX_AMOUNT_MSAT
from sendinvoice_cli.bolt12.tlv import Record
from sendinvoice_cli.errors import (
    ExitStatus,
    MalformedError,
    RequestExpiredError,
    SendInvoiceError,
    UnanswerableRequestError,
)
from tests.bolt12.test_blinded_path import NOT_POINTS
from tests.bolt12.test_fields import NOT_UTF8
from tests.support import vectors
from tests.support.requests_builder import (
    FIELDS,
    NODE_ID,
    OTHER_KEY,
    PAYER_ID,
    PAYER_KEY,
    Changes,
    encode,
    path,
    point,
    records,
    request,
    request_string,
    signed,
)

_TESTNET = bytes.fromhex("43497fd7f826957108f4a30fd9cec3aeba79972084e90ead01ea330900000000")


def _refused(text: str, error: type[SendInvoiceError], message: str) -> None:
    """The request must be refused, with this message, a next step, and as a usage error."""
    with pytest.raises(error, match=message) as refusal:
        invoice_request.decode(text)
    assert refusal.value.exit_status == ExitStatus.USAGE
    assert refusal.value.code == -32602
    assert refusal.value.hint


def test_a_full_request() -> None:
    changes = {
        fields.OFFER_METADATA: b"metadata",
        fields.OFFER_CURRENCY: b"EUR",
        fields.OFFER_AMOUNT: tlv.encode_tu(500),
        fields.OFFER_ABSOLUTE_EXPIRY: tlv.encode_tu(1_800_000_000),
        fields.OFFER_ISSUER: b"Issuer",
        fields.OFFER_QUANTITY_MAX: tlv.encode_tu(7),
        33: b"odd",
        fields.INVREQ_CHAIN: _TESTNET,
        fields.INVREQ_FEATURES: b"\xaa",
        fields.INVREQ_QUANTITY: tlv.encode_tu(3),
        fields.INVREQ_PAYER_NOTE: "note ₿".encode(),
        fields.INVREQ_PATHS: path().encode() + path(ShortChannelIdDirection(9, 1), 2).encode(),
        fields.INVREQ_BIP_353_NAME: b"\x05alice\x0bexample.com",
        1_000_000_001: b"experimental",
    }
    found = request(changes)
    assert found.metadata == FIELDS[fields.INVREQ_METADATA]
    assert found.payer_id == PAYER_ID
    assert found.chain == _TESTNET
    assert found.amount_msat == 100_000
    assert found.offer_amount == 500
    assert found.currency == "EUR"
    assert found.quantity == 3
    assert found.quantity_max == 7
    assert found.description == "A refund"
    assert found.issuer == "Issuer"
    assert found.payer_note == "note ₿"
    assert found.expires_at == 1_800_000_000
    assert found.paths == (path(), path(ShortChannelIdDirection(9, 1), 2))
    assert found.bip_353_name == "alice@example.com"
    assert found.is_signed
    assert found.signed_fields() == records(changes)
    assert found.records == signed(records(changes), PAYER_KEY)


def test_the_least_request() -> None:
    found = request({fields.OFFER_DESCRIPTION: None, fields.INVREQ_METADATA: b""}, sign=False)
    assert found.metadata == b""
    assert found.description is None
    assert found.chain is None
    assert found.quantity_max is None
    assert found.paths == ()
    assert found.bip_353_name is None
    assert not found.is_signed


def test_an_unsigned_refund_with_an_empty_description() -> None:
    """What LDK's Refund looks like."""
    found = request({fields.OFFER_DESCRIPTION: b""}, sign=False)
    assert found.description == ""
    assert not found.is_signed


def test_an_amount_of_the_offer_is_enough() -> None:
    found = request({fields.INVREQ_AMOUNT: None, fields.OFFER_AMOUNT: b"\x05"})
    assert (found.amount_msat, found.offer_amount) == (None, 5)


_ZERO_TYPES = (78, 158, 1_000_000_000, 2_999_999_998)
_OUTSIDE = (161, 239, 1001, 999_999_999, 3_000_000_000, 3_000_000_001, 2**64 - 1)
_OF_INVOICES = (160, 162, 164, 166, 168, 170, 172, 174, 176)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({0: None}, "the request has no invreq_metadata", id="no metadata"),
        pytest.param({88: None}, "the request has no invreq_payer_id", id="no payer_id"),
        pytest.param({82: None}, "the request names no amount", id="no amount"),
        pytest.param({22: NODE_ID}, "this request answers an offer", id="issuer_id"),
        pytest.param({16: path().encode()}, "this request answers an offer", id="offer_paths"),
        pytest.param({2: _TESTNET}, "the request has offer_chains, which only", id="chains"),
        pytest.param({12: b"\x02"}, "the request has offer_features, which only", id="features"),
        pytest.param({12: b""}, "the request has offer_features, which only", id="empty features"),
        pytest.param({6: b"USD"}, "the request names a currency without", id="currency alone"),
        pytest.param({82: b""}, r".*an amount of zero \(invreq_amount\)", id="amount 0"),
        pytest.param({8: b""}, r".*an amount of zero \(offer_amount\)", id="offer_amount 0"),
        pytest.param({8: b"", 6: b"USD"}, ".*an amount of zero", id="0 in a currency"),
        pytest.param(
            {82: tlv.encode_tu(MAX_AMOUNT_MSAT + 1)},
            "the request names more than all bitcoin",
            id="more than 21 million",
        ),
        pytest.param({10: b"a\0b"}, ".*NUL character in offer_description", id="NUL"),
        pytest.param({18: b"\0"}, ".*NUL character in offer_issuer", id="NUL in issuer"),
        pytest.param({89: b"a\0"}, ".*NUL character in invreq_payer_note", id="NUL in note"),
        pytest.param({82: b"\xff" * 8}, "the request names more than all bitcoin", id="2^64-1"),
        pytest.param({84: b"\x01"}, "the request requires feature 0,", id="feature 0"),
        pytest.param({84: b"\x40\x00"}, "the request requires feature 14,", id="feature 14"),
        pytest.param({84: b"\xff" * 30}, "the request requires feature 0,", id="all features"),
        *(
            pytest.param(
                {type_: b""}, f"the request has field {type_}, which this version", id=str(type_)
            )
            for type_ in (*_ZERO_TYPES, 242, 1000)
        ),
        *(
            pytest.param(
                {type_: b"x"},
                f"the request has {fields.field_name(type_)}, which no request",
                id=str(type_),
            )
            for type_ in (*_OUTSIDE, *_OF_INVOICES)
        ),
        *(
            pytest.param({type_: b""}, rf"recurring .* \(field {type_}\)", id=str(type_))
            for type_ in sorted(fields.RECURRENCE)
        ),
    ],
)
@pytest.mark.parametrize("sign", [True, False], ids=["signed", "unsigned"])
def test_unanswerable(changes: Changes, message: str, sign: bool) -> None:
    _refused(request_string(changes, sign=sign), UnanswerableRequestError, f"^{message}")


@pytest.mark.parametrize(
    ("type_", "value", "reason"),
    [
        *((type_, b"\0\x01", "leading zero") for type_ in (8, 14, 20, 82, 86)),
        *((type_, b"\x01" * 9, "9 bytes, at most 8 are allowed") for type_ in (8, 14, 20, 82, 86)),
        *((type_, b"\xff", "not valid UTF-8") for type_ in (6, 10, 18, 89)),
        *((10, value, "not valid UTF-8") for value in NOT_UTF8.values()),
        *((88, value, "not a valid public key") for value in NOT_POINTS.values()),
        *((22, value, "not a valid public key") for value in NOT_POINTS.values()),
        (80, bytes(31), "has 31 bytes, must have 32"),
        (80, bytes(33), "has 33 bytes, must have 32"),
        (90, b"", "has no path"),
        (90, path(hops=0).encode(), "a path has no hops"),
        (90, path().encode() + path().encode()[:-1], "a path is cut short"),
        (90, b"\x02" + b"\xff" * 32 + path().encode()[33:], "not a valid public key"),
        (90, b"\x01" + bytes(7), "a path is cut short"),
        (91, b"\x01a", "cut short"),
        (91, b"\x01a\x01b!", "bytes after its end"),
        (91, b"\x01a\x01!", "character"),
        (2, bytes(31), "32-byte chain hashes"),
        (16, b"", "has no path"),
    ],
)
def test_malformed_fields(type_: int, value: bytes, reason: str) -> None:
    text = request_string({type_: value}, sign=False)
    _refused(text, MalformedError, rf"damaged \({fields.field_name(type_)}: .*{reason}")


@pytest.mark.parametrize("size", [0, 63, 65])
def test_signatures_of_another_size(size: int) -> None:
    text = encode((*records(), Record(fields.SIGNATURE, bytes(size))))
    _refused(text, MalformedError, r"damaged \(signature: ")


def test_signature_of_somebody_else() -> None:
    text = encode(signed(records(), OTHER_KEY))
    _refused(text, UnanswerableRequestError, "signature is not the payer's")


def test_signature_of_another_message() -> None:
    text = encode(signed(records(), PAYER_KEY, "invoice"))
    _refused(text, UnanswerableRequestError, "signature is not the payer's")


@pytest.mark.parametrize(
    "changes",
    [
        {10: b"other"},
        {10: None},
        {82: tlv.encode_tu(100_001)},
        {88: point(OTHER_KEY)},
        {33: b"unknown and odd"},
        {2_999_999_999: b""},
    ],
)
def test_signature_covers_every_field(changes: Changes) -> None:
    sig = signature.sign("invoice_request", records(), PAYER_KEY)
    changed = sorted((*records(changes), Record(fields.SIGNATURE, sig)))
    _refused(encode(changed), UnanswerableRequestError, "signature is not the payer's")


@pytest.mark.parametrize("type_", [1, 33, 159, 1_000_000_001, 2_999_999_999])
def test_unknown_odd_fields_are_kept_and_signed(type_: int) -> None:
    found = request({type_: b"kept"})
    assert found.is_signed
    assert Record(type_, b"kept") in found.signed_fields()


@pytest.mark.parametrize("type_", [241, 999])
def test_unknown_odd_signatures_are_not_copied(type_: int) -> None:
    found = invoice_request.decode(
        encode(sorted((*signed(records(), PAYER_KEY), Record(type_, b"x"))))
    )
    assert found.is_signed
    assert found.signed_fields() == records()


def test_odd_features_are_ignored() -> None:
    assert request({fields.INVREQ_FEATURES: b"\xaa" * 20}).is_signed


@pytest.mark.parametrize("amount_msat", [1, MAX_AMOUNT_MSAT])
def test_amounts_at_the_limits(amount_msat: int) -> None:
    assert request({82: tlv.encode_tu(amount_msat)}).amount_msat == amount_msat


def test_twice_the_same_field() -> None:
    doubled = sorted((*records(), Record(10, b"B refund")))
    _refused(encode(doubled), MalformedError, "field 10 occurs twice")


def test_fields_out_of_order() -> None:
    _refused(encode(reversed(records())), MalformedError, "field 82 comes after field 88")


@pytest.mark.parametrize("prefix", ["lno", "lni", "lnbc"])
def test_other_strings(prefix: str) -> None:
    text = string.encode(prefix, tlv.encode_stream(records()))
    _refused(text, MalformedError, "does not begin with lnr1")


def test_a_request_of_the_bolts_answers_an_offer() -> None:
    vector = vectors.load("signatures")["signed_request"]
    _refused(vector["text"], UnanswerableRequestError, "answers an offer")


def test_size_limit() -> None:
    def with_note(size: int) -> str:
        return request_string({fields.INVREQ_PAYER_NOTE: b"x" * size})

    assert len(invoice_request.decode(with_note(40_000)).payer_note or "") == 40_000
    _refused(with_note(41_000), MalformedError, "longer than 65536")


@pytest.mark.parametrize(
    ("now", "ago"),
    [
        (1_700_000_000.5, "1 second"),
        (1_700_000_002, "2 seconds"),
        (1_700_000_060, "1 minute"),
        (1_700_007_199, "1 hour"),
        (1_700_172_800, "2 days"),
    ],
)
def test_expired(now: float, ago: str) -> None:
    found = request({fields.OFFER_ABSOLUTE_EXPIRY: tlv.encode_tu(1_700_000_000)})
    with pytest.raises(RequestExpiredError, match=f"expired {ago} ago"):
        invoice_request.check_expiry(found, now)


@pytest.mark.parametrize("expires_at", [None, 1_700_000_000, 2**64 - 1])
def test_not_expired(expires_at: int | None) -> None:
    value = None if expires_at is None else tlv.encode_tu(expires_at)
    invoice_request.check_expiry(request({fields.OFFER_ABSOLUTE_EXPIRY: value}), 1_700_000_000)
    if expires_at != 1_700_000_000:
        return
    with pytest.raises(RequestExpiredError):
        invoice_request.check_expiry(request({fields.OFFER_ABSOLUTE_EXPIRY: value}), 1_700_000_001)


# --- whatever comes in ---

_SAMPLES = [
    tlv.encode_stream(signed(records(), PAYER_KEY)),
    tlv.encode_stream(records()),
    tlv.encode_stream(
        signed(
            records(
                {
                    fields.OFFER_CURRENCY: b"EUR",
                    fields.OFFER_AMOUNT: b"\x05",
                    fields.OFFER_ABSOLUTE_EXPIRY: b"\x05",
                    fields.OFFER_QUANTITY_MAX: b"\x05",
                    fields.INVREQ_CHAIN: _TESTNET,
                    fields.INVREQ_PAYER_NOTE: b"note",
                    fields.INVREQ_PATHS: path(hops=2).encode()
                    + path(ShortChannelIdDirection(9, 1)).encode(),
                    fields.INVREQ_BIP_353_NAME: b"\x01a\x01b",
                    1_000_000_001: b"experimental",
                }
            ),
            PAYER_KEY,
        )
    ),
]
_ONE_LINE = re.compile(r"[^\n\r\x1b]+")


@st.composite
def _mutated(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.sampled_from(_SAMPLES)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        size = draw(st.sampled_from((0, 1, 1, 1, 2, 33)))
        data[at : at + size] = draw(st.binary(max_size=4))
    return bytes(data)


#: What the samples' signatures sign.
_SIGNED = [
    [record for record in tlv.decode_stream(sample) if not signature.is_signature(record)]
    for sample in _SAMPLES
]


def _check_any(text: str, data: bytes | None = None) -> None:
    """A request is decoded to what it holds, or refused in a line of text."""
    try:
        found = invoice_request.decode(text)
    except (MalformedError, UnanswerableRequestError) as refusal:
        message = refusal.message
    else:
        assert data is None or tlv.encode_stream(found.records) == data
        # Nobody but the payer can have signed anything else.
        if found.is_signed:
            assert list(found.signed_fields()) in _SIGNED
        return
    assert _ONE_LINE.fullmatch(message)


@given(_mutated())
@settings(max_examples=400)
def test_mutated_fields(data: bytes) -> None:
    _check_any(string.encode("lnr", data), data)


@given(st.sampled_from(_SAMPLES), st.data())
@settings(max_examples=200)
def test_mutated_strings(sample: bytes, data: st.DataObject) -> None:
    text = string.encode("lnr", sample)
    at = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(at, min(at + 3, len(text))))
    between = data.draw(st.text("qpzry9x8 +\n1QLno:\N{KELVIN SIGN}\0", max_size=4))
    _check_any(text[:at] + between + text[end:])


@given(st.dictionaries(st.sampled_from(sorted(fields.FIELDS)), st.binary(max_size=70), max_size=4))
@example({fields.INVREQ_PAYER_ID: PAYER_ID})
def test_any_content_of_the_known_fields(changes: dict[int, bytes]) -> None:
    _check_any(request_string(changes, sign=False))


@given(st.binary(max_size=120))
def test_any_bytes(data: bytes) -> None:
    _check_any(string.encode("lnr", data), data)
