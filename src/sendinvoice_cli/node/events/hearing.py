"""Payers' replies, heard through the helper that lightningd runs, before and after its restarts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ...errors import UnreachableError
from .helper_path import HelperUnavailableError
from .replies import ReplySession

if TYPE_CHECKING:
    from ...reporting import Notices
    from .link import Link

#: How often we start a helper again that has ended, as long as lightningd does not restart.
HELPER_RESTARTS = 1
#: After this many losses of lightningd in quick succession, we stop listening until it has gone
#: and come back once more.
HELPER_LOSSES = 5
#: Seconds after which a loss does not count as soon after the one before.
_SOON_SECONDS = 30


class Hearing:
    """Hears replies for one command. May be used from several threads.

    :param until: UNIX seconds after which nobody waits for replies.
    :param settle: called with True when the helper has been started, or cannot be, and with False
        when it is started again.
    """

    def __init__(
        self, link: Link, notices: Notices, until: float, settle: Callable[[bool], None]
    ) -> None:
        self._link = link
        self._notices = notices
        self._settle = settle
        self._session = ReplySession(link.client, until)
        self._lock = threading.RLock()
        self._is_hearing = False
        self._expected = 0

    def run(self) -> None:
        """Start the helper and tell the link of each reply, until the link is closed."""
        link = self._link
        restarts = HELPER_RESTARTS
        losses, lost_at = 0, 0.0
        while not link.is_closed:
            generation = link.generation
            try:
                self._session.start()
                self._set_hearing(True)
                self._listen()
            except UnreachableError as lost:
                now = link.clock()
                losses = losses + 1 if now < lost_at + _SOON_SECONDS else 1
                lost_at = now
                if losses == HELPER_LOSSES:
                    self._stop(lost.message)
                link.lose(lost, generation)
                link.await_change(lambda: link.is_up)
                if losses == HELPER_LOSSES:
                    link.await_change(lambda: link.generation > generation + 1)  # noqa: B023
                    losses = 0
                restarts = HELPER_RESTARTS
            except HelperUnavailableError as failure:
                if generation != link.generation:
                    # It ended together with its lightningd.
                    restarts = HELPER_RESTARTS
                elif restarts and self._is_hearing:
                    restarts -= 1
                    self._settle(False)
                else:
                    self._stop(str(failure))
                    link.await_change(lambda: link.generation > generation)  # noqa: B023
                    restarts = HELPER_RESTARTS

    def expect(self, path_id: bytes, until: float) -> bool:
        """Expect a reply; see :meth:`.Link.expect`."""
        if not self._is_hearing:
            return False
        self._session.extend(until)
        try:
            self._session.expect(path_id)
        except HelperUnavailableError as failure:
            self._stop(str(failure))
            return False
        with self._lock:
            self._expected += 1
        self._link.wake()
        return True

    def forget(self, path_ids: Iterable[bytes]) -> None:
        """Stop expecting replies with these path_ids (32 bytes each)."""
        self._session.forget(path_ids)

    def close(self) -> None:
        """End the session in the helper if it would last for long."""
        if self._is_hearing:
            self._session.close(self._link.clock())

    def _listen(self) -> None:
        link = self._link
        while not link.is_closed:
            expected = self._expected
            for reply in self._session.listen():
                link.tell(reply)
            # The helper expects no reply now.
            link.await_change(lambda: self._expected > expected)  # noqa: B023

    def _set_hearing(self, is_hearing: bool) -> None:
        self._is_hearing = is_hearing
        self._settle(True)

    def _stop(self, reason: str) -> None:
        with self._lock:
            was_told = self._link.is_hearing_settled and not self._is_hearing
            self._set_hearing(False)
        if not was_told:
            self._notices.warn(
                f"cannot hear the payer's answers: {reason}",
                "a refusal will look like a timeout; --no-replies silences this warning",
            )
