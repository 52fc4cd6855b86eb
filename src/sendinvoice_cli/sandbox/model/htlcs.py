"""HTLCs on their way: along a route, then along a blinded path to the receiver.

Source: BOLT 4, "Route Blinding".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...bolt12 import tlv
from ...bolt12.invoice import BlindedPayinfo, PaymentPath
from ...errors import MalformedError
from ...onion import blinding
from .channels import Channel, Step
from .invoices import Invoice
from .network import BLOCKHEIGHT, Network
from .node import Node
from .onion_layers import open_hop
from .sphinx import OnionError

#: Blocks that payers add, so that the expiry does not reveal the distance.
CLTV_PADDING = 576
#: An HTLC of more than this many times the invoice's amount is refused (BOLT 4).
_MOST_TIMES = 2

#: What one HTLC moves: through which channel, from which end, how many msat.
_Move = tuple[Channel, bytes, int]


class HtlcError(Exception):
    """An HTLC was refused on its way.

    :param at_recipient: whether the recipient refused it.
    """

    def __init__(self, at_recipient: bool) -> None:
        super().__init__()
        self.at_recipient = at_recipient


@dataclass(frozen=True)
class Part:
    """One HTLC of a payment.

    :param route: to the path's introduction node.
    :param amount_msat: what reaches the receiver.
    """

    path: PaymentPath
    route: tuple[Step, ...]
    introduction: Node
    amount_msat: int

    @property
    def introduced_msat(self) -> int:
        """What reaches the introduction node, with the path's fees."""
        return self.amount_msat + fee_msat(self.path.payinfo, self.amount_msat)

    @property
    def sent_msat(self) -> int:
        """What leaves the payer, with all fees."""
        return self.route[0].amount_msat if self.route else self.introduced_msat


def fee_msat(payinfo: BlindedPayinfo, amount_msat: int) -> int:
    """The fee of a whole blinded path for an amount."""
    proportional = amount_msat * payinfo.fee_proportional_millionths // 1_000_000
    return payinfo.fee_base_msat + proportional


def deliver(
    network: Network, parts: Sequence[Part], payment_hash: bytes, amount_msat: int
) -> Invoice:
    """Deliver the HTLCs of a payment; returns the invoice that they pay.

    :param payment_hash: 32 bytes.
    :raises HtlcError: one of them is refused; no money moves.
    """
    moves: list[_Move] = []
    try:
        for part in parts:
            for step in part.route:
                _move(moves, step.channel, step.source, step.amount_msat)
            receiver, path_id = _follow(network, part, moves)
        invoice = _accept(receiver, path_id, payment_hash, amount_msat)
    except (HtlcError, MalformedError, OnionError) as failed:
        for channel, source, msat in moves:
            channel.move(source, -msat)
        at_recipient = isinstance(failed, HtlcError) and failed.at_recipient
        raise HtlcError(at_recipient) from None
    receiver.invoices.pay(invoice.label, amount_msat)
    return invoice


def _move(moves: list[_Move], channel: Channel, source: bytes, amount_msat: int) -> None:
    channel.move(source, amount_msat)
    moves.append((channel, source, amount_msat))


def _follow(network: Network, part: Part, moves: list[_Move]) -> tuple[Node, bytes]:
    """Follow a blinded path to its end; returns the receiver and its path_id."""
    node = part.introduction
    path_key = part.path.path.first_path_key
    amount = part.introduced_msat
    cltv = BLOCKHEIGHT + part.path.payinfo.cltv_expiry_delta + CLTV_PADDING
    *hops, last = part.path.path.hops
    for hop in hops:
        opened = open_hop(node.private_key, path_key, hop.encrypted_data)
        values = opened.values
        _check_constraints(values, amount, cltv)
        relay = values.get(blinding.PAYMENT_RELAY)
        if relay is None:
            raise HtlcError(at_recipient=False)
        delta = int.from_bytes(relay[:2], "big")
        ppm = int.from_bytes(relay[2:6], "big")
        base = tlv.decode_tu(relay[6:], 4, "fee_base_msat")
        amount = ((amount - base) * 1_000_000 + 1_000_000 + ppm - 1) // (1_000_000 + ppm)
        cltv -= delta
        channel = _next_channel(network, node, values, amount)
        _move(moves, channel, node.id, amount)
        node, path_key = network.node(channel.other(node.id)), opened.next_path_key
    values = open_hop(node.private_key, path_key, last.encrypted_data).values
    _check_constraints(values, amount, cltv)
    if amount < part.amount_msat:
        raise HtlcError(at_recipient=True)
    return node, values.get(blinding.PATH_ID, b"")


def _check_constraints(values: dict[int, bytes], amount_msat: int, cltv: int) -> None:
    constraints = values.get(blinding.PAYMENT_CONSTRAINTS)
    if constraints is None:
        return
    too_late = cltv > int.from_bytes(constraints[:4], "big")
    if too_late or amount_msat < tlv.decode_tu(constraints[4:], 8, "htlc_minimum_msat"):
        raise HtlcError(at_recipient=False)


def _next_channel(
    network: Network, node: Node, values: dict[int, bytes], amount_msat: int
) -> Channel:
    """The channel that a node forwards over: any with the node that the path names."""
    next_id = values.get(blinding.NEXT_NODE_ID, b"")
    if blinding.SHORT_CHANNEL_ID in values:
        scid = int.from_bytes(values[blinding.SHORT_CHANNEL_ID], "big")
        named = network.channels.outgoing(node.id, scid)
        next_id = b"" if named is None else named.other(node.id)
    channel = network.channels.first_usable(node.id, next_id, amount_msat, network.can_carry)
    if channel is None:
        raise HtlcError(at_recipient=False)
    return channel


def _accept(receiver: Node, path_id: bytes, payment_hash: bytes, amount_msat: int) -> Invoice:
    """Check a payment as its receiver does; returns the invoice that it pays."""
    receiver.invoices.expire_due()
    invoice = receiver.invoices.find_unpaid(payment_hash)
    if (
        not receiver.is_running
        or invoice is None
        or path_id != receiver.invoice_path_id(payment_hash)
        or not invoice.amount_msat <= amount_msat <= invoice.amount_msat * _MOST_TIMES
    ):
        raise HtlcError(at_recipient=True)
    return invoice
