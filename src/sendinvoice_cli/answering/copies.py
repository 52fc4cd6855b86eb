"""The copies of one invoice on their way to the payer, and the payer's reply to each.

Every copy has a path_id of its own, so a reply tells which copy it is about.
"""

import secrets
from typing import NamedTuple

from ..bolt12.invoice_error import InvoiceError
from ..bolt12.verdict import Meaning, Verdict, judge
from ..node.ways.routes import Route


class Replied(NamedTuple):
    """The payer has replied: with an error, since BOLT 12 has no other reply."""

    error: InvoiceError
    meaning: Meaning

    @property
    def verdict(self) -> Verdict:
        """What it means for the wait."""
        return self.meaning.verdict


class Copy:
    """One onion message that carries the invoice."""

    def __init__(self, route: Route) -> None:
        self.route = route
        #: The payer's reply. None until it comes; lightningd may not have sent the message yet.
        self.reply: Replied | None = None


class Copies:
    """All copies that this command has made, by path_id (32 bytes).

    One may be begun or withdrawn in another thread while these are looked at.
    """

    def __init__(self) -> None:
        self._copies: dict[bytes, Copy] = {}
        self._last: Replied | None = None
        self._last_words: Replied | None = None

    def __len__(self) -> int:
        return len(self._copies)

    def __contains__(self, path_id: bytes) -> bool:
        return path_id in self._copies

    @property
    def path_ids(self) -> tuple[bytes, ...]:
        """The path_id of each copy, in the order in which they were made."""
        return tuple(self._copies)

    @property
    def routes(self) -> list[Route]:
        """The route of each copy."""
        return [copy.route for copy in tuple(self._copies.values())]

    def begin(self, route: Route) -> bytes:
        """Note a copy before it is sent, and return its fresh path_id."""
        path_id = secrets.token_bytes(32)
        self._copies[path_id] = Copy(route)
        return path_id

    def withdraw(self, path_id: bytes) -> None:
        """Forget a copy that was never sent: lightningd refused the message."""
        del self._copies[path_id]

    def reply(self, path_id: bytes, error: InvoiceError) -> Replied | None:
        """Note the payer's reply to a copy; None when no such copy waits for one."""
        copy = self._copies.get(path_id)
        if copy is None or copy.reply is not None:
            return None
        copy.reply = self._last = Replied(error, judge(error))
        if self._last.verdict is not Verdict.IN_PROGRESS:
            self._last_words = self._last
        return self._last

    @property
    def last_words(self) -> Replied | None:
        """The payer's last reply, other than that it is paying; None without one."""
        return self._last_words

    @property
    def is_being_paid(self) -> bool:
        """Whether the payer's last reply says that it is paying."""
        return self._last is not None and self._last.verdict is Verdict.IN_PROGRESS

    @property
    def is_declined(self) -> bool:
        """Whether the payer will not pay: it refused the invoice, or gave the request up."""
        return any(
            copy.reply is not None and copy.reply.verdict in (Verdict.REFUSED, Verdict.GAVE_UP)
            for copy in tuple(self._copies.values())
        )

    @property
    def have_all_failed(self) -> bool:
        """Whether every copy has its reply, none is being paid, and the last reply is unclear."""
        return (
            self._last is not None
            and self._last.verdict is Verdict.UNCLEAR
            and all(
                copy.reply is not None and copy.reply.verdict is not Verdict.IN_PROGRESS
                for copy in tuple(self._copies.values())
            )
        )
