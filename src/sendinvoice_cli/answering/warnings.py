"""What is warned of while a request is answered, and kept for its outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..amounts import format_duration

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


def autoclean(age: int | None, timeout: int) -> tuple[str, str] | None:
    """What to warn of when lightningd forgets paid invoices, with a hint.

    :param age: seconds after which it deletes them, None for never.
    :param timeout: TIMEOUT, in seconds.
    """
    if age is None or age >= timeout:
        return None
    return (
        f"lightningd deletes paid invoices after {age} s (autoclean-paidinvoices-age), "
        "before TIMEOUT ends",
        "after that, the same command asks for the money again; set a longer age",
    )


def expiry(expires_at: int | None, ends_at: float, now: float) -> tuple[str, str] | None:
    """What to warn of when the request does not live as long as the wait, with a hint.

    :param expires_at: of the request; this, and when the wait ends, are UNIX seconds.
    """
    if expires_at is None or expires_at >= ends_at:
        return None
    when = f"expires in {format_duration(expires_at - now)}, before TIMEOUT ends"
    return (
        f"the request {when if now < expires_at else 'has expired meanwhile'}",
        "after that, LDK ignores it in silence, and Core Lightning still pays",
    )
