"""The table of chains against the headers of their first blocks."""

from __future__ import annotations

import struct
from hashlib import sha256

import pytest

from sendinvoice_cli.node.info import CHAIN_HASHES
from sendinvoice_cli.node.rpc import socket_path

_MERKLE_ROOT = "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"
_MERKLE_ROOT_TESTNET4 = "7aa0a7ae1e223414cb807e40cd57e667b718e42aaf9306db9102fe28912b7b4e"

#: Merkle root, time, bits and nonce of each block.
_FIRST_BLOCKS = {
    "bitcoin": (_MERKLE_ROOT, 1231006505, 0x1D00FFFF, 2083236893),
    "testnet": (_MERKLE_ROOT, 1296688602, 0x1D00FFFF, 414098458),
    "testnet4": (_MERKLE_ROOT_TESTNET4, 1714777860, 0x1D00FFFF, 393743547),
    "signet": (_MERKLE_ROOT, 1598918400, 0x1E0377AE, 52613770),
    "regtest": (_MERKLE_ROOT, 1296688602, 0x207FFFFF, 2),
}


@pytest.mark.parametrize("network", _FIRST_BLOCKS)
def test_hash_of_the_first_block(network: str) -> None:
    merkle_root, time, bits, nonce = _FIRST_BLOCKS[network]
    header = struct.pack(
        "<I32s32sIII", 1, bytes(32), bytes.fromhex(merkle_root)[::-1], time, bits, nonce
    )
    assert sha256(sha256(header).digest()).hexdigest() == CHAIN_HASHES[network]


def test_every_network_of_lightningd_is_in_the_table() -> None:
    """Except litecoin's, whose requests lightningd compares itself."""
    assert set(socket_path.NETWORKS) - CHAIN_HASHES.keys() == {"litecoin", "litecoin-testnet"}
    # Those of the liquid kind have no such header; the rest is hashed above.
    assert CHAIN_HASHES.keys() - _FIRST_BLOCKS.keys() == {"liquid", "liquid-regtest"}
