"""The payer's side of an invoice: check it, pay it, or answer with an error.

Source: BOLT 12, "Invoices" (reader) and "Invoice Errors"; the order of the
checks and their words are lightningd's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from ...bolt12 import fields, invoice, invoice_error, signature, tlv
from ...bolt12.blinded_path import BlindedPath, decode_paths
from ...bolt12.invoice import PaymentPath
from ...bolt12.invoice_error import InvoiceError
from ...bolt12.tlv import Record
from ...errors import MalformedError
from ...onion import message
from ..rpc.errors import RpcError
from . import onion_layers, payments
from .channels import shortest_path
from .invoices import check_fields, relative_expiry
from .network import Network
from .node import Node
from .payments import Bill, PaymentError
from .requests import request_id
from .sphinx import OnionError

#: An invoice's features: it may be paid in parts (MPP).
_MPP_REQUIRED, _MPP_OPTIONAL = 1 << 16, 1 << 17
_REQUIRED = (
    fields.INVOICE_AMOUNT,
    fields.INVOICE_CREATED_AT,
    fields.INVOICE_PAYMENT_HASH,
    fields.INVOICE_NODE_ID,
)


class _RefusedError(Exception):
    """The payer refuses an invoice; the text is the reason."""


async def receive_invoice(
    network: Network,
    node: Node,
    data: bytes,
    reply_path: BlindedPath | None,
    path_id: bytes | None,
) -> None:
    """Check an invoice, then pay it or answer with an invoice_error.

    :param data: its TLV stream.
    :param path_id: the 32-byte path_id of the blinded path that it came along;
        None if it came without one.
    """
    refusal = network.behaviour.refusal(node.name, data)
    if refusal is not None:
        if refusal:
            _reply(network, node, reply_path, refusal)
        return
    try:
        records = tlv.decode_stream(data)
        check_fields(records)
    except MalformedError:
        text = f"Failed invoice: Invalid invoice {data.hex()}"
        _reply(network, node, reply_path, text)
        return

    def answer(reason: str) -> None:
        text = f"Failed invoice {invoice.encode(records)}: {reason}"
        _reply(network, node, reply_path, text)

    def answer_failed(failed: PaymentError) -> None:
        if failed.invoice_error is None:
            answer(f"pay attempt failed: {json.dumps(failed.text)}")
        else:
            node.log(failed.text)
            _send_error(network, node, reply_path, failed.invoice_error)

    try:
        bill = _check(node, records, path_id, network.clock())
        await payments.pay(network, node, bill, answer_failed)
    except _RefusedError as refused:
        answer(str(refused))
    except PaymentError as failed:
        answer_failed(failed)


def _check(node: Node, records: tuple[Record, ...], path_id: bytes | None, now: float) -> Bill:
    """Check an invoice against the node's own requests.

    :raises _RefusedError: with lightningd's words.
    """
    values = dict(records)
    id_ = request_id(records)
    _check_path(node, records, path_id, id_)
    for type_ in _REQUIRED:
        if type_ not in values:
            raise _RefusedError(f"Missing {fields.field_name(type_)}")
    features = values.get(fields.INVOICE_FEATURES, b"")
    bit = _unsupported_bit(features)
    if bit is not None:
        raise _RefusedError(f"Unsupported invoice feature {bit}")
    created_at = int.from_bytes(values[fields.INVOICE_CREATED_AT], "big")
    if int(now) > created_at + relative_expiry(values):
        raise _RefusedError("Expired invoice")
    bill = Bill(
        bolt12=invoice.encode(records),
        payee=values[fields.INVOICE_NODE_ID],
        payment_hash=values[fields.INVOICE_PAYMENT_HASH],
        amount_msat=int.from_bytes(values[fields.INVOICE_AMOUNT], "big"),
        paths=_usable_paths(values),
        allows_parts=bool(int.from_bytes(features, "big") & (_MPP_REQUIRED | _MPP_OPTIONAL)),
        request_id=id_,
    )
    request = node.requests.get(id_)
    if request is None:
        raise _RefusedError(f"Unknown invoice_request {id_.hex()}")
    if not request.active:
        raise _RefusedError("invoice_request no longer available")
    sig = values.get(fields.SIGNATURE)
    if sig is None:
        raise _RefusedError("invoice missing signature")
    if not signature.verify("invoice", records, bill.payee, sig):
        raise _RefusedError("invalid invoice signature")
    if bill.amount_msat > int.from_bytes(values[fields.INVREQ_AMOUNT], "big"):
        raise _RefusedError("invoice amount is too large")
    return bill


def _check_path(node: Node, records: tuple[Record, ...], path_id: bytes | None, id_: bytes) -> None:
    """Check that an invoice came along a path of its request, if that has one."""
    if not node.family.makes_paths:
        return
    if path_id is None:
        came_right = all(record.type != fields.INVREQ_PATHS for record in records)
    else:
        came_right = path_id == node.request_path_id(request_id(records, with_paths=False))
    if not came_right:
        raise _RefusedError(f"Unknown invoice_request {id_.hex()}")


def _unsupported_bit(features: bytes) -> int | None:
    """The lowest required feature bit that is unknown, if any; only MPP is known."""
    return fields.unknown_feature(
        (int.from_bytes(features, "big") & ~_MPP_REQUIRED).to_bytes(len(features), "big")
    )


def _usable_paths(values: dict[int, bytes]) -> tuple[PaymentPath, ...]:
    """The payment paths whose features the payer supports."""
    for type_ in (fields.INVOICE_PATHS, fields.INVOICE_BLINDEDPAY):
        if type_ not in values:
            raise _RefusedError(f"Missing {fields.field_name(type_)}")
    paths = decode_paths(values[fields.INVOICE_PATHS], "invoice_paths")
    payinfos = invoice.decode_payinfos(values[fields.INVOICE_BLINDEDPAY])
    if len(paths) != len(payinfos):
        raise _RefusedError("Mismatch between invoice_blindedpay and invoice_paths")
    bits = [_unsupported_bit(payinfo.features) for payinfo in payinfos]
    if None not in bits:
        raise _RefusedError(f"Unsupported feature for all paths ({bits[-1]})")
    return tuple(
        PaymentPath(path, payinfo)
        for path, payinfo, bit in zip(paths, payinfos, bits, strict=True)
        if bit is None
    )


def _reply(network: Network, node: Node, reply_path: BlindedPath | None, text: str) -> None:
    """Log a refusal, and send it as an invoice_error."""
    node.log(text)
    _send_error(network, node, reply_path, invoice_error.encode(InvoiceError(text)))


def _send_error(network: Network, node: Node, reply_path: BlindedPath | None, data: bytes) -> None:
    """Send an invoice_error along the sender's reply path, if there is one.

    :param data: its TLV stream.
    """
    introduction = None if reply_path is None else network.introduction_node(reply_path)
    if reply_path is None or introduction is None:
        return
    error = Record(message.INVOICE_ERROR, data)
    if not node.family.routes_replies:
        # v24.02 replies only along a path that begins at a peer.
        onion = message.outgoing((introduction.id,), (error,), reply_path)
        network.send(node, introduction.id, onion.first_path_key, onion_layers.wrap(onion))
        return
    nodes = find_message_path(network, node, introduction.id)
    try:
        if nodes is None:
            if node.spec.no_connect:
                return
            network.connect(node, introduction.id)
            nodes = (node.id, introduction.id)
        onion = message.outgoing(nodes, (error,), reply_path)
        network.inject(node, onion.first_path_key, onion_layers.wrap(onion))
    except (RpcError, OnionError) as failed:
        node.log(f"the reply could not be sent: {failed}")


def find_message_path(network: Network, node: Node, target: bytes) -> tuple[bytes, ...] | None:
    """Find a path for an onion message: over the node's peers, then public channels.

    :returns: 33-byte ids, the node's own first; None if there is no path.
    """

    def neighbours(id_: bytes) -> Iterable[bytes]:
        near = [
            channel.other(id_)
            for channel in network.channels.of(id_)
            if channel.spec.public and channel.enabled[id_]
        ]
        if id_ == node.id:
            near = [peer.id for peer in network.peers(id_)]
        return [other for other in near if network.node(other).spec.onion_messages]

    return shortest_path(node.id, target, neighbours)
