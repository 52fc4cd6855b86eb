"""Results for people: a table on stdout."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..amounts import format_amount, format_time
from ..errors import ExitStatus
from .console import make_console
from .streams import Streams
from .text import printable

if TYPE_CHECKING:
    from rich.console import Console

#: Longest bolt12 string shown, in characters: more than fits into an onion message.
_BOLT12_LIMIT = 100_000
#: The same for the description in the verdict, which is to stay on one line.
_ABOUT_LIMIT = 60
_NAME_WIDTH = 14

#: What the last line begins with when the invoice is not paid, by exit status.
_UNPAID = {
    ExitStatus.OUTCOME_UNKNOWN: "Unknown whether paid,",
    ExitStatus.INTERRUPTED: "Not paid yet,",
    ExitStatus.TERMINATED: "Not paid yet,",
}


def print_result(
    streams: Streams,
    result: Mapping[str, Any],
    *,
    route: list[str] | None = None,
    with_bolt12: bool = False,
    is_offer_shown: bool = False,
) -> None:
    """Print the result of a request, if there is an invoice or a dry run to show.

    The last line is the verdict, which is on the screen whatever was printed before.

    :param result: the JSON object that ``--json`` prints.
    :param route: names of the nodes on the invoice's route, ours first.
    :param with_bolt12: print the invoice, too.
    :param is_offer_shown: the screen shows the route already, and what the payer offers.
    :raises OSError: stdout cannot be written.
    """
    from rich.text import Text

    if result["status"] is None:
        return
    console = make_console(streams)
    # rich itself ends the process when it writes to a closed pipe.
    with console.capture() as table:
        print_rows(console, _rows(result, route, is_offer_shown=is_offer_shown))
        if with_bolt12 and "bolt12" in result:
            # On its own line and unwrapped, so that it can be copied whole.
            print_rows(console, [("bolt12", "")])
            console.print(Text(printable(str(result["bolt12"]), _BOLT12_LIMIT)), soft_wrap=True)
        console.print(Text(*_last_line(result)), soft_wrap=True)
    streams.stdout.write(table.get())


def _last_line(result: Mapping[str, Any]) -> tuple[str, str]:
    """How it ended, in a line, and the line's style."""
    if result["status"] == "dry-run":
        return "Dry run: the request can be answered; nothing was sent", "bold cyan"
    amount = format_amount(result.get("amount_received_msat", result["amount_msat"]))
    description = result.get("description")
    about = f"{amount}: {printable(str(description), _ABOUT_LIMIT)}" if description else amount
    if result["error"] is None:
        return f"Paid {about}", "bold green"
    return f"{_UNPAID.get(result['exit_code'], 'Not paid,')} {about}", "bold yellow"


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


def _rows(
    result: Mapping[str, Any], route: list[str] | None, *, is_offer_shown: bool
) -> Iterator[tuple[str, str]]:
    def named(key: str, name: str) -> Iterator[tuple[str, str]]:
        if result.get(key):
            yield name, printable(str(result[key]))

    yield from named("label", "label")
    if not is_offer_shown:
        yield from named("description", "description")
        yield "amount", format_amount(result["amount_msat"])
        yield from named("payer", "payer")
    received_msat = result.get("amount_received_msat", result["amount_msat"])
    if received_msat != result["amount_msat"]:
        yield "received", format_amount(received_msat)
    if "paid_at" in result:
        yield "paid at", format_time(result["paid_at"])
    elif "expires_at" in result:
        yield "expires", format_time(result["expires_at"])
    yield from named("network", "network")
    yield from named("payment_hash", "payment hash")
    yield from named("payment_preimage", "preimage")
    if route and not is_offer_shown:
        yield "route", " → ".join(printable(name, 64) for name in route)
    if result.get("would_connect"):
        yield "connect", "a new connection to the last node would be opened"
