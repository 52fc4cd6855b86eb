"""The description of a network: nodes, channels, and connections without a channel."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from .family import Family

DEFAULT_CAPACITY_MSAT = 1_000_000_000


@dataclass(frozen=True)
class NodeSpec:
    """One node.

    :param name: determines its directory, its keys and, by default, its alias.
    :param onion_messages: whether it has option_onion_messages.
    :param is_lnd: it forwards as LND does: it takes onion messages only from
        channel peers, and limits their bytes. Its calls are still lightningd's.
    :param more_features: feature bits (BOLT 9) to add to the family's. With 66 or
        67 it takes onion messages only from channel peers, whether it has
        ``onion_messages`` or not (lightning/bolts PR 1343).
    :param has_address: whether it announces an address, by which others can connect to it.
    :param no_connect: lightningd's ``fetchinvoice-noconnect``.
    """

    name: str
    family: Family = Family.V26_06
    alias: str | None = None
    onion_messages: bool = True
    is_lnd: bool = False
    more_features: tuple[int, ...] = ()
    has_address: bool = True
    no_connect: bool = False


@dataclass(frozen=True)
class ChannelSpec:
    """A channel between two nodes, given by their names.

    :param left_msat: the left node's balance; by default, half the capacity.
    :param public: whether it is announced.
    :param left_enabled: whether the left node's channel_update enables its
        direction; likewise ``right_enabled``.
    :param connected: whether the two are connected at first.
    :param cltv_delta: in blocks; it and the fees are the same in both directions.
    """

    left: str
    right: str
    capacity_msat: int = DEFAULT_CAPACITY_MSAT
    left_msat: int | None = None
    public: bool = True
    left_enabled: bool = True
    right_enabled: bool = True
    connected: bool = True
    fee_base_msat: int = 1
    fee_ppm: int = 10
    cltv_delta: int = 6


@dataclass(frozen=True)
class Topology:
    """A whole network.

    :param links: pairs of names that are connected without a channel.
    """

    nodes: tuple[NodeSpec, ...]
    channels: tuple[ChannelSpec, ...] = ()
    links: tuple[tuple[str, str], ...] = ()


def line(
    names: Sequence[str] = ("alice", "bob", "carol"), family: Family = Family.V26_06
) -> Topology:
    """Nodes of one family, each with a public channel to the next."""
    return Topology(
        nodes=tuple(NodeSpec(name, family) for name in names),
        channels=tuple(ChannelSpec(left, right) for left, right in itertools.pairwise(names)),
    )
