"""What a host is: the difference between a single send and a row of a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from ..node.events.replies import Reply
    from ..node.invoices import Change
    from ..node.lightningd import Lightningd
    from ..node.ways.routes import Route
    from .exchange import Exchange
    from .warnings import ProgressWithWarnings

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)


class Job(Protocol[_T_co]):
    """Work in the background, as the futures of asyncio and of threads show it."""

    def done(self) -> bool:
        """Whether it has ended."""

    def result(self) -> _T_co:
        """What it returned; raises what it raised."""


class Early(NamedTuple):
    """A copy was not sent, since its turn comes only in so many seconds."""

    seconds: float


class Host(Protocol):
    """What differs between a single send and a row of a batch. Times are UNIX seconds."""

    lightningd: Lightningd
    progress: ProgressWithWarnings
    #: How many routes that are as good are worth looking for.
    ways: int

    def now(self) -> float:
        """The time."""

    async def call(self, step: Callable[[], _T]) -> _T:
        """Take a step that blocks while lightningd answers."""

    def begin(self, step: Callable[[], _T]) -> Job[_T]:
        """Begin such a step; its end wakes :meth:`wait`."""

    def search(self, work: Callable[[], _T], *, may_connect: bool) -> Job[_T]:
        """Begin a search for a route; its end wakes :meth:`wait`.

        :param may_connect: it may open connections, which takes up to minutes.
        """

    async def wait(self, until: float) -> None:
        """Wait until then, or until an event comes."""

    def take_events(self) -> list[Change | Reply]:
        """The events about this request since the last call."""

    def step_aside(self) -> None:
        """Let others go first: what this request waits for may take minutes."""

    def take_turn(self, route: Route, size: int, before: float) -> tuple[Route, float] | None:
        """Take a turn on every peer link of a route, or of one that is as good.

        :param size: bytes of the onion's payloads.
        :param before: take none that would come later.
        :returns: the route, and when its turn comes; None when that would be too late.
        """

    def send(self, route: Route, size: int, transmit: Callable[[], bool]) -> Job[bool | Early]:
        """Begin to send a copy; its end wakes :meth:`wait`.

        :param size: as for :meth:`take_turn`.
        :param transmit: sends it; False when lightningd cannot send it this way.
        :returns: what ``transmit`` returned, or that it was not its turn.
        """

    def prepare(self) -> Job[None]:
        """Begin to prepare for :meth:`follow`; its end wakes :meth:`wait`."""

    def follow(self, exchange: Exchange) -> None:
        """Follow the changes of the invoice from now on."""

    def settled(self) -> None:
        """The outcome is known: from now on no signal may interrupt."""
