"""The merkle tree over the TLV records of a message, and BIP-340 signatures of its root.

Source: BOLT 12, "Signature Calculation".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256

from coincurve import PrivateKey, PublicKeyXOnly

from .tlv import Record, encode_bigsize

#: Types of signature records (240 to 1000), which sign all other records.
SIGNATURE_TYPES = range(240, 1001)


def is_signature(record: Record) -> bool:
    """Whether a record is a signature; no signature covers those."""
    return record.type in SIGNATURE_TYPES


def tagged_hash(tag: bytes, message: bytes) -> bytes:
    """BIP-340's SHA256(SHA256(tag) ‖ SHA256(tag) ‖ message), 32 bytes."""
    return _tagged(tag)(message)


def _tagged(tag: bytes) -> Callable[[bytes], bytes]:
    """A function that hashes with this tag; the tag itself is hashed only once."""
    tag_hash = sha256(tag).digest()
    begun = sha256(tag_hash + tag_hash)

    def hash_message(message: bytes) -> bytes:
        hasher = begun.copy()
        hasher.update(message)
        return hasher.digest()

    return hash_message


def merkle_root(records: Sequence[Record]) -> bytes:
    """The 32-byte root over all records that are not signatures.

    :raises ValueError: there is no such record.
    """
    signed = [record for record in records if not is_signature(record)]
    if not signed:
        raise ValueError("nothing to sign")
    # Each leaf has a nonce beside it, so that a proof does not tell its neighbours.
    nonce = _tagged(b"LnNonce" + signed[0].encode())
    nodes = [
        _branch(_leaf(record.encode()), nonce(encode_bigsize(record.type))) for record in signed
    ]
    # Without a power of two of leaves, the first ones are the deepest.
    while len(nodes) > 1:
        pairs = [_branch(nodes[at], nodes[at + 1]) for at in range(0, len(nodes) - 1, 2)]
        nodes = pairs + nodes[len(pairs) * 2 :]
    return nodes[0]


def signature_hash(message_name: str, field_name: str, root: bytes) -> bytes:
    """The 32 bytes that are signed, for names such as ``invoice`` and ``signature``."""
    return tagged_hash(f"lightning{message_name}{field_name}".encode(), root)


def verify(message_name: str, records: Sequence[Record], public_key: bytes, sig: bytes) -> bool:
    """Whether the ``signature`` field of a message is valid.

    :param message_name: ``invoice_request`` or ``invoice``.
    :param records: the whole message; its signature records are ignored.
    :param public_key: 33-byte compressed point.
    :param sig: 64-byte BIP-340 signature.
    """
    digest = signature_hash(message_name, "signature", merkle_root(records))
    return bool(PublicKeyXOnly(public_key[1:]).verify(sig, digest))


def sign(message_name: str, records: Sequence[Record], private_key: bytes) -> bytes:
    """Compute the ``signature`` field of a message: 64 bytes.

    :param private_key: 32 bytes.
    """
    digest = signature_hash(message_name, "signature", merkle_root(records))
    return bytes(PrivateKey(private_key).sign_schnorr(digest))


_leaf = _tagged(b"LnLeaf")
_inner = _tagged(b"LnBranch")


def _branch(one: bytes, other: bytes) -> bytes:
    return _inner(one + other if one < other else other + one)
