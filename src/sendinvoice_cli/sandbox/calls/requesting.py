"""The payer's side: its invoice_requests, and its payments for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...bolt12 import fields, string, tlv
from ...bolt12.tlv import Record
from ...errors import MalformedError
from ...onion import message
from ..model import requests
from ..model.family import Family
from ..model.network import Network
from ..model.node import Node
from ..model.requests import StoredRequest
from ..rpc import parameters
from ..rpc.errors import INVALID_PARAMS, LIGHTNINGD, RpcError
from ..rpc.parameters import optional, required
from .call import Context, Result, call


@call(
    "invoicerequest",
    required("amount", parameters.msat),
    optional("description", parameters.string),
    optional("issuer", parameters.string),
    optional("absolute_expiry", parameters.u64),
    optional("single_use", parameters.boolean, True),
)
async def create(context: Context, args: dict[str, Any]) -> Result:
    """Create an invoice_request to send money."""
    node = context.node
    if args["description"] is None and node.family is not Family.V26_06:
        raise RpcError(INVALID_PARAMS, "missing required parameter: description")
    records = requests.unsigned(
        node.id, args["amount"], args["description"], args["issuer"], args["absolute_expiry"]
    )
    is_reachable = node.spec.has_address and context.network.channels.is_public_node(node.id)
    if node.family.makes_paths and not is_reachable:
        records = _with_path(context.network, node, records)
    return _store(node, records, args["single_use"])


def _with_path(network: Network, node: Node, records: tuple[Record, ...]) -> tuple[Record, ...]:
    """Add a blinded path from the public peer with the greatest capacity, if there is one."""
    peers = [
        peer
        for channel in network.channels.of(node.id)
        for peer in [network.node(channel.other(node.id))]
        if network.is_connected(node.id, peer.id)
        and channel.enabled[peer.id]
        and network.channels.is_public_node(peer.id)
        and peer.spec.onion_messages
    ]
    if not peers:
        return records
    best = max(
        peers,
        key=lambda peer: sum(channel.capacity_msat for channel in network.channels.of(peer.id)),
    )
    path_id = node.request_path_id(requests.request_id(records))
    path = message.reply_path((best.id, node.id), path_id)
    return tuple(sorted((*records, Record(fields.INVREQ_PATHS, path.encode()))))


@call(
    "createinvoicerequest",
    required("bolt12", parameters.string),
    optional("savetodb", parameters.boolean, True),
    optional("single_use", parameters.boolean, True),
)
async def sign(context: Context, args: dict[str, Any]) -> Result:
    """Sign and store an invoice_request; ``savetodb`` is ignored."""
    node = context.node
    try:
        given = tlv.decode_stream(string.decode(args["bolt12"], "lnr"))
    except MalformedError:
        raise parameters.bad_token("bolt12", "invalid invreq data", args["bolt12"]) from None
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
            raise parameters.bad_token("bolt12", reason, args["bolt12"])
    if values[fields.INVREQ_PAYER_ID] != node.id:
        raise RpcError(INVALID_PARAMS, "payer_id did not match invreq_metadata derivation")
    return _store(node, unsigned, args["single_use"])


def _store(node: Node, unsigned: Sequence[Record], single_use: bool) -> Result:
    """Sign and store an invoice_request; returns its row of ``listinvoicerequests``."""
    signed = requests.sign(unsigned, node.private_key)
    text = string.encode("lnr", tlv.encode_stream(signed))
    stored = StoredRequest(requests.request_id(signed), text, single_use)
    if stored.id in node.requests:
        raise RpcError(LIGHTNINGD, "Could not create invoice_request!")
    node.requests[stored.id] = stored
    return stored.row()


@call(
    "listpays",
    optional("payment_hash", parameters.sha256),
    optional("status", parameters.string),
)
async def list_payments(context: Context, args: dict[str, Any]) -> Result:
    """List the payments for invoices."""
    return {
        "pays": [
            {**record.details, "status": record.status}
            for payment_hash, record in context.node.payments.items()
            if args["payment_hash"] in (None, payment_hash)
            and args["status"] in (None, record.status)
        ]
    }


@call("listinvoicerequests")
async def list_requests(context: Context, _args: dict[str, Any]) -> Result:
    """List invoice_requests."""
    return {"invoicerequests": [request.row() for request in context.node.requests.values()]}
