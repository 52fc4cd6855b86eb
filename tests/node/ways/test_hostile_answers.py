"""A lightningd that answers nonsense about the network: an error of ours, and never a traceback."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sendinvoice_cli.bolt12 import fields
from sendinvoice_cli.bolt12.blinded_path import ShortChannelIdDirection, format_scid
from sendinvoice_cli.bolt12.tlv import Record
from sendinvoice_cli.errors import LightningdError
from sendinvoice_cli.node.ways.graph import Graph
from sendinvoice_cli.node.ways.routes import Router
from sendinvoice_cli.onion import blinding
from tests.node.fake_client import MESSAGES, US, Answer, FakeClient, Network, node_info
from tests.support.requests_builder import node_id, path, request

_SCID = 103 << 40 | 1 << 16

#: What no field of these answers should hold.
_JUNK: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, -1, 0.5, 10**40, "", "zz", "00", "é", "02" * 33, "ff" * 33, "1x2", [], [[]], {}]
)


def _answers() -> dict[str, dict[str, Any]]:
    """Sound answers, by the name of the call."""
    network = Network([2, 3], [(2, 9), (3, 4), (4, 9)], channelless=[3]).answers()
    half = {"direction": 0, "public": True, "active": True}
    return {
        "listpeers": dict(_fixed(network["listpeers"])),
        "listpeerchannels": {
            "channels": [
                {
                    "peer_id": node_id(2).hex(),
                    "state": "CHANNELD_NORMAL",
                    "private": True,
                    "short_channel_id": format_scid(_SCID),
                    "alias": {"local": "1x1x1", "remote": "2x2x2"},
                }
            ]
        },
        "listnodes": {
            "nodes": [{"features": MESSAGES, "alias": "a", "addresses": [{"type": "ipv4"}]}]
        },
        "listchannels": {
            "channels": [
                {**half, "source": node_id(one).hex(), "destination": node_id(other).hex()}
                for one, other in ((2, 9), (9, 2), (4, 9), (3, 4))
            ]
        },
        "connect": {"features": MESSAGES},
        "disconnect": {},
        "decryptencrypteddata": {
            "decryptencrypteddata": {
                "decrypted": Record(blinding.NEXT_NODE_ID, node_id(9)).encode().hex(),
                "next_path_key": node_id(8).hex(),
            }
        },
    }


def _fixed(answer: Answer) -> Mapping[str, Any]:
    assert isinstance(answer, Mapping)
    return answer


@pytest.mark.parametrize("alias", [7, None, ["x"], {"x": 1}])
def test_an_alias_that_is_no_text(alias: object) -> None:
    graph = Graph(FakeClient({"listnodes": {"nodes": [{"alias": alias}]}}), US)
    assert graph.name(node_id(2)) == node_id(2).hex()[:16]
    with pytest.raises(LightningdError):
        graph.is_public(node_id(2))


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"channels": None},
        {"channels": [7]},
        {"channels": [{}]},
        {"channels": [{"public": True, "direction": 0, "active": True, "source": "02"}]},
    ],
)
def test_channels_that_cannot_be_read(answer: dict[str, Any]) -> None:
    graph = Graph(FakeClient({"listchannels": answer}), US)
    looks: tuple[Callable[[], object], ...] = (
        lambda: graph.end_of_channel(ShortChannelIdDirection(_SCID, 0)),
        lambda: graph.neighbours(node_id(2), outwards=False, with_disabled=False),
        lambda: graph.neighbours(node_id(2), outwards=True, with_disabled=False),
    )
    for look in looks:
        with pytest.raises(LightningdError, match="listchannels: lightningd's answer is malformed"):
            look()


@st.composite
def _spoiled(draw: st.DrawFn, value: Any) -> Any:
    """The same with a field missing, surplus, or holding junk, somewhere."""
    if isinstance(value, Mapping) and value and draw(st.integers(0, 9)):
        key = draw(st.sampled_from(sorted(value)))
        kind = draw(st.integers(0, 5))
        if kind == 0:
            return {name: each for name, each in value.items() if name != key}
        if kind == 1:
            return {**value, "surplus": draw(_JUNK)}
        return {**value, key: draw(_spoiled(value[key]))}
    if isinstance(value, list) and value and draw(st.integers(0, 9)):
        at = draw(st.integers(0, len(value) - 1))
        return [*value[:at], draw(_spoiled(value[at])), *value[at + 1 :]]
    return draw(_JUNK)


@given(st.data(), st.booleans())
@settings(max_examples=200, deadline=None)
def test_only_errors_of_ours(data: st.DataObject, connect: bool) -> None:
    answers = _answers()
    for method in data.draw(st.sets(st.sampled_from(sorted(answers)), min_size=1, max_size=3)):
        spoiled = data.draw(_spoiled(answers[method]))
        # The client itself refuses what is no object.
        answers[method] = spoiled if isinstance(spoiled, dict) else {}
    from_us = blinding.blind_path([blinding.PathNode(US, ()), blinding.PathNode(node_id(9), ())])
    paths = (path(node_id(9), 2), path(ShortChannelIdDirection(_SCID, 1)), from_us, path(US))
    invreq = request({fields.INVREQ_PATHS: b"".join(each.encode() for each in paths)}, sign=False)
    graph = Graph(FakeClient(answers), US)
    router = Router(FakeClient(answers), node_info(), graph, invreq, ways=2)

    routes = list(router.routes(connect=connect))

    for node in {node for route in routes for node in route.nodes}:
        assert len(node) == 33
        assert isinstance(graph.name(node), str)
    with suppress(LightningdError):
        graph.is_public(node_id(4))
    with suppress(LightningdError):
        graph.local_scid(node_id(2))
