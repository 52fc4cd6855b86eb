"""Blinded paths, and the shared secrets behind them.

Source: BOLT 4, "Route Blinding".
"""

import hmac
import secrets
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from coincurve import PrivateKey, PublicKey

from ..bolt12 import tlv
from ..bolt12.blinded_path import POINT_SIZE, BlindedHop, BlindedPath
from ..bolt12.tlv import Record

#: Types of the fields of encrypted_data_tlv.
PADDING = 1
SHORT_CHANNEL_ID = 2
NEXT_NODE_ID = 4
PATH_ID = 6
NEXT_PATH_KEY_OVERRIDE = 8
PAYMENT_RELAY = 10
PAYMENT_CONSTRAINTS = 12
ALLOWED_FEATURES = 14

_ZERO_NONCE = bytes(12)
#: Bytes of the tag of encrypted data.
_TAG_SIZE = 16


class PathNode(NamedTuple):
    """A node of a path before it is blinded.

    :param node_id: 33-byte point.
    :param data: its encrypted_data_tlv records, in order of type.
    """

    node_id: bytes
    data: tuple[Record, ...]


#: Makes a path of nodes: :func:`blind_path` or, when only its size matters, :func:`placeholder`.
Blind = Callable[[Sequence[PathNode]], BlindedPath]


def blind_path(nodes: Sequence[PathNode], session_key: bytes | None = None) -> BlindedPath:
    """Blind a path of at least one node.

    :param nodes: in order; the first becomes the introduction node.
    :param session_key: 32 bytes; random by default.
    """
    path_key = PrivateKey(session_key) if session_key else _random_key()
    first_path_key = path_key.public_key.format()
    hops: list[BlindedHop] = []
    shared_secret = b""
    for node in nodes:
        if hops:
            factor = blinding_factor(path_key.public_key.format(), shared_secret)
            path_key = path_key.multiply(factor)
        shared_secret = path_key.ecdh(node.node_id)
        hops.append(
            BlindedHop(
                blinded_node_id=blind_node_id(node.node_id, shared_secret),
                encrypted_data=encrypt(shared_secret, tlv.encode_stream(node.data)),
            )
        )
    return BlindedPath(nodes[0].node_id, first_path_key, tuple(hops))


def placeholder(nodes: Sequence[PathNode]) -> BlindedPath:
    """Zeros, as many as the path that :func:`blind_path` makes has bytes; they cost nothing."""
    point = bytes(POINT_SIZE)
    hops = (
        BlindedHop(point, bytes(len(tlv.encode_stream(each.data)) + _TAG_SIZE)) for each in nodes
    )
    return BlindedPath(point, point, tuple(hops))


def padded(nodes: Sequence[PathNode]) -> list[PathNode]:
    """Give all nodes of a path data of the same length.

    Whoever sees a path, sees how long each hop's data is, and so which hop is the last.
    BOLT 4, "Route Blinding": the creator SHOULD add padding.

    :param nodes: their data differ by less than 255 bytes.
    """
    sizes = [len(tlv.encode_stream(node.data)) for node in nodes]
    size = max(sizes)
    if size - 1 in sizes:
        # Type and length of the padding take two bytes, so a difference of one cannot be filled.
        size += 2
    return [
        node if each == size else node._replace(data=(_padding(size - each), *node.data))
        for node, each in zip(nodes, sizes, strict=True)
    ]


def _padding(size: int) -> Record:
    """A padding record that takes ``size`` bytes, at least 2."""
    return Record(PADDING, bytes(size - 2))


def derive_key(name: bytes, shared_secret: bytes) -> bytes:
    """HMAC256(name, shared_secret), 32 bytes."""
    return hmac.digest(name, shared_secret, "sha256")


def blind_node_id(node_id: bytes, shared_secret: bytes) -> bytes:
    """B(i) = HMAC256("blinded_node_id", ss(i)) · N(i), a 33-byte point."""
    return PublicKey(node_id).multiply(derive_key(b"blinded_node_id", shared_secret)).format()


def blinding_factor(path_key: bytes, shared_secret: bytes) -> bytes:
    """SHA256(E(i) ‖ ss(i)), 32 bytes: the factor from one path key to the next."""
    return sha256(path_key + shared_secret).digest()


def load_cipher() -> Any:
    """ChaCha20-Poly1305.

    Its import takes as long as some calls to lightningd, so a thread may do it during these.
    """
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    return ChaCha20Poly1305


def encrypt(shared_secret: bytes, data: bytes) -> bytes:
    """Make encrypted_recipient_data: the encrypted ``data``, and a 16-byte tag."""
    key = derive_key(b"rho", shared_secret)
    encrypted: bytes = load_cipher()(key).encrypt(_ZERO_NONCE, data, None)
    return encrypted


def decrypt(shared_secret: bytes, encrypted_data: bytes) -> bytes:
    """Undo :func:`encrypt`.

    :raises cryptography.exceptions.InvalidTag: not encrypted for this secret.
    """
    key = derive_key(b"rho", shared_secret)
    data: bytes = load_cipher()(key).decrypt(_ZERO_NONCE, encrypted_data, None)
    return data


def _random_key() -> PrivateKey:
    return PrivateKey(secrets.token_bytes(32))
