"""What was warned of while a request was answered, for its outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..outcome import Offered
    from ..reporting import Progress


class ProgressWithWarnings:
    """A progress that also keeps the warnings. May be used from several threads.

    :param shown: shows all that comes.
    """

    def __init__(self, shown: Progress) -> None:
        self._shown = shown
        self.wants_route = shown.wants_route
        #: Each warning once, in the order in which they came first.
        self._warnings: dict[str, None] = {}

    @property
    def warnings(self) -> list[str]:
        """What was warned of."""
        return list(self._warnings)

    def keep(self, text: str) -> None:
        """Keep a warning that is shown elsewhere, because it concerns other requests as well."""
        self._warnings[text] = None

    def warn(self, text: str, hint: str | None = None, *, even_if_quiet: bool = False) -> None:
        """Keep and show a warning."""
        self.keep(text)
        self._shown.warn(text, hint, even_if_quiet=even_if_quiet)

    def offered(self, offered: Offered, amount_msat: int) -> None:
        """Show what the payer offers, and what we ask for."""
        self._shown.offered(offered, amount_msat)

    def step(self, text: str) -> None:
        """Show a step."""
        self._shown.step(text)

    def routed(self, names: list[str]) -> None:
        """Show a route."""
        self._shown.routed(names)

    def awaiting_payment(self, until: float) -> None:
        """Show until when (UNIX seconds) we wait."""
        self._shown.awaiting_payment(until)
