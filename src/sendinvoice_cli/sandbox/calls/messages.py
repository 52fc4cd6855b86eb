"""Onions and onion messages.

createonion, decryptencrypteddata, injectonionmessage, sendonionmessage.
"""

from __future__ import annotations

from typing import Any

from cryptography.exceptions import InvalidTag

from ...bolt12.tlv import decode_bigsize, encode_bigsize
from ...errors import MalformedError
from ...onion.message import PACKET_SIZES
from ..model import onion_layers, sphinx
from ..model.family import Family
from ..model.sphinx import Hop, OnionError
from ..rpc import parameters
from ..rpc.errors import INVALID_PARAMS, LIGHTNINGD, RpcError
from ..rpc.parameters import optional, required
from .call import Context, Result, call

_LONGEST_MESSAGE = 65535
_BLINDING = required("blinding", parameters.pubkey)
_HOPS = required("hops", parameters.anything)


@call(
    "createonion",
    _HOPS,
    required("assocdata", parameters.hex_bytes),
    optional("session_key", parameters.sha256),
    optional("onion_size", parameters.number, PACKET_SIZES[0]),
)
async def create_onion(_context: Context, args: dict[str, Any]) -> Result:
    """Create an onion for a route."""
    hops = _read_onion_hops(args["hops"])
    try:
        packet, secrets = sphinx.build(
            hops, args["onion_size"], args["assocdata"], args["session_key"]
        )
    except OnionError:
        raise RpcError(INVALID_PARAMS, "Payloads exceed maximum onion packet size.") from None
    return {"onion": packet.hex(), "shared_secrets": [secret.hex() for secret in secrets]}


def _has_length(payload: bytes) -> bool:
    try:
        length, start = decode_bigsize(payload, 0)
    except MalformedError:
        return False
    return start + length == len(payload)


def _read_onion_hops(given: Any) -> list[Hop]:
    if not isinstance(given, list) or not given:
        raise RpcError(INVALID_PARAMS, "At least one hop must be specified.")
    hops = []
    for at, hop in enumerate(given):
        for name in ("payload", "pubkey"):
            if name not in hop:
                raise RpcError(INVALID_PARAMS, f"Hop {at} does not have a {name}")
        key = parameters.read("hops", hop["pubkey"], parameters.pubkey)
        payload = parameters.read("hops", hop["payload"], parameters.hex_bytes)
        if not _has_length(payload):
            raise RpcError(INVALID_PARAMS, f"hops[{at}] payload is not prefixed with length!")
        hops.append(Hop(key, payload))
    return hops


@call(
    "injectonionmessage",
    required("path_key", parameters.pubkey),
    required("message", parameters.hex_bytes),
    families=(Family.V26_06,),
)
async def inject_onion(context: Context, args: dict[str, Any]) -> Result:
    """Unwrap an onion message as if a peer had sent it."""
    _check_enabled(context)
    if len(args["message"]) > _LONGEST_MESSAGE:
        raise RpcError(INVALID_PARAMS, "onion message too long")
    return _inject(context, args["path_key"], args["message"])


@call(
    "decryptencrypteddata",
    required("encrypted_data", parameters.hex_bytes),
    required("path_key", parameters.pubkey),
    families=(Family.V26_06,),
)
async def decrypt_encrypted_data(context: Context, args: dict[str, Any]) -> Result:
    """Decrypt encrypted_recipient_data that is meant for this node."""
    try:
        plain, next_path_key = onion_layers.decrypt_hop(
            context.node.private_key, args["path_key"], args["encrypted_data"]
        )
    except InvalidTag:
        raise RpcError(INVALID_PARAMS, "Decryption failed!") from None
    return {
        "decryptencrypteddata": {"decrypted": plain.hex(), "next_path_key": next_path_key.hex()}
    }


@call("injectonionmessage", _BLINDING, _HOPS, families=(Family.V24_08,))
async def inject_hops(context: Context, args: dict[str, Any]) -> Result:
    """Build an onion message from hops, and unwrap it as if a peer had sent it."""
    _check_enabled(context)
    return _inject(context, args["blinding"], _wrap(args["hops"]))


@call(
    "sendonionmessage",
    required("first_id", parameters.node_id),
    _BLINDING,
    _HOPS,
    families=(Family.V24_02,),
)
async def send(context: Context, args: dict[str, Any]) -> Result:
    """Build an onion message from hops, and send it to a peer."""
    _check_enabled(context)
    network, node, first_id = context.network, context.node, args["first_id"]
    if not (network.is_connected(node.id, first_id) or network.channels.between(node.id, first_id)):
        raise RpcError(LIGHTNINGD, "Unknown first peer")
    network.send(node, first_id, args["blinding"], _wrap(args["hops"]))
    return {}


def _check_enabled(context: Context) -> None:
    if not context.node.takes_messages(has_channel=True):
        raise RpcError(LIGHTNINGD, "experimental-onion-messages not enabled")


def _inject(context: Context, path_key: bytes, packet: bytes) -> Result:
    try:
        context.network.inject(context.node, path_key, packet)
    except OnionError as error:
        raise RpcError(LIGHTNINGD, str(error)) from None
    return {}


def _wrap(given: Any) -> bytes:
    """Build the packet of an onion message from hops as JSON."""
    if not isinstance(given, list) or not given:
        raise RpcError(INVALID_PARAMS, "hops must be an (non-empty) array")
    hops = []
    for at, hop in enumerate(given):
        for name in ("id", "tlv"):
            if name not in hop:
                raise RpcError(
                    INVALID_PARAMS,
                    f"hops[{at}]: Parsing '{{id:%,tlv:': object does not have member {name}",
                )
        try:
            id_, payload = parameters.pubkey(hop["id"]), parameters.hex_bytes(hop["tlv"])
        except ValueError:
            raise RpcError(INVALID_PARAMS, f"hops[{at}]: cannot be parsed") from None
        hops.append(Hop(id_, encode_bigsize(len(payload)) + payload))
    try:
        return sphinx.pack(hops)
    except OnionError as error:
        raise RpcError(INVALID_PARAMS, str(error)) from None
