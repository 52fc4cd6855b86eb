"""Routes to the payer: which node to head for, and over which nodes."""

import math
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import NamedTuple

from ...bolt12.blinded_path import BlindedPath, IntroductionNode, format_scid
from ...bolt12.invoice_request import InvoiceRequest
from ...errors import LightningdError
from ..info import NodeInfo, OnionApi
from ..rpc.client import Client
from . import own_hop
from .connections import Connections
from .graph import Graph
from .own_hop import OwnHop
from .search import find_path, find_paths
from .software import may_count_bytes

_UNKNOWN_CHANNEL = "lightningd does not know this channel"


class Route(NamedTuple):
    """The nodes that carry an onion message to the payer.

    :param nodes: 33-byte ids, ours first; the last is the payer or, with
        ``their_path``, its introduction node.
    :param their_path: the entry of invreq_paths that it leads into, None when there is none.
    :param would_connect: a dry run found that we would have to connect to the last node.
    :param has_channel: we have a channel with the second node. Without one, some
        nodes drop our messages silently (LND from 0.21).
    :param first_scid: how our own node knows a channel with the second node, if the onion begins
        at our node and there is one.
    :param counting_bytes: the nodes that may limit the bytes which they take from each peer.
    :param others: routes that are as good, each over another peer of ours.
    """

    nodes: tuple[bytes, ...]
    their_path: BlindedPath | None = None
    would_connect: bool = False
    has_channel: bool = True
    first_scid: int | None = None
    counting_bytes: frozenset[bytes] = frozenset()
    others: "tuple[Route, ...]" = ()

    @property
    def hidden_nodes(self) -> int:
        """How many nodes follow the last one on the blinded path; the payer comes last."""
        return 0 if self.their_path is None else len(self.their_path.hops) - 1

    @property
    def reply_nodes(self) -> tuple[bytes, ...]:
        """The nodes of the reply path, ours last.

        With ``their_path`` it begins at the introduction node, which the payer
        can reach. Without, it begins at the last node before the payer, which
        is a peer of the payer.
        """
        back = tuple(reversed(self.nodes))
        if self.their_path is not None or len(back) == 1:
            return back
        return back[1:]


class DeadEnd(NamedTuple):
    """A target that we cannot reach.

    :param reason: why, in a clause in which the target is "it".
    :param hint: what the user can do; None when nothing but another request helps.
    """

    target: str
    reason: str
    hint: str | None = None


class Router:
    """Looks for routes to the payer of one request, one for each entry of invreq_paths.

    A route that begins with a channel of ours is best, then one that begins with
    a peer without a channel, then a new connection to the target (BOLT 4 lets
    nodes choose whose onion messages they take).

    :param allow_connect: False never opens a connection; lightningd's option
        ``fetchinvoice-noconnect`` forbids it as well.
    :param seconds_left: how long the search may still take; when nothing is left, it ends.
    :param ways: how many routes that are as good to look for, each over another peer of ours.
    :param contacts: the nodes to which a connection was tried for this request, at most
        MAX_CONTACTS; grows with each.
    """

    def __init__(
        self,
        client: Client,
        info: NodeInfo,
        graph: Graph,
        invreq: InvoiceRequest,
        *,
        allow_connect: bool = True,
        seconds_left: Callable[[], float] = lambda: math.inf,
        ways: int = 1,
        contacts: set[bytes] | None = None,
    ) -> None:
        #: The targets that we could not reach so far.
        self.dead_ends: list[DeadEnd] = []
        self._client = client
        self._info = info
        self._graph = graph
        self._seconds_left = seconds_left
        self._ways = ways
        self._connections = Connections(
            graph,
            info,
            allow=allow_connect,
            seconds_left=seconds_left,
            contacts=set() if contacts is None else contacts,
        )
        #: Hops of ours that lead on by a channel which lightningd does not know by that name.
        self._unresolved: list[OwnHop] = []
        # BOLT 12: an invoice MUST go by invreq_paths if there are any.
        self._targets: list[tuple[IntroductionNode, BlindedPath | None]] = [
            (path.introduction_node, path) for path in invreq.paths
        ] or [(invreq.payer_id, None)]

    def routes(
        self, *, avoid: Collection[bytes] = (), first: int = 0, connect: bool = True
    ) -> Iterator[Route]:
        """Yield a route for each target that has one, in the request's order.

        The search for a target begins when the caller asks for its route. If no
        path leads to the target, we connect to it.

        :param avoid: nodes to avoid where possible.
        :param first: index of the target to begin with; those before it come last.
        :param connect: False opens no connection; ``would_connect`` tells which
            routes need one.
        :raises UnreachableError: lightningd is gone.
        """
        start = first % len(self._targets)
        self._unresolved.clear()
        for introduction_node, their_path in self._targets[start:] + self._targets[:start]:
            if self._seconds_left() <= 0:
                self.gave_up(
                    introduction_node,
                    "TIMEOUT was over before it was looked for",
                    "run the same command again, with a longer TIMEOUT",
                )
                return
            search = partial(self._route_to, introduction_node, their_path, avoid, connect)
            yield from self._attempt(search, introduction_node)
        while self._unresolved:
            hop = self._unresolved.pop(0)
            search = partial(self._route_by_any_name, hop, avoid, connect)
            yield from self._attempt(search, self._info.id)

    def _attempt(
        self, search: Callable[[], Route | None], target: IntroductionNode
    ) -> Iterator[Route]:
        """Yield the route that a search finds, if any; what lightningd refuses ends it alone."""
        try:
            route = search()
        except LightningdError as failure:
            self.gave_up(target, failure.message)
        else:
            if route is not None:
                yield route

    def gave_up(self, target: IntroductionNode, reason: str, hint: str | None = None) -> None:
        """Remember why we cannot reach a target; for the parameters, see :class:`DeadEnd`."""
        name = target.hex() if isinstance(target, bytes) else str(target)
        self.dead_ends.append(DeadEnd(name, reason, hint))

    def _route_to(
        self,
        introduction_node: IntroductionNode,
        their_path: BlindedPath | None,
        avoid: Collection[bytes],
        connect: bool,
    ) -> Route | None:
        target: bytes | None
        if isinstance(introduction_node, bytes):
            target = introduction_node
        else:
            target = self._graph.end_of_channel(introduction_node)
            if target is None:
                self.gave_up(introduction_node, _UNKNOWN_CHANNEL)
                return None
        if target == self._info.id:
            return self._route_to_us(their_path, avoid, connect)
        search = partial(find_paths, self._graph, target, ways=self._ways)
        paths = (search(avoid=avoid) if avoid else []) or search()
        if paths:
            first, *others = (self._route(nodes, their_path) for nodes in paths)
            return first._replace(others=tuple(others))
        connections = self._connections
        refusal = connections.open(target) if connect else connections.look(target)
        if refusal is None:
            return self._route((self._info.id, target), their_path, would_connect=not connect)
        nodes = None if refusal.is_away else self._last_resort(target)
        if nodes:
            return self._route(nodes, their_path)
        self.gave_up(introduction_node, refusal.reason, refusal.hint)
        return None

    def _route(
        self,
        nodes: tuple[bytes, ...],
        their_path: BlindedPath | None,
        would_connect: bool = False,
    ) -> Route:
        graph = self._graph
        route = Route(nodes, their_path, would_connect, graph.has_channel(nodes[1]))
        others = nodes[1:] if route.hidden_nodes else nodes[1:-1]
        counting = frozenset(node for node in others if may_count_bytes(graph.features(node)))
        # Earlier calls begin at the second node, or do not know our aliases.
        begins_here = self._info.onion_api is OnionApi.INJECT_ONION
        first_scid = graph.local_scid(nodes[1]) if begins_here else None
        return route._replace(counting_bytes=counting, first_scid=first_scid)

    def _last_resort(self, target: bytes) -> tuple[bytes, ...] | None:
        """A path that may not carry onion messages, when there is no better one.

        A disabled channel usually means that a node is offline. A node whose
        announcement lightningd has not seen may take onion messages.
        """
        return find_path(self._graph, target, with_disabled=True) or find_path(
            self._graph, target, with_disabled=True, with_unknown=True
        )

    def _route_to_us(
        self, their_path: BlindedPath | None, avoid: Collection[bytes], connect: bool
    ) -> Route | None:
        """The route when we are the introduction node, or the payer itself."""
        own_id = self._info.id
        hop = None
        if their_path is not None and self._info.onion_api is OnionApi.INJECT_ONION:
            hop = own_hop.read(self._client, their_path)
        if hop is not None:
            node = hop.next_node or self._graph.peer_by_channel(hop.scid)
            if node is not None:
                return self._route_to(node, hop.rest(node), avoid, connect)
            self._unresolved.append(hop)
            return None
        if self._info.onion_api is not OnionApi.SEND_HOPS:
            return Route((own_id,), their_path)
        # That call sends to peers only. A peer can send the message back.
        for peer in self._graph.message_peers():
            return self._route((own_id, peer, own_id), their_path)
        self.gave_up(own_id, "it is our own node, and no peer can send the message back to it")
        return None

    def _route_by_any_name(
        self, hop: OwnHop, avoid: Collection[bytes], connect: bool
    ) -> Route | None:
        """The route behind a hop of ours whose channel lightningd does not know by this name.

        LDK 0.1 names an unannounced channel by its real short_channel_id. We take that only if
        it leads to the payer itself, who has the channel, and when no other path resolves: a
        payer who only guesses must see no difference to a channel that does not exist.
        """
        node = None
        if len(hop.others) == 1:
            node = self._graph.peer_by_channel(hop.scid, by_any_name=True)
        if node is None:
            name = format_scid(hop.scid)
            self.gave_up(
                self._info.id,
                f"the path goes on over channel {name}, which lightningd does not know",
            )
            return None
        return self._route_to(node, hop.rest(node), avoid, connect)
