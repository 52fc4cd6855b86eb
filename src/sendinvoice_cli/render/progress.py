"""How it goes, on stderr, while a person waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from . import lines
from .amounts import format_amount, format_duration, format_time
from .console import make_console
from .table import print_rows
from .text import printable

if TYPE_CHECKING:
    from rich.live import Live


class _Ask(Protocol):
    @property
    def amount_msat(self) -> int: ...
    @property
    def description(self) -> str | None: ...
    @property
    def issuer(self) -> str | None: ...
    @property
    def payer_note(self) -> str | None: ...
    @property
    def payer_id(self) -> bytes: ...
    @property
    def expires_at(self) -> int | None: ...


class PlainProgress:
    """Only what a log file should have: warnings, and steps when asked for.

    :param verbose: print the steps, too.
    :param quiet: print nothing.
    :param with_route: look up the names of the route's nodes, for the result.
    """

    def __init__(
        self, *, verbose: bool = False, quiet: bool = False, with_route: bool = False
    ) -> None:
        self._verbose = verbose
        self._quiet = quiet
        self._with_route = with_route
        #: Names of the nodes the invoice went over, ours first; None when not looked up.
        self.route: list[str] | None = None

    def asked(self, ask: _Ask) -> None:
        """Say in one line what is asked for."""
        if self._verbose:
            lines.print_line(f"the payer {ask.payer_id.hex()} offers an invoice_request")
            lines.print_line(f"asking for {format_amount(ask.amount_msat)}")

    def step(self, text: str) -> None:
        """Say what was done."""
        if self._verbose:
            lines.print_line(text)

    def routed(self, aliases: Callable[[], list[str]]) -> None:
        """Say which way."""
        if self._verbose or self._with_route:
            self.route = aliases()
        if self._verbose and self.route:
            lines.print_line("route: " + " → ".join(self.route))

    def waiting(self, until: float) -> None:
        """Say how long it may take."""
        if self._verbose:
            lines.print_line(f"waiting until {format_time(until)}")

    def warn(self, text: str, hint: str | None = None) -> None:
        """Say what is not as it should be."""
        if not self._quiet:
            lines.print_warning(text, hint)

    def close(self) -> None:
        """Nothing is left on the screen."""


class TerminalProgress:
    """Lines that stay, and below them a countdown that does not.

    :param color: None to decide by the terminal.
    """

    def __init__(self, *, color: bool | None = None) -> None:
        self._console = make_console(stderr=True, color=False if color is False else None)
        self._live: Live | None = None
        #: Names of the nodes the invoice went over, ours first; None before it went.
        self.route: list[str] | None = None

    def asked(self, ask: _Ask) -> None:
        """Show what the payer asks for."""
        optional = (
            ("for", ask.description),
            ("issuer", ask.issuer),
            ("note", ask.payer_note),
            ("payer", ask.payer_id.hex()),
            ("expires", None if ask.expires_at is None else format_time(ask.expires_at)),
        )
        rows = [("asking for", format_amount(ask.amount_msat))]
        rows += [(name, printable(value)) for name, value in optional if value]
        print_rows(self._console, rows)

    def step(self, text: str) -> None:
        """Show what was done."""
        self._line("•", text)

    def routed(self, aliases: Callable[[], list[str]]) -> None:
        """Show which way it goes."""
        self.route = aliases()
        self._line("•", "Route: " + " → ".join(printable(name, 64) for name in self.route))

    def waiting(self, until: float) -> None:
        """Begin the countdown."""
        from rich.live import Live
        from rich.spinner import Spinner
        from rich.text import Text

        spinner = Spinner("dots")

        def render() -> Spinner:
            left = format_duration(max(until - time.time(), 0))
            spinner.update(text=Text(f"Waiting for the payment, {left} left (Ctrl-C to stop)"))
            return spinner

        live = Live(
            console=self._console, get_renderable=render, transient=True, refresh_per_second=8
        )
        live.start()
        self._live = live

    def warn(self, text: str, hint: str | None = None) -> None:
        """Show what is not as it should be."""
        self._line("!", text, "yellow")
        if hint:
            self._line(" ", hint, "dim")

    def close(self) -> None:
        """Take the countdown off the screen; what follows stands apart."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()
        self._console.print()

    def _line(self, mark: str, text: str, style: str = "") -> None:
        from rich.text import Text

        self._console.print(Text(f"{mark} {printable(text)}", style=style))


class SilentProgress:
    """Tells nobody how a row of a batch goes; only its result is shown."""

    route: list[str] | None = None

    def asked(self, ask: _Ask) -> None:
        """Nothing."""

    def step(self, text: str) -> None:
        """Nothing."""

    def routed(self, aliases: Callable[[], list[str]]) -> None:
        """Nothing."""

    def waiting(self, until: float) -> None:
        """Nothing."""

    def warn(self, text: str, hint: str | None = None) -> None:
        """Nothing."""
