"""Our lightningd: the connection to it, and what was read from it lately."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from . import info
from .events.connection import Connection, News
from .events.hearing import Hearing
from .events.replies import Reply
from .info import NodeInfo
from .invoices import Change
from .rpc.answers import reading
from .rpc.client import CALL_SECONDS, Client
from .ways.graph import Graph

if TYPE_CHECKING:
    from ..reporting import Notices

#: Seconds past an invoice's expiry during which replies are still heard.
REPLY_GRACE = 60

#: Seconds after which the graph, and what lightningd says of our node, are read anew.
GRAPH_SECONDS = 5
NODE_SECONDS = 60

Event = Change | Reply | News


class Lightningd:
    """One lightningd. May be used from several threads.

    :param tell: called with each event, from any thread.
    :param clock: tells the time in UNIX seconds.
    :param sleep: sleeps some seconds between attempts to reach a lightningd that is gone.
    """

    def __init__(
        self,
        client: Client,
        tell: Callable[[Event], None],
        notices: Notices,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.client = client
        self.clock = clock
        self._notices = notices
        self._opening = threading.Lock()
        self.connection = Connection(client, tell, notices, clock=clock, sleep=sleep)
        self.replies = Hearing(self.connection, notices, tell)
        self._node: NodeInfo | None = None
        #: When it was read: UNIX seconds, and the connection's generation.
        self._node_read_at = 0.0
        self._node_generation = 0
        #: 32 bytes from which lightningd derives its invoices' path_ids, None until they are read.
        self.base_secret: bytes | None = None
        self._graph: Graph | None = None
        self._graph_made_at = 0.0
        self._graph_generation = 0

    def open(self, patience: float = CALL_SECONDS) -> None:
        """Read the data of our node; once only.

        :param patience: seconds that lightningd gets to answer each call.
        :raises UnreachableError: lightningd cannot be reached.
        :raises LightningdError: it cannot send onion messages.
        """
        with self._opening:
            if self._node is not None:
                return
            self._node, self._node_read_at = info.read(self.client, patience), self.clock()
        if self._node.logs_calls:
            self._notices.warn(
                "lightningd writes all calls into its log (log-level=io), "
                "and with them the invoice's preimage",
                "whoever reads that log may take the payment on its way; use log-level=debug",
            )

    @property
    def is_open(self) -> bool:
        """Whether the data of our node was read."""
        return self._node is not None

    @property
    def node(self) -> NodeInfo:
        """Our node as it was last read; makes no call."""
        assert self._node is not None
        return self._node

    def current_node(self, max_age: float = NODE_SECONDS) -> NodeInfo:
        """Our node, with a recent block height (``getinfo``).

        :param max_age: seconds; what is older is read anew. After a restart all is: it may be
            another lightningd, with other settings.
        :raises LightningdError: this one cannot send onion messages.
        :raises UnreachableError: lightningd is gone.
        """
        if not self.is_node_current(max_age):
            now, generation = self.clock(), self.connection.generation
            is_same = generation == self._node_generation
            client, node = self.client, self.node
            self._node = info.read_chain(client, node) if is_same else info.read(client)
            self._node_read_at, self._node_generation = now, generation
        return self.node

    def is_node_current(self, max_age: float = NODE_SECONDS) -> bool:
        """Whether :meth:`current_node` makes no call."""
        is_of_now = self._node_generation == self.connection.generation
        return is_of_now and self.clock() < self._node_read_at + max_age

    def read_base_secret(self) -> None:
        """Read the base secret (``makesecret``).

        :raises LightningdError: lightningd does not make it.
        :raises UnreachableError: lightningd is gone.
        """
        answer = self.client.call("makesecret", {"string": "bolt12-invoice-base"})
        with reading("makesecret"):
            self.base_secret = bytes.fromhex(answer["secret"])

    def graph(self, max_age: float = GRAPH_SECONDS) -> Graph:
        """The network as lightningd knows it.

        :param max_age: seconds; an older graph, or one from before a restart, is replaced.
        """
        now, generation = self.clock(), self.connection.generation
        graph = self._graph
        if graph is None or generation != self._graph_generation:
            # Connections that failed before a restart may be possible now.
            graph = Graph(self.client, self.node.id, self.clock)
        elif now < self._graph_made_at + max_age:
            return graph
        else:
            graph = graph.renewed()
        # Several threads may do this at once: each graph is complete.
        self._graph, self._graph_made_at, self._graph_generation = graph, now, generation
        return graph

    def close(self) -> None:
        """Stop all waiting, and end the helper's session if it would last for long."""
        self.connection.close()
        self.replies.close()
