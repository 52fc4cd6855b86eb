from __future__ import annotations

from typing import Any

import pytest
from coincurve import PrivateKey
from cryptography.exceptions import InvalidTag

from sendinvoice_cli.bolt12 import tlv
from sendinvoice_cli.bolt12.blinded_path import BlindedHop, BlindedPath
from sendinvoice_cli.bolt12.tlv import Record
from sendinvoice_cli.onion import blinding
from sendinvoice_cli.onion.blinding import PathNode
from tests import vectors
from tests.requests_builder import NODE_ID, node_id


def _vector() -> Any:
    return vectors.load("bolt04/route-blinding-test.json")


def _nodes(hops: list[Any]) -> list[PathNode]:
    return [
        PathNode(
            bytes.fromhex(hop["node_id"]), tlv.decode_stream(bytes.fromhex(hop["encoded_tlvs"]))
        )
        for hop in hops
    ]


def _encoded_data(tlvs: dict[str, Any]) -> bytes:
    """The vector's description of a hop's data, with our numbers of its fields."""
    numbers = {
        "padding": blinding.PADDING,
        "path_id": blinding.PATH_ID,
        "next_path_key_override": blinding.NEXT_PATH_KEY_OVERRIDE,
        "unknown_tag_561": 561,
        "unknown_tag_65535": 65535,
    }
    records = []
    for name, value in tlvs.items():
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
            bitmap = sum(1 << bit for bit in value["features"])
            records.append(Record(blinding.ALLOWED_FEATURES, tlv.encode_tu(bitmap)))
        else:
            records.append(Record(numbers[name], bytes.fromhex(value)))
    return tlv.encode_stream(sorted(records))


def test_field_numbers() -> None:
    for hop in _vector()["generate"]["hops"]:
        assert _encoded_data(hop["tlvs"]).hex() == hop["encoded_tlvs"]


def test_route_of_the_vectors() -> None:
    """Two paths, each made by its own session key, make the whole route when joined."""
    vector = _vector()
    hops = vector["generate"]["hops"]
    first = blinding.blind_path(_nodes(hops[:2]), bytes.fromhex(hops[0]["session_key"]))
    second = blinding.blind_path(_nodes(hops[2:]), bytes.fromhex(hops[2]["session_key"]))
    route = vector["route"]
    assert first.introduction_node == bytes.fromhex(route["first_node_id"])
    assert first.first_path_key == bytes.fromhex(route["first_path_key"])
    assert first.hops + second.hops == tuple(
        BlindedHop(bytes.fromhex(hop["blinded_node_id"]), bytes.fromhex(hop["encrypted_data"]))
        for hop in route["hops"]
    )
    # What Carol is told to use next is what the second path begins with.
    override = hops[1]["tlvs"]["next_path_key_override"]
    assert second.first_path_key.hex() == override


@pytest.mark.parametrize("at", range(4))
def test_keys_of_the_vectors(at: int) -> None:
    hop = _vector()["generate"]["hops"][at]
    secret = bytes.fromhex(hop["shared_secret"])
    node = bytes.fromhex(hop["node_id"])
    assert PrivateKey(bytes.fromhex(hop["path_privkey"])).ecdh(node) == secret
    assert blinding.derive_key(b"rho", secret).hex() == hop["rho"]
    assert blinding.blind_node_id(node, secret).hex() == hop["blinded_node_id"]
    assert (
        blinding.encrypt(secret, bytes.fromhex(hop["encoded_tlvs"])).hex()
        == (hop["encrypted_data"])
    )
    assert (
        blinding.decrypt(secret, bytes.fromhex(hop["encrypted_data"])).hex()
        == (hop["encoded_tlvs"])
    )


@pytest.mark.parametrize("at", range(4))
def test_unblinding_of_the_vectors(at: int) -> None:
    """The same secrets, from the nodes' side."""
    vector = _vector()
    hop = vector["unblind"]["hops"][at]
    path_key = bytes.fromhex(hop["path_key"])
    secret = PrivateKey(bytes.fromhex(hop["node_privkey"])).ecdh(path_key)
    encrypted = bytes.fromhex(vector["route"]["hops"][at]["encrypted_data"])
    assert blinding.decrypt(secret, encrypted).hex() == hop["decrypted_data"]
    factor = int.from_bytes(blinding.blinding_factor(path_key, secret), "big")
    next_key = PrivateKey(bytes.fromhex(_vector()["generate"]["hops"][at]["path_privkey"]))
    followed = next_key.multiply(factor.to_bytes(32, "big")).public_key.format()
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
