"""Onion packets: build one for a route, peel one layer.

Source: BOLT 4, "Packet Structure", "Packet Construction" and "Onion Decryption".
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from coincurve import PrivateKey, PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from ...bolt12.tlv import decode_bigsize
from ...errors import MalformedError
from ...onion.blinding import blinding_factor, derive_key
from ...onion.message import PACKET_SIZES

HMAC_SIZE = 32
POINT_SIZE = 33
#: Bytes of a packet besides its payloads: version, public key, HMAC.
OVERHEAD = 1 + POINT_SIZE + HMAC_SIZE

_VERSION = b"\0"
_LAST = bytes(HMAC_SIZE)


class OnionError(Exception):
    """A packet cannot be built or peeled."""


@dataclass(frozen=True)
class Hop:
    """One layer to build.

    :param public_key: 33-byte point of the node that peels it.
    :param payload: what that node finds, with its BigSize length.
    """

    public_key: bytes
    payload: bytes

    @property
    def size(self) -> int:
        """Bytes it takes in the packet."""
        return len(self.payload) + HMAC_SIZE


@dataclass(frozen=True)
class Layer:
    """A layer that was peeled off.

    :param payload: without its length.
    :param next_packet: the packet for the next node; None at the last one.
    """

    payload: bytes
    next_packet: bytes | None


def build(
    hops: Sequence[Hop],
    size: int,
    associated_data: bytes = b"",
    session_key: bytes | None = None,
) -> tuple[bytes, tuple[bytes, ...]]:
    """Build a packet for a route of at least one hop.

    :param size: bytes for the payloads: 1300, or 32768 for large onion messages.
    :param session_key: 32 bytes, random by default.
    :returns: the packet, and the 32-byte shared secret of each hop.
    :raises OnionError: the payloads do not fit.
    """
    if sum(hop.size for hop in hops) > size:
        raise OnionError("the payloads do not fit into the packet")
    session = PrivateKey(session_key or secrets.token_bytes(32))
    first_key = session.public_key.format()
    shared_secrets = []
    ephemeral = session
    for hop in hops:
        shared_secret = ephemeral.ecdh(hop.public_key)
        shared_secrets.append(shared_secret)
        factor = blinding_factor(ephemeral.public_key.format(), shared_secret)
        ephemeral = ephemeral.multiply(factor)
    filler = _filler(hops, shared_secrets, size)
    payloads = _stream(derive_key(b"pad", session.secret), size)
    mac = _LAST
    for hop, shared_secret in zip(reversed(hops), reversed(shared_secrets), strict=True):
        shifted = (hop.payload + mac + payloads)[:size]
        payloads = _xor(shifted, _stream(derive_key(b"rho", shared_secret), size))
        if mac == _LAST and filler:
            payloads = payloads[: -len(filler)] + filler
        mac = _mac(shared_secret, payloads, associated_data)
    return _VERSION + first_key + payloads + mac, tuple(shared_secrets)


def pack(hops: Sequence[Hop]) -> bytes:
    """The packet of an onion message, of the smallest size that holds it.

    :raises OnionError: it is too large, in lightningd's words.
    """
    for size in PACKET_SIZES:
        if sum(hop.size for hop in hops) <= size:
            return build(hops, size)[0]
    raise OnionError("Creating onion failed (tlvs too long?)")


def ephemeral_key(packet: bytes) -> bytes:
    """The 33-byte public key of a packet, from which the shared secret is derived.

    :raises OnionError: it is not a packet.
    """
    if len(packet) < OVERHEAD or packet[:1] != _VERSION:
        raise OnionError("not an onion packet")
    key = packet[1 : 1 + POINT_SIZE]
    try:
        PublicKey(key)
    except ValueError:
        raise OnionError("not an onion packet") from None
    return key


def peel(packet: bytes, shared_secret: bytes, associated_data: bytes = b"") -> Layer:
    """Take one layer off a packet.

    :param shared_secret: 32 bytes, from the packet's ephemeral key and our private key.
    :raises OnionError: it is not a packet, or not for this shared secret.
    """
    key = ephemeral_key(packet)
    payloads = packet[1 + POINT_SIZE : -HMAC_SIZE]
    mac = packet[-HMAC_SIZE:]
    if not hmac.compare_digest(mac, _mac(shared_secret, payloads, associated_data)):
        raise OnionError("the packet's HMAC is wrong")
    size = len(payloads)
    stream = _stream(derive_key(b"rho", shared_secret), 2 * size)
    plain = _xor(payloads + bytes(size), stream)
    try:
        length, start = decode_bigsize(plain, 0)
    except MalformedError:
        raise OnionError("the payload has no length") from None
    end = start + length
    if end + HMAC_SIZE > size:
        raise OnionError("the payload is longer than the packet")
    next_mac = plain[end : end + HMAC_SIZE]
    if next_mac == _LAST:
        return Layer(plain[start:end], None)
    next_key = PublicKey(key).multiply(blinding_factor(key, shared_secret)).format()
    next_payloads = plain[end + HMAC_SIZE : end + HMAC_SIZE + size]
    return Layer(plain[start:end], _VERSION + next_key + next_payloads + next_mac)


def _filler(hops: Sequence[Hop], shared_secrets: Sequence[bytes], size: int) -> bytes:
    """The bytes that all nodes but the last append, as the last one will see them."""
    filler = b""
    for hop, shared_secret in zip(hops[:-1], shared_secrets, strict=False):
        stream = _stream(derive_key(b"rho", shared_secret), size + hop.size)
        filler += bytes(hop.size)
        filler = _xor(filler, stream[-len(filler) :])
    return filler


def _mac(shared_secret: bytes, payloads: bytes, associated_data: bytes) -> bytes:
    return hmac.digest(derive_key(b"mu", shared_secret), payloads + associated_data, "sha256")


def _stream(key: bytes, size: int) -> bytes:
    # The 16 zero bytes are the counter and the nonce.
    return Cipher(ChaCha20(key, bytes(16)), mode=None).encryptor().update(bytes(size))


def _xor(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one, "big") ^ int.from_bytes(other[: len(one)], "big")).to_bytes(
        len(one), "big"
    )
