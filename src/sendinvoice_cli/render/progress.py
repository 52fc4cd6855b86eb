"""Progress of one request, on stderr."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..amounts import format_amount, format_duration, format_time
from .streams import Streams
from .text import printable

if TYPE_CHECKING:
    from ..outcome import Offered
    from ..reporting import Notices


class PlainProgress:
    """Progress of one request as steps and warnings, for a log file or in a batch.

    :param notices: shows them.
    :param wants_route: look up the names of the route's nodes.
    :param prefix: what each text begins with.
    :param must_see_only: pass on only the warnings that the user must see.
    """

    is_on_screen = False

    def __init__(
        self,
        notices: Notices,
        *,
        wants_route: bool = False,
        prefix: str = "",
        must_see_only: bool = False,
    ) -> None:
        self._notices = notices
        self.wants_route = wants_route
        self._prefix = prefix
        self._must_see_only = must_see_only
        #: Names of the nodes on the invoice's route, ours first; None if not looked up.
        self.route: list[str] | None = None

    def offered(self, offered: Offered, amount_msat: int) -> None:
        """Tell what the payer offers, and what we ask for."""
        self.step(f"The payer {offered.payer_id} offers an invoice_request")
        self.step(f"Asking for {format_amount(amount_msat)}")

    def step(self, text: str) -> None:
        """Tell a step that was done."""
        self._notices.step(self._prefix + text)

    def routed(self, names: list[str]) -> None:
        """Tell the route, and keep it for the result."""
        self.route = names
        self.step("Route: " + " → ".join(names))

    def awaiting_payment(self, until: float) -> None:
        """Tell until when (UNIX seconds) we wait."""
        self.step(f"Waiting until {format_time(until)}")

    def warn(self, text: str, hint: str | None = None, *, even_if_quiet: bool = False) -> None:
        """Tell a warning, and what to do."""
        if even_if_quiet or not self._must_see_only:
            self._notices.warn(self._prefix + text, hint, even_if_quiet=even_if_quiet)

    def close(self) -> None:
        """Do nothing: no drawing is left on the screen."""


class TerminalProgress:
    """Progress for a terminal: lines that stay, above a countdown that does not.

    :param clock: tells the time in UNIX seconds.
    """

    #: Whether the terminal shows what the payer offers, and the route.
    is_on_screen = True

    def __init__(self, streams: Streams, *, clock: Callable[[], float] = time.time) -> None:
        from .console import make_console

        self._streams = streams
        self._clock = clock
        self._console = make_console(streams, stderr=True)
        self._stop_drawing: Callable[[], None] | None = None
        #: When the wait ends (UNIX seconds).
        self._until = 0.0
        self.wants_route = True
        #: Names of the nodes on the invoice's route, ours first; None until it is known.
        self.route: list[str] | None = None

    def offered(self, offered: Offered, amount_msat: int) -> None:
        """Show the amount that we ask for, and what the payer says."""
        from .table import print_rows

        optional = (
            ("description", offered.description),
            ("issuer", offered.issuer),
            ("note", offered.payer_note),
            ("payer", offered.payer_id),
            ("payer's name", offered.bip_353_name),
            ("valid until", _format_expiry(offered.absolute_expiry, self._clock())),
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

    def awaiting_payment(self, until: float) -> None:
        """Count down to ``until`` (UNIX seconds) from now on."""
        self._until = until
        if self._stop_drawing is not None:
            # It is a second invoice, in the place of one that has expired.
            return
        from rich.spinner import Spinner
        from rich.text import Text

        from .console import draw

        spinner = Spinner("dots")

        def render() -> Spinner:
            left = format_duration(max(self._until - self._clock(), 0))
            how = "Ctrl-C stops; run it again to continue"
            spinner.update(text=Text(f"Waiting to be paid, {left} left ({how})"))
            return spinner

        self._stop_drawing = draw(self._streams, self._console, render, per_second=8)

    def warn(self, text: str, hint: str | None = None, *, even_if_quiet: bool = False) -> None:
        """Show a warning, and what to do."""
        self._line("!", text, "bold yellow" if even_if_quiet else "yellow")
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
