"""Sending an onion message, by whichever call this lightningd has."""

from __future__ import annotations

from collections.abc import Sequence

from ..bolt12.blinded_path import BlindedPath
from ..bolt12.tlv import Record
from ..errors import LightningdError
from ..onion import message
from .client import Client
from .info import OnionApi


def send(
    client: Client,
    onion_api: OnionApi,
    nodes: Sequence[bytes],
    content: Sequence[Record],
    their_path: BlindedPath | None,
) -> None:
    """Send a message.

    :param nodes: 33-byte ids from our own node to the recipient or, with
        ``their_path``, to its introduction node.
    :param content: onionmsg_tlv records for the recipient.
    :raises LightningdError: lightningd cannot send it, mostly because the next
        node has just disconnected.
    """
    if onion_api is OnionApi.SEND_HOPS:
        # This call hands the onion to a peer: our own node has no layer of it.
        nodes = nodes[1:]
    onion = message.outgoing(nodes, content, their_path)
    size = onion.packet_size()
    if size is None:
        raise LightningdError("the invoice is too large for an onion message")
    if onion_api is OnionApi.INJECT_ONION:
        packet = client.call(
            "createonion",
            {
                "hops": [
                    {"pubkey": hop.blinded_node_id.hex(), "payload": hop.with_length().hex()}
                    for hop in onion.hops
                ],
                "assocdata": "",
                "onion_size": size,
            },
        )
        client.call(
            "injectonionmessage",
            {"path_key": onion.first_path_key.hex(), "message": packet["onion"]},
        )
        return
    hops = [{"id": hop.blinded_node_id.hex(), "tlv": hop.payload.hex()} for hop in onion.hops]
    params = {"blinding": onion.first_path_key.hex(), "hops": hops}
    if onion_api is OnionApi.INJECT_HOPS:
        client.call("injectonionmessage", params)
    else:
        client.call("sendonionmessage", {"first_id": onion.first_node.hex(), **params})
