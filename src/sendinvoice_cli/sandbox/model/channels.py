"""The channels of the network, and routes along them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256

from .topology import ChannelSpec

#: Height at which the first channel was opened, in blocks.
_FIRST_BLOCK = 103


@dataclass
class Channel:
    """A channel that is open.

    :param ids: the 33-byte ids of its ends, the lesser one first.
    :param balances: msat of each end, by id.
    :param aliases: each end's alias short_channel_id, by id.
    :param enabled: whether each end sends payments through it, by id.
    """

    scid: int
    ids: tuple[bytes, bytes]
    spec: ChannelSpec
    balances: dict[bytes, int]
    enabled: dict[bytes, bool]
    aliases: dict[bytes, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for id_ in self.ids:
            digest = sha256(self.scid.to_bytes(8, "big") + id_).digest()
            self.aliases[id_] = int.from_bytes(digest[:8], "big")

    @property
    def htlc_maximum_msat(self) -> int:
        """The most that one HTLC may carry: the capacity without the reserve of 1 %."""
        return self.capacity_msat * 99 // 100

    @property
    def capacity_msat(self) -> int:
        """The balances of both ends together."""
        return sum(self.balances.values())

    def direction_from(self, id_: bytes) -> int:
        """0 for the end with the lesser id, 1 for the other."""
        return self.ids.index(id_)

    def other(self, id_: bytes) -> bytes:
        """The id of the other end."""
        return self.ids[1 - self.direction_from(id_)]

    def fee_msat(self, amount_msat: int) -> int:
        """The fee that either end takes for forwarding an amount (BOLT 7)."""
        return self.spec.fee_base_msat + amount_msat * self.spec.fee_ppm // 1_000_000

    def can_send(self, id_: bytes, amount_msat: int) -> bool:
        """Whether the given end can send an HTLC of this amount."""
        return self.enabled[id_] and amount_msat <= self.sendable_msat(id_)

    def is_announced_for(self, id_: bytes, amount_msat: int) -> bool:
        """Whether the given end can send this amount, judging by gossip."""
        return self.spec.public and self.enabled[id_] and amount_msat <= self.htlc_maximum_msat

    def sendable_msat(self, id_: bytes) -> int:
        """The most that one HTLC from the given end can carry now, in msat."""
        return min(self.balances[id_], self.htlc_maximum_msat)

    def move(self, source: bytes, amount_msat: int) -> None:
        """Move an amount from the source to the other end."""
        self.balances[source] -= amount_msat
        self.balances[self.other(source)] += amount_msat


@dataclass(frozen=True)
class Step:
    """One channel of a route, with the amount that goes through it."""

    channel: Channel
    source: bytes
    amount_msat: int


class Channels:
    """All channels of the network."""

    def __init__(self) -> None:
        self._channels: list[Channel] = []

    def __iter__(self) -> Iterator[Channel]:
        return iter(self._channels)

    def open(self, spec: ChannelSpec, left: bytes, right: bytes) -> Channel:
        """Add a channel between the nodes with these 33-byte ids."""
        left_msat = spec.capacity_msat // 2 if spec.left_msat is None else spec.left_msat
        lesser, greater = sorted((left, right))
        channel = Channel(
            scid=(_FIRST_BLOCK + len(self._channels)) << 40 | 1 << 16,
            ids=(lesser, greater),
            spec=spec,
            balances={left: left_msat, right: spec.capacity_msat - left_msat},
            enabled={left: spec.left_enabled, right: spec.right_enabled},
        )
        self._channels.append(channel)
        return channel

    def of(self, id_: bytes) -> list[Channel]:
        """The channels of a node, private ones included."""
        return [channel for channel in self if id_ in channel.ids]

    def between(self, one: bytes, other: bytes) -> list[Channel]:
        """The channels of two nodes with each other."""
        return [channel for channel in self.of(one) if other in channel.ids]

    def public(self) -> list[Channel]:
        """The announced channels."""
        return [channel for channel in self if channel.spec.public]

    def is_public_node(self, id_: bytes) -> bool:
        """Whether a node has an announced channel."""
        return any(id_ in channel.ids for channel in self.public())

    def find_public(self, scid: int) -> Channel | None:
        """The announced channel with this short_channel_id, if there is one."""
        return next((channel for channel in self.public() if channel.scid == scid), None)

    def outgoing(self, id_: bytes, scid: int) -> Channel | None:
        """Find the channel for a short_channel_id to forward to; None if it is unknown.

        Every channel goes by the node's own alias. The real short_channel_id
        works for announced channels only: it would reveal a private one.
        """
        for channel in self.of(id_):
            if scid == channel.aliases[id_] or (channel.spec.public and scid == channel.scid):
                return channel
        return None

    def find_route(
        self,
        payer: bytes,
        target: bytes,
        amount_msat: int,
        usable: Callable[[Channel, bytes, int], bool],
    ) -> tuple[Step, ...] | None:
        """Find a shortest route that can carry an amount to a node.

        The payer knows the public channels and its own. Each node on the route
        forwards over any of its channels with the next one.

        :param usable: whether a channel can carry an amount from the given end.
        :returns: its steps, none if payer and target are the same; None if
            there is no route.
        """
        waiting: deque[tuple[bytes, int, tuple[Step, ...]]] = deque(((target, amount_msat, ()),))
        seen = {target}
        while waiting:
            node, amount, steps = waiting.popleft()
            if node == payer:
                return steps
            for known in self.of(node):
                source = known.other(node)
                if source in seen:
                    continue
                if source != payer and not known.is_announced_for(source, amount):
                    continue
                channel = self.first_usable(source, node, amount, usable)
                if channel is not None:
                    seen.add(source)
                    fee = 0 if source == payer else known.fee_msat(amount)
                    waiting.append((source, amount + fee, (Step(channel, source, amount), *steps)))
        return None

    def first_usable(
        self,
        source: bytes,
        destination: bytes,
        amount_msat: int,
        usable: Callable[[Channel, bytes, int], bool],
    ) -> Channel | None:
        """The first channel of two nodes that can carry an amount to ``destination``, if any."""
        channels = self.between(source, destination)
        return next((each for each in channels if usable(each, source, amount_msat)), None)


def shortest_path(
    start: bytes, target: bytes, neighbours: Callable[[bytes], Iterable[bytes]]
) -> tuple[bytes, ...] | None:
    """Find a shortest path between two nodes, both included; None if there is none."""
    waiting: deque[tuple[bytes, ...]] = deque([(start,)])
    seen = {start}
    while waiting:
        path = waiting.popleft()
        if path[-1] == target:
            return path
        for neighbour in neighbours(path[-1]):
            if neighbour not in seen:
                seen.add(neighbour)
                waiting.append((*path, neighbour))
    return None
