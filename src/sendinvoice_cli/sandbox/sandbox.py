"""The sandbox as the command and tests use it: from ordinary threads, without asyncio."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
import time
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from .behaviour import Behaviour
from .calls.dispatch import Dispatcher
from .model import inbox
from .model.clock import Clock
from .model.network import Network
from .model.node import NETWORK, Node
from .model.topology import Topology, line
from .rpc.server import RpcServer

_T = TypeVar("_T")
_Self = TypeVar("_Self", bound="Sandbox")

#: Seconds of real time between two checks of the timers.
_TICK_SECONDS = 0.02


class Sandbox:
    """A simulated network, from :meth:`start` to :meth:`stop`; also a context manager.

    Its methods may be called from any thread.

    :param topology: alice, bob and carol in a line, by default.
    :param directory: parent of the nodes' directories; temporary by default.
    :param clock: tells the time in UNIX seconds; expiry, rate limits and
        delays go by it.
    :param behaviour: what nodes do; by default what lightningd does.
    """

    def __init__(
        self,
        topology: Topology | None = None,
        *,
        directory: Path | None = None,
        clock: Clock = time.time,
        behaviour: Behaviour | None = None,
    ) -> None:
        self.topology = topology or line()
        self.clock = clock
        self._own_directory = directory is None
        # Socket paths must be short.
        self.directory = directory or Path(tempfile.mkdtemp(prefix="sandbox-", dir="/tmp"))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._network = Network(
            self.topology, self.directory, clock, inbox.receive, behaviour or Behaviour()
        )
        self._servers: dict[str, RpcServer] = {}
        self._dispatchers: dict[str, Dispatcher] = {}
        self._failures: list[BaseException] = []
        self._ticker: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start all nodes.

        :raises OSError: the directory cannot be used; nothing is left running.
        """
        self._loop.set_exception_handler(self._note_failure)
        self._thread.start()
        try:
            self._run(self._start())
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop all nodes, and clean up.

        :raises RuntimeError: the sandbox itself has failed.
        """
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        if self._own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)
        if self._failures:
            raise RuntimeError("the sandbox failed") from self._failures[0]

    def __enter__(self: _Self) -> _Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def lightning_dir(self, name: str) -> Path:
        """A node's ``--lightning-dir``; its network is regtest."""
        return self._node(name).lightning_dir

    def rpc_file(self, name: str) -> Path:
        """The path of a node's socket."""
        return self._node(name).rpc_file

    def node_id(self, name: str) -> bytes:
        """A node's 33-byte id."""
        return self._node(name).id

    def call(self, name: str, method: str, **parameters: Any) -> dict[str, Any]:
        """Make a call to a node without its socket.

        :raises RpcError: as lightningd would answer.
        """
        return self._run(self._dispatchers[name].call(method, parameters))

    def request(self, payer: str, amount_msat: int, description: str = "", **more: Any) -> str:
        """Have a payer create an invoice_request; returns the ``lnr1…`` string."""
        answer = self.call(
            payer, "invoicerequest", amount=amount_msat, description=description, **more
        )
        return str(answer["bolt12"])

    def _node(self, name: str) -> Node:
        return self._network.nodes[name]

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _start(self) -> None:
        self._ticker = self._loop.create_task(self._tick())
        for node in self._network.nodes.values():
            node.network_dir.mkdir(parents=True, exist_ok=True)
            self._dispatchers[node.name] = Dispatcher(
                self._network, node, partial(self._stop_soon, node)
            )
            (node.lightning_dir / "log").open("a").close()
            node.on_log = partial(self._note, node)
            await self._start_node(node)

    async def _stop(self) -> None:
        for node in self._network.nodes.values():
            await self._stop_node(node)
        if self._ticker is not None:
            self._ticker.cancel()
        await self._network.tasks.close()

    async def _start_node(self, node: Node) -> None:
        server = RpcServer(node.rpc_file, self._dispatchers[node.name].answer)
        await server.start()
        self._servers[node.name] = server
        self._network.bring_up(node)

    async def _stop_node(self, node: Node) -> None:
        self._network.take_down(node)
        server = self._servers.pop(node.name, None)
        if server is not None:
            await server.stop()
        await node.plugins.stop_all()

    async def _tick(self) -> None:
        while True:
            self._network.timers.run_due()
            await asyncio.sleep(_TICK_SECONDS)

    def _stop_soon(self, node: Node) -> None:
        # Later, so that the call is answered first.
        self._loop.call_later(_TICK_SECONDS, lambda: self._loop.create_task(self._stop_node(node)))

    def _note(self, node: Node, text: str) -> None:
        with (node.lightning_dir / "log").open("a", encoding="utf-8") as log:
            log.write(f"{self.clock():.3f} {text}\n")

    def _note_failure(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if "exception" in context:
            self._failures.append(context["exception"])


def lightning_options(sandbox: Sandbox, name: str) -> list[str]:
    """The options that point ``sendinvoice`` to a node."""
    return ["--lightning-dir", str(sandbox.lightning_dir(name)), "--network", NETWORK]
