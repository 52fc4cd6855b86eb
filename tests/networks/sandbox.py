"""The sandbox in the hands of a test, which looks inside and changes what happens."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from sendinvoice_cli.sandbox import sandbox
from sendinvoice_cli.sandbox.model.clock import Clock
from sendinvoice_cli.sandbox.model.node import Node
from sendinvoice_cli.sandbox.model.topology import ChannelSpec, Topology

from .faults import Faults
from .faulty import CallObserver, FaultyBehaviour

_T = TypeVar("_T")


class Sandbox(sandbox.Sandbox):
    """A sandbox with faults, which can be seen into, stopped, frozen and changed.

    An observer of calls may call the methods that change nodes and channels:
    they take effect right after it has returned, and :meth:`settle` waits for that.
    """

    def __init__(
        self,
        topology: Topology | None = None,
        *,
        directory: Path | None = None,
        clock: Clock = time.time,
    ) -> None:
        self.faults = Faults()
        self._behaviour = FaultyBehaviour(self.faults)
        super().__init__(topology, directory=directory, clock=clock, behaviour=self._behaviour)
        self._behaviour.network = self._network
        self._logs: defaultdict[str, list[str]] = defaultdict(list)
        #: Of stopped nodes, and of those whose peers are away: the peers that they had.
        self._peers: dict[str, list[Node]] = {}

    # Looking

    def private_key(self, name: str) -> bytes:
        """A node's 32-byte private key, to sign what it would not sign itself."""
        return bytes(self._node(name).private_key.secret)

    def log(self, name: str) -> list[str]:
        """The log lines of a node."""
        return list(self._logs[name])

    def received_invoices(self, name: str) -> list[bytes]:
        """TLV streams of all invoices that have reached a node, ignored ones too."""
        return list(self._behaviour.received[name])

    def observe_calls(self, observer: CallObserver | None) -> None:
        """Call ``observer(node, method, phase)`` for each call on a socket.

        ``phase`` is ``before`` it takes effect, or ``after``, but before the answer.
        """
        self._behaviour.observer = observer

    def settle(self) -> None:
        """Return once every message has arrived or is lost, and no payment is moving.

        It does not wait for payments and messages that are held back.
        """
        self._run(self._behaviour.settle())

    # Doing

    def stop_node(self, name: str) -> None:
        """Stop a node: its connections close, and its plugins end."""
        self._run(self._stop_node(self._node(name)))

    def start_node(
        self, name: str, *, peers_later: bool = False, channels_later: bool = False
    ) -> None:
        """Start a node that was stopped. It still has its invoices and invoice_requests.

        :param peers_later: the peers that it had when it was stopped are away
            until :meth:`return_peers`.
        :param channels_later: its peers connect, but its channels carry no
            payment until :meth:`reestablish_channels`.
        """
        self._run(self._start_again(self._node(name), peers_later, channels_later))

    def restart_node(
        self, name: str, *, peers_later: bool = False, channels_later: bool = False
    ) -> None:
        """Stop a node and start it again; parameters as for :meth:`start_node`."""
        self._run(self._restart_node(self._node(name), peers_later, channels_later))

    def return_peers(self, name: str) -> None:
        """Let the peers of a node come back, after ``peers_later``."""
        self._do(lambda: self._link_peers(self._node(name)))

    def reestablish_channels(self, name: str) -> None:
        """Let the channels of a node carry payments, after ``channels_later``."""
        self._do(lambda: self._behaviour.without_channels.discard(name))

    def freeze_node(self, name: str) -> None:
        """Freeze a node like a stopped process: it handles no message and no call.

        Its connections stay. :meth:`call` still works.
        """
        self._do(lambda: self._behaviour.freeze(name))

    def thaw_node(self, name: str) -> None:
        """Thaw a frozen node: it handles what has arrived meanwhile, in order."""
        self._do(lambda: self._behaviour.thaw(name))

    def connect(self, one: str, other: str) -> None:
        """Connect two nodes, whatever addresses they announce."""
        self._do(lambda: self._network.link(self._node(one), self._node(other)))

    def disconnect(self, one: str, other: str) -> None:
        """Disconnect two nodes."""
        self._do(lambda: self._network.disconnect(self.node_id(one), self.node_id(other)))

    def open_channel(self, channel: ChannelSpec) -> None:
        """Open one more channel."""
        self._do(lambda: self._network.open_channel(channel))

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        if threading.current_thread() is self._thread:
            # An observer must not wait for the loop that it runs on.
            self._network.tasks.spawn(work)  # type: ignore[arg-type]
            return None  # type: ignore[return-value]
        return super()._run(work)

    def _do(self, action: Callable[[], None]) -> None:
        async def act() -> None:
            action()

        self._run(act())

    async def _stop_node(self, node: Node) -> None:
        if node.is_running:
            peers = self._network.peers(node.id)
            self._peers[node.name] = peers or self._peers.get(node.name, [])
        await super()._stop_node(node)

    async def _start_again(self, node: Node, peers_later: bool, channels_later: bool) -> None:
        if channels_later:
            self._behaviour.without_channels.add(node.name)
        else:
            self._behaviour.without_channels.discard(node.name)
        for peer in self._peers[node.name] if peers_later else ():
            self._network.disconnect(node.id, peer.id)
        await self._start_node(node)

    async def _restart_node(self, node: Node, peers_later: bool, channels_later: bool) -> None:
        await self._stop_node(node)
        await self._start_again(node, peers_later, channels_later)

    def _link_peers(self, node: Node) -> None:
        for peer in self._peers[node.name]:
            self._network.link(node, peer)

    def _note(self, node: Node, text: str) -> None:
        self._logs[node.name].append(text)
        super()._note(node, text)
