"""Sending an onion message by the call that this lightningd has."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..bolt12.blinded_path import BlindedPath
from ..bolt12.tlv import Record
from ..errors import LightningdError
from ..onion import message
from .info import OnionApi
from .rpc.answers import reading
from .rpc.client import Client


class Packet(NamedTuple):
    """A message that is ready: the call that sends it, and its parameters."""

    method: str
    params: dict[str, Any]


def prepare(
    client: Client,
    onion_api: OnionApi,
    nodes: Sequence[bytes],
    content: Sequence[Record],
    their_path: BlindedPath | None,
    *,
    first_scid: int | None = None,
) -> Packet:
    """Wrap a message (``createonion``; the older calls wrap it themselves).

    :param nodes: 33-byte ids from our own node to the recipient or, with ``their_path``, to its
        introduction node.
    :param content: onionmsg_tlv records for the recipient.
    :param first_scid: the short_channel_id, or alias, by which our node knows a channel with the
        second node; None with a call that does not begin at our node.
    :raises LightningdError: the message is too large, or lightningd cannot wrap it.
    """
    if onion_api is OnionApi.SEND_HOPS:
        # This call hands the onion to a peer: our own node has no layer of it.
        nodes = nodes[1:]
    onion = message.outgoing(nodes, content, their_path, first_scid)
    size = onion.packet_size()
    if size is None:
        raise LightningdError("the invoice is too large for an onion message")
    first_path_key = onion.first_path_key.hex()
    if onion_api is OnionApi.INJECT_ONION:
        answer = client.call(
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
        with reading("createonion"):
            wrapped = answer["onion"]
        return Packet("injectonionmessage", {"path_key": first_path_key, "message": wrapped})
    hops = [{"id": hop.blinded_node_id.hex(), "tlv": hop.payload.hex()} for hop in onion.hops]
    if onion_api is OnionApi.INJECT_HOPS:
        return Packet("injectonionmessage", {"blinding": first_path_key, "hops": hops})
    return Packet(
        "sendonionmessage",
        {"first_id": onion.first_node.hex(), "blinding": first_path_key, "hops": hops},
    )


def send(client: Client, packet: Packet) -> None:
    """Send a prepared message (``injectonionmessage``, ``sendonionmessage``).

    :raises LightningdError: lightningd cannot send it, usually because the next node has
        disconnected.
    """
    client.call(packet.method, packet.params)
