from __future__ import annotations

from typing import Any

import pytest
from coincurve import PrivateKey, PublicKey
from hypothesis import given
from hypothesis import strategies as st

from sendinvoice_cli.bolt12 import tlv
from sendinvoice_cli.bolt12.blinded_path import BlindedHop, BlindedPath, ShortChannelIdDirection
from sendinvoice_cli.bolt12.tlv import Record
from sendinvoice_cli.onion import blinding, message
from sendinvoice_cli.onion.blinding import PathNode
from sendinvoice_cli.onion.message import OnionHop, OnionMessage
from tests.onion import sphinx
from tests.support import vectors
from tests.support.requests_builder import node_id, path

_CONTENT = [Record(message.INVOICE, b"an invoice")]


def _key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def _data_of_hops(onion: OnionMessage, keys: list[bytes]) -> list[dict[int, bytes]]:
    """What each node on the way decrypts, the path keys followed as BOLT 4 says."""
    path_key = onion.first_path_key
    found = []
    for hop, key in zip(onion.hops, keys, strict=True):
        secret = PrivateKey(key).ecdh(path_key)
        node = PrivateKey(key).public_key.format()
        assert hop.blinded_node_id == blinding.blind_node_id(node, secret)
        payload = dict(tlv.decode_stream(hop.payload))
        data = dict(tlv.decode_stream(blinding.decrypt(secret, payload[4])))
        found.append(data)
        path_key = data.get(
            blinding.NEXT_PATH_KEY_OVERRIDE,
            _multiply(path_key, blinding.blinding_factor(path_key, secret)),
        )
    return found


def _multiply(point: bytes, factor: bytes) -> bytes:
    return bytes(PublicKey(point).multiply(factor).format())


def _vector_message(monkeypatch: pytest.MonkeyPatch, vector: Any) -> OnionMessage:
    """A message into a path that begins at the second node of four."""
    first, *theirs = vector["hops"]
    nodes = [
        bytes(PrivateKey(bytes.fromhex(hop["secret_key"])).public_key.format())
        for hop in vector["hops"]
    ]
    their_path = blinding.blind_path(
        [
            PathNode(node, tlv.decode_stream(bytes.fromhex(hop["data"])))
            for node, hop in zip(nodes[1:], theirs, strict=True)
        ],
        bytes.fromhex(theirs[0]["path_secret"]),
    )
    session_key = bytes.fromhex(first["path_secret"])
    monkeypatch.setattr("secrets.token_bytes", lambda _size: session_key)
    content = [Record(int(type_), bytes.fromhex(hex_)) for type_, hex_ in vector["content"].items()]
    return message.outgoing(nodes[:2], content, their_path)


def test_route_of_the_vector(monkeypatch: pytest.MonkeyPatch) -> None:
    vector = vectors.load("onion_message")
    onion = _vector_message(monkeypatch, vector)
    assert onion.first_node.hex() == vector["first_node"]
    assert onion.first_path_key.hex() == vector["hops"][0]["path_key"]
    assert [hop.blinded_node_id.hex() for hop in onion.hops] == [
        hop["blinded_node_id"] for hop in vector["hops"]
    ]
    assert [dict(tlv.decode_stream(hop.payload))[4].hex() for hop in onion.hops] == [
        hop["encrypted_data"] for hop in vector["hops"]
    ]


def test_payloads_of_the_vector(monkeypatch: pytest.MonkeyPatch) -> None:
    """Byte for byte what the vector's packet has inside, layer by layer."""
    vector = vectors.load("onion_message")
    onion = _vector_message(monkeypatch, vector)
    # Type, path key and length of the message stand in front of the packet.
    packet = bytes.fromhex(vector["hops"][0]["message"])[2 + 33 + 2 :]
    assert onion.packet_size() == len(packet) - 1 - 33 - 32
    for hop, expected in zip(onion.hops, vector["hops"], strict=True):
        key, path_key = bytes.fromhex(expected["secret_key"]), bytes.fromhex(expected["path_key"])
        payload, packet = sphinx.peel(packet, key, path_key)
        assert payload == hop.payload
    assert packet == b""


@pytest.mark.parametrize("count", [1, 2, 4])
def test_along_nodes(count: int) -> None:
    numbers = range(1, count + 1)
    nodes = [node_id(number) for number in numbers]
    onion = message.outgoing(nodes, _CONTENT)
    assert onion.first_node == nodes[0]
    data = _data_of_hops(onion, [_key(number) for number in numbers])
    assert data == [*({blinding.NEXT_NODE_ID: node} for node in nodes[1:]), {}]


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("hops", [1, 3])
def test_into_a_path_of_theirs(count: int, hops: int) -> None:
    """Our nodes lead to the introduction node, from where theirs go on."""
    ours = [node_id(number) for number in range(1, count + 1)]
    theirs = range(count, count + hops)
    their_path = blinding.blind_path(
        [PathNode(node_id(number), (Record(65535, _key(number)),)) for number in theirs]
    )
    assert their_path.introduction_node == ours[-1]
    onion = message.outgoing(ours, _CONTENT, their_path)
    assert onion.first_node == ours[0]
    assert onion.hops[-1].blinded_node_id == their_path.hops[-1].blinded_node_id
    keys = [_key(number) for number in (*range(1, count), *theirs)]
    data = _data_of_hops(onion, keys)
    expected: list[dict[int, bytes]] = [{blinding.NEXT_NODE_ID: node} for node in ours[1:]]
    if expected:
        expected[-1][blinding.NEXT_PATH_KEY_OVERRIDE] = their_path.first_path_key
    assert data == [*expected, *({65535: _key(number)} for number in theirs)]


@pytest.mark.parametrize("with_path", [False, True])
def test_the_first_node_may_be_told_of_a_channel_instead_of_the_next_node(with_path: bool) -> None:
    nodes = [node_id(1), node_id(2)]
    end = PathNode(node_id(2), (Record(blinding.PATH_ID, bytes(32)),))
    their_path = blinding.blind_path([end]) if with_path else None
    onion = message.outgoing(nodes, _CONTENT, their_path, first_scid=0x0102)
    first, _ = _data_of_hops(onion, [_key(1), _key(2)])
    assert first[blinding.SHORT_CHANNEL_ID] == bytes.fromhex("0000000000000102")
    assert blinding.NEXT_NODE_ID not in first
    assert (blinding.NEXT_PATH_KEY_OVERRIDE in first) == with_path


@given(
    count=st.integers(1, 4),
    hops=st.integers(0, 3),
    content_size=st.integers(0, 1500),
    first_scid=st.sampled_from([None, 1]),
)
def test_placeholders_are_as_long_as_the_paths(
    count: int, hops: int, content_size: int, first_scid: int | None
) -> None:
    nodes = [node_id(number) for number in range(1, count + 1)]
    theirs = [PathNode(node_id(9), (Record(65535, bytes(20)),))] * hops
    their_path = blinding.blind_path(theirs) if theirs else None
    content = [Record(message.INVOICE, bytes(content_size))]
    onion = message.outgoing(nodes, content, their_path, first_scid)
    expected = message.outgoing(nodes, content, their_path, first_scid, blinding.placeholder)
    sizes = [len(hop.payload) for hop in onion.hops]
    assert [len(hop.payload) for hop in expected.hops] == sizes


def test_a_path_named_by_a_channel() -> None:
    """Its introduction node was found elsewhere; the channel does not go into the message."""
    their_path = path(ShortChannelIdDirection(1, 0), hops=2)
    onion = message.outgoing([node_id(1)], _CONTENT, their_path)
    assert onion.first_node == node_id(1)
    assert onion.first_path_key == their_path.first_path_key
    assert [hop.blinded_node_id for hop in onion.hops] == [
        hop.blinded_node_id for hop in their_path.hops
    ]


def test_the_content_is_for_the_last_hop_alone() -> None:
    content = [Record(message.REPLY_PATH, b"back"), Record(message.INVOICE, b"an invoice")]
    onion = message.outgoing([node_id(1), node_id(2), node_id(3)], content)
    payloads = [tlv.decode_stream(hop.payload) for hop in onion.hops]
    assert [[record.type for record in payload] for payload in payloads] == [[4], [4], [2, 4, 66]]
    assert dict(payloads[-1])[66] == b"an invoice"
    assert dict(payloads[-1])[2] == b"back"


def test_numbers_of_the_messages() -> None:
    """BOLT 4, onionmsg_tlv."""
    assert (message.INVOICE_REQUEST, message.INVOICE, message.INVOICE_ERROR) == (64, 66, 68)


def test_reply_path() -> None:
    nodes = [node_id(1), node_id(2), node_id(3)]
    back = message.reply_path(nodes, b"\xaa" * 32)
    assert back.introduction_node == nodes[0]
    onion = message.outgoing([nodes[0]], _CONTENT, back)
    data = _data_of_hops(onion, [_key(1), _key(2), _key(3)])
    # BOLT 4: the creator SHOULD make them equally long.
    assert len({len(hop.encrypted_data) for hop in back.hops}) == 1
    for of_hop in data:
        del of_hop[blinding.PADDING]
    assert data == [
        {blinding.NEXT_NODE_ID: nodes[1]},
        {blinding.NEXT_NODE_ID: nodes[2]},
        {blinding.PATH_ID: b"\xaa" * 32},
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_placeholder_of_a_reply_path(count: int) -> None:
    nodes = [node_id(number) for number in range(1, count + 1)]
    back = message.reply_path(nodes, bytes(32))
    expected = message.reply_path(nodes, bytes(32), blinding.placeholder)
    assert len(expected.encode()) == len(back.encode())


def _of_size(*sizes: int) -> OnionMessage:
    hops = tuple(OnionHop(node_id(1), bytes(size)) for size in sizes)
    return OnionMessage(node_id(1), node_id(2), hops)


@pytest.mark.parametrize(
    ("sizes", "size"),
    [
        # Each payload costs its length, the bigsize of that, and an HMAC of 32.
        ((1,), 1300),
        ((1300 - 32 - 3,), 1300),
        ((1300 - 32 - 2,), 32768),
        ((252, 1300 - 285 - 32 - 3), 1300),
        ((253, 1300 - 285 - 32 - 3), 32768),
        ((32768 - 32 - 3,), 32768),
        ((32768 - 32 - 2,), None),
    ],
)
def test_packet_size(sizes: tuple[int, ...], size: int | None) -> None:
    assert _of_size(*sizes).packet_size() == size


@pytest.mark.parametrize(("size", "prefix"), [(0, "00"), (252, "fc"), (253, "fd00fd")])
def test_length_of_a_payload(size: int, prefix: str) -> None:
    assert OnionHop(node_id(1), bytes(size)).with_length() == bytes.fromhex(prefix) + bytes(size)


def test_paths_are_joined_without_a_change_to_theirs() -> None:
    their_path = BlindedPath(node_id(2), node_id(3), (BlindedHop(node_id(4), b"encrypted"),))
    onion = message.outgoing([node_id(1), node_id(2)], [], their_path)
    assert onion.hops[-1] == OnionHop(node_id(4), tlv.encode_stream([Record(4, b"encrypted")]))
