"""Payers' replies, heard through the helper that lightningd runs, before and after its restarts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ...errors import UnreachableError
from ...threads import spawn
from .connection import Connection, News
from .helper_path import HelperUnavailableError
from .losses import Losses
from .replies import Reply, ReplySession

if TYPE_CHECKING:
    from ...reporting import Notices

#: How often we start a helper again that has ended, as long as lightningd does not restart.
HELPER_RESTARTS = 1


class Hearing:
    """Hears replies for one command. May be used from several threads.

    :param tell: called with each reply, and when the helper is ready or cannot run.
    """

    def __init__(
        self, connection: Connection, notices: Notices, tell: Callable[[Reply | News], None]
    ) -> None:
        self._connection = connection
        self._notices = notices
        self._tell = tell
        self._session: ReplySession | None = None
        self._lock = threading.RLock()
        self._is_hearing = False
        self._expected = 0
        #: False while the helper is being started.
        self.is_settled = True

    def start(self, until: float) -> None:
        """Start the helper, and tell of replies from then on; once only.

        :param until: UNIX seconds after which nobody waits for replies.
        """
        if self._session is None:
            self._session = ReplySession(self._connection.client, until)
            self.is_settled = False
            session = self._session
            spawn(lambda: self._run(session))

    def expect(self, path_id: bytes, until: float) -> bool:
        """Expect a reply with this path_id.

        :param path_id: 32 bytes.
        :param until: UNIX seconds after which nobody waits for it.
        :returns: False when replies cannot be heard.
        :raises UnreachableError: lightningd is gone.
        """
        if self._session is None or not self._is_hearing:
            return False
        self._session.extend(until)
        try:
            self._session.expect(path_id)
        except HelperUnavailableError as failure:
            self._stop(str(failure))
            return False
        with self._lock:
            self._expected += 1
        self._connection.wake()
        return True

    def forget(self, path_ids: Iterable[bytes]) -> None:
        """Stop expecting replies with these path_ids (32 bytes each)."""
        if self._session is not None:
            self._session.forget(path_ids)

    def close(self) -> None:
        """End the session in the helper if it would last for long."""
        if self._session is not None and self._is_hearing and self._connection.is_up:
            self._session.close(self._connection.clock())

    def _run(self, session: ReplySession) -> None:
        """Start the helper and tell of each reply, until the connection is closed."""
        connection = self._connection
        losses = Losses(connection.clock)
        restarts = HELPER_RESTARTS
        while not connection.is_closed:
            generation = connection.generation
            try:
                session.start()
                self._settle(True)
                self._listen(session)
            except UnreachableError as lost:
                losses.note()
                restarts = HELPER_RESTARTS
                self._lose(lost, generation, losses)
            except HelperUnavailableError as failure:
                if generation != connection.generation:
                    # It ended together with its lightningd.
                    restarts = HELPER_RESTARTS
                elif restarts and self._is_hearing:
                    restarts -= 1
                    self.is_settled = False
                else:
                    self._stop(str(failure))
                    connection.await_change(lambda: connection.generation > generation)  # noqa: B023
                    restarts = HELPER_RESTARTS

    def _lose(self, lost: UnreachableError, generation: int, losses: Losses) -> None:
        """Wait until lightningd is back; what always loses it rests for a generation."""
        connection = self._connection
        if losses.are_too_many:
            self._stop(lost.message)
        connection.lose(lost, generation)
        connection.await_change(lambda: connection.is_up)
        if losses.are_too_many:
            connection.await_change(lambda: connection.generation > generation + 1)
            losses.forget()

    def _listen(self, session: ReplySession) -> None:
        while not self._connection.is_closed:
            expected = self._expected
            for reply in session.listen():
                self._tell(reply)
            # The helper expects no reply now.
            self._connection.await_change(lambda: self._expected > expected)  # noqa: B023

    def _settle(self, is_hearing: bool) -> None:
        self._is_hearing = is_hearing
        self.is_settled = True
        self._tell(News.HEARING)

    def _stop(self, reason: str) -> None:
        with self._lock:
            was_told = self.is_settled and not self._is_hearing
            self._settle(False)
        if not was_told:
            self._notices.warn(
                f"cannot hear the payer's answers: {reason}",
                "a refusal will look like a timeout; --no-replies silences this warning",
            )
