"""Which of our channels can take a payment now, and how payers find them.

Payers find public channels by themselves: a payment path of one hop, our node,
leads over them. Where these cannot take the amount, the invoice gets blinded
paths instead; they begin at our peers, and payers use our channels with them.

Where public channels serve, one blinded path goes with them as a spare. A payer
that tries to pay while lightningd restarts finds our channels closed, and may
avoid public ones for an hour (Core Lightning's xpay does), but not a blinded path.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import filterfalse
from typing import Any, NamedTuple

from ...bolt12.blinded_path import BlindedPath
from ...errors import LightningdError
from ..features import offers_feature
from ..info import NodeInfo
from ..rpc.client import Client
from . import channels
from .channels import Channel
from .graph import Graph

#: Feature bit of option_route_blinding (BOLT 9).
ROUTE_BLINDING = 24

#: Most blinded paths that an invoice gets.
MAX_PATHS = 5

#: Seconds for which nodes accept payments on the terms that they had before (BOLT 7 asks for
#: "some reasonable time"; lightningd's ``setchannel`` has 600). A blinded path fixes the terms.
OLD_TERMS_SECONDS = 600


class Inbound(NamedTuple):
    """The channels through which a payment can come now.

    :param public: channels that payers find by themselves, widest first. Empty when
        this node is not public, or its public channels do not serve.
    :param blinded: channels that get a blinded path in the invoice, best first;
        beside public ones at most one, the spare. Those of ``refused`` come last.
    :param refused: channels that could carry the amount, or a part of it, but whose peers ask
        for more than payers accept, in fees or in blocks.
    :param away: open channels whose peers are not connected, or not ready for payments yet.
        With ``payment-fronting-node``, they are the last of the blinded ones.
    :param has_own_path: the invoice has a path of one hop, our node, to which payers find
        the way over public channels.
    :param unknown: connected channels of whose terms lightningd knows nothing, so that no payment
        path can lead over them: it has no valid channel_update of their peers.
    :param failure: why lightningd did not tell what some peers ask for forwarding.
    """

    blinded: tuple[Channel, ...] = ()
    public: tuple[Channel, ...] = ()
    refused: tuple[Channel, ...] = ()
    away: tuple[Channel, ...] = ()
    has_own_path: bool = False
    unknown: tuple[Channel, ...] = ()
    failure: str | None = None

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Those that serve now, on terms that payers accept. A spare is one of the public ones."""
        of_no_use = {*self.refused, *self.away}
        return self.public or tuple(each for each in self.blinded if each not in of_no_use)

    @property
    def total_msat(self) -> int:
        """The most that can come in parts, one over each channel."""
        return sum(channel.receivable_msat for channel in self.channels)

    @property
    def at_once_msat(self) -> int:
        """The most that can come in one part."""
        return max((channel.receivable_msat for channel in self.channels), default=0)

    def suffices(self, amount_msat: int) -> bool:
        """Whether the amount can come in one part now, as some payers need it."""
        return self.at_once_msat >= amount_msat

    def could_suffice(self, amount_msat: int) -> bool:
        """Whether the amount cannot come in one part now, or not at all, but could with ``away``.

        That is what waiting for peers could change.
        """
        if self.suffices(amount_msat):
            return False
        away_msat = [channel.receivable_msat for channel in self.away]
        together_msat = self.total_msat + sum(away_msat)
        return (
            max(away_msat, default=0) >= amount_msat
            or self.total_msat < amount_msat <= together_msat
        )

    def for_payer_behind(self, payers_paths: Sequence[BlindedPath]) -> "Inbound":
        """Leave out the path of our node, if it leads nowhere else than the spare.

        All our public channels are with one peer, and the payer itself stands behind that peer:
        so the spare, which begins there, is its whole way. It is as good as both, and 180 bytes
        shorter, with which an invoice often fits into a small onion.

        :param payers_paths: the request's invreq_paths.
        """
        # A peer that is away may come back while we wait.
        peers = {channel.peer for channel in (*self.public, *self.blinded, *self.away)}
        is_behind = payers_paths and all(
            path.introduction_node in peers and len(path.hops) > 1 for path in payers_paths
        )
        if len(peers) == 1 and self.blinded and is_behind:
            return self._replace(has_own_path=False)
        return self


def choose(client: Client, info: NodeInfo, graph: Graph, amount_msat: int) -> Inbound:
    """Choose the channels through which a payment is to come (``listpeerchannels``).

    If a public channel can take the amount, the public ones serve. Otherwise, and
    with ``payment-fronting-node``, blinded paths over public and unannounced
    channels serve, if one of these can take it, or all of them take more.

    :param amount_msat: of the invoice.
    :raises LightningdError: no node of ``payment-fronting-node`` can forward this amount.
    """
    read = [channels.read(detail) for detail in graph.open_channels()]
    ours = [each for each in read if each is not None and _may_front(each, info)]
    connected = [each for each in ours if each.is_connected]
    away = tuple(each for each in ours if not each.is_connected)

    def is_payable(channel: Channel) -> bool:
        return channel.is_payable(amount_msat, info.cltv_final)

    public = Inbound(away=away)
    if not info.fronting_nodes and graph.is_public(info.id):
        announced = [each for each in connected if each.is_announced(info.blockheight)]
        able = [each for each in announced if each.takes_part_of(amount_msat)]
        public = public._replace(
            public=_sorted_by(lambda each: -each.receivable_msat, filter(is_payable, able)),
            refused=tuple(filterfalse(is_payable, able)),
            has_own_path=any(map(is_payable, able)),
        )
        # One channel must take all of it: a request may be single-use (CLN's
        # default, which no field tells), and CLN pays those in one part only.
        if public.suffices(amount_msat):
            forwarded, _, _ = _incoming(client, graph, announced)
            spares = [each for each in forwarded if each.takes(amount_msat) and is_payable(each)]
            return public._replace(blinded=_cheapest_first(spares, amount_msat)[:1])
    forwarded, unknown, failure = _incoming(
        client, graph, connected if not info.fronting_nodes else ours
    )
    able = [each for each in forwarded if each.takes_part_of(amount_msat)]
    if info.fronting_nodes and not able:
        raise LightningdError(
            "payment-fronting-node is set, but none of its nodes has a channel that can carry "
            "this amount"
        )
    best = _sorted_by(lambda each: _rank(each, graph, amount_msat), filter(is_payable, able))
    dear = _cheapest_first(filterfalse(is_payable, able), amount_msat)
    blinded = Inbound(
        blinded=best[:MAX_PATHS],
        refused=tuple(dict.fromkeys((*dear, *public.refused))),
        away=away,
        unknown=unknown,
        failure=failure,
    )
    if blinded.suffices(amount_msat):
        return blinded
    if public.public and blinded.total_msat <= public.total_msat:
        return public
    # Some payers may accept what most refuse, but what no node forwards is of no use to any.
    last_resort = [each for each in dear if each.is_forwardable(info.cltv_final)]
    return blinded._replace(blinded=(*best, *last_resort)[:MAX_PATHS])


def _sorted_by(key: Callable[[Channel], Any], found: Iterable[Channel]) -> tuple[Channel, ...]:
    return tuple(sorted(found, key=key))


def _cheapest_first(found: Iterable[Channel], amount_msat: int) -> tuple[Channel, ...]:
    return _sorted_by(lambda each: _cost_msat(each, amount_msat), found)


def _cost_msat(channel: Channel, amount_msat: int) -> int:
    return 0 if channel.terms is None else channel.terms.cost_msat(amount_msat)


def _rank(channel: Channel, graph: Graph, amount_msat: int) -> tuple[Any, ...]:
    """A key to sort channels by, best first.

    Channels whose peers are here come first, and among them those with public peers,
    since payers find those. Of these, channels that carry the whole amount come first,
    the cheapest in front, because some payers cannot pay in parts; then the others,
    widest first.
    """
    receivable_msat, cost_msat = channel.receivable_msat, _cost_msat(channel, amount_msat)
    carries_all = receivable_msat >= amount_msat
    return (
        not channel.is_connected,
        not graph.is_public(channel.peer),
        not carries_all,
        (cost_msat, -receivable_msat) if carries_all else (-receivable_msat, cost_msat),
    )


def _incoming(
    client: Client, graph: Graph, ours: Iterable[Channel]
) -> tuple[list[Channel], tuple[Channel, ...], str | None]:
    """Channels whose peers can forward along a blinded path, with their terms.

    Our channels tell what their peers ask for forwarding; where one does not (before v24.02,
    and before the peer's first channel_update), ``listincoming`` does.

    :returns: those whose terms are known; the connected ones whose terms are not; and why
        ``listincoming`` failed.
    """
    forwarding = [channel for channel in ours if _forwards(channel, graph)]
    if all(channel.terms is not None for channel in forwarding):
        return forwarding, (), None
    try:
        listed, failure = client.call("listincoming").get("incoming"), None
    except LightningdError as error:
        listed, failure = None, error.message
    known = channels.with_listed_terms(forwarding, listed)
    names = {channel.name for channel in known}
    unknown = (each for each in forwarding if each.is_connected and each.name not in names)
    return known, tuple(unknown), failure


def _may_front(channel: Channel, info: NodeInfo) -> bool:
    return not info.fronting_nodes or channel.peer in info.fronting_nodes


def _forwards(channel: Channel, graph: Graph) -> bool:
    """Whether a peer can forward payments to us along a blinded path, when it is connected.

    Like lightningd, we want one that takes onion messages, too: payments through LND nodes that
    offer route blinding alone have failed.
    """
    peer = channel.peer
    features = graph.peer_features(peer) if channel.is_connected else graph.features(peer)
    return (
        features is not None
        and offers_feature(features, ROUTE_BLINDING)
        and graph.takes_messages(peer)
    )
