"""The network: nodes, their connections, and the onion messages between them.

Everything in it runs on one event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from ...bolt12.blinded_path import BlindedPath
from ..behaviour import Behaviour
from ..rpc.errors import CONNECT_FAILED, CONNECT_NO_ADDRESS, RpcError
from . import onion_layers
from .channels import Channel, Channels
from .clock import Clock, Timers
from .limits import Allowance
from .node import Node
from .onion_layers import Forward, Received
from .sphinx import OnionError
from .tasks import Tasks
from .topology import ChannelSpec, Topology

#: Height of the chain, in blocks.
BLOCKHEIGHT = 200


class Network:
    """All nodes, their channels and their connections.

    :param base: parent of the nodes' directories.
    :param receive: called with each onion message that reaches its recipient.
    :param behaviour: what the nodes do.
    """

    def __init__(
        self,
        topology: Topology,
        base: Path,
        clock: Clock,
        receive: Callable[[Network, Node, Received], Coroutine[Any, Any, None]],
        behaviour: Behaviour,
    ) -> None:
        self.clock = clock
        self.timers = Timers(clock)
        self.behaviour = behaviour
        self.tasks = Tasks(behaviour.started)
        self.nodes = {spec.name: Node(spec, base, clock, self.timers) for spec in topology.nodes}
        self._by_id = {node.id: node for node in self.nodes.values()}
        self.channels = Channels()
        self._wanted_links: set[frozenset[bytes]] = set()
        self._links: set[frozenset[bytes]] = set()
        #: By sender and receiver of onion messages, where the receiver has a limit.
        self._allowances: dict[tuple[bytes, bytes], Allowance] = {}
        self._receive = receive
        for channel in topology.channels:
            self.open_channel(channel)
        for one, other in topology.links:
            self.link(self.nodes[one], self.nodes[other])

    def node(self, id_: bytes) -> Node:
        """The node with this 33-byte id."""
        return self._by_id[id_]

    def find_node(self, id_: bytes) -> Node | None:
        """The node with this 33-byte id, if there is one."""
        return self._by_id.get(id_)

    def introduction_node(self, path: BlindedPath) -> Node | None:
        """The node that a blinded path begins at; None if it is unknown."""
        named = path.introduction_node
        if isinstance(named, bytes):
            return self.find_node(named)
        channel = self.channels.find_public(named.scid)
        return None if channel is None else self.node(channel.ids[named.direction])

    def open_channel(self, spec: ChannelSpec) -> None:
        """Open a channel, and connect its ends if ``spec`` says so."""
        left, right = self.nodes[spec.left], self.nodes[spec.right]
        self.channels.open(spec, left.id, right.id)
        if spec.connected:
            self.link(left, right)

    def can_carry(self, channel: Channel, source: bytes, amount_msat: int) -> bool:
        """Whether the given end can send an HTLC through a channel now."""
        is_usable = self.is_reestablished(source, channel.other(source))
        return is_usable and channel.can_send(source, amount_msat)

    # Connections

    def bring_up(self, node: Node) -> None:
        """Connect a node that has started to its peers."""
        node.is_running = True
        for link in self._wanted_links:
            if node.id in link and all(self._by_id[id_].is_running for id_ in link):
                self._connect(link)

    def take_down(self, node: Node) -> None:
        """Disconnect a node that stops."""
        node.is_running = False
        self._links = {link for link in self._links if node.id not in link}

    def is_connected(self, one: bytes, other: bytes) -> bool:
        """Whether two nodes are peers."""
        return frozenset((one, other)) in self._links

    def is_reestablished(self, one: bytes, other: bytes) -> bool:
        """Whether the channels of two nodes are usable."""
        names = (self._by_id[id_].name for id_ in (one, other))
        return self.is_connected(one, other) and self.behaviour.has_reestablished(*names)

    def peers(self, id_: bytes) -> list[Node]:
        """The nodes that a node is connected to, in the order of the topology."""
        return [node for node in self.nodes.values() if self.is_connected(id_, node.id)]

    def connect(self, node: Node, id_: bytes, *, is_address_given: bool = False) -> Node:
        """Connect two nodes, as lightningd's ``connect`` does.

        :param is_address_given: whether the caller gives the other's address.
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
        """Connect two nodes, now and after every restart."""
        link = frozenset((one.id, other.id))
        self._wanted_links.add(link)
        if one.is_running and other.is_running and link not in self._links:
            self._connect(link)

    def disconnect(self, one: bytes, other: bytes) -> None:
        """Disconnect two nodes, until they are connected again."""
        link = frozenset((one, other))
        self._links.discard(link)
        self._wanted_links.discard(link)

    def _connect(self, link: frozenset[bytes]) -> None:
        self._links.add(link)
        one, other = link
        for sender, receiver in ((one, other), (other, one)):
            limit = self._by_id[receiver].message_limit
            if limit is not None:
                self._allowances[sender, receiver] = Allowance(limit, self.clock())

    # Onion messages

    def inject(self, node: Node, path_key: bytes, packet: bytes) -> None:
        """Have a node process an onion message as if a peer had sent it.

        :raises OnionError: it cannot be unwrapped or forwarded.
        """
        self._process(node, path_key, packet)

    def send(self, sender: Node, receiver: bytes, path_key: bytes, packet: bytes) -> None:
        """Send an onion message to a peer; it is lost if the two are not connected."""
        if self.is_connected(sender.id, receiver):
            self.tasks.spawn(self._carry(sender, self._by_id[receiver], path_key, packet))

    async def _carry(self, sender: Node, receiver: Node, path_key: bytes, packet: bytes) -> None:
        if not await self.behaviour.carry(sender.name, receiver.name):
            return
        if not self.is_connected(sender.id, receiver.id):
            return
        if not receiver.takes_messages(bool(self.channels.between(sender.id, receiver.id))):
            receiver.log(f"onion message from {sender.name} dropped: this peer may not send any")
            return
        allowance = self._allowances.get((sender.id, receiver.id))
        if allowance is not None and not allowance.take(packet, self.clock()):
            receiver.log(f"onion message from {sender.name} dropped: too many")
            return
        receiver.log(f"onion message from {sender.name}")
        try:
            self._process(receiver, path_key, packet)
        except OnionError as error:
            receiver.log(f"onion message from {sender.name} dropped: {error}")

    def _process(self, node: Node, path_key: bytes, packet: bytes) -> None:
        unwrapped = onion_layers.unwrap(node.private_key, path_key, packet)
        if isinstance(unwrapped, Forward):
            next_id = self._next_peer(node, unwrapped.next_node)
            self.send(node, next_id, unwrapped.path_key, unwrapped.packet)
        else:
            self.tasks.spawn(self._receive(self, node, unwrapped))

    def _next_peer(self, node: Node, named: bytes | int) -> bytes:
        if isinstance(named, int):
            channel = self.channels.outgoing(node.id, named)
            if channel is None or not node.family.forwards_by_scid:
                raise OnionError("onion msg: unknown next scid")
            named = channel.other(node.id)
        if not self.is_connected(node.id, named):
            raise OnionError(f"onion msg: unknown next peer {named.hex()}")
        return named


def address_of(node: Node) -> str:
    """The ``host:port`` that a node announces; nothing listens there."""
    address = address_json(node)
    return f"{address['address']}:{address['port']}"


def address_json(node: Node) -> dict[str, Any]:
    """The same in lightningd's JSON."""
    port = 10_000 + int.from_bytes(node.id[-2:], "big") % 50_000
    return {"type": "ipv4", "address": "127.0.0.1", "port": port}
