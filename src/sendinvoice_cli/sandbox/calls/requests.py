"""The payer's side: its invoice_requests, and the payments that it has made for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...bolt12 import fields, string, tlv
from ...bolt12.tlv import Record
from ...errors import MalformedError
from ...onion import message
from .. import params, requests
from ..family import Family
from ..network import Network
from ..node import Node
from ..params import optional, required
from ..requests import StoredRequest
from ..rpc_errors import INVALID_PARAMS, LIGHTNINGD, RpcError
from .call import Call, Context, Result


async def create(context: Context, args: dict[str, Any]) -> Result:
    """``invoicerequest``: ask for an invoice of an amount."""
    node = context.node
    records = requests.unsigned(
        node.id, args["amount"], args["description"], args["issuer"], args["absolute_expiry"]
    )
    if node.family.makes_paths and not _is_reachable(context.network, node):
        records = _with_path(context.network, node, records)
    stored = _stored(node, records, args["single_use"], args["label"])
    node.requests.add(stored)
    return stored.row()


def _is_reachable(network: Network, node: Node) -> bool:
    return node.spec.has_address and network.graph.is_public_node(node.id)


def _with_path(network: Network, node: Node, records: tuple[Record, ...]) -> tuple[Record, ...]:
    """Add a path from the peer with the greatest capacity of its own that is known to all."""
    best: Node | None = None
    for channel in network.graph.of(node.id):
        peer = network.node(channel.other(node.id))
        assert peer is not None
        if (
            network.is_connected(node.id, peer.id)
            and channel.enabled[peer.id]
            and network.graph.is_public_node(peer.id)
            and peer.spec.onion_messages
            and (best is None or _capacity(network, peer) > _capacity(network, best))
        ):
            best = peer
    if best is None:
        return records
    path_id = node.request_path_id(requests.request_id(records))
    return requests.with_path(records, message.reply_path((best.id, node.id), path_id))


def _capacity(network: Network, node: Node) -> int:
    return sum(channel.spec.capacity_msat for channel in network.graph.of(node.id))


async def sign(context: Context, args: dict[str, Any]) -> Result:
    """``createinvoicerequest``: sign a request, and store it if asked to."""
    node = context.node
    try:
        given = tlv.decode_stream(string.decode(args["bolt12"], "lnr"))
    except MalformedError:
        raise params.bad_token("bolt12", "invalid invreq data", args["bolt12"]) from None
    unsigned = [
        record
        for record in given
        if record.type != fields.SIGNATURE
        and (node.family.keeps_unknown_fields or record.type in fields.FIELDS)
    ]
    values = dict(unsigned)
    for type_ in (fields.INVREQ_METADATA, fields.INVREQ_PAYER_ID):
        if type_ not in values:
            reason = f"must have {fields.field_name(type_)}"
            raise params.bad_token("bolt12", reason, args["bolt12"])
    if values[fields.INVREQ_PAYER_ID] != node.id:
        raise RpcError(INVALID_PARAMS, "payer_id did not match invreq_metadata derivation")
    stored = _stored(node, unsigned, args["single_use"], args["recurrence_label"])
    if args["savetodb"]:
        if node.requests.find(stored.id) is not None:
            raise RpcError(LIGHTNINGD, "Could not create invoice_request!")
        node.requests.add(stored)
    return stored.row()


def _stored(
    node: Node, unsigned: Sequence[Record], single_use: bool, label: str | None
) -> StoredRequest:
    signed = requests.sign(unsigned, node.private_key)
    return StoredRequest(
        requests.request_id(signed), requests.encode(signed), signed, single_use, label
    )


async def list_payments(context: Context, args: dict[str, Any]) -> Result:
    """``listpays``: the payments made for invoices."""
    return {
        "pays": [
            {**record.details, "status": record.status}
            for payment_hash, record in context.node.payments.items()
            if args["payment_hash"] in (None, payment_hash)
            and args["bolt11"] in (None, record.details["bolt12"])
            and args["status"] in (None, record.status)
        ]
    }


async def listing(context: Context, args: dict[str, Any]) -> Result:
    """``listinvoicerequests``: all, one, or those that are active."""
    found = [
        request.row()
        for request in context.node.requests
        if args["invreq_id"] in (None, request.id) and (request.active or not args["active_only"])
    ]
    return {"invoicerequests": found}


async def disable(context: Context, args: dict[str, Any]) -> Result:
    """``disableinvoicerequest``: take no invoice for a request any more."""
    return context.node.requests.disable(args["invreq_id"]).row()


_FURTHER = (
    optional("issuer", params.string),
    optional("label", params.string),
    optional("absolute_expiry", params.u64),
    optional("single_use", params.boolean, True),
)
_AMOUNT = required("amount", params.msat)
_SUMMARY = "Create an invoice_request to send money"

CALLS = (
    Call(
        "invoicerequest",
        (_AMOUNT, optional("description", params.string), *_FURTHER),
        create,
        _SUMMARY,
        families=(Family.V26_06,),
    ),
    Call(
        "invoicerequest",
        (_AMOUNT, required("description", params.string), *_FURTHER),
        create,
        _SUMMARY,
        families=(Family.V24_02, Family.V24_08),
    ),
    Call(
        "createinvoicerequest",
        (
            required("bolt12", params.string),
            required("savetodb", params.boolean),
            optional("recurrence_label", params.string),
            optional("single_use", params.boolean, True),
        ),
        sign,
        "Sign an invoice_request",
    ),
    Call(
        "listpays",
        (
            optional("bolt11", params.string),
            optional("payment_hash", params.sha256),
            optional("status", params.string),
        ),
        list_payments,
        "Show payments",
    ),
    Call(
        "listinvoicerequests",
        (
            optional("invreq_id", params.sha256),
            optional("active_only", params.boolean, False),
        ),
        listing,
        "Show invoice_requests",
    ),
    Call(
        "disableinvoicerequest",
        (required("invreq_id", params.sha256),),
        disable,
        "Disable an invoice_request",
    ),
)
