"""The connection to a lightningd that may go away and come back, and the events from it.

Events go to a function: changes of invoices, payers' replies, and news of the link itself.
All threads are daemons, so the process can end at any time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING

from ...errors import LightningdError, SendInvoiceError, UnreachableError
from ...threads import spawn
from .. import info
from ..info import NodeInfo
from ..invoices import Change
from ..rpc.answers import reading
from ..rpc.client import Client
from ..ways.channels import OUR_CHANNEL_FIELDS, is_connected, is_open
from ..ways.graph import Graph
from .hearing import Hearing
from .replies import Reply

if TYPE_CHECKING:
    from ...reporting import Notices

#: Seconds between attempts to reach a lightningd that is gone; the last one repeats.
RECONNECT_INTERVALS = (0.1, 0.2, 0.5, 1, 2, 5)
#: Seconds without a loss after which the intervals start again, and we tell of the next loss.
STABLE_SECONDS = 30
#: Seconds to wait for all channels, and for at least one, when lightningd is back.
ALL_CHANNELS_SECONDS = 15
ANY_CHANNEL_SECONDS = 60
_POLL_SECONDS = 0.25

#: Seconds past an invoice's expiry during which replies are still heard.
REPLY_GRACE = 60

#: Seconds after which the graph, and the block height, are read anew.
GRAPH_SECONDS = 5
BLOCKHEIGHT_SECONDS = 60


class LinkNews(Enum):
    """What happened to the link itself."""

    LOST = "lightningd is gone"
    BACK = "lightningd answers again"
    READY = "its channels are back, or we no longer wait for them"
    HEARING = "the reply helper is ready, or cannot run"


Event = Change | Reply | LinkNews


class Link:
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
        self.tell = tell
        self._notices = notices
        self._sleep = sleep
        self._changed = threading.Condition()
        self.is_closed = False
        #: Whether lightningd answers calls, as far as we know.
        self.is_up = True
        #: Whether the channels are back as well, or we no longer wait for them.
        self.is_ready = True
        #: How often lightningd came back.
        self.generation = 0
        #: When it was last lost (UNIX seconds), and the error that showed it.
        self.lost_at = 0.0
        self.loss: UnreachableError | None = None
        self._attempt = 0
        self._back_at = 0.0
        self._hearing: Hearing | None = None
        #: False while the reply helper is being started.
        self.is_hearing_settled = True
        self._node: NodeInfo | None = None
        self._node_read_at = 0.0
        self._base_secret: bytes | None = None
        self._graph: Graph | None = None
        self._graph_made_at = 0.0

    # --- what our node is, and sees ---

    def open(self) -> None:
        """Read the data of our node; once only.

        :raises UnreachableError: lightningd cannot be reached.
        :raises LightningdError: it cannot send onion messages.
        """
        if self._node is None:
            self._node, self._node_read_at = info.read(self.client), self.clock()
            if self._node.logs_calls:
                self._notices.warn(
                    "lightningd writes all calls into its log (log-level=io), "
                    "and with them the invoice's preimage",
                    "whoever reads that log may take the payment on its way; use log-level=debug",
                )

    @property
    def node(self) -> NodeInfo:
        """Our node as it was last read; makes no call."""
        assert self._node is not None
        return self._node

    def current_node(self) -> NodeInfo:
        """Our node, with a recent block height (``getinfo``).

        :raises UnreachableError: lightningd is gone.
        """
        now = self.clock()
        if now >= self._node_read_at + BLOCKHEIGHT_SECONDS:
            blockheight = info.read_blockheight(self.client)
            self._node, self._node_read_at = self.node._replace(blockheight=blockheight), now
        return self.node

    def base_secret(self) -> bytes:
        """The 32 bytes from which lightningd derives its invoices' path_ids (``makesecret``).

        :raises LightningdError: it does not tell them.
        :raises UnreachableError: lightningd is gone.
        """
        if self._base_secret is None:
            answer = self.client.call("makesecret", {"string": "bolt12-invoice-base"})
            with reading("makesecret"):
                self._base_secret = bytes.fromhex(answer["secret"])
        return self._base_secret

    def graph(self, max_age: float = GRAPH_SECONDS) -> Graph:
        """The network as lightningd knows it.

        :param max_age: seconds; an older graph is replaced.
        """
        now = self.clock()
        graph = self._graph
        if graph is None:
            graph = Graph(self.client, self.node.id, self.clock)
        elif now < self._graph_made_at + max_age:
            return graph
        else:
            graph = graph.renewed()
        # Several threads may do this at once: each graph is complete.
        self._graph, self._graph_made_at = graph, now
        return graph

    # --- losses ---

    def lose(self, lost: UnreachableError, generation: int) -> None:
        """Note that a call found lightningd gone, and begin to look for it.

        :param lost: the call's error.
        :param generation: the link's generation when the call was made. If lightningd has come
            back since, or the link is looking for it already, this does nothing.
        """
        with self._changed:
            if self.is_closed or generation != self.generation or not self.is_up:
                return
            self.is_up = self.is_ready = False
            self.lost_at, self.loss = self.clock(), lost
            is_new = self.generation == 0 or self.lost_at >= self._back_at + STABLE_SECONDS
            if is_new:
                self._attempt = 0
        if is_new:
            self._notices.warn(lost.message, "trying to reach it again")
        self.tell(LinkNews.LOST)
        spawn(self._regain)

    def _regain(self) -> None:
        while not self.is_closed:
            self._sleep(RECONNECT_INTERVALS[min(self._attempt, len(RECONNECT_INTERVALS) - 1)])
            self._attempt += 1
            # It is gone, or still starting up.
            with suppress(UnreachableError, LightningdError):
                self.client.call("getinfo")
                break
        if self.is_closed:
            return
        with self._changed:
            self.generation += 1
            generation = self.generation
            self._back_at = self.clock()
            # Connections that failed before may be possible now.
            self._graph = None
            self.is_up = True
            self._changed.notify_all()
        self._notices.step("lightningd is back")
        self.tell(LinkNews.BACK)
        self._await_channels()
        with self._changed:
            if generation == self.generation and self.is_up:
                self.is_ready = True
        self.tell(LinkNews.READY)

    def _await_channels(self) -> None:
        """Wait until the channels are usable again; until then, payments to us fail."""
        waited = 0.0
        with suppress(SendInvoiceError):
            while waited < ANY_CHANNEL_SECONDS:
                channels = self.client.call("listpeerchannels", reply_filter=OUR_CHANNEL_FIELDS)
                back = [is_connected(each) for each in channels["channels"] if is_open(each)]
                if all(back) or (waited >= ALL_CHANNELS_SECONDS and any(back)):
                    return
                self._sleep(_POLL_SECONDS)
                waited += _POLL_SECONDS

    def await_change(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds, or somebody closes the link."""
        with self._changed:
            self._changed.wait_for(lambda: condition() or self.is_closed)

    def wake(self) -> None:
        """Have those in :meth:`await_change` look at their conditions."""
        with self._changed:
            self._changed.notify_all()

    # --- invoices ---

    def follow(self, source: Callable[[], Iterator[Change]]) -> None:
        """Tell of changes of invoices until the source ends.

        :param source: yields the changes; called again after lightningd was away. Any error that
            it raises counts as a loss, even one that only says that an answer is malformed.
        """

        def run() -> None:
            failures = 0
            while not self.is_closed:
                generation = self.generation
                try:
                    for change in source():
                        self.tell(change)
                except UnreachableError as lost:
                    self.lose(lost, generation)
                except Exception as failure:
                    self.lose(
                        UnreachableError(f"cannot follow changes of invoices: {failure}"),
                        generation,
                    )
                else:
                    return
                is_new = self.clock() >= self._back_at + STABLE_SECONDS
                failures = 1 if is_new else failures + 1
                self.await_change(lambda: self.is_up)
                if failures > 1:
                    # It may be this call that fails, and no other: let the others be made.
                    self._sleep(RECONNECT_INTERVALS[min(failures, len(RECONNECT_INTERVALS)) - 1])

        spawn(run)

    # --- replies ---

    def hear(self, until: float) -> None:
        """Start the reply helper, and tell of replies from then on; once only.

        :param until: UNIX seconds after which nobody waits for replies.
        """
        if self._hearing is None:
            self.is_hearing_settled = False
            self._hearing = Hearing(self, self._notices, until, self._settle_hearing)
            spawn(self._hearing.run)

    def _settle_hearing(self, is_settled: bool) -> None:
        self.is_hearing_settled = is_settled
        if is_settled:
            self.tell(LinkNews.HEARING)

    def expect(self, path_id: bytes, until: float) -> bool:
        """Expect a reply with this path_id.

        :param path_id: 32 bytes.
        :param until: UNIX seconds after which nobody waits for it.
        :returns: False when replies cannot be heard.
        :raises UnreachableError: lightningd is gone.
        """
        return self._hearing is not None and self._hearing.expect(path_id, until)

    def forget(self, path_ids: Iterable[bytes]) -> None:
        """Stop expecting replies with these path_ids (32 bytes each)."""
        if self._hearing is not None:
            self._hearing.forget(path_ids)

    def close(self) -> None:
        """Stop all waiting, and end the helper's session if it would last for long."""
        self.is_closed = True
        self.wake()
        if self._hearing is not None and self.is_up:
            self._hearing.close()
