"""The channels through which we are to be paid, and what the user is told of them.

Peers are named by ``name``, a function from their 33-byte node id.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..amounts import format_sat
from ..node.lightningd import GRAPH_SECONDS, Lightningd
from ..node.ways import inbound as ways_in
from ..node.ways.channels import Channel
from ..node.ways.graph import short_id
from ..node.ways.inbound import Inbound
from .readiness import Missing, find_missing
from .reading import Reading
from .warnings import ProgressWithWarnings

_NO_ROUTE = "the payer will probably find no route"

Name = Callable[[bytes], str]


class Receiving:
    """The channels through which one request is to be paid."""

    def __init__(
        self, reading: Reading, lightningd: Lightningd, progress: ProgressWithWarnings
    ) -> None:
        self._request = reading.request
        self._invreq = reading.invreq
        self._amount_msat = reading.amount_msat
        self._lightningd = lightningd
        self._progress = progress
        self.inbound = Inbound()

    def look_around(self, max_age: float = GRAPH_SECONDS) -> Missing | None:
        """Choose the channels, and find what is missing for a payment through them.

        :param max_age: seconds; what lightningd said longer ago is asked for again.
        :raises LightningdError: no node of ``payment-fronting-node`` can carry the amount.
        """
        lightningd, amount_msat = self._lightningd, self._amount_msat
        graph, node = lightningd.graph(max_age), lightningd.current_node()
        if node.behind is not None:
            node = lightningd.current_node(max_age)
        found = ways_in.choose(lightningd.client, node, graph, amount_msat)
        if self._request.timeout <= ways_in.OLD_TERMS_SECONDS:
            found = found.for_payer_behind(self._invreq.paths)
        self.inbound = found
        return find_missing(node, found, amount_msat)

    def show(self) -> None:
        """Tell which channels were chosen, and warn if they cannot carry the amount.

        It may ask lightningd for the names of nodes (``listnodes``).
        """
        name = self._lightningd.graph().name if self._progress.wants_route else short_id
        for text in steps(self.inbound, self._amount_msat, name):
            self._progress.step(text)
        warned = warning(self.inbound, self._amount_msat, name)
        if warned is not None:
            self._progress.warn(*warned)


def steps(inbound: Inbound, amount_msat: int, name: Name) -> list[str]:
    """Through which channels the payment is to come, and which ones it should not."""
    told = []
    if inbound.channels:
        told.append(f"To be paid through {_channels(inbound, name)}")
    if inbound.refused and inbound.suffices(amount_msat):
        told.append(f"Not to be paid through {_refused(inbound.refused, amount_msat, name)}")
    return told


def warning(inbound: Inbound, amount_msat: int, name: Name) -> tuple[str, str] | None:
    """What is wrong with our channels for this amount, and what to do; None for nothing."""
    if inbound.suffices(amount_msat):
        return None
    if inbound.refused and not inbound.could_suffice(amount_msat):
        return (
            f"payers will probably not pay through {_refused(inbound.refused, amount_msat, name)}",
            "ask for better terms there, or open a channel with another node",
        )
    if not (inbound.channels or inbound.could_suffice(amount_msat)):
        if inbound.failure is not None:
            return no_paths(inbound.failure)
        if inbound.unknown:
            return _unknown(inbound.unknown, name)
    asked = format_sat(amount_msat)
    next_step = "open a channel with inbound capacity"
    if inbound.could_suffice(amount_msat):
        next_step = f"run this again when {_peers(inbound.away, name)} connected again"
    if inbound.total_msat >= amount_msat:
        return (
            f"no channel of this node can receive {asked} now, only several together",
            "some payers cannot pay in parts, among them Core Lightning when the request may "
            f"be paid once only; {next_step}",
        )
    if inbound.channels:
        received = format_sat(inbound.total_msat)
        text = f"asking for {asked}, but this node's channels can receive only {received} now"
    else:
        text = "this node has no channel through which it can be paid now"
    return text, f"{_NO_ROUTE}; {next_step}"


def no_paths(failure: str) -> tuple[str, str]:
    """The warning when an invoice cannot name the channels by which payers reach us.

    :param failure: what lightningd said instead of what payment paths are made of.
    """
    return (
        f"the invoice names none of this node's channels, since lightningd says too little "
        f"of them ({failure})",
        f"{_NO_ROUTE}; lightningd's log may tell the reason",
    )


def _channels(inbound: Inbound, name: Name) -> str:
    kind = "public channel" if inbound.public else "channel"
    if len(inbound.channels) == 1:
        (channel,) = inbound.channels
        return f"the {kind} with {name(channel.peer)} (up to {format_sat(channel.receivable_msat)})"
    widest, all_ = format_sat(inbound.at_once_msat), format_sat(inbound.total_msat)
    return f"{len(inbound.channels)} {kind}s (up to {widest} in one, {all_} in all)"


def _refused(refused: Sequence[Channel], amount_msat: int, name: Name) -> str:
    """Channels, and what the peer of the first asks for; payers accept less."""
    first, others = refused[0], len(refused) - 1
    more = f" (and {others} more)" if others else ""
    asked = "more than payers accept"
    if first.terms is not None:
        fee = format_sat(first.terms.fee_msat(amount_msat))
        asked += f": a fee of {fee}, and a delay of {first.terms.cltv_expiry_delta:,} blocks"
    return f"{name(first.peer)}{more}, who asks for {asked}"


def _unknown(unknown: Sequence[Channel], name: Name) -> tuple[str, str]:
    first, others = unknown[0], len(unknown) - 1
    more = f" and {others} more" if others else ""
    return (
        f"lightningd does not know on which terms {name(first.peer)}{more} would forward a payment "
        "to this node",
        f"{_NO_ROUTE}, unless it is that peer; it tells them when the two connect anew, "
        f"as after 'lightning-cli disconnect {first.peer.hex()} true'",
    )


def _peers(away: Sequence[Channel], name: Name) -> str:
    peers = sorted({channel.peer for channel in away})
    return f"{name(peers[0])} is" if len(peers) == 1 else f"more of {len(peers)} peers are"
