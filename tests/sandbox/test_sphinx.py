from __future__ import annotations

import pytest
from coincurve import PrivateKey

from sendinvoice_cli.sandbox.model import sphinx
from sendinvoice_cli.sandbox.model.sphinx import Hop, OnionError
from tests.sandbox.wire import onion_hop
from tests.support import vectors

_SIZES = (1300, 32768)


def _key(number: int) -> PrivateKey:
    return PrivateKey(number.to_bytes(32, "big"))


def _peel(packet: bytes, key: PrivateKey, data: bytes = b"") -> sphinx.Layer:
    return sphinx.peel(packet, key.ecdh(sphinx.ephemeral_key(packet)), data)


def test_the_packet_of_bolt_4_is_built() -> None:
    vector = vectors.load("payment_onion")
    hops = [
        Hop(bytes.fromhex(hop["node_id"]), bytes.fromhex(hop["payload"])) for hop in vector["hops"]
    ]
    data = bytes.fromhex(vector["associated_data"])
    packet, _ = sphinx.build(hops, 1300, data, bytes.fromhex(vector["session_key"]))
    assert packet.hex() == vector["packet"]


def test_the_packet_of_bolt_4_is_peeled() -> None:
    vector = vectors.load("payment_onion")
    data = bytes.fromhex(vector["associated_data"])
    packet: bytes | None = bytes.fromhex(vector["packet"])
    payloads = []
    for hop in vector["hops"]:
        assert packet is not None
        layer = _peel(packet, PrivateKey(bytes.fromhex(hop["secret_key"])), data)
        payloads.append(layer.payload)
        packet = layer.next_packet
    assert packet is None
    expected = [bytes.fromhex(hop["payload"]) for hop in vector["hops"]]
    # The vector's payloads have their length in front.
    assert [whole[-len(part) :] for whole, part in zip(expected, payloads, strict=True)] == payloads


@pytest.mark.parametrize("size", _SIZES)
@pytest.mark.parametrize("lengths", [(0,), (3, 300, 1), (252, 253, 400)])
def test_a_packet_that_is_built_can_be_peeled(size: int, lengths: tuple[int, ...]) -> None:
    keys = [_key(number) for number in range(1, len(lengths) + 1)]
    payloads = [bytes([number]) * length for number, length in enumerate(lengths)]
    hops = [
        onion_hop(key.public_key.format(), payload)
        for key, payload in zip(keys, payloads, strict=True)
    ]
    packet: bytes | None
    packet, secrets = sphinx.build(hops, size)
    assert len(packet) == size + sphinx.OVERHEAD
    for key, payload, secret in zip(keys, payloads, secrets, strict=True):
        assert packet is not None
        assert key.ecdh(sphinx.ephemeral_key(packet)) == secret
        layer = _peel(packet, key)
        assert layer.payload == payload
        packet = layer.next_packet
    assert packet is None


def test_payloads_that_just_fit_are_built() -> None:
    payload = bytes(1300 - 32 - 3)
    packet, _ = sphinx.build([onion_hop(_key(1).public_key.format(), payload)], 1300)
    assert _peel(packet, _key(1)).payload == payload


def test_payloads_that_do_not_fit_are_refused() -> None:
    hop = onion_hop(_key(1).public_key.format(), bytes(1300 - 32 - 2))
    with pytest.raises(OnionError, match="do not fit"):
        sphinx.build([hop], 1300)


def test_equal_packets_have_different_keys() -> None:
    hops = [onion_hop(_key(1).public_key.format(), b"")]
    assert sphinx.build(hops, 1300)[0] != sphinx.build(hops, 1300)[0]


@pytest.mark.parametrize("at", [40, 1300, 1365])
def test_a_changed_byte_is_noticed(at: int) -> None:
    packet = bytearray(sphinx.build([onion_hop(_key(1).public_key.format(), b"x")], 1300)[0])
    packet[at] ^= 1
    with pytest.raises(OnionError, match="HMAC"):
        _peel(bytes(packet), _key(1))


def test_other_associated_data_is_noticed() -> None:
    packet, _ = sphinx.build([onion_hop(_key(1).public_key.format(), b"x")], 1300, b"one")
    with pytest.raises(OnionError, match="HMAC"):
        _peel(packet, _key(1), b"two")


@pytest.mark.parametrize(
    "packet",
    [b"", bytes(1366), b"\x01" + bytes(1365), b"\x00\x02" + b"\xff" * 32 + bytes(1332)],
    ids=["empty", "no key", "another version", "no point"],
)
def test_anything_but_a_packet_is_refused(packet: bytes) -> None:
    with pytest.raises(OnionError, match="not an onion packet"):
        sphinx.ephemeral_key(packet)
