"""What to do next while an invoice waits to be paid. Pure: times are parameters, in UNIX seconds.

Every rule of waiting is here: when the next copy is due, which reply of the payer is final, and
how long to go on past the deadline for the last word.
"""

from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from ..bolt12.verdict import Verdict
from .deadline import LAST_WORD_SECONDS

if TYPE_CHECKING:
    from ..node.invoices import StoredInvoice
    from .copies import Copies

#: Seconds from one copy to the next while nothing is heard; the last one repeats. A payer that
#: has the invoice replies or pays within seconds.
COPY_INTERVALS = (8, 16, 32, 60)
#: Seconds from "I could not pay" to the next copy; the last one repeats.
RETRY_INTERVALS = (3, 6, 12, 24, 48, 60)
#: Seconds without copies once the payer says that it is paying: lightningd tries for 60 s, and
#: may give up silently.
IN_PROGRESS_SECONDS = 70
#: Seconds before the deadline in which we send the first copy only: the payer needs time.
LAST_COPY_BEFORE = 5
#: Seconds between two looks at an invoice that should have expired.
LAST_WORD_INTERVAL = 1


class Due(Enum):
    """What is due now."""

    COPY = "send a copy"
    STATE = "read the invoice's state"
    END = "nothing: it has ended"


class Sleep(NamedTuple):
    """Nothing is due until then (UNIX seconds), unless an event comes."""

    until: float


Step = Due | Sleep


class Waiting:
    """The wait for one invoice.

    :param now: when the wait begins; the first copy is due at once.
    :param sent_before: an earlier command may have sent copies, whose replies we do not hear.
    """

    def __init__(self, now: float, *, sent_before: bool) -> None:
        self._copy_at = now
        self._is_first = True
        self._sent_before = sent_before
        self._copies_due = 0
        self._failures = 0
        #: When the state was last read because a reply or the deadline may end the wait.
        self._state_read_at: float | None = None
        self._deadline_seen_at: float | None = None

    def next(self, invoice: "StoredInvoice", copies: "Copies", now: float) -> Step:
        """What to do now."""
        if invoice.status != "unpaid":
            return Due.END
        if self.is_final(copies):
            # A payment beats every reply: lightningd's state decides.
            return Due.STATE if self._state_read_at is None else Due.END
        if now < invoice.expires_at:
            return self._before_deadline(invoice.expires_at, now)
        return self._after_deadline(now)

    def _before_deadline(self, expires_at: int, now: float) -> Step:
        if now < self._copy_at:
            return Sleep(min(self._copy_at, expires_at))
        if self._is_first or now < expires_at - LAST_COPY_BEFORE:
            return Due.COPY
        return Sleep(expires_at)

    def _after_deadline(self, now: float) -> Step:
        if self._deadline_seen_at is None:
            self._deadline_seen_at = now
        give_up_at = self._deadline_seen_at + LAST_WORD_SECONDS
        if self._state_read_at is None:
            return Due.STATE
        if now >= give_up_at:
            return Due.END
        read_at = self._state_read_at + LAST_WORD_INTERVAL
        return Due.STATE if now >= read_at else Sleep(min(read_at, give_up_at))

    def copy_ended(self, now: float) -> None:
        """A copy was sent, or no route took it: the next one is due after an interval."""
        self._is_first = False
        self._copy_at = now + interval(COPY_INTERVALS, self._copies_due)
        self._copies_due += 1

    def heard(self, verdict: Verdict, now: float) -> float | None:
        """Take the payer's reply.

        :returns: UNIX seconds at which the invoice is sent again because the payer could not pay
            it yet, else None.
        """
        if verdict is Verdict.NOT_YET:
            self._copy_at = now + interval(RETRY_INTERVALS, self._failures)
            self._failures += 1
            return self._copy_at
        if verdict is Verdict.IN_PROGRESS:
            self._copy_at = max(self._copy_at, now + IN_PROGRESS_SECONDS)
        else:
            # It may end the wait, but the invoice may have been paid since its state was read.
            self._state_read_at = None
        return None

    def state_read(self, now: float) -> None:
        """The invoice's state was read because :attr:`Due.STATE` was due."""
        self._state_read_at = now

    def is_final(self, copies: "Copies") -> bool:
        """Whether the payer's replies are final.

        A refusal of the invoice itself is final: every copy carries the same invoice. So is the
        reply of a payer that has given the request up. Another error may be about a repeated copy
        while the first is being paid, so it is final once every copy has its reply. We never hear
        replies to the copies of an earlier command.
        """
        return copies.is_declined or (not self._sent_before and copies.have_all_failed)


def interval(intervals: Sequence[float], number: int) -> float:
    """Interval ``number``, 0 for the first; past the end, the last one."""
    return intervals[min(number, len(intervals) - 1)]
