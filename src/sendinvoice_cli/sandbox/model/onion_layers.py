"""Onion messages: wrapped by their sender, unwrapped by each node on the route.

Source: BOLT 4, "Onion Messages" and "Route Blinding".
"""

from __future__ import annotations

from dataclasses import dataclass

from coincurve import PrivateKey, PublicKey
from cryptography.exceptions import InvalidTag

from ...bolt12 import tlv
from ...bolt12.blinded_path import BlindedPath, check_point, decode_paths
from ...bolt12.tlv import Record
from ...errors import MalformedError
from ...onion import blinding, message
from . import sphinx
from .sphinx import OnionError

_MESSAGE_FIELDS = frozenset(
    (
        message.REPLY_PATH,
        message.ENCRYPTED_RECIPIENT_DATA,
        message.INVOICE_REQUEST,
        message.INVOICE,
        message.INVOICE_ERROR,
    )
)
_PATH_ID_SIZE = 32


@dataclass(frozen=True)
class Forward:
    """A message to forward.

    :param next_node: 33-byte node id, or the short_channel_id of a channel to it.
    :param path_key: 33-byte point to send with the packet.
    """

    next_node: bytes | int
    path_key: bytes
    packet: bytes


@dataclass(frozen=True)
class Received:
    """A message for us.

    :param path_id: the 32-byte path_id of our blinded path; None if it came
        without one.
    :param content: the fields of the payload, in order of type.
    """

    path_id: bytes | None
    content: tuple[Record, ...]
    reply_path: BlindedPath | None


@dataclass(frozen=True)
class BlindedHopData:
    """What a blinded path tells a node on it.

    :param values: the fields of encrypted_data_tlv.
    :param next_path_key: 33-byte point for the next node.
    """

    values: dict[int, bytes]
    next_path_key: bytes


def wrap(onion: message.OnionMessage) -> bytes:
    """The packet of an onion message.

    :raises OnionError: it does not fit into one.
    """
    return sphinx.pack([sphinx.Hop(hop.blinded_node_id, hop.with_length()) for hop in onion.hops])


def open_hop(private_key: PrivateKey, path_key: bytes, encrypted_data: bytes) -> BlindedHopData:
    """Read the encrypted_recipient_data that is meant for a node.

    :param private_key: the node's.
    :raises OnionError: it is for another node, or malformed.
    """
    try:
        plain, next_path_key = decrypt_hop(private_key, path_key, encrypted_data)
        values = dict(tlv.decode_stream(plain))
        if blinding.NEXT_PATH_KEY_OVERRIDE in values:
            override = values[blinding.NEXT_PATH_KEY_OVERRIDE]
            next_path_key = check_point(override, "next_path_key_override")
    except (InvalidTag, MalformedError):
        raise _invalid("invalid encrypted_recipient_data") from None
    return BlindedHopData(values, next_path_key)


def decrypt_hop(
    private_key: PrivateKey, path_key: bytes, encrypted_data: bytes
) -> tuple[bytes, bytes]:
    """Decrypt the encrypted_recipient_data that is meant for a node.

    :param private_key: the node's.
    :returns: the encrypted_data_tlv stream; the 33-byte path key for the next
        node, unless the stream overrides it.
    :raises cryptography.exceptions.InvalidTag: it is for another node.
    """
    shared_secret = private_key.ecdh(path_key)
    plain = blinding.decrypt(shared_secret, encrypted_data)
    factor = blinding.blinding_factor(path_key, shared_secret)
    return plain, PublicKey(path_key).multiply(factor).format()


def onion_secret(private_key: PrivateKey, path_key: bytes, packet: bytes) -> bytes:
    """The 32-byte secret that peels a packet for a blinded node id.

    :raises OnionError: it is not a packet.
    """
    tweak = blinding.derive_key(b"blinded_node_id", private_key.ecdh(path_key))
    # Blinding the packet's key has the same effect as blinding the private key.
    blinded_key = PublicKey(sphinx.ephemeral_key(packet)).multiply(tweak).format()
    return private_key.ecdh(blinded_key)


def unwrap(private_key: PrivateKey, path_key: bytes, packet: bytes) -> Forward | Received:
    """Peel our layer off an onion message and read it.

    :param private_key: the node's.
    :param path_key: 33-byte point that came with the packet.
    :raises OnionError: BOLT 4 says to ignore it.
    """
    layer = _peel(private_key, path_key, packet)
    try:
        content = tlv.decode_stream(layer.payload)
    except MalformedError:
        raise _invalid("invalid onionmsg_tlv") from None
    values = dict(content)
    if any(type_ % 2 == 0 and type_ not in _MESSAGE_FIELDS for type_ in values):
        raise _invalid("invalid onionmsg_tlv")
    encrypted_data = values.get(message.ENCRYPTED_RECIPIENT_DATA)
    if layer.next_packet is None:
        hop = open_hop(private_key, path_key, encrypted_data) if encrypted_data else None
        return _received(content, values, hop)
    if len(values) != 1:
        raise _invalid("disallowed tlv field")
    if encrypted_data is None:
        raise _invalid("invalid encrypted_recipient_data")
    hop = open_hop(private_key, path_key, encrypted_data)
    return Forward(_next_node(hop.values), hop.next_path_key, layer.next_packet)


def _peel(private_key: PrivateKey, path_key: bytes, packet: bytes) -> sphinx.Layer:
    try:
        secret = onion_secret(private_key, path_key, packet)
    except OnionError:
        raise _invalid("can't parse onionpacket: WIRE_INVALID_ONION_KEY") from None
    try:
        return sphinx.peel(packet, secret)
    except OnionError:
        raise _invalid(f"can't process onionpacket ss={secret.hex()}") from None


def _invalid(reason: str) -> OnionError:
    """The error for a message to ignore, in lightningd's words."""
    return OnionError(f"onion_message_parse: {reason}")


def _received(
    content: tuple[Record, ...], values: dict[int, bytes], hop: BlindedHopData | None
) -> Received:
    path_id = hop.values.get(blinding.PATH_ID) if hop else None
    if path_id is not None and len(path_id) != _PATH_ID_SIZE:
        path_id = None
    reply_path = None
    if message.REPLY_PATH in values:
        try:
            reply_path = decode_paths(values[message.REPLY_PATH], "reply_path")[0]
        except MalformedError:
            raise _invalid("invalid onionmsg_tlv") from None
    return Received(path_id, content, reply_path)


def _next_node(values: dict[int, bytes]) -> bytes | int:
    if blinding.PATH_ID in values:
        raise _invalid("invalid encrypted_recipient_data")
    if blinding.NEXT_NODE_ID in values:
        return values[blinding.NEXT_NODE_ID]
    if blinding.SHORT_CHANNEL_ID in values:
        return int.from_bytes(values[blinding.SHORT_CHANNEL_ID], "big")
    raise _invalid("invalid encrypted_recipient_data")
