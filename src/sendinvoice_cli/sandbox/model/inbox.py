"""Onion messages at their recipient: the hooks, and the payer between them.

Source: lightningd's hooks ``onion_message_recv`` and ``onion_message_recv_secret``.
"""

from __future__ import annotations

from typing import Any

from ...bolt12.blinded_path import BlindedPath, format_scid
from ...onion import message
from . import payer
from .family import Family
from .network import Network
from .node import Node
from .onion_layers import Received

_NAMES = {
    message.INVOICE_REQUEST: "invoice_request",
    message.INVOICE: "invoice",
    message.INVOICE_ERROR: "invoice_error",
}
_KNOWN = (message.REPLY_PATH, message.ENCRYPTED_RECIPIENT_DATA, *_NAMES)


async def receive(network: Network, node: Node, received: Received) -> None:
    """Pass a message to the early hooks, to the payer, and to the other hooks."""
    hook = "onion_message_recv" if received.path_id is None else "onion_message_recv_secret"
    payload = {"onion_message": hook_payload(node, received)}
    if not await node.plugins.call_hook(hook, payload, early=True):
        return
    invoice = dict(received.content).get(message.INVOICE)
    # Before v24.08, requests have no paths, so an invoice along a path is not for the payer.
    if invoice is not None and (received.path_id is None or node.family.makes_paths):
        await payer.receive_invoice(network, node, invoice, received.reply_path, received.path_id)
    await node.plugins.call_hook(hook, payload, early=False)


def hook_payload(node: Node, received: Received) -> dict[str, Any]:
    """A message as the hooks receive it."""
    payload: dict[str, Any] = {}
    if received.path_id is not None:
        payload["pathsecret"] = received.path_id.hex()
    if received.reply_path is not None:
        payload["reply_blindedpath"] = path_as_json(node.family, received.reply_path, "hops")
    payload.update(
        (_NAMES[record.type], record.value.hex())
        for record in received.content
        if record.type in _NAMES
    )
    payload["unknown_fields"] = [
        {"number": record.type, "value": record.value.hex()}
        for record in received.content
        if record.type not in _KNOWN
    ]
    return payload


def path_as_json(family: Family, path: BlindedPath, hops_name: str) -> dict[str, Any]:
    """A blinded path as the JSON of a family of versions.

    :param hops_name: name of the list of hops.
    """
    start: dict[str, Any]
    if isinstance(path.introduction_node, bytes):
        start = {"first_node_id": path.introduction_node.hex()}
    else:
        start = {
            "first_scid": format_scid(path.introduction_node.scid),
            "first_scid_dir": path.introduction_node.direction,
        }
    return {
        **start,
        family.path_key_name: path.first_path_key.hex(),
        hops_name: [
            {
                "blinded_node_id": hop.blinded_node_id.hex(),
                "encrypted_recipient_data": hop.encrypted_data.hex(),
            }
            for hop in path.hops
        ],
    }
