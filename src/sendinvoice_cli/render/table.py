"""Results for people: a table on stdout."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..amounts import format_amount, format_time
from .console import make_console
from .streams import Streams
from .text import printable

if TYPE_CHECKING:
    from rich.console import Console

#: Longest bolt12 string shown, in characters: more than fits into an onion message.
_BOLT12_LIMIT = 100_000
_NAME_WIDTH = 14

_TITLES = {
    "paid": ("Paid", "bold green"),
    "dry-run": ("Dry run: the request can be answered; nothing was sent", "bold cyan"),
    "unpaid": ("Not paid", "bold yellow"),
    "expired": ("Not paid", "bold yellow"),
}


def print_result(
    streams: Streams, result: Mapping[str, Any], route: list[str] | None = None
) -> None:
    """Print the result of a request, if there is an invoice or a dry run to show.

    :param result: the JSON object that ``--json`` prints.
    :param route: names of the nodes on the invoice's route, ours first.
    :raises OSError: stdout cannot be written.
    """
    from rich.text import Text

    status = result.get("status")
    if status is None:
        return
    console = make_console(streams)
    title, style = _TITLES.get(str(status), (printable(str(status)), "bold"))
    # rich itself ends the process when it writes to a closed pipe.
    with console.capture() as table:
        console.print(Text(title, style=style))
        print_rows(console, _rows(result, route))
        if "bolt12" in result:
            # On its own line and unwrapped, so that it can be copied whole.
            print_rows(console, [("bolt12", "")])
            console.print(Text(printable(str(result["bolt12"]), _BOLT12_LIMIT)), soft_wrap=True)
    streams.stdout.write(table.get())


def print_rows(console: Console, rows: Iterable[tuple[str, str]]) -> None:
    """Print names and values in two columns.

    Lines are never cut, and only the terminal wraps them, so that they can be
    copied whole.
    """
    from rich.text import Text

    for name, value in rows:
        line = Text.assemble((f"{name:<{_NAME_WIDTH}}", "dim"), value)
        line.rstrip()
        console.print(line, soft_wrap=True)


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
