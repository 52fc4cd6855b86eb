"""The interfaces between the work and what shows it: progress, results, counts. Types only."""

from __future__ import annotations

from typing import Protocol

from .outcome import Counts, Offered, Result


class Notices(Protocol):
    """Shows messages to the user. May be called from any thread."""

    def step(self, text: str) -> None:
        """Something was done."""

    def warn(self, text: str, hint: str | None = None, *, even_if_quiet: bool = False) -> None:
        """Something is wrong, but the work goes on.

        :param hint: what to do about it.
        :param even_if_quiet: the user must see it, because money may be lost.
        """


class Progress(Notices, Protocol):
    """Shows how one request goes. Strangers' texts arrive here unescaped."""

    #: Whether to look up the names of the nodes on the route, which costs calls.
    wants_route: bool

    def offered(self, offered: Offered, amount_msat: int) -> None:
        """The request was read; ``amount_msat`` is what the invoice will ask for."""

    def routed(self, names: list[str]) -> None:
        """A copy was sent over the nodes with these names, ours first."""

    def awaiting_payment(self, until: float) -> None:
        """The wait for the payment begins; it ends at ``until`` (UNIX seconds) at the latest."""


class Reporter(Notices, Protocol):
    """Shows how a batch goes."""

    def result(self, result: Result) -> None:
        """A row has ended."""

    def counts(self, counts: Counts) -> None:
        """The numbers of paid, failed and waiting rows have changed."""

    def for_row(self, number: int) -> Progress:
        """The progress of one row."""
