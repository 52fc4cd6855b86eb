"""The connection of one call, which knows how long it may take, and which others can end."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from contextlib import suppress

#: Seconds of one wait for an answer. A signal that comes just before a wait does not end it, so
#: this is the longest time for which Ctrl-C may seem to be ignored.
SLICE_SECONDS = 0.25
#: Seconds between attempts to connect to a lightningd that has too many connections to accept.
_RETRY_SECONDS = 0.05


class CallSocket:
    """Takes the place of pyln.client's UnixSocket, which can wait for ever.

    :param path: of the unix socket.
    :param patience: seconds that the call may take; None for a call that waits for something.
    """

    def __init__(self, path: str, patience: float | None) -> None:
        self._path = path
        self._deadline = None if patience is None else time.monotonic() + patience
        self._socket = socket.socket(socket.AF_UNIX)
        self._has_ended = False

    def connect(self) -> CallSocket:
        """Connect; returns itself.

        :raises TimeoutError: lightningd accepts no connection in time.
        :raises OSError: it cannot be reached.
        """
        while True:
            self._socket.settimeout(self._left())
            try:
                self._connect()
                break
            except BlockingIOError:
                time.sleep(_RETRY_SECONDS)
        if self._has_ended:
            raise ConnectionAbortedError
        return self

    def _connect(self) -> None:
        try:
            self._socket.connect(self._path)
        except OSError as failure:
            if failure.errno is not None:
                raise
            # The path is too long.
            with tempfile.TemporaryDirectory() as folder:
                short = os.path.join(folder, "rpc")
                os.symlink(os.path.abspath(self._path), short)
                self._socket.connect(short)

    def sendall(self, data: bytes) -> None:
        """Send all of it.

        :raises TimeoutError: lightningd does not take it in time.
        """
        self._socket.settimeout(self._left())
        self._socket.sendall(data)

    def recv(self, size: int) -> bytes:
        """Receive at most ``size`` bytes, and b"" at the end.

        :raises TimeoutError: nothing comes in time.
        """
        while True:
            left = self._left()
            self._socket.settimeout(None if left is None else min(left, SLICE_SECONDS))
            with suppress(TimeoutError):
                return self._socket.recv(size)

    def close(self) -> None:
        """Close it, in the thread that makes the call."""
        self._socket.close()

    def end(self) -> None:
        """End the call that another thread makes: lightningd seems to have closed it."""
        self._has_ended = True
        # It may not be connected yet, or be closed already.
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _left(self) -> float | None:
        if self._deadline is None:
            return None
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left
