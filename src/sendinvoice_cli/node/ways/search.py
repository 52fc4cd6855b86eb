"""The search for nodes that forward an onion message to a target.

An onion message (BOLT 4) goes from peer to peer; each needs option_onion_messages,
while capacity and fees do not matter. So we search by ourselves, from both ends
towards the middle, without reading the whole graph.

Some nodes drop messages from peers without a channel: LND from 0.21 silently,
others announce it with feature bits 66/67. So beyond our own peers the search
follows channels, and it prefers peers that have a channel with us.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import partial

from .graph import Graph

#: How many nodes we look at beyond the one that completed a path, to find others as short.
_MORE_NODES = 8

#: The node from which each node was reached; None at the end where the search began.
_Tree = dict[bytes, bytes | None]


def find_path(
    graph: Graph,
    target: bytes,
    *,
    avoid: Collection[bytes] = (),
    with_disabled: bool = False,
    with_unknown: bool = False,
) -> tuple[bytes, ...] | None:
    """The first path of :func:`find_paths`, None when there is none."""
    paths = find_paths(
        graph, target, avoid=avoid, with_disabled=with_disabled, with_unknown=with_unknown
    )
    return paths[0] if paths else None


def find_paths(
    graph: Graph,
    target: bytes,
    *,
    ways: int = 1,
    avoid: Collection[bytes] = (),
    with_disabled: bool = False,
    with_unknown: bool = False,
) -> list[tuple[bytes, ...]]:
    """Paths of nodes that forward an onion message, from us to ``target``.

    These are the shortest ones that begin with a channel of ours or, without such, the shortest
    ones that begin with any peer of ours. All have the same length.

    :param ways: how many to look for, each over another peer of ours. All of them are found
        where few nodes have to be looked at.
    :param avoid: nodes they must not lead through.
    :param with_disabled: also follow channels that a node has disabled.
    :param with_unknown: also use nodes whose announcement lightningd has not seen.
    :returns: node ids with ours first and ``target`` last.
    """
    if target == graph.own_id:
        return [(target,)]
    if not graph.takes_messages(target, with_unknown):
        return []
    peers = graph.message_peers()
    by_channel = [peer for peer in peers if graph.has_channel(peer)]
    for starts in (by_channel, peers):
        if target in starts:
            return [(graph.own_id, target)]
        # With the same peers the second search would find nothing new.
        if starts is peers and len(peers) == len(by_channel):
            return []
        search = _Search(
            graph,
            target,
            starts,
            frozenset(avoid) | {graph.own_id},
            with_disabled=with_disabled,
            with_unknown=with_unknown,
        )
        found = search.run(ways)
        if found:
            return [(graph.own_id, *path) for path in found]
    return []


class _Search:
    """Breadth-first search from both ends, always widening the smaller frontier."""

    def __init__(
        self,
        graph: Graph,
        target: bytes,
        starts: Iterable[bytes],
        avoid: frozenset[bytes],
        *,
        with_disabled: bool,
        with_unknown: bool,
    ) -> None:
        self._graph = graph
        self._target = target
        self._avoid = avoid
        self._with_disabled = with_disabled
        self._with_unknown = with_unknown
        self._from_us: _Tree = {peer: None for peer in starts if peer not in avoid}
        self._to_target: _Tree = {target: None}
        #: The paths found, by the peer of ours that they begin with.
        self._found: dict[bytes, tuple[bytes, ...]] = {}

    def run(self, ways: int) -> list[tuple[bytes, ...]]:
        """The nodes between us and the target, the target included, on so many paths at most."""
        near = list(self._from_us)
        far = [self._target]
        while near and far and not self._found:
            if len(far) <= len(near):
                far = self._widen(far, ways, outwards=False)
            else:
                near = self._widen(near, ways, outwards=True)
        return list(self._found.values())

    def _widen(self, frontier: Iterable[bytes], ways: int, *, outwards: bool) -> list[bytes]:
        around = partial(
            self._graph.neighbours, outwards=outwards, with_disabled=self._with_disabled
        )
        seen, other_side = self._from_us, self._to_target
        if not outwards:
            seen, other_side = other_side, seen
        wider: list[bytes] = []
        more_nodes = _MORE_NODES
        for node in frontier:
            if self._found:
                if len(self._found) >= ways or not more_nodes:
                    break
                more_nodes -= 1
            # Nodes enter the frontier unchecked, since most are never looked
            # at. The two ends are known to take messages.
            if not self._takes_messages(node):
                continue
            for neighbour in around(node):
                if neighbour in self._avoid:
                    continue
                if neighbour in other_side and self._takes_messages(neighbour):
                    self._join(*((node, neighbour) if outwards else (neighbour, node)))
                    if len(self._found) >= ways:
                        break
                elif neighbour not in seen:
                    seen[neighbour] = node
                    wider.append(neighbour)
        return wider

    def _takes_messages(self, node: bytes) -> bool:
        return self._graph.takes_messages(node, self._with_unknown)

    def _join(self, near: bytes, far: bytes) -> None:
        """Note the path over two neighbours, if it begins otherwise than those before it."""
        path = (*reversed(_trace(self._from_us, near)), *_trace(self._to_target, far))
        shortest = next(iter(self._found.values()), path)
        if len(path) == len(shortest):
            self._found.setdefault(path[0], path)


def _trace(tree: _Tree, node: bytes | None) -> list[bytes]:
    """A node and those before it, back to where the search began."""
    nodes = []
    while node is not None:
        nodes.append(node)
        node = tree[node]
    return nodes
