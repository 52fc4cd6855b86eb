from __future__ import annotations

from typing import Any

import pytest
from coincurve import PrivateKey
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st

from sendinvoice_cli.bolt12 import tlv
from sendinvoice_cli.bolt12.blinded_path import BlindedHop, BlindedPath
from sendinvoice_cli.bolt12.tlv import Record
from sendinvoice_cli.onion import blinding
from sendinvoice_cli.onion.blinding import PathNode
from tests.support import vectors
from tests.support.requests_builder import NODE_ID, node_id

_PATHS: list[dict[str, Any]] = vectors.load("route_blinding")["paths"]
_HOPS = [pytest.param(hop, id=hop["node_id"][:8]) for path in _PATHS for hop in path["hops"]]


def _blinded(path: dict[str, Any]) -> BlindedPath:
    nodes = [
        PathNode(bytes.fromhex(hop["node_id"]), tlv.decode_stream(bytes.fromhex(hop["data"])))
        for hop in path["hops"]
    ]
    return blinding.blind_path(nodes, bytes.fromhex(path["session_key"]))


def _encoded_data(named: dict[str, Any]) -> bytes:
    """A hop's data by the names of its fields, with our numbers for them."""
    numbers = {
        "padding": blinding.PADDING,
        "path_id": blinding.PATH_ID,
        "next_path_key_override": blinding.NEXT_PATH_KEY_OVERRIDE,
        "unknown_tag_561": 561,
        "unknown_tag_65535": 65535,
    }
    records = []
    for name, value in named.items():
        if name == "short_channel_id":
            encoded = int(value.split("x")[2]).to_bytes(8, "big")
            records.append(Record(blinding.SHORT_CHANNEL_ID, encoded))
        elif name == "payment_relay":
            encoded = value["cltv_expiry_delta"].to_bytes(2, "big")
            encoded += value["fee_proportional_millionths"].to_bytes(4, "big")
            encoded += tlv.encode_tu(value.get("fee_base_msat", 0))
            records.append(Record(blinding.PAYMENT_RELAY, encoded))
        elif name == "payment_constraints":
            encoded = value["max_cltv_expiry"].to_bytes(4, "big")
            encoded += tlv.encode_tu(value["htlc_minimum_msat"])
            records.append(Record(blinding.PAYMENT_CONSTRAINTS, encoded))
        elif name == "allowed_features":
            bitmap = sum(1 << bit for bit in value)
            records.append(Record(blinding.ALLOWED_FEATURES, tlv.encode_tu(bitmap)))
        else:
            records.append(Record(numbers[name], bytes.fromhex(value)))
    return tlv.encode_stream(sorted(records))


@pytest.mark.parametrize("hop", _HOPS)
def test_field_numbers(hop: dict[str, Any]) -> None:
    assert _encoded_data(hop["fields"]).hex() == hop["data"]


@pytest.mark.parametrize("path", _PATHS, ids=["first", "second"])
def test_paths_of_the_vectors(path: dict[str, Any]) -> None:
    """Each is made from its own session key."""
    first = path["hops"][0]
    assert _blinded(path) == BlindedPath(
        bytes.fromhex(first["node_id"]),
        bytes.fromhex(first["path_key"]),
        tuple(
            BlindedHop(bytes.fromhex(hop["blinded_node_id"]), bytes.fromhex(hop["encrypted_data"]))
            for hop in path["hops"]
        ),
    )


def test_the_paths_of_the_vectors_join() -> None:
    """What the first path's last node is told to use next is what the second begins with."""
    first, second = _PATHS
    override = first["hops"][-1]["fields"]["next_path_key_override"]
    assert _blinded(second).first_path_key.hex() == override


@pytest.mark.parametrize("hop", _HOPS)
def test_keys_of_the_vectors(hop: dict[str, Any]) -> None:
    secret = bytes.fromhex(hop["shared_secret"])
    node = bytes.fromhex(hop["node_id"])
    assert PrivateKey(bytes.fromhex(hop["path_secret"])).ecdh(node) == secret
    assert blinding.derive_key(b"rho", secret).hex() == hop["rho"]
    assert blinding.blind_node_id(node, secret).hex() == hop["blinded_node_id"]
    assert blinding.encrypt(secret, bytes.fromhex(hop["data"])).hex() == hop["encrypted_data"]


@pytest.mark.parametrize("hop", _HOPS)
def test_unblinding_of_the_vectors(hop: dict[str, Any]) -> None:
    """The same secrets, from the nodes' side."""
    path_key = bytes.fromhex(hop["path_key"])
    secret = PrivateKey(bytes.fromhex(hop["secret_key"])).ecdh(path_key)
    assert blinding.decrypt(secret, bytes.fromhex(hop["encrypted_data"])).hex() == hop["data"]
    factor = blinding.blinding_factor(path_key, secret)
    followed = PrivateKey(bytes.fromhex(hop["path_secret"])).multiply(factor).public_key.format()
    assert followed.hex() == hop["next_path_key"]


def test_what_was_changed_cannot_be_read() -> None:
    encrypted = bytearray(blinding.encrypt(bytes(32), b"data"))
    encrypted[0] ^= 1
    with pytest.raises(InvalidTag):
        blinding.decrypt(bytes(32), bytes(encrypted))
    with pytest.raises(InvalidTag):
        blinding.decrypt(b"\1" * 32, blinding.encrypt(bytes(32), b"data"))


def test_every_path_has_a_key_of_its_own() -> None:
    def make() -> BlindedPath:
        return blinding.blind_path([PathNode(NODE_ID, ()), PathNode(node_id(1), ())])

    one, other = make(), make()
    assert one.introduction_node == other.introduction_node == NODE_ID
    assert one.first_path_key != other.first_path_key
    assert not set(one.hops) & set(other.hops)


@given(st.lists(st.integers(0, 80), min_size=1, max_size=6))
def test_padding_makes_all_data_equally_long(sizes: list[int]) -> None:
    """Whatever stands in them; no more is added than it takes."""
    nodes = [PathNode(NODE_ID, (Record(65535, bytes(size)),)) for size in sizes]
    lengths = {len(tlv.encode_stream(node.data)) for node in blinding.padded(nodes)}
    (length,) = lengths
    longest = max(len(tlv.encode_stream(node.data)) for node in nodes)
    assert length - longest == (2 if max(sizes) - 1 in sizes else 0)


def test_padding_is_a_field_of_its_own_and_comes_first() -> None:
    nodes = [PathNode(NODE_ID, (Record(6, bytes(8)),)), PathNode(node_id(1), ())]
    one, other = blinding.padded(nodes)
    assert one == nodes[0]
    assert other == PathNode(node_id(1), (Record(blinding.PADDING, bytes(8)),))
    alone = [PathNode(NODE_ID, (Record(6, b"alone"),))]
    assert blinding.padded(alone) == alone
