from __future__ import annotations

from collections.abc import Sequence

import pytest

from sendinvoice_cli.bolt12 import tlv
from sendinvoice_cli.bolt12.blinded_path import BlindedPath
from sendinvoice_cli.bolt12.tlv import Record
from sendinvoice_cli.errors import LightningdError
from sendinvoice_cli.node import messages
from sendinvoice_cli.node.info import OnionApi
from sendinvoice_cli.onion import message
from tests.node.fake_client import FakeClient
from tests.support.requests_builder import node_id, path

_NODES = [node_id(1), node_id(2), node_id(3)]
_CONTENT = [Record(message.INVOICE, b"an invoice")]


def _send(
    client: FakeClient,
    api: OnionApi,
    content: Sequence[Record] = _CONTENT,
    their_path: BlindedPath | None = None,
) -> None:
    messages.send(client, messages.prepare(client, api, _NODES, content, their_path))


def _content(payload: str) -> bytes:
    return dict(tlv.decode_stream(bytes.fromhex(payload)))[message.INVOICE]


def test_an_onion_of_our_own() -> None:
    client = FakeClient({"createonion": {"onion": "0011"}, "injectonionmessage": {}})
    _send(client, OnionApi.INJECT_ONION)
    (create, onion), (inject, injected) = client.calls
    assert (create, inject) == ("createonion", "injectonionmessage")
    assert onion["assocdata"] == ""
    assert onion["onion_size"] == 1300
    assert len(onion["hops"]) == 3
    for hop in onion["hops"]:
        length, at = tlv.decode_bigsize(bytes.fromhex(hop["payload"]), 0)
        assert len(hop["payload"]) == 2 * (at + length)
    assert _content(onion["hops"][-1]["payload"][2:]) == b"an invoice"
    assert injected.keys() == {"path_key", "message"}
    assert injected["message"] == "0011"
    assert len(injected["path_key"]) == 66


def test_an_onion_that_is_missing() -> None:
    client = FakeClient({"createonion": {}})
    with pytest.raises(LightningdError, match="createonion: lightningd's answer is malformed"):
        _send(client, OnionApi.INJECT_ONION)


def test_a_great_onion() -> None:
    client = FakeClient({"createonion": {"onion": "0011"}, "injectonionmessage": {}})
    content = [Record(message.INVOICE, bytes(2000))]
    _send(client, OnionApi.INJECT_ONION, content)
    assert client.calls[0][1]["onion_size"] == 32768


@pytest.mark.parametrize("api", list(OnionApi))
def test_too_large_for_any_onion(api: OnionApi) -> None:
    client = FakeClient({})
    content = [Record(message.INVOICE, bytes(32768))]
    with pytest.raises(LightningdError, match="too large"):
        _send(client, api, content)
    assert client.calls == []


def test_hops_from_our_own_node() -> None:
    client = FakeClient({"injectonionmessage": {}})
    _send(client, OnionApi.INJECT_HOPS)
    ((method, params),) = client.calls
    assert method == "injectonionmessage"
    assert params.keys() == {"blinding", "hops"}
    assert len(params["hops"]) == 3
    assert all(hop.keys() == {"id", "tlv"} for hop in params["hops"])
    assert _content(params["hops"][-1]["tlv"]) == b"an invoice"


def test_hops_from_a_peer() -> None:
    """v23.08 to v24.05 hand the onion to a peer: it has no layer for us."""
    client = FakeClient({"sendonionmessage": {}})
    _send(client, OnionApi.SEND_HOPS)
    ((method, params),) = client.calls
    assert method == "sendonionmessage"
    assert params.keys() == {"first_id", "blinding", "hops"}
    assert params["first_id"] == node_id(2).hex()
    assert len(params["hops"]) == 2


@pytest.mark.parametrize(
    ("api", "hops"),
    [(OnionApi.INJECT_ONION, 4), (OnionApi.INJECT_HOPS, 4), (OnionApi.SEND_HOPS, 3)],
)
def test_into_their_path(api: OnionApi, hops: int) -> None:
    client = FakeClient(
        {"createonion": {"onion": "0011"}, "injectonionmessage": {}, "sendonionmessage": {}}
    )
    _send(client, api, their_path=path(_NODES[-1], hops=2))
    assert len(client.calls[0][1]["hops"]) == hops


@pytest.mark.parametrize("api", list(OnionApi))
def test_nothing_is_out_before_the_prepared_message_is_sent(api: OnionApi) -> None:
    """A copy that is lost before needs no reply."""
    client = FakeClient({"createonion": {"onion": "0011"}})
    packet = messages.prepare(client, api, _NODES, _CONTENT, None)
    assert set(client.methods()) <= {"createonion"}
    with pytest.raises(LightningdError, match=packet.method):
        messages.send(client, packet)
