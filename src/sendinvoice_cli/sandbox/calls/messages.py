"""Onions and onion messages: createonion, injectonionmessage, sendonionmessage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...bolt12.blinded_path import check_point
from ...bolt12.tlv import decode_bigsize, encode_bigsize
from ...errors import MalformedError
from .. import params, sphinx
from ..family import Family
from ..params import optional, required
from ..rpc_errors import INVALID_PARAMS, LIGHTNINGD, RpcError
from ..sphinx import Hop, OnionError
from .call import Call, Context, Result

_MESSAGE_SIZES = (1300, 32768)
_LONGEST_MESSAGE = 65535


async def create_onion(_context: Context, args: dict[str, Any]) -> Result:
    """``createonion``: wrap payloads in an onion."""
    hops = _read_onion_hops(args["hops"])
    for at, hop in enumerate(hops):
        if not _has_length(hop.payload):
            raise RpcError(INVALID_PARAMS, f"hops[{at}] payload is not prefixed with length!")
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
        hops.append(
            Hop(
                _read("hops", hop["pubkey"], params.pubkey),
                _read("hops", hop["payload"], params.hex_bytes),
            )
        )
    return hops


def _read(name: str, value: Any, read: Callable[[Any], bytes]) -> bytes:
    """Read a value inside a parameter, and refuse it as the parameter's."""
    found: bytes = params.match([value], [required(name, read)])[name]
    return found


async def inject_onion(context: Context, args: dict[str, Any]) -> Result:
    """``injectonionmessage`` of v24.11 and later: treat an onion as if a peer had sent it."""
    _check_enabled(context)
    if len(args["message"]) > _LONGEST_MESSAGE:
        raise RpcError(INVALID_PARAMS, "onion message too long")
    _inject(context, args["path_key"], args["message"])
    return {}


async def inject_hops(context: Context, args: dict[str, Any]) -> Result:
    """``injectonionmessage`` of v24.08: wrap the hops, and treat them so."""
    _check_enabled(context)
    _inject(context, args["blinding"], _wrap(_read_message_hops(args["hops"])))
    return {}


async def send(context: Context, args: dict[str, Any]) -> Result:
    """``sendonionmessage``: wrap the hops, and send them to a peer."""
    _check_enabled(context)
    known = [
        channel.other(context.node.id) for channel in context.network.graph.of(context.node.id)
    ]
    peers = [peer.id for peer in context.network.peers(context.node.id)]
    if args["first_id"] not in (*known, *peers):
        raise RpcError(LIGHTNINGD, "Unknown first peer")
    packet = _wrap(_read_message_hops(args["hops"]))
    context.network.send(context.node, args["first_id"], args["blinding"], packet)
    return {}


def _check_enabled(context: Context) -> None:
    if not context.node.spec.onion_messages:
        raise RpcError(LIGHTNINGD, "experimental-onion-messages not enabled")


def _inject(context: Context, path_key: bytes, packet: bytes) -> None:
    try:
        context.network.inject(context.node, path_key, packet)
    except OnionError as error:
        raise RpcError(LIGHTNINGD, str(error)) from None


def _read_message_hops(given: Any) -> list[Hop]:
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
            id_ = check_point(bytes.fromhex(hop["id"]), "")
            payload = bytes.fromhex(hop["tlv"])
        except (MalformedError, ValueError):
            raise RpcError(INVALID_PARAMS, f"hops[{at}]: cannot be parsed") from None
        hops.append(Hop(id_, encode_bigsize(len(payload)) + payload))
    return hops


def _wrap(hops: list[Hop]) -> bytes:
    needed = sum(hop.size for hop in hops)
    for size in _MESSAGE_SIZES:
        if needed <= size:
            return sphinx.build(hops, size)[0]
    raise RpcError(INVALID_PARAMS, "Creating onion failed (tlvs too long?)")


_BLINDING = required("blinding", params.pubkey)
_HOPS = required("hops", params.anything)

CALLS = (
    Call(
        "createonion",
        (
            _HOPS,
            required("assocdata", params.hex_bytes),
            optional("session_key", params.secret),
            optional("onion_size", params.number, _MESSAGE_SIZES[0]),
        ),
        create_onion,
        "Create an onion for a route",
    ),
    Call(
        "injectonionmessage",
        (required("path_key", params.pubkey), required("message", params.hex_bytes)),
        inject_onion,
        "Unwrap an onion message",
        families=(Family.V26_06,),
    ),
    Call(
        "injectonionmessage",
        (_BLINDING, _HOPS),
        inject_hops,
        "Unwrap an onion message",
        families=(Family.V24_08,),
    ),
    Call(
        "sendonionmessage",
        (required("first_id", params.node_id), _BLINDING, _HOPS),
        send,
        "Send an onion message to a peer",
        families=(Family.V24_02,),
    ),
)
