"""How it goes, on stderr, while a person waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from . import lines
from .amounts import format_amount, format_duration, format_time
from .console import draw, make_console
from .streams import Streams
from .table import print_rows
from .text import printable

if TYPE_CHECKING:
    from ..outcome import Ask


class PlainProgress:
    """Only what a log file should have: warnings, and steps when asked for.

    :param verbose: print the steps, too.
    :param quiet: print nothing.
    :param with_route: look up the names of the route's nodes, for the result.
    """

    def __init__(
        self,
        streams: Streams,
        *,
        verbose: bool = False,
        quiet: bool = False,
        with_route: bool = False,
    ) -> None:
        self._streams = streams
        self._verbose = verbose
        self._quiet = quiet
        self.wants_route = verbose or with_route
        #: Names of the nodes the invoice went over, ours first; None when not looked up.
        self.route: list[str] | None = None

    def asked(self, ask: Ask, amount_msat: int) -> None:
        """Say what is asked for."""
        if self._verbose:
            lines.print_line(self._streams, f"the payer {ask.payer_id} offers an invoice_request")
            lines.print_line(self._streams, f"asking for {format_amount(amount_msat)}")

    def step(self, text: str) -> None:
        """Say what was done."""
        if self._verbose:
            lines.print_line(self._streams, text)

    def routed(self, names: list[str]) -> None:
        """Say which way."""
        self.route = names
        if self._verbose:
            lines.print_line(self._streams, "route: " + " → ".join(names))

    def waiting(self, until: float) -> None:
        """Say how long it may take."""
        if self._verbose:
            lines.print_line(self._streams, f"waiting until {format_time(until)}")

    def warn(self, text: str, hint: str | None = None) -> None:
        """Say what is not as it should be."""
        if not self._quiet:
            lines.print_warning(self._streams, text, hint)

    def close(self) -> None:
        """Nothing is left on the screen."""


class TerminalProgress:
    """Lines that stay, and below them a countdown that does not.

    :param clock: UNIX seconds.
    """

    def __init__(self, streams: Streams, *, clock: Callable[[], float] = time.time) -> None:
        self._streams = streams
        self._clock = clock
        self._console = make_console(streams, stderr=True)
        self._stop_drawing: Callable[[], None] | None = None
        self.wants_route = True
        #: Names of the nodes the invoice went over, ours first; None before it went.
        self.route: list[str] | None = None

    def asked(self, ask: Ask, amount_msat: int) -> None:
        """Show what the payer asks for."""
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
        """Show what was done."""
        self._line("•", text)

    def routed(self, names: list[str]) -> None:
        """Show which way it goes."""
        self.route = names
        self._line("•", "Route: " + " → ".join(printable(name, 64) for name in names))

    def waiting(self, until: float) -> None:
        """Begin the countdown."""
        from rich.spinner import Spinner
        from rich.text import Text

        spinner = Spinner("dots")

        def render() -> Spinner:
            left = format_duration(max(until - self._clock(), 0))
            spinner.update(text=Text(f"Waiting for the payment, {left} left (Ctrl-C to stop)"))
            return spinner

        self._stop_drawing = draw(self._streams, self._console, render, per_second=8)

    def warn(self, text: str, hint: str | None = None) -> None:
        """Show what is not as it should be."""
        self._line("!", text, "yellow")
        if hint:
            self._line(" ", hint, "dim")

    def close(self) -> None:
        """Take the countdown off the screen; what follows stands apart."""
        if self._stop_drawing is not None:
            self._stop_drawing()
            self._stop_drawing = None
        self._console.print()

    def _line(self, mark: str, text: str, style: str = "") -> None:
        from rich.text import Text

        self._console.print(Text(f"{mark} {printable(text)}", style=style))


class SilentProgress:
    """Tells nobody how a row of a batch goes; only its result is shown."""

    wants_route = False
    route: list[str] | None = None

    def asked(self, ask: Ask, amount_msat: int) -> None:
        """Nothing."""

    def step(self, text: str) -> None:
        """Nothing."""

    def routed(self, names: list[str]) -> None:
        """Nothing."""

    def waiting(self, until: float) -> None:
        """Nothing."""

    def warn(self, text: str, hint: str | None = None) -> None:
        """Nothing."""


def _format_expiry(at: int | None, now: float) -> str | None:
    """When a request expires, and how long that is from now; None for never."""
    if at is None:
        return None
    left = format_duration(abs(at - now))
    return f"{format_time(at)} ({f'in {left}' if at >= now else f'{left} ago'})"
