"""Who is told how it goes: the interfaces between the work and what renders it. Types only."""

from __future__ import annotations

from typing import Protocol

from .node.link import Notices
from .outcome import Ask, Counts, Result


class Progress(Notices, Protocol):
    """Who is told how one request goes. Texts of strangers are passed on as they are."""

    #: Whether the names of the nodes on the route are wanted: to look them up costs calls.
    wants_route: bool

    def asked(self, ask: Ask, amount_msat: int) -> None:
        """The request is readable; ``amount_msat`` is what the invoice will ask for."""

    def routed(self, names: list[str]) -> None:
        """A copy was sent; the names of the nodes that it goes over, ours first."""

    def waiting(self, until: float) -> None:
        """Only waiting is left, until then at most (UNIX seconds)."""


class Reporter(Notices, Protocol):
    """Who is told how a batch goes."""

    def result(self, result: Result) -> None:
        """A row has ended."""

    def counts(self, counts: Counts) -> None:
        """The numbers have changed."""

    def for_row(self, number: int) -> Progress:
        """Who is told how one row goes."""
