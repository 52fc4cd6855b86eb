"""Amounts, times and durations for people."""

from __future__ import annotations

import time


def format_sat(amount_msat: int) -> str:
    """An amount in sat: ``1,500 sat``, with a fraction only if there is one: ``0.001 sat``."""
    sat, msat = divmod(amount_msat, 1000)
    fraction = f".{msat:03}".rstrip("0") if msat else ""
    return f"{sat:,}{fraction} sat"


def format_amount(amount_msat: int) -> str:
    """An amount in sat, and in msat if it is not whole: ``1,500 sat``, ``1.5 sat (1,500 msat)``."""
    in_msat = f" ({amount_msat:,} msat)" if amount_msat % 1000 else ""
    return format_sat(amount_msat) + in_msat


def format_time(at: float) -> str:
    """UNIX seconds as local time: ``2026-01-31 12:34:56 CET``; as they are if out of range."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(at))
    except (OverflowError, ValueError, OSError):
        return f"{int(at)} (UNIX seconds)"


def format_duration(seconds: float) -> str:
    """Seconds, rounded down: ``45s``, ``1m 30s``, ``2h 05m``, ``3d 4h``."""
    whole = max(int(seconds), 0)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02}m"
    return f"{whole // 86400}d {whole % 86400 // 3600}h"
