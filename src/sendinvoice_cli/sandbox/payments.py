"""Paying a BOLT 12 invoice: routes to its blinded paths, and the HTLCs along them.

Source: BOLT 12, "Invoices" (reader); BOLT 4, "Route Blinding"; the words of
failure are those of lightningd's ``xpay`` and ``pay``.
"""

from __future__ import annotations

import json
import secrets
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..bolt12 import fields, tlv
from ..bolt12.blinded_path import BlindedPath, decode_paths
from ..errors import MalformedError
from ..onion import blinding
from .faults import Hold, PayerBehaviour
from .graph import Channel, Step
from .invoices import Invoice
from .network import BLOCKHEIGHT, Network
from .node import Node, PaymentRecord
from .onions import open_hop
from .sphinx import OnionError

#: Blocks that payers add, so that the expiry does not give the distance away.
CLTV_PADDING = 576
#: An HTLC of more than this many times the invoice's amount is refused (BOLT 4).
_MOST_TIMES = 2
_PAYINFO_SIZE = 28


class PaymentError(Exception):
    """A payment failed.

    :param text: what the paying command says about it.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class _HtlcError(Exception):
    """An HTLC was refused on its way.

    :param at_recipient: whether it had reached its recipient.
    """

    def __init__(self, at_recipient: bool) -> None:
        super().__init__()
        self.at_recipient = at_recipient


@dataclass(frozen=True)
class PayInfo:
    """BOLT 12's blinded_payinfo, as far as a payer needs it."""

    fee_base_msat: int
    fee_proportional_millionths: int
    cltv_expiry_delta: int
    htlc_minimum_msat: int
    htlc_maximum_msat: int
    features: bytes

    def fee_msat(self, amount_msat: int) -> int:
        """What the whole path takes for an amount."""
        return self.fee_base_msat + amount_msat * self.fee_proportional_millionths // 1_000_000


@dataclass(frozen=True)
class Bill:
    """An invoice that is to be paid.

    :param bolt12: the ``lni1…`` string.
    :param payment_hash: 32 bytes.
    :param payee: 33-byte id of the node that has signed it.
    :param ways: its usable paths, most preferred first.
    :param allows_parts: whether it may be paid in several parts.
    :param request_id: 32-byte id of the invoice_request.
    """

    bolt12: str
    payment_hash: bytes
    payee: bytes
    amount_msat: int
    ways: tuple[tuple[BlindedPath, PayInfo], ...]
    allows_parts: bool
    request_id: bytes


@dataclass(frozen=True)
class _Part:
    """One HTLC: the way to the introduction node, and what follows."""

    path: BlindedPath
    info: PayInfo
    route: tuple[Step, ...]
    introduction: Node
    amount_msat: int


def decode_payinfos(data: bytes) -> tuple[PayInfo, ...]:
    """Read invoice_blindedpay.

    :raises MalformedError: cut short.
    """
    found = []
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at + 26 : at + _PAYINFO_SIZE], "big")
        end = at + _PAYINFO_SIZE + size
        if at + _PAYINFO_SIZE > len(data) or end > len(data):
            raise MalformedError("invoice_blindedpay: cut short")
        base, ppm, delta, least, most = struct.unpack_from(">IIHQQ", data, at)
        features = data[at + _PAYINFO_SIZE : end]
        found.append(PayInfo(base, ppm, delta, least, most, features))
        at = end
    return tuple(found)


def read_ways(values: dict[int, bytes]) -> tuple[tuple[BlindedPath, PayInfo], ...]:
    """The paths of an invoice, each with what it costs.

    :param values: the invoice's fields; both lists must be there and of one length.
    """
    paths = decode_paths(values[fields.INVOICE_PATHS], "invoice_paths")
    infos = decode_payinfos(values[fields.INVOICE_BLINDEDPAY])
    return tuple(zip(paths, infos, strict=True))


async def pay(network: Network, payer: Node, bill: Bill, behaviour: PayerBehaviour) -> None:
    """Pay an invoice, and mark its request used.

    :param behaviour: what the payer does out of the ordinary.
    :raises PaymentError: it failed, or must not be made.
    """
    amount_msat = behaviour.sends_msat or bill.amount_msat
    if not _may_pay(payer, bill):
        await _wait_for_other(network, payer, bill)
        return
    details = {
        "bolt12": bill.bolt12,
        "destination": bill.payee.hex(),
        "payment_hash": bill.payment_hash.hex(),
        "created_at": int(network.clock()),
        "amount_msat": amount_msat,
    }
    record = PaymentRecord(bill.request_id, secrets.randbits(64), details)
    payer.payments[bill.payment_hash] = record
    try:
        parts = _find_parts(network, payer, bill, amount_msat)
        await _stay_in_flight(network, behaviour)
        invoice = _deliver(network, payer, bill, parts, amount_msat)
    except PaymentError:
        record.finish("failed")
        raise
    record.finish(
        "complete",
        completed_at=int(network.clock()),
        preimage=invoice.preimage.hex(),
        amount_sent_msat=sum(_sent_msat(part) for part in parts),
    )
    payer.requests.mark_used(bill.request_id)
    payer.log(f"paid {amount_msat}msat for {invoice.label}")


def _may_pay(payer: Node, bill: Bill) -> bool:
    """Whether to make a payment; False when one for the same invoice is under way or done."""
    same = payer.payments.get(bill.payment_hash)
    by_xpay = payer.family.pays_by_xpay
    if same is not None and same.status == "pending":
        if by_xpay:
            raise _unexpected(
                200,
                f"Payment with groupid={same.group} still in progress, "
                "cannot retry before that completes.",
            )
        return False
    if same is not None and same.status == "complete":
        if by_xpay:
            raise PaymentError("Already paid this invoice successfully")
        return False
    request = payer.requests.find(bill.request_id)
    if request is not None and request.single_use:
        for payment_hash, other in payer.payments.items():
            if other.request_id == bill.request_id and other.status == "pending":
                if not by_xpay:
                    raise _out_of_routes()
                raise _unexpected(
                    212,
                    f"Single-use invoice_request already in progress with {payment_hash.hex()}",
                )
    return True


def _unexpected(code: int, text: str) -> PaymentError:
    inner = json.dumps({"code": code, "message": text}, separators=(",", ":"))
    return PaymentError(f"Unexpected injectpaymentonion error {code}: {inner}")


def _out_of_routes() -> PaymentError:
    return PaymentError("Ran out of routes to try after 1 attempt: see `paystatus`")


async def _wait_for_other(network: Network, payer: Node, bill: Bill) -> None:
    """``pay`` shares the outcome of the same payment that is under way."""
    other = payer.payments[bill.payment_hash]
    async with network.parked():
        await other.finished.wait()
    if other.status == "failed":
        raise _out_of_routes()


async def _stay_in_flight(network: Network, behaviour: PayerBehaviour) -> None:
    holds = [] if behaviour.hold is None else [behaviour.hold]
    if behaviour.delay_seconds:
        late = Hold()
        network.timers.at(network.clock() + behaviour.delay_seconds, late.release)
        holds.append(late)
    for hold in holds:
        async with network.parked():
            await hold.wait()


def _find_parts(network: Network, payer: Node, bill: Bill, amount_msat: int) -> tuple[_Part, ...]:
    """Find HTLCs that together carry the amount: one if possible."""
    for way in bill.ways:
        part = _find_part(network, payer, way, amount_msat)
        if part is not None:
            return (part,)
    parts = tuple(_split(network, payer, bill, amount_msat)) if bill.allows_parts else ()
    if sum(part.amount_msat for part in parts) < amount_msat:
        raise _no_route(network, payer, bill, amount_msat)
    request = payer.requests.find(bill.request_id)
    if payer.family.pays_by_xpay and request is not None and request.single_use:
        # It takes its own second part for a second payment.
        raise _unexpected(
            212,
            f"Single-use invoice_request already in progress with {bill.payment_hash.hex()}",
        )
    return parts


def _find_part(
    network: Network, payer: Node, way: tuple[BlindedPath, PayInfo], amount_msat: int
) -> _Part | None:
    path, info = way
    introduction = introduction_node(network, path)
    if introduction is None:
        return None
    if not info.htlc_minimum_msat <= amount_msat <= info.htlc_maximum_msat:
        return None
    route = network.graph.find_route(
        payer.id,
        introduction.id,
        amount_msat + info.fee_msat(amount_msat),
        lambda channel, source, msat: can_carry(network, channel, source, msat),
    )
    return None if route is None else _Part(path, info, route, introduction, amount_msat)


def _split(network: Network, payer: Node, bill: Bill, amount_msat: int) -> Iterator[_Part]:
    """Part of the amount along each way, as much as fits."""
    for way in bill.ways:
        low, high = 0, amount_msat
        best = None
        while low < high:
            middle = (low + high + 1) // 2
            part = _find_part(network, payer, way, middle)
            if part is None:
                high = middle - 1
            else:
                low, best = middle, part
        if best is not None:
            yield best
            amount_msat -= best.amount_msat


def can_carry(network: Network, channel: Channel, source: bytes, amount_msat: int) -> bool:
    """Whether an HTLC can go through a channel from the given end."""
    is_connected = network.is_connected(source, channel.other(source))
    return is_connected and channel.can_send(source, amount_msat)


def introduction_node(network: Network, path: BlindedPath) -> Node | None:
    """The node that a blinded path begins at, None when its channel is unknown."""
    if isinstance(path.introduction_node, bytes):
        return network.node(path.introduction_node)
    channel = network.graph.find_public(path.introduction_node.scid)
    if channel is None:
        return None
    return network.node(channel.ids[path.introduction_node.direction])


def _no_route(network: Network, payer: Node, bill: Bill, amount_msat: int) -> PaymentError:
    if not payer.family.pays_by_xpay:
        return _out_of_routes()
    own = network.graph.of(payer.id)
    total = sum(channel.balances[payer.id] for channel in own)
    if total < amount_msat:
        return PaymentError(
            "Failed: We could not find a usable set of paths. Total source capacity is only "
            f"{total}msat (in {len(own)} channels)."
        )
    targets = [introduction_node(network, path) for path, _info in bill.ways]
    if not any(node and network.graph.is_public_node(node.id) for node in targets):
        return PaymentError("Failed: There is no connection between source and destination at all")
    return PaymentError("Failed: We could not find a usable set of paths.")


def _deliver(
    network: Network, payer: Node, bill: Bill, parts: Sequence[_Part], amount_msat: int
) -> Invoice:
    """Have the HTLCs reach the receiver; returns the invoice that they pay."""
    moves: list[tuple[Channel, bytes, int]] = []
    try:
        for part in parts:
            moves += [(step.channel, step.source, step.amount_msat) for step in part.route]
            receiver, path_id = _follow(network, part, moves)
        invoice = _accept(receiver, path_id, bill.payment_hash, amount_msat)
    except _HtlcError as error:
        raise _refused(payer, error.at_recipient) from None
    except MalformedError:
        raise _refused(payer, at_recipient=False) from None
    for channel, source, msat in moves:
        channel.move(source, msat)
    receiver.invoices.pay(invoice.label, amount_msat)
    return invoice


def _sent_msat(part: _Part) -> int:
    """What leaves the payer for a part, fees included."""
    if part.route:
        return part.route[0].amount_msat
    return part.amount_msat + part.info.fee_msat(part.amount_msat)


def _follow(
    network: Network, part: _Part, moves: list[tuple[Channel, bytes, int]]
) -> tuple[Node, bytes]:
    """Follow a blinded path to its end; returns the receiver and the path_id it finds."""
    node = part.introduction
    path_key = part.path.first_path_key
    amount = part.amount_msat + part.info.fee_msat(part.amount_msat)
    cltv = BLOCKHEIGHT + part.info.cltv_expiry_delta + CLTV_PADDING
    for hop in part.path.hops[:-1]:
        values, path_key_after = _open(node, path_key, hop.encrypted_data)
        _check_constraints(values, amount, cltv)
        relay = values.get(blinding.PAYMENT_RELAY)
        if relay is None:
            raise _HtlcError(at_recipient=False)
        delta = int.from_bytes(relay[:2], "big")
        ppm = int.from_bytes(relay[2:6], "big")
        base = tlv.decode_tu(relay[6:], 4, "fee_base_msat")
        amount = ((amount - base) * 1_000_000 + 1_000_000 + ppm - 1) // (1_000_000 + ppm)
        cltv -= delta
        channel = _next_channel(network, node, values, amount)
        moves.append((channel, node.id, amount))
        following = network.node(channel.other(node.id))
        assert following is not None
        node, path_key = following, path_key_after
    values, _ = _open(node, path_key, part.path.hops[-1].encrypted_data)
    _check_constraints(values, amount, cltv)
    if amount < part.amount_msat:
        raise _HtlcError(at_recipient=True)
    return node, values.get(blinding.PATH_ID, b"")


def _open(node: Node, path_key: bytes, encrypted_data: bytes) -> tuple[dict[int, bytes], bytes]:
    try:
        hop = open_hop(node.private_key, path_key, encrypted_data)
    except OnionError:
        raise _HtlcError(at_recipient=False) from None
    return hop.values, hop.next_path_key


def _check_constraints(values: dict[int, bytes], amount_msat: int, cltv: int) -> None:
    constraints = values.get(blinding.PAYMENT_CONSTRAINTS)
    if constraints is None:
        return
    too_late = cltv > int.from_bytes(constraints[:4], "big")
    if too_late or amount_msat < tlv.decode_tu(constraints[4:], 8, "htlc_minimum_msat"):
        raise _HtlcError(at_recipient=False)


def _next_channel(
    network: Network, node: Node, values: dict[int, bytes], amount_msat: int
) -> Channel:
    if blinding.SHORT_CHANNEL_ID in values:
        scid = int.from_bytes(values[blinding.SHORT_CHANNEL_ID], "big")
        named = network.graph.outgoing(node.id, scid)
        channels = [] if named is None else [named]
    else:
        channels = network.graph.between(node.id, values.get(blinding.NEXT_NODE_ID, b""))
    for channel in channels:
        if can_carry(network, channel, node.id, amount_msat):
            return channel
    raise _HtlcError(at_recipient=False)


def _accept(receiver: Node, path_id: bytes, payment_hash: bytes, amount_msat: int) -> Invoice:
    """The receiver's look at an HTLC; returns the invoice that it pays."""
    receiver.invoices.expire_due()
    invoice = receiver.invoices.find_unpaid(payment_hash)
    if (
        not receiver.is_running
        or invoice is None
        or path_id != receiver.invoice_path_id(payment_hash)
        or not invoice.amount_msat <= amount_msat <= invoice.amount_msat * _MOST_TIMES
    ):
        raise _HtlcError(at_recipient=True)
    return invoice


def _refused(payer: Node, at_recipient: bool) -> PaymentError:
    if not payer.family.pays_by_xpay:
        return PaymentError("failed: WIRE_INVALID_ONION_BLINDING (reply from remote)")
    if at_recipient:
        return PaymentError(
            "Destination said it doesn't know invoice: incorrect_or_unknown_payment_details"
        )
    return PaymentError(
        "Failed after 1 attempts. We got an error from inside the blinded path: we assume it "
        "means insufficient capacity. Then routing failed: We could not find a usable set of "
        "paths."
    )
