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

from .graph import Graph


def find_path(
    graph: Graph,
    target: bytes,
    *,
    avoid: Collection[bytes] = (),
    with_disabled: bool = False,
    with_unknown: bool = False,
) -> tuple[bytes, ...] | None:
    """A path of nodes that forward an onion message, from us to ``target``.

    This is the shortest one that begins with a channel of ours or, without
    such, the shortest one that begins with any peer of ours.

    :param avoid: nodes it must not lead through.
    :param with_disabled: also follow channels that a node has disabled.
    :param with_unknown: also use nodes whose announcement lightningd has not seen.
    :returns: node ids with ours first and ``target`` last, None when there is none.
    """
    if target == graph.own_id:
        return (target,)
    if not graph.takes_messages(target, with_unknown):
        return None
    peers = graph.message_peers()
    by_channel = [peer for peer in peers if graph.has_channel(peer)]
    for starts in (by_channel, peers):
        if target in starts:
            return (graph.own_id, target)
        # With the same peers the second search would find nothing new.
        if starts is peers and len(peers) == len(by_channel):
            return None
        search = _Search(
            graph,
            target,
            starts,
            frozenset(avoid) | {graph.own_id},
            with_disabled=with_disabled,
            with_unknown=with_unknown,
        )
        found = search.run()
        if found is not None:
            return (graph.own_id, *found)
    return None


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
        # The node from which each node was reached; None at the two ends.
        self._from_us: dict[bytes, bytes | None] = {
            peer: None for peer in starts if peer not in avoid
        }
        self._to_target: dict[bytes, bytes | None] = {target: None}

    def run(self) -> tuple[bytes, ...] | None:
        """The nodes between us and the target, the target included."""
        near = list(self._from_us)
        far = [self._target]
        while near and far:
            if len(far) <= len(near):
                meeting, far = self._widen(far, self._to_target, self._from_us, outwards=False)
            else:
                meeting, near = self._widen(near, self._from_us, self._to_target, outwards=True)
            if meeting is not None:
                return self._join(meeting)
        return None

    def _widen(
        self,
        frontier: Iterable[bytes],
        seen: dict[bytes, bytes | None],
        other_side: dict[bytes, bytes | None],
        *,
        outwards: bool,
    ) -> tuple[bytes | None, list[bytes]]:
        around = self._graph.receivers_from if outwards else self._graph.senders_to
        wider: list[bytes] = []
        for node in frontier:
            # Nodes enter the frontier unchecked, since most are never looked
            # at. The two ends are known to take messages.
            if not self._graph.takes_messages(node, self._with_unknown):
                continue
            for neighbour in around(node, self._with_disabled):
                if neighbour in seen or neighbour in self._avoid:
                    continue
                seen[neighbour] = node
                if neighbour in other_side and self._graph.takes_messages(
                    neighbour, self._with_unknown
                ):
                    return neighbour, wider
                wider.append(neighbour)
        return None, wider

    def _join(self, meeting: bytes) -> tuple[bytes, ...]:
        before = []
        node = self._from_us[meeting]
        while node is not None:
            before.append(node)
            node = self._from_us[node]
        after = []
        node = self._to_target[meeting]
        while node is not None:
            after.append(node)
            node = self._to_target[node]
        return (*reversed(before), meeting, *after)
