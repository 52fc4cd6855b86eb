from __future__ import annotations

import pytest
from coincurve import PrivateKey

from sendinvoice_cli.bolt12 import tlv
from sendinvoice_cli.bolt12.tlv import Record
from sendinvoice_cli.onion import blinding, message
from sendinvoice_cli.sandbox.model import onion_layers, sphinx
from sendinvoice_cli.sandbox.model.onion_layers import Forward, Received
from sendinvoice_cli.sandbox.model.sphinx import OnionError
from tests.sandbox.wire import onion_hop
from tests.support import vectors

_POINT_SIZE = 33
_US, _NEXT = (PrivateKey(bytes(31) + bytes([number])) for number in (1, 2))
_PATH_ID = bytes(range(32))


def _split_message(data: bytes) -> tuple[bytes, bytes]:
    """Path key and packet of a message as it is on the wire (BOLT 4, ``onion_message``)."""
    start = 2 + _POINT_SIZE
    length = int.from_bytes(data[start : start + 2], "big")
    assert length == len(data) - start - 2
    return data[2:start], data[start + 2 :]


def _message(
    data: tuple[Record, ...], content: tuple[Record, ...], *, is_last: bool = True
) -> tuple[bytes, bytes]:
    """A message with these fields for us; path key and packet."""
    path = blinding.blind_path([blinding.PathNode(_US.public_key.format(), data)])
    encrypted = Record(message.ENCRYPTED_RECIPIENT_DATA, path.hops[0].encrypted_data)
    payload = tlv.encode_stream(sorted((encrypted, *content)))
    hops = [onion_hop(path.hops[0].blinded_node_id, payload)]
    if not is_last:
        hops.append(onion_hop(_NEXT.public_key.format(), b""))
    return path.first_path_key, sphinx.build(hops, 1300)[0]


def test_the_onion_message_of_bolt_4_is_unwrapped() -> None:
    hops = vectors.load("onion_message")["hops"]
    for at, hop in enumerate(hops):
        path_key, packet = _split_message(bytes.fromhex(hop["message"]))
        unwrapped = onion_layers.unwrap(
            PrivateKey(bytes.fromhex(hop["secret_key"])), path_key, packet
        )
        if at < len(hops) - 1:
            assert isinstance(unwrapped, Forward)
            assert unwrapped.next_node == bytes.fromhex(hop["next_node"])
            following = _split_message(bytes.fromhex(hops[at + 1]["message"]))
            assert (unwrapped.path_key, unwrapped.packet) == following
        else:
            assert isinstance(unwrapped, Received)
            assert dict(unwrapped.content)[1] == b"hello"


def test_the_blinded_routes_of_bolt_4_are_opened() -> None:
    for hop in (hop for path in vectors.load("route_blinding")["paths"] for hop in path["hops"]):
        key = PrivateKey(bytes.fromhex(hop["secret_key"]))
        path_key = bytes.fromhex(hop["path_key"])
        opened = onion_layers.open_hop(key, path_key, bytes.fromhex(hop["encrypted_data"]))
        records = tlv.decode_stream(bytes.fromhex(hop["data"]))
        assert opened.values == dict(records)
        expected = hop["fields"].get("next_path_key_override", hop["next_path_key"])
        assert opened.next_path_key.hex() == expected


def test_a_reply_comes_with_its_path_id() -> None:
    path = message.reply_path([_NEXT.public_key.format(), _US.public_key.format()], _PATH_ID)
    content = (Record(message.INVOICE_ERROR, b"no"),)
    onion = message.outgoing([_NEXT.public_key.format()], content, path)
    forward = onion_layers.unwrap(_NEXT, onion.first_path_key, onion_layers.wrap(onion))
    assert isinstance(forward, Forward)
    assert forward.next_node == _US.public_key.format()
    received = onion_layers.unwrap(_US, forward.path_key, forward.packet)
    assert isinstance(received, Received)
    assert received.path_id == _PATH_ID
    assert dict(received.content)[message.INVOICE_ERROR] == b"no"


def test_a_short_channel_id_may_name_the_next_node() -> None:
    scid = Record(blinding.SHORT_CHANNEL_ID, (1729).to_bytes(8, "big"))
    forward = onion_layers.unwrap(_US, *_message((scid,), (), is_last=False))
    assert isinstance(forward, Forward)
    assert forward.next_node == 1729


def test_a_path_id_of_another_size_is_ignored() -> None:
    received = onion_layers.unwrap(_US, *_message((Record(blinding.PATH_ID, b"short"),), ()))
    assert isinstance(received, Received)
    assert received.path_id is None


_NEXT_NODE = Record(blinding.NEXT_NODE_ID, _NEXT.public_key.format())


@pytest.mark.parametrize(
    ("data", "content"),
    [
        ((), ()),
        ((Record(blinding.PATH_ID, _PATH_ID),), ()),
        ((_NEXT_NODE, Record(blinding.PATH_ID, _PATH_ID)), ()),
        ((_NEXT_NODE,), (Record(message.INVOICE, b""),)),
        ((_NEXT_NODE, Record(blinding.NEXT_PATH_KEY_OVERRIDE, bytes(33))), ()),
    ],
    ids=["no next node", "path_id alone", "path_id as well", "content", "override no point"],
)
def test_a_forwarding_node_ignores_bad_messages(
    data: tuple[Record, ...], content: tuple[Record, ...]
) -> None:
    wrapped = _message(data, content, is_last=False)
    with pytest.raises(OnionError):
        onion_layers.unwrap(_US, *wrapped)


@pytest.mark.parametrize(
    "content",
    [(Record(1000, b"unknown, even"),), (Record(message.REPLY_PATH, b"no path"),)],
    ids=["even field", "reply path"],
)
def test_a_recipient_ignores_messages_with_bad_fields(content: tuple[Record, ...]) -> None:
    wrapped = _message((), content)
    with pytest.raises(OnionError, match="onionmsg_tlv"):
        onion_layers.unwrap(_US, *wrapped)


def test_an_unknown_odd_field_is_kept() -> None:
    received = onion_layers.unwrap(_US, *_message((), (Record(1001, b"odd"),)))
    assert isinstance(received, Received)
    assert dict(received.content)[1001] == b"odd"


def test_another_nodes_message_is_ignored() -> None:
    wrapped = _message((), ())
    with pytest.raises(OnionError, match="can't process onionpacket"):
        onion_layers.unwrap(_NEXT, *wrapped)


def test_another_path_key_is_ignored() -> None:
    _, packet = _message((), ())
    with pytest.raises(OnionError, match="can't process onionpacket"):
        onion_layers.unwrap(_US, _NEXT.public_key.format(), packet)
