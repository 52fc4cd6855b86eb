from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sendinvoice_cli import request
from sendinvoice_cli.bolt12 import fields, tlv
from sendinvoice_cli.bolt12.invoice_request import MAX_AMOUNT_MSAT
from sendinvoice_cli.errors import UsageError
from sendinvoice_cli.request import Request
from tests.support import requests_builder
from tests.support.requests_builder import Changes


@pytest.mark.parametrize(
    ("text", "msat"),
    [
        ("1", 1),
        ("1000", 1000),
        ("1000msat", 1000),
        ("1sat", 1000),
        ("0001sat", 1000),
        ("0.00000001btc", 1000),
        ("0.00000000001btc", 1),
        ("1.5sat", 1500),
        ("1.0msat", 1),
        ("21000000btc", MAX_AMOUNT_MSAT),
        ("20999999.99999999999btc", MAX_AMOUNT_MSAT - 1),
        ("2100000000000000sat", MAX_AMOUNT_MSAT),
    ],
)
def test_amounts(text: str, msat: int) -> None:
    assert request.parse_amount(text) == msat


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "0sat",
        "0.0btc",
        "-1",
        "+1",
        "1.5",
        "1,000",
        "1_000",
        "1e3",
        "0x10",
        "1 sat",
        " 1",
        "1\n",
        "1Sat",
        "1BTC",
        "1bitcoin",
        "sat",
        ".5sat",
        "5.sat",
        "nan",
        "inf",
        "any",
        "0.5msat",
        "0.0001sat",
        "0.000000000001btc",
        "\N{ARABIC-INDIC DIGIT THREE}sat",
        "\N{FULLWIDTH DIGIT ONE}sat",
        f"{MAX_AMOUNT_MSAT + 1}",
        "21000000.00000000001btc",
        "9" * 10_000,
        "9" * 10_000 + "btc",
        # More digits than a Decimal computes with by default.
        "1." + "0" * 40 + "1sat",
        "20999999.99999999999" + "0" * 30 + "1btc",
        f"{MAX_AMOUNT_MSAT}." + "0" * 40 + "1msat",
    ],
)
def test_not_amounts(text: str) -> None:
    with pytest.raises(UsageError):
        request.parse_amount(text)


@given(st.integers(1, MAX_AMOUNT_MSAT))
def test_amounts_are_exact(msat: int) -> None:
    assert request.parse_amount(str(msat)) == msat
    assert request.parse_amount(f"{msat // 1000}.{msat % 1000:03}sat") == msat
    assert request.parse_amount(f"{msat // 10**11}.{msat % 10**11:011}btc") == msat


@given(st.text())
def test_any_text_is_an_amount_or_a_usage_error(text: str) -> None:
    try:
        msat = request.parse_amount(text)
    except UsageError:
        return
    assert 1 <= msat <= MAX_AMOUNT_MSAT


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1", 1),
        ("90", 90),
        ("4294967295", 2**32 - 1),
        ("90s", 90),
        ("10m", 600),
        ("1h", 3600),
        ("2d", 172_800),
        ("49710d", 49710 * 86400),
    ],
)
def test_timeouts(text: str, seconds: int) -> None:
    assert request.parse_timeout(text) == seconds


@pytest.mark.parametrize(
    ("text", "number"), [("1", 1), ("007", 7), ("18446744073709551615", 2**64 - 1)]
)
def test_quantities(text: str, number: int) -> None:
    assert request.parse_quantity(text) == number


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "+1", "1.0", "1e3", " 1", "1 ", "\u0663", "9" * 5000]
)
def test_not_numbers(text: str) -> None:
    with pytest.raises(UsageError, match="TIMEOUT must be from 1 to 4294967295 seconds"):
        request.parse_timeout(text)
    with pytest.raises(UsageError, match="QUANTITY must be a whole number from 1 to 18446744"):
        request.parse_quantity(text)


@pytest.mark.parametrize(
    "text",
    ["4294967296", "49711d", "0h", "1.5h", "1 h", "1H", "1w", "h", "1h30m", "9" * 5000 + "d"],
)
def test_not_timeouts(text: str) -> None:
    with pytest.raises(UsageError, match="TIMEOUT must be"):
        request.parse_timeout(text)


def test_numbers_beyond_their_range() -> None:
    with pytest.raises(UsageError):
        request.parse_quantity("18446744073709551616")


# --- what to ask for ---

_AMOUNT, _OFFERED = fields.INVREQ_AMOUNT, fields.OFFER_AMOUNT
_CURRENCY, _QUANTITY_MAX = fields.OFFER_CURRENCY, fields.OFFER_QUANTITY_MAX


def _ask(
    changes: Changes,
    amount_msat: int | None = None,
    quantity: int | None = None,
    *,
    must_match: bool = False,
) -> int:
    return request.amount_to_ask(
        Request(
            "lnr1…", "label", amount_msat=amount_msat, quantity=quantity, must_match=must_match
        ),
        requests_builder.request(changes),
    )


@pytest.mark.parametrize(
    ("changes", "amount_msat", "quantity", "asked"),
    [
        pytest.param({}, None, None, 100_000, id="what the request offers"),
        pytest.param({}, 99_999, None, 99_999, id="less"),
        pytest.param({}, 100_001, None, 100_001, id="more, a tip"),
        pytest.param({_OFFERED: b"\x05"}, None, None, 100_000, id="invreq_amount comes first"),
        pytest.param({_AMOUNT: None, _OFFERED: b"\x05"}, None, None, 5, id="offer_amount"),
        pytest.param(
            {_AMOUNT: None, _OFFERED: b"\x05", _QUANTITY_MAX: b""}, None, 7, 35, id="times 7"
        ),
        pytest.param(
            {_AMOUNT: None, _OFFERED: b"\x05", fields.INVREQ_QUANTITY: b"\x07"},
            None,
            None,
            35,
            id="times the 7 that the payer names",
        ),
        pytest.param(
            {fields.INVREQ_QUANTITY: b"\x07"}, None, None, 100_000, id="invreq_amount is for all"
        ),
        pytest.param({_QUANTITY_MAX: b"\x05"}, None, 5, 100_000, id="the greatest quantity"),
        pytest.param({_QUANTITY_MAX: b""}, None, 2**64 - 1, 100_000, id="no limit"),
        pytest.param(
            {_AMOUNT: None, _OFFERED: b"\x05", _CURRENCY: b"USD"}, 777, None, 777, id="a currency"
        ),
    ],
)
def test_amount_to_ask(
    changes: Changes, amount_msat: int | None, quantity: int | None, asked: int
) -> None:
    assert _ask(changes, amount_msat, quantity) == asked


@pytest.mark.parametrize(
    ("changes", "amount_msat", "quantity", "message"),
    [
        pytest.param({}, None, 1, "takes no QUANTITY", id="quantity not wanted"),
        pytest.param({_QUANTITY_MAX: b"\x05"}, None, None, r"\(1 to 5\)", id="quantity wanted"),
        pytest.param({_QUANTITY_MAX: b""}, None, None, "needs a QUANTITY$", id="any quantity"),
        pytest.param({_QUANTITY_MAX: b"\x05"}, None, 6, "more than this", id="quantity too large"),
        pytest.param({_QUANTITY_MAX: b"\x05"}, 100, 6, "more than this", id="whatever the amount"),
        pytest.param(
            {_AMOUNT: None, _OFFERED: b"\x05", _CURRENCY: b"USD"},
            None,
            None,
            "no amount in bitcoin, only 5 USD",
            id="a currency",
        ),
        pytest.param(
            {_AMOUNT: None, _OFFERED: tlv.encode_tu(MAX_AMOUNT_MSAT), _QUANTITY_MAX: b""},
            None,
            2,
            "more than all bitcoin",
            id="too much in all",
        ),
        pytest.param(
            {_AMOUNT: None, _OFFERED: b"\xff" * 8}, None, None, "more than all", id="too much"
        ),
    ],
)
def test_nothing_to_ask_for(
    changes: Changes, amount_msat: int | None, quantity: int | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        _ask(changes, amount_msat, quantity)


@pytest.mark.parametrize(
    ("changes", "amount_msat", "quantity"),
    [
        pytest.param({}, 100_000, None, id="the same"),
        pytest.param({_AMOUNT: None, _OFFERED: b"\x05", _QUANTITY_MAX: b""}, 35, 7, id="times 7"),
        pytest.param(
            {_AMOUNT: None, _OFFERED: b"\x05", _CURRENCY: b"USD"}, 777, None, id="a currency"
        ),
    ],
)
def test_an_amount_that_must_match_and_does(
    changes: Changes, amount_msat: int, quantity: int | None
) -> None:
    assert _ask(changes, amount_msat, quantity, must_match=True) == amount_msat


@pytest.mark.parametrize(
    ("changes", "amount_msat", "offered"),
    [
        pytest.param({}, 3600, "100 sat", id="less"),
        pytest.param({}, 100_001, "100 sat", id="more"),
        pytest.param({_AMOUNT: None, _OFFERED: b"\x05"}, 3600, "0.005 sat", id="offer_amount"),
    ],
)
def test_an_amount_that_must_match_and_does_not(
    changes: Changes, amount_msat: int, offered: str
) -> None:
    with pytest.raises(UsageError, match=f"asks for .* sat, but the payer offers {offered}") as why:
        _ask(changes, amount_msat, must_match=True)
    assert f"--timeout {amount_msat}" in str(why.value.hint)
    assert f"--amount-msat {amount_msat}" in str(why.value.hint)


def test_what_is_too_long_for_a_timeout_was_not_meant_as_one() -> None:
    with pytest.raises(UsageError) as why:
        _ask({}, 2**32, must_match=True)
    assert "--timeout" not in str(why.value.hint)
