"""A child process that speaks JSON-RPC on its stdin and stdout, as lightningd's plugins do.

Source: lightningd's documentation of plugins.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import PLUGIN_TERMINATED, RpcError
from .framing import FramingError, ObjectReader, encode

_READ_SIZE = 65536
_TERMINATED = RpcError(PLUGIN_TERMINATED, "Plugin terminated before replying to RPC call.")


class ChildProcess:
    """An executable, and its process once :meth:`spawn` has started it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._process: asyncio.subprocess.Process | None = None
        self._numbers = itertools.count(1)
        self._pending: dict[str, asyncio.Future[dict[str, Any]]] = {}

    async def spawn(self, directory: Path, environment: Mapping[str, str], log: Path) -> None:
        """Start the process in a directory.

        :param environment: variables to add to this process's own.
        :param log: file to which its stderr is appended.
        :raises OSError: it cannot be run.
        """
        with log.open("ab") as stderr:
            self._process = await asyncio.create_subprocess_exec(
                str(self.path),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                cwd=directory,
                env={**os.environ, **environment},
            )

    async def run(self) -> None:
        """Read its answers until it ends, then fail the requests that are left."""
        assert self._process is not None
        assert self._process.stdout is not None
        reader = ObjectReader()
        try:
            while data := await self._process.stdout.read(_READ_SIZE):
                for message in reader.feed(data):
                    self._settle(str(message.get("id")), message)
        except FramingError:
            self.kill()
        await self._process.wait()
        for id_ in self._pending:
            self._settle(id_, _TERMINATED.as_response(id_))

    async def request(
        self, method: str, params: Any, *, cmd_id: str = "", **members: Any
    ) -> dict[str, Any]:
        """Send a request, and wait for the answer.

        :param cmd_id: id of the JSON-RPC request that this one belongs to.
        :param members: further members of the request.
        :returns: the whole answer, with ``result`` or ``error``.
        """
        number = f"cln:{method}#{next(self._numbers)}"
        id_ = f"{cmd_id}/{number}" if cmd_id else number
        self._pending[id_] = asyncio.get_running_loop().create_future()
        try:
            await self._write({"id": id_, "method": method, "params": params, **members})
            return await self._pending[id_]
        finally:
            del self._pending[id_]

    async def notify(self, method: str, params: dict[str, Any]) -> None:
        """Send a notification."""
        await self._write({"method": method, "params": params})

    async def ended(self) -> None:
        """Return once it has ended."""
        if self._process is not None:
            await self._process.wait()

    def kill(self) -> None:
        """Kill it, if it was started."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def _write(self, message: dict[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        # A process that is ending does not read; run() fails its requests.
        with contextlib.suppress(ConnectionError):
            self._process.stdin.write(encode({"jsonrpc": "2.0", **message}))
            await self._process.stdin.drain()

    def _settle(self, id_: str, answer: dict[str, Any]) -> None:
        waiting = self._pending.get(id_)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)
