"""Progress of one request, on stderr."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..amounts import format_amount, format_duration, format_time
from . import lines
from .console import draw, make_console
from .streams import Streams
from .table import print_rows
from .text import printable

if TYPE_CHECKING:
    from ..outcome import Ask


class PlainProgress:
    """Progress for a log file: warnings, and steps if asked for.

    :param verbose: print the steps, too.
    :param quiet: print only the warnings that the user must see.
    :param with_route: look up the names of the route's nodes for the result.
    :param about: stands in front of each line, such as ``row 3: ``.
    """

    def __init__(
        self,
        streams: Streams,
        *,
        verbose: bool = False,
        quiet: bool = False,
        with_route: bool = False,
        about: str = "",
    ) -> None:
        self._streams = streams
        self._verbose = verbose
        self._quiet = quiet
        self._about = about
        self.wants_route = verbose or with_route
        #: Names of the nodes on the invoice's route, ours first; None if not looked up.
        self.route: list[str] | None = None

    def asked(self, ask: Ask, amount_msat: int) -> None:
        """Print what the payer offers, and what we ask for."""
        if self._verbose:
            self._print(f"the payer {ask.payer_id} offers an invoice_request")
            self._print(f"asking for {format_amount(amount_msat)}")

    def step(self, text: str) -> None:
        """Print a step that was done."""
        if self._verbose:
            self._print(text)

    def routed(self, names: list[str]) -> None:
        """Print the route, and keep it for the result."""
        self.route = names
        if self._verbose:
            self._print("route: " + " → ".join(names))

    def waiting(self, until: float) -> None:
        """Print until when (UNIX seconds) we wait."""
        if self._verbose:
            self._print(f"waiting until {format_time(until)}")

    def warn(self, text: str, hint: str | None = None, *, even_if_quiet: bool = False) -> None:
        """Print a warning, and what to do."""
        if even_if_quiet or not self._quiet:
            lines.print_warning(self._streams, self._about + text, hint)

    def close(self) -> None:
        """Do nothing: no drawing is left on the screen."""

    def _print(self, text: str) -> None:
        lines.print_line(self._streams, self._about + text)


class TerminalProgress:
    """Progress for a terminal: lines that stay, above a countdown that does not.

    :param clock: tells the time in UNIX seconds.
    """

    def __init__(self, streams: Streams, *, clock: Callable[[], float] = time.time) -> None:
        self._streams = streams
        self._clock = clock
        self._console = make_console(streams, stderr=True)
        self._stop_drawing: Callable[[], None] | None = None
        self.wants_route = True
        #: Names of the nodes on the invoice's route, ours first; None until it is known.
        self.route: list[str] | None = None

    def asked(self, ask: Ask, amount_msat: int) -> None:
        """Show the amount that we ask for, and what the payer says."""
        optional = (
            ("for", ask.description),
            ("issuer", ask.issuer),
            ("note", ask.payer_note),
            ("payer", ask.payer_id),
            ("name", ask.bip_353_name),
            ("expires", _format_expiry(ask.absolute_expiry, self._clock())),
        )
        rows = [("asking for", format_amount(amount_msat))]
        rows += [(name, printable(value)) for name, value in optional if value]
        print_rows(self._console, rows)

    def step(self, text: str) -> None:
        """Show a step that was done."""
        self._line("•", text)

    def routed(self, names: list[str]) -> None:
        """Show the route, and keep it for the result."""
        self.route = names
        self._line("•", "Route: " + " → ".join(printable(name, 64) for name in names))

    def waiting(self, until: float) -> None:
        """Start a countdown to ``until`` (UNIX seconds)."""
        from rich.spinner import Spinner
        from rich.text import Text

        spinner = Spinner("dots")

        def render() -> Spinner:
            left = format_duration(max(until - self._clock(), 0))
            spinner.update(text=Text(f"Waiting for the payment, {left} left (Ctrl-C to stop)"))
            return spinner

        self._stop_drawing = draw(self._streams, self._console, render, per_second=8)

    def warn(self, text: str, hint: str | None = None, **_: bool) -> None:
        """Show a warning, and what to do."""
        self._line("!", text, "yellow")
        if hint:
            self._line(" ", hint, "dim")

    def close(self) -> None:
        """Remove the countdown, and leave an empty line before the result."""
        if self._stop_drawing is not None:
            self._stop_drawing()
            self._stop_drawing = None
        self._console.print()

    def _line(self, mark: str, text: str, style: str = "") -> None:
        from rich.text import Text

        self._console.print(Text(f"{mark} {printable(text)}", style=style))


def _format_expiry(at: int | None, now: float) -> str | None:
    """When a request expires, and how long that is from now; None for never."""
    if at is None:
        return None
    left = format_duration(abs(at - now))
    return f"{format_time(at)} ({f'in {left}' if at >= now else f'{left} ago'})"
