"""Results for people: a table on stdout."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from .amounts import format_amount, format_time
from .text import printable

#: Wide enough for the longest line where there is no terminal to ask: nothing is ever cut.
_PIPED_WIDTH = 10_000

_TITLES = {
    "paid": ("Paid", "bold green"),
    "dry-run": ("Nothing was sent: this is a dry run, and it could be sent", "bold cyan"),
    "unpaid": ("Not paid", "bold yellow"),
    "expired": ("Not paid", "bold yellow"),
}


def print_result(
    result: Mapping[str, Any], route: list[str] | None = None, *, color: bool | None = None
) -> None:
    """Print what became of a request, as far as there is an invoice or a plan.

    :param result: the contract's JSON object.
    :param route: names of the nodes it went over, ours first.
    :param color: None to decide by the terminal.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    status = result.get("status")
    if status is None:
        return
    console = Console(
        highlight=False,
        markup=False,
        emoji=False,
        force_terminal=True if color else None,
        no_color=None if color is None else not color,
        width=None if sys.stdout.isatty() else _PIPED_WIDTH,
    )
    title, style = _TITLES.get(str(status), (printable(str(status)), "bold"))
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for name, value in _rows(result, route):
        table.add_row(name, Text(value))
    console.print(Text(title, style=style))
    console.print(table)
    if "bolt12" in result:
        # On a line of its own and unwrapped, so that it can be copied whole.
        console.print(Text("bolt12", style="dim"))
        console.print(Text(str(result["bolt12"])), soft_wrap=True)


def _rows(result: Mapping[str, Any], route: list[str] | None) -> list[tuple[str, str]]:
    rows = [("label", printable(str(result["label"])))]
    if result.get("description"):
        rows.append(("description", printable(str(result["description"]))))
    if "amount_msat" in result:
        rows.append(("amount", format_amount(result["amount_msat"])))
    received = result.get("amount_received_msat")
    if received is not None and received != result.get("amount_msat"):
        rows.append(("received", format_amount(received)))
    if "paid_at" in result:
        rows.append(("paid at", format_time(result["paid_at"])))
    elif "expires_at" in result:
        rows.append(("expires", format_time(result["expires_at"])))
    for key, name in (
        ("payer", "payer"),
        ("network", "network"),
        ("payment_hash", "payment hash"),
        ("payment_preimage", "preimage"),
    ):
        if key in result:
            rows.append((name, printable(str(result[key]))))
    if route:
        rows.append(("route", " → ".join(printable(name, 64) for name in route)))
    if result.get("would_connect"):
        rows.append(("connect", "a new connection to the last node would be opened"))
    return rows
