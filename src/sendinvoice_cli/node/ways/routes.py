"""Routes to the payer: which node to head for, and over which nodes."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import NamedTuple

from ...bolt12 import tlv
from ...bolt12.blinded_path import (
    BlindedHop,
    BlindedPath,
    IntroductionNode,
    check_point,
    format_scid,
)
from ...bolt12.invoice_request import InvoiceRequest
from ...errors import LightningdError, MalformedError
from ...onion import blinding
from ..info import NodeInfo, OnionApi
from ..rpc.client import Client, NoAnswerError
from .graph import CONNECT_SECONDS, TAKES_NO_MESSAGES, WANTS_CHANNEL, Graph, UnwillingNodeError
from .search import find_path, find_paths
from .software import may_count_bytes

_NO_PATH = "no known path carries onion messages to it"

#: To how many nodes we try to connect for one request.
MAX_CONTACTS = 3

#: lightningd's error for a node that does not answer at any address it announced.
_ALL_ADDRESSES_FAILED = 401


class Route(NamedTuple):
    """The nodes that carry an onion message to the payer.

    :param nodes: 33-byte ids, ours first; the last is the payer or, with
        ``their_path``, its introduction node.
    :param their_path: the entry of invreq_paths that it leads into, None when there is none.
    :param would_connect: a dry run found that we would have to connect to the last node.
    :param has_channel: we have a channel with the second node. Without one, some
        nodes drop our messages silently (LND from 0.21).
    :param counting_bytes: the nodes that may limit the bytes which they take from each peer.
    :param others: routes that are as good, each over another peer of ours.
    """

    nodes: tuple[bytes, ...]
    their_path: BlindedPath | None = None
    would_connect: bool = False
    has_channel: bool = True
    counting_bytes: frozenset[bytes] = frozenset()
    others: tuple[Route, ...] = ()

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
    """A target that we cannot reach, and why."""

    target: str
    reason: str


class _NoConnection(NamedTuple):
    """Why there is no connection to a node; ``is_away`` when it did not answer."""

    reason: str
    is_away: bool = False


class _OurHop(NamedTuple):
    """What a path that begins at our own node tells us.

    :param next_node: 33-byte id of the node that comes next; None when ``scid`` names it.
    :param scid: the channel that leads there, by whichever name.
    :param path_key: the path key for that node, 33 bytes.
    :param others: the hops after ours.
    """

    next_node: bytes | None
    scid: int
    path_key: bytes
    others: tuple[BlindedHop, ...]

    def rest(self, next_node: bytes) -> BlindedPath:
        """The path from the next node on."""
        return BlindedPath(next_node, self.path_key, self.others)


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
        self._allow_connect = allow_connect
        self._seconds_left = seconds_left
        self._ways = ways
        self._contacts = set() if contacts is None else contacts
        #: Hops of ours that lead on by a channel which lightningd does not know by that name.
        self._unresolved: list[_OurHop] = []
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
                self.gave_up(introduction_node, "TIMEOUT was over before it was looked for")
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

    def gave_up(self, target: IntroductionNode, reason: str) -> None:
        """Remember why we cannot reach a target."""
        name = target.hex() if isinstance(target, bytes) else str(target)
        self.dead_ends.append(DeadEnd(name, reason))

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
                self.gave_up(introduction_node, "lightningd does not know this channel")
                return None
        if target == self._info.id:
            return self._route_to_us(their_path, avoid, connect)
        search = partial(find_paths, self._graph, target, ways=self._ways)
        paths = (search(avoid=avoid) if avoid else []) or search()
        if paths:
            first, *others = (self._route(nodes, their_path) for nodes in paths)
            return first._replace(others=tuple(others))
        refusal = self._connect(target, connect)
        if refusal is None:
            return self._route((self._info.id, target), their_path, would_connect=not connect)
        nodes = None if refusal.is_away else self._last_resort(target)
        if nodes:
            return self._route(nodes, their_path)
        self.gave_up(introduction_node, refusal.reason)
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
        return route._replace(counting_bytes=counting)

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
        hop = None if their_path is None else self._read_our_hop(their_path)
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
        self, hop: _OurHop, avoid: Collection[bytes], connect: bool
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
            self.gave_up(
                self._info.id, f"lightningd does not know its channel {format_scid(hop.scid)}"
            )
            return None
        return self._route_to(node, hop.rest(node), avoid, connect)

    def _read_our_hop(self, their_path: BlindedPath) -> _OurHop | None:
        """The hop of a path that begins at our own node (``decryptencrypteddata``).

        lightningd would take it off as well, but tell us nothing of the node that comes next.

        Source: BOLT 4, "Route Blinding".

        :returns: None when nothing comes after us, or when we cannot read it.
        """
        if len(their_path.hops) == 1 or self._info.onion_api is not OnionApi.INJECT_ONION:
            return None
        ours, *others = their_path.hops
        params = {
            "encrypted_data": ours.encrypted_data.hex(),
            "path_key": their_path.first_path_key.hex(),
        }
        try:
            answer = self._client.call("decryptencrypteddata", params)["decryptencrypteddata"]
            data = dict(tlv.decode_stream(bytes.fromhex(answer["decrypted"])))
            next_path_key = bytes.fromhex(answer["next_path_key"])
            # BOLT 4: next_path_key_override replaces the one that follows from ours.
            path_key = data.get(blinding.NEXT_PATH_KEY_OVERRIDE, next_path_key)
            node = data.get(blinding.NEXT_NODE_ID)
            if node is not None:
                check_point(node, "next_node_id")
            scid = data[blinding.SHORT_CHANNEL_ID] if node is None else b""
            check_point(path_key, "next_path_key")
        except (LightningdError, MalformedError, KeyError, TypeError, ValueError):
            return None
        return _OurHop(node, int.from_bytes(scid, "big"), path_key, tuple(others))

    def _connect(self, target: bytes, connect: bool) -> _NoConnection | None:
        """Connect to a node, or only check whether we may. None for success."""
        refusal = self._refuse_connection(target)
        if refusal is not None:
            return refusal
        if not connect:
            known = self._graph.has_address(target)
            return None if known else _NoConnection(f"{_NO_PATH}, and its address is not known")
        patience = min(CONNECT_SECONDS, self._seconds_left())
        if self._graph.failure(target, patience) is None:
            self._contacts.add(target)
        try:
            self._graph.connect(target, patience)
        except NoAnswerError:
            # lightningd is still trying its addresses.
            reason = f"{_NO_PATH}, and it did not answer within {patience:.0f} s"
            return _NoConnection(reason, is_away=True)
        except UnwillingNodeError as failure:
            return _NoConnection(failure.message)
        except LightningdError as failure:
            return _NoConnection(
                f"{_NO_PATH}, and {failure.message}", failure.rpc_code == _ALL_ADDRESSES_FAILED
            )
        return None

    def _refuse_connection(self, target: bytes) -> _NoConnection | None:
        """Why a connection to a node would not help, or is not allowed."""
        if self._graph.wants_channel(target):
            return _NoConnection(WANTS_CHANNEL)
        if self._graph.features(target) is not None and not self._graph.takes_messages(target):
            return _NoConnection(TAKES_NO_MESSAGES)
        if not self._allow_connect:
            return _NoConnection(f"{_NO_PATH}, and --no-connect forbids a connection")
        if self._info.no_connect:
            return _NoConnection(
                f"{_NO_PATH}, and lightningd's fetchinvoice-noconnect forbids a connection"
            )
        if len(self._contacts | {target}) > MAX_CONTACTS:
            return _NoConnection(
                f"{_NO_PATH}, and {MAX_CONTACTS} connections were tried for this request already"
            )
        return None
