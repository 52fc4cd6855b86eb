"""The sandbox as tests and the command use it: from ordinary threads, without asyncio."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from .calls.dispatch import CallObserver, Dispatcher
from .faults import Faults
from .model import inbox
from .model.clock import Clock
from .model.network import Network
from .model.node import NETWORK, Node
from .model.topology import ChannelSpec, Topology, line
from .rpc.server import RpcServer

_T = TypeVar("_T")

#: Seconds of real time between two checks of the timers.
_TICK_SECONDS = 0.02


class Sandbox:
    """A simulated network, from :meth:`start` to :meth:`stop`; also a context manager.

    Its methods may be called from any thread. An observer of calls may call
    those that change nodes and channels: they take effect right after it has
    returned, and :meth:`settle` waits for that.

    :param topology: alice, bob and carol in a line, by default.
    :param directory: parent of the nodes' directories; temporary by default.
    :param clock: tells the time in UNIX seconds; expiry, rate limits and
        delays go by it.
    """

    def __init__(
        self,
        topology: Topology | None = None,
        *,
        directory: Path | None = None,
        clock: Clock = time.time,
    ) -> None:
        self.topology = topology or line()
        self.clock = clock
        self._own_directory = directory is None
        # Socket paths must be short.
        self.directory = directory or Path(tempfile.mkdtemp(prefix="sandbox-", dir="/tmp"))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._network = Network(self.topology, self.directory, clock, inbox.receive)
        self._servers: dict[str, RpcServer] = {}
        self._dispatchers: dict[str, Dispatcher] = {}
        self._observer: CallObserver | None = None
        self._events: list[tuple[str, str]] = []
        self._failures: list[BaseException] = []
        self._ticker: asyncio.Task[None] | None = None

    @property
    def faults(self) -> Faults:
        """The faults that can be injected."""
        return self._network.faults

    def start(self) -> Sandbox:
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
        return self

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

    def __enter__(self) -> Sandbox:
        return self.start()

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    # Looking

    def lightning_dir(self, name: str) -> Path:
        """A node's ``--lightning-dir``; its network is regtest."""
        return self._node(name).lightning_dir

    def rpc_file(self, name: str) -> Path:
        """The path of a node's socket."""
        return self._node(name).rpc_file

    def node_id(self, name: str) -> bytes:
        """A node's 33-byte id."""
        return self._node(name).id

    def private_key(self, name: str) -> bytes:
        """A node's 32-byte private key, to sign what it would not sign itself."""
        return bytes(self._node(name).private_key.secret)

    def log(self, name: str) -> list[str]:
        """The log lines of a node."""
        return [line_ for node, line_ in self._events if node == name]

    def received_invoices(self, name: str) -> list[bytes]:
        """TLV streams of all invoices that have reached a node, ignored ones too."""
        return list(self._node(name).received_invoices)

    def observe_calls(self, observer: CallObserver | None) -> None:
        """Call ``observer(node, method, phase)`` for each call on a socket.

        ``phase`` is ``before`` it takes effect, or ``after``, but before the answer.
        """
        self._observer = observer

    def settle(self) -> None:
        """Return once every message has arrived or is lost, and no payment is moving.

        It does not wait for payments and messages that are held back.
        """
        self._run(self._network.tasks.idle())

    # Doing

    def call(self, name: str, method: str, **parameters: Any) -> dict[str, Any]:
        """Make a call to a node without its socket, past observers and faults.

        :raises RpcError: as lightningd would answer.
        """
        return self._run(self._dispatchers[name].call(method, parameters))

    def request(self, payer: str, amount_msat: int, description: str = "", **more: Any) -> str:
        """Have a payer create an invoice_request; returns the ``lnr1…`` string."""
        answer = self.call(
            payer, "invoicerequest", amount=amount_msat, description=description, **more
        )
        return str(answer["bolt12"])

    def stop_node(self, name: str) -> None:
        """Stop a node: its connections close, and its plugins end."""
        self._run(self._stop_node(self._node(name)))

    def start_node(self, name: str, *, channels_later: bool = False) -> None:
        """Start a node that was stopped. It still has its invoices and invoice_requests.

        :param channels_later: its peers connect, but its channels carry no
            payment until :meth:`reestablish_channels`.
        """
        self._run(self._start_node(self._node(name), channels_later))

    def restart_node(self, name: str, *, channels_later: bool = False) -> None:
        """Stop a node and start it again; ``channels_later`` as in :meth:`start_node`."""
        self._run(self._restart_node(self._node(name), channels_later))

    def reestablish_channels(self, name: str) -> None:
        """Let the channels of a node carry payments, after ``channels_later``."""
        self._do(lambda: self._network.reestablish(self._node(name)))

    def freeze_node(self, name: str) -> None:
        """Freeze a node like a stopped process: it handles no message and no call.

        Its connections stay. :meth:`call` still works.
        """
        self._do(self._node(name).thawed.clear)

    def thaw_node(self, name: str) -> None:
        """Thaw a frozen node: it handles what has arrived meanwhile, in order."""
        self._do(self._node(name).thawed.set)

    def connect(self, one: str, other: str) -> None:
        """Connect two nodes, whatever addresses they announce."""
        self._do(lambda: self._network.link(self._node(one), self._node(other)))

    def disconnect(self, one: str, other: str) -> None:
        """Disconnect two nodes."""
        self._do(lambda: self._network.disconnect(self.node_id(one), self.node_id(other)))

    def open_channel(self, channel: ChannelSpec) -> None:
        """Open one more channel."""
        self._do(lambda: self._network.open_channel(channel))

    def _node(self, name: str) -> Node:
        return self._network.nodes[name]

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        if threading.current_thread() is self._thread:
            # An observer must not wait for the loop that it runs on.
            self._network.tasks.spawn(work)  # type: ignore[arg-type]
            return None  # type: ignore[return-value]
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _do(self, action: Callable[[], None]) -> None:
        async def act() -> None:
            action()

        self._run(act())

    async def _start(self) -> None:
        self._ticker = self._loop.create_task(self._tick())
        for node in self._network.nodes.values():
            node.network_dir.mkdir(parents=True, exist_ok=True)
            self._dispatchers[node.name] = Dispatcher(
                self._network, node, partial(self._stop_soon, node), self._observe
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

    async def _start_node(self, node: Node, channels_later: bool = False) -> None:
        server = RpcServer(node.rpc_file, self._dispatchers[node.name].answer)
        await server.start()
        self._servers[node.name] = server
        self._network.bring_up(node, channels_later=channels_later)

    async def _stop_node(self, node: Node) -> None:
        self._network.take_down(node)
        server = self._servers.pop(node.name, None)
        if server is not None:
            await server.stop()
        await node.plugins.stop_all()

    async def _restart_node(self, node: Node, channels_later: bool) -> None:
        await self._stop_node(node)
        await self._start_node(node, channels_later)

    async def _tick(self) -> None:
        while True:
            self._network.timers.run_due()
            await asyncio.sleep(_TICK_SECONDS)

    def _observe(self, node: str, method: str, phase: str) -> None:
        if self._observer is not None:
            self._observer(node, method, phase)

    def _stop_soon(self, node: Node) -> None:
        # Later, so that the call is answered first.
        self._loop.call_later(_TICK_SECONDS, lambda: self._loop.create_task(self._stop_node(node)))

    def _note(self, node: Node, text: str) -> None:
        self._events.append((node.name, text))
        with (node.lightning_dir / "log").open("a", encoding="utf-8") as log:
            log.write(f"{self.clock():.3f} {text}\n")

    def _note_failure(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if "exception" in context:
            self._failures.append(context["exception"])


def lightning_options(sandbox: Sandbox, name: str) -> list[str]:
    """The options that point ``sendinvoice`` to a node."""
    return ["--lightning-dir", str(sandbox.lightning_dir(name)), "--network", NETWORK]
