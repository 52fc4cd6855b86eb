from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sendinvoice_cli import amounts
from sendinvoice_cli.bolt12.invoice_request import MAX_AMOUNT_MSAT
from sendinvoice_cli.request import parse_amount


@pytest.mark.parametrize(
    ("amount_msat", "shown"),
    [
        (0, "0 sat"),
        (1, "0.001 sat (1 msat)"),
        (10, "0.01 sat (10 msat)"),
        (999, "0.999 sat (999 msat)"),
        (1000, "1 sat"),
        (1500, "1.5 sat (1,500 msat)"),
        (1_500_000, "1,500 sat"),
        (123_456_789, "123,456.789 sat (123,456,789 msat)"),
        # No float holds this one.
        (
            MAX_AMOUNT_MSAT - 1,
            "2,099,999,999,999,999.999 sat (2,099,999,999,999,999,999 msat)",
        ),
    ],
)
def test_amounts_are_shown_in_sat_first(amount_msat: int, shown: str) -> None:
    assert amounts.format_amount(amount_msat) == shown


@given(st.integers(0, 2**64 - 1))
def test_every_amount_is_shown_exactly(amount_msat: int) -> None:
    number, unit = amounts.format_sat(amount_msat).replace(",", "").split(" ")
    assert unit == "sat"
    assert Decimal(number).scaleb(3) == amount_msat
    if 0 < amount_msat <= MAX_AMOUNT_MSAT:
        assert parse_amount(number + unit) == amount_msat


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "0s"),
        (0, "0s"),
        (59.9, "59s"),
        (60, "1m 00s"),
        (90, "1m 30s"),
        (3599, "59m 59s"),
        (3600, "1h 00m"),
        (7500, "2h 05m"),
        (86_399, "23h 59m"),
        (86_400, "1d 0h"),
        (2**32 - 1, "49710d 6h"),
    ],
)
def test_durations_are_shown_in_two_units(seconds: float, shown: str) -> None:
    assert amounts.format_duration(seconds) == shown


def test_times_are_local_or_in_seconds_if_out_of_range() -> None:
    assert amounts.format_time(1_700_000_000).startswith("2023-11-1")
    assert amounts.format_time(2**64 - 1) == "18446744073709551615 (UNIX seconds)"
