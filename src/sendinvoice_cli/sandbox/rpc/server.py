"""A JSON-RPC server on a unix socket, framed as lightningd's.

Source: lightningd-rpc(7).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from .errors import INVALID_REQUEST, RpcError
from .framing import FramingError, ObjectReader, encode

_READ_SIZE = 65536
#: lightningd's default for ``rpc-file-mode``.
_MODE = 0o600
#: Connections that may wait for accept().
_BACKLOG = 100
#: Bytes that the path of a unix socket may have on every system.
_LONGEST_PATH = 100

#: Returns the bytes to answer a request with; None closes the connection.
Answer = Callable[[dict[str, Any]], Awaitable[bytes | None]]


class RpcServer:
    """A unix socket that answers requests concurrently, even on one connection.

    :param path: of the socket; a stale one is replaced.
    """

    def __init__(self, path: Path, answer: Answer) -> None:
        self._path = path
        self._answer = answer
        self._listener: socket.socket | None = None
        self._accepted: set[socket.socket] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._connections: set[asyncio.Task[None]] = set()
        self._calls: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Start listening.

        :raises OSError: the socket cannot be made.
        """
        self._path.unlink(missing_ok=True)
        # Not asyncio's own server: from Python 3.13 on it removes the file when
        # it closes, and it may leave a connection open that it has just accepted.
        listener = socket.socket(socket.AF_UNIX)
        listener.setblocking(False)
        try:
            with _short_name(self._path) as name:
                listener.bind(name)
        except OSError:
            listener.close()
            raise
        self._path.chmod(_MODE)
        listener.listen(_BACKLOG)
        self._listener = listener
        asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    async def stop(self) -> None:
        """Stop listening and close all connections. Like lightningd, leave the socket's file."""
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
        for writer in self._writers:
            writer.transport.abort()
        tasks = (*self._connections, *self._calls)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # Some may be accepted, but not served yet.
        for accepted in self._accepted:
            accepted.close()

    def _accept(self, listener: socket.socket) -> None:
        try:
            accepted, _ = listener.accept()
        except BlockingIOError:
            return
        self._accepted.add(accepted)
        connection = asyncio.get_running_loop().create_task(self._serve(accepted))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _serve(self, accepted: socket.socket) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=accepted)
        self._accepted.discard(accepted)
        self._writers.add(writer)
        requests = ObjectReader()
        calls: list[asyncio.Task[None]] = []
        try:
            while data := await reader.read(_READ_SIZE):
                for request in requests.feed(data):
                    call = asyncio.create_task(self._handle(request, writer))
                    calls.append(call)
                    self._calls.add(call)
                    call.add_done_callback(self._calls.discard)
            await asyncio.gather(*calls, return_exceptions=True)
        except FramingError as error:
            writer.write(encode(RpcError(INVALID_REQUEST, str(error)).as_response(None)))
        except ConnectionError:
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _handle(self, request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        try:
            answer = await self._answer(request)
        except Exception as error:
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"cannot answer {request}", "exception": error}
            )
            answer = None
        if answer is None:
            writer.close()
        elif not writer.is_closing():
            writer.write(answer)
            with contextlib.suppress(ConnectionError):
                await writer.drain()


@contextlib.contextmanager
def _short_name(path: Path) -> Iterator[str]:
    """A name for a socket, short enough to bind to."""
    if len(os.fsencode(path)) <= _LONGEST_PATH:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
