"""Unwrapping an onion message, for the tests alone: lightningd does it in real life.

Source: BOLT 4, "Packet Structure" and "Onion Decryption".
"""

from __future__ import annotations

import hmac
from hashlib import sha256

from coincurve import PrivateKey, PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from sendinvoice_cli.bolt12 import tlv

_HMAC_SIZE = 32


def peel(packet: bytes, private_key: bytes, path_key: bytes) -> tuple[bytes, bytes]:
    """Take off one layer.

    :param packet: version, 33-byte key, payloads, 32-byte HMAC.
    :param private_key: of the node, 32 bytes.
    :param path_key: 33-byte point that came beside the onion.
    :returns: this node's payload, and the packet for the next node; an empty one at the last.
    """
    blinding_secret = PrivateKey(private_key).ecdh(path_key)
    blinded_key = PrivateKey(private_key).multiply(_derive(b"blinded_node_id", blinding_secret))
    version, ephemeral, payloads = packet[:1], packet[1:34], packet[34:-_HMAC_SIZE]
    shared_secret = blinded_key.ecdh(ephemeral)
    assert hmac.digest(_derive(b"mu", shared_secret), payloads, "sha256") == packet[-_HMAC_SIZE:]
    stream = Cipher(ChaCha20(_derive(b"rho", shared_secret), bytes(16)), None).encryptor()
    padded = stream.update(payloads + bytes(len(payloads)))
    length, at = tlv.decode_bigsize(padded, 0)
    end = at + length
    next_hmac = padded[end : end + _HMAC_SIZE]
    factor = sha256(ephemeral + shared_secret).digest()
    next_ephemeral = PublicKey(ephemeral).multiply(factor).format()
    rest = padded[end + _HMAC_SIZE :][: len(payloads)]
    following = version + next_ephemeral + rest + next_hmac if any(next_hmac) else b""
    return padded[at:end], following


def _derive(name: bytes, shared_secret: bytes) -> bytes:
    return hmac.digest(name, shared_secret, "sha256")
