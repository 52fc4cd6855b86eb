"""The network: nodes, who is connected to whom, and onion messages on their way.

Everything in it happens on one event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import onions
from .clock import Clock, Timers
from .faults import Faults
from .graph import Graph
from .node import Node
from .onions import Forward, Received
from .rpc_errors import CONNECT_FAILED, CONNECT_NO_ADDRESS, LIGHTNINGD, RpcError
from .sphinx import OnionError
from .topology import Topology

#: Onion messages that a peer may send at once, and the milliseconds that
#: each of them costs of what it saves up.
BURST = 4
_COST_MS = 250

#: Height of the chain, in blocks.
BLOCKHEIGHT = 200


@dataclass
class _Allowance:
    """What a peer may still send: ``saved_ms`` at time ``at`` (UNIX seconds)."""

    saved_ms: int
    at: float


class Network:
    """All nodes, and what is between them.

    :param base: directory for the nodes' directories.
    :param receive: called with each onion message that reaches its recipient.
    """

    def __init__(
        self,
        topology: Topology,
        base: Path,
        clock: Clock,
        receive: Callable[[Network, Node, Received], Coroutine[Any, Any, None]],
    ) -> None:
        self.clock = clock
        self.timers = Timers(clock)
        self.faults = Faults()
        self.nodes = {spec.name: Node(spec, base, clock, self.timers) for spec in topology.nodes}
        self._by_id = {node.id: node for node in self.nodes.values()}
        self.graph = Graph(topology.channels, lambda name: self.nodes[name].id)
        self._wanted_links = {
            frozenset((self.nodes[one].id, self.nodes[other].id))
            for one, other in (
                *topology.links,
                *((spec.left, spec.right) for spec in topology.channels if spec.connected),
            )
        }
        self._links: set[frozenset[bytes]] = set()
        self._allowances: dict[tuple[bytes, bytes], _Allowance] = {}
        self._receive = receive
        self._tasks: set[asyncio.Task[None]] = set()
        self._parked = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def node(self, id_: bytes) -> Node | None:
        """The node with this 33-byte id."""
        return self._by_id.get(id_)

    # Tasks

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Have something done, soon."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        self._idle.clear()
        task.add_done_callback(self._finished)

    @contextlib.asynccontextmanager
    async def parked(self) -> AsyncIterator[None]:
        """Around a wait for something that may never come: :meth:`idle` does not wait for it."""
        self._parked += 1
        self._notice_idle()
        try:
            yield
        finally:
            self._parked -= 1
            self._idle.clear()

    async def idle(self) -> None:
        """Return once nothing is on its way any more."""
        # What has just been released gets going first; and waking up takes a
        # moment, in which something may have set off again.
        await asyncio.sleep(0)
        while not self._idle.is_set():
            await self._idle.wait()

    async def close(self) -> None:
        """Give up what is still under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._notice_idle()
        if not task.cancelled() and task.exception() is not None:
            task.get_loop().call_exception_handler(
                {"message": "the sandbox failed", "exception": task.exception()}
            )

    def _notice_idle(self) -> None:
        if len(self._tasks) <= self._parked:
            self._idle.set()

    # Connections

    def bring_up(self, node: Node) -> None:
        """A node has started: it connects to its peers again."""
        node.is_running = True
        for link in self._wanted_links:
            if node.id in link and all(self._by_id[id_].is_running for id_ in link):
                self._connect(link)

    def take_down(self, node: Node) -> None:
        """A node has stopped."""
        node.is_running = False
        self._links = {link for link in self._links if node.id not in link}

    def is_connected(self, one: bytes, other: bytes) -> bool:
        """Whether two nodes are peers."""
        return frozenset((one, other)) in self._links

    def peers(self, id_: bytes) -> list[Node]:
        """The nodes that a node is connected to, in the order of the topology."""
        return [node for node in self.nodes.values() if self.is_connected(id_, node.id)]

    def connect(self, node: Node, id_: bytes, *, is_address_given: bool = False) -> Node:
        """Connect two nodes, as lightningd's ``connect`` does.

        :param is_address_given: whether the caller knows where the other is.
        :raises RpcError: the other's address is unknown, or it does not answer.
        """
        other = self._by_id.get(id_)
        if other is not None and self.is_connected(node.id, id_):
            return other
        is_announced = other is not None and other is not node and other.spec.has_address
        if not is_announced and not is_address_given:
            raise RpcError(CONNECT_NO_ADDRESS, "Unable to connect, no address known for peer")
        if other is None or other is node or not other.is_running:
            where = "" if other is None else f"{address_of(other)}: "
            raise RpcError(
                CONNECT_FAILED,
                f"All addresses failed: {where}Connection establishment: Connection refused. ",
            )
        self.link(node, other)
        return other

    def link(self, one: Node, other: Node) -> None:
        """Connect two nodes that run, from now on after every restart."""
        link = frozenset((one.id, other.id))
        self._wanted_links.add(link)
        if one.is_running and other.is_running and link not in self._links:
            self._connect(link)

    def disconnect(self, one: bytes, other: bytes) -> None:
        """Part two nodes, until they are connected again.

        :raises RpcError: they are not connected.
        """
        link = frozenset((one, other))
        if link not in self._links:
            raise RpcError(LIGHTNINGD, "Peer not connected")
        self._links.discard(link)
        self._wanted_links.discard(link)

    def _connect(self, link: frozenset[bytes]) -> None:
        self._links.add(link)
        one, other = link
        for pair in ((one, other), (other, one)):
            self._allowances[pair] = _Allowance(BURST * _COST_MS, self.clock())

    # Onion messages

    def inject(self, node: Node, path_key: bytes, packet: bytes) -> None:
        """Have a node treat an onion message as if a peer had sent it.

        :raises OnionError: it cannot be unwrapped or sent on.
        """
        self._process(node, path_key, packet)

    def send(self, sender: Node, receiver: bytes, path_key: bytes, packet: bytes) -> None:
        """Send an onion message to a peer. It is lost when there is no such peer."""
        if self.is_connected(sender.id, receiver):
            self.spawn(self._carry(sender, self._by_id[receiver], path_key, packet))

    async def _carry(self, sender: Node, receiver: Node, path_key: bytes, packet: bytes) -> None:
        fate = self.faults.fate_of_message(receiver.name)
        if fate.is_dropped:
            receiver.log(f"onion message from {sender.name} lost on the way")
        elif fate.delay_seconds:
            receiver.log(f"onion message from {sender.name} delayed")
            self.timers.at(
                self.clock() + fate.delay_seconds,
                lambda: self._arrive(sender, receiver, path_key, packet),
            )
        else:
            self._arrive(sender, receiver, path_key, packet)

    def _arrive(self, sender: Node, receiver: Node, path_key: bytes, packet: bytes) -> None:
        if not self.is_connected(sender.id, receiver.id):
            return
        if not receiver.spec.onion_messages:
            return
        if receiver.family.limits_messages and not self._allow(receiver.id, sender.id):
            receiver.log(f"onion message from {sender.name} dropped: too many")
            return
        receiver.log(f"onion message from {sender.name}")
        try:
            self._process(receiver, path_key, packet)
        except OnionError as error:
            receiver.log(f"onion message from {sender.name} dropped: {error}")

    def _allow(self, receiver: bytes, sender: bytes) -> bool:
        """lightningd's limit: a burst, and then four a second of each peer."""
        now = self.clock()
        allowance = self._allowances[sender, receiver]
        saved = allowance.saved_ms + round((now - allowance.at) * 1000)
        saved = min(saved, BURST * _COST_MS)
        is_allowed = saved >= _COST_MS
        self._allowances[sender, receiver] = _Allowance(
            saved - _COST_MS if is_allowed else saved, now
        )
        return is_allowed

    def _process(self, node: Node, path_key: bytes, packet: bytes) -> None:
        unwrapped = onions.unwrap(node.private_key, path_key, packet)
        if isinstance(unwrapped, Forward):
            next_id = self._next_peer(node, unwrapped.next_node)
            self.send(node, next_id, unwrapped.path_key, unwrapped.packet)
        else:
            self.spawn(self._receive(self, node, unwrapped))

    def _next_peer(self, node: Node, named: bytes | int) -> bytes:
        if isinstance(named, int):
            channel = self.graph.outgoing(node.id, named)
            if channel is None or not node.family.forwards_by_scid:
                raise OnionError("onion msg: unknown next scid")
            named = channel.other(node.id)
        if not self.is_connected(node.id, named):
            raise OnionError(f"onion msg: unknown next peer {named.hex()}")
        return named


def address_of(node: Node) -> str:
    """Where a node says it listens; nothing does."""
    return f"127.0.0.1:{port_of(node)}"


def port_of(node: Node) -> int:
    """The port that a node says it listens at."""
    return 10_000 + int.from_bytes(node.id[-2:], "big") % 50_000
