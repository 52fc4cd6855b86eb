"""Paying a BOLT 12 invoice: whether to, in which parts, and by which routes.

Source: BOLT 12, "Invoices" (reader); the errors are those of lightningd's ``xpay`` and ``pay``.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from ...bolt12.blinded_path import format_scid
from ...bolt12.invoice import PaymentPath
from . import htlcs
from .channels import Channel, Step
from .htlcs import HtlcError, Part
from .network import Network
from .node import Node, PaymentRecord

_NO_PATHS = "We could not find a usable set of paths."
#: Seconds for which xpay remembers that a public channel did not carry an amount.
_MEMORY_SECONDS = 3600


class PaymentError(Exception):
    """A payment failed.

    :param text: the error of ``pay`` or ``xpay``.
    :param invoice_error: what the payer answers with, if not as lightningd does.
    """

    def __init__(self, text: str, invoice_error: bytes | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.invoice_error = invoice_error


@dataclass(frozen=True)
class Bill:
    """An invoice to pay.

    :param bolt12: the ``lni1…`` string.
    :param payment_hash: 32 bytes.
    :param payee: 33-byte id of the node that signed it.
    :param paths: its usable paths, most preferred first.
    :param allows_parts: whether it may be paid in several parts.
    :param request_id: 32-byte id of the invoice_request.
    """

    bolt12: str
    payment_hash: bytes
    payee: bytes
    amount_msat: int
    paths: tuple[PaymentPath, ...]
    allows_parts: bool
    request_id: bytes


async def pay(
    network: Network, payer: Node, bill: Bill, on_failure: Callable[[PaymentError], None]
) -> None:
    """Pay an invoice, and mark its request used.

    :param on_failure: called later, if this attempt shares the outcome of one
        that is under way, and that one fails.
    :raises PaymentError: it fails, or the payer does not try.
    """
    amount_msat = network.behaviour.amount_msat(payer.name, bill.amount_msat)
    if not _may_pay(payer, bill):
        other = payer.payments[bill.payment_hash]
        other.sharing.append(lambda: on_failure(_out_of_routes()))
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
        await network.behaviour.in_flight(payer.name, bill.payee, bill.request_id)
        invoice = htlcs.deliver(network, parts, bill.payment_hash, amount_msat)
    except HtlcError as refused:
        record.fail()
        raise _refused(payer, refused.at_recipient) from None
    except PaymentError:
        record.fail()
        raise
    record.complete(
        completed_at=int(network.clock()),
        preimage=invoice.preimage.hex(),
        amount_sent_msat=sum(part.sent_msat for part in parts),
    )
    payer.requests[bill.request_id].mark_used()
    payer.log(f"paid {amount_msat}msat for {invoice.label}")


def _may_pay(payer: Node, bill: Bill) -> bool:
    """Whether to pay. For one that is paid or being paid, False by ``pay``; ``xpay`` raises."""
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
    request = payer.requests.get(bill.request_id)
    if request is not None and request.single_use:
        for payment_hash, other in payer.payments.items():
            if other.request_id == bill.request_id and other.status == "pending":
                if not by_xpay:
                    raise _out_of_routes()
                raise _in_progress(payment_hash)
    return True


def _unexpected(code: int, text: str) -> PaymentError:
    inner = json.dumps({"code": code, "message": text}, separators=(",", ":"))
    return PaymentError(f"Unexpected injectpaymentonion error {code}: {inner}")


def _in_progress(payment_hash: bytes) -> PaymentError:
    text = f"Single-use invoice_request already in progress with {payment_hash.hex()}"
    return _unexpected(212, text)


def _out_of_routes() -> PaymentError:
    return PaymentError("Ran out of routes to try after 1 attempt: see `paystatus`")


def _find_parts(network: Network, payer: Node, bill: Bill, amount_msat: int) -> tuple[Part, ...]:
    """Find HTLCs that together carry the amount, one if possible."""
    for path in bill.paths:
        part = _find_part(network, payer, path, amount_msat)
        if part is not None:
            return (part,)
    parts = tuple(_split(network, payer, bill, amount_msat)) if bill.allows_parts else ()
    if sum(part.amount_msat for part in parts) < amount_msat:
        raise _no_route(network, payer, bill, amount_msat)
    request = payer.requests.get(bill.request_id)
    if payer.family.pays_by_xpay and request is not None and request.single_use:
        # xpay mistakes its own second part for a second payment.
        raise _in_progress(bill.payment_hash)
    return parts


def _find_part(network: Network, payer: Node, path: PaymentPath, amount_msat: int) -> Part | None:
    introduction = network.introduction_node(path.path)
    payinfo = path.payinfo
    if introduction is None:
        return None
    if not payinfo.htlc_minimum_msat <= amount_msat <= payinfo.htlc_maximum_msat:
        return None
    route = network.channels.find_route(
        payer.id,
        introduction.id,
        amount_msat + htlcs.fee_msat(payinfo, amount_msat),
        partial(_can_carry, network, payer),
    )
    return None if route is None else Part(path, route, introduction, amount_msat)


def _split(network: Network, payer: Node, bill: Bill, amount_msat: int) -> Iterator[Part]:
    """Split the amount: as much along each path as fits."""
    for path in bill.paths:
        low, high = 0, amount_msat
        best = None
        while low < high:
            middle = (low + high + 1) // 2
            part = _find_part(network, payer, path, middle)
            if part is None:
                high = middle - 1
            else:
                low, best = middle, part
        if best is not None:
            yield best
            amount_msat -= best.amount_msat


def _no_route(network: Network, payer: Node, bill: Bill, amount_msat: int) -> PaymentError:
    if not payer.family.pays_by_xpay:
        return _out_of_routes()
    own = network.channels.of(payer.id)
    total = sum(channel.balances[payer.id] for channel in own)
    if total < amount_msat:
        return PaymentError(
            f"Failed: {_NO_PATHS} Total source capacity is only {total}msat (in {len(own)} "
            "channels)."
        )
    targets = [network.introduction_node(path.path) for path in bill.paths]
    for target in targets:
        route = target and network.channels.find_route(
            payer.id, target.id, amount_msat, partial(_seems_to_carry, network, payer)
        )
        for step in route or ():
            if not network.can_carry(step.channel, step.source, step.amount_msat):
                believed_until = network.clock() + _MEMORY_SECONDS
                payer.too_much[step.channel.scid, step.source] = step.amount_msat, believed_until
                return _step_failed(route or (), step)
    if not any(node and network.channels.is_public_node(node.id) for node in targets):
        return PaymentError("Failed: There is no connection between source and destination at all")
    return PaymentError(f"Failed: {_NO_PATHS}")


def _can_carry(
    network: Network, payer: Node, channel: Channel, source: bytes, amount_msat: int
) -> bool:
    """Whether a channel can carry an amount, and the payer does not believe otherwise."""
    too_much_msat, until = payer.too_much.get((channel.scid, source), (amount_msat + 1, 0.0))
    is_believed = amount_msat >= too_much_msat and network.clock() < until
    return not is_believed and network.can_carry(channel, source, amount_msat)


def _seems_to_carry(
    network: Network, payer: Node, channel: Channel, source: bytes, amount_msat: int
) -> bool:
    """Whether a channel can carry an amount, as far as the payer knows: only its own balances."""
    if source == payer.id:
        return network.can_carry(channel, source, amount_msat)
    return channel.is_announced_for(source, amount_msat)


def _step_failed(route: Sequence[Step], failed: Step) -> PaymentError:
    names = [format_scid(step.channel.scid) for step in route]
    name = f"{format_scid(failed.channel.scid)}/{failed.channel.direction_from(failed.source)}"
    return PaymentError(
        f"Failed after 1 attempts. We got temporary_channel_failure for {name}, assuming it "
        f"can't carry {failed.amount_msat}msat. Then routing failed: {_NO_PATHS} The shortest "
        f"path is {'->'.join(names)}, but {name} channel says max is {failed.amount_msat - 1}msat"
    )


def _refused(payer: Node, at_recipient: bool) -> PaymentError:
    if not payer.family.pays_by_xpay:
        return PaymentError("failed: WIRE_INVALID_ONION_BLINDING (reply from remote)")
    if at_recipient:
        return PaymentError(
            "Destination said it doesn't know invoice: incorrect_or_unknown_payment_details"
        )
    return PaymentError(
        "Failed after 1 attempts. We got an error from inside the blinded path: we assume it "
        f"means insufficient capacity. Then routing failed: {_NO_PATHS}"
    )
