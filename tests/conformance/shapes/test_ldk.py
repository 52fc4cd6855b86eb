"""Refunds in the shapes that LDK gives them, as data; each is answered, and paid.

The payers here are not LDK, so what its node alone can follow, its dummy hops, is peeled off by
hand. Source: LDK 0.1.12, 0.2.5 and 0.3 of August 2026, ``onion_message/messenger.rs``,
``blinded_path/message.rs`` and ``offers/refund.rs``.
"""

from __future__ import annotations

import secrets
from itertools import pairwise
from typing import NamedTuple

import pytest
from coincurve import PrivateKey

from sendinvoice_cli.bolt12 import fields, invoice_request, payer, tlv
from sendinvoice_cli.bolt12.blinded_path import BlindedPath, parse_scid
from sendinvoice_cli.bolt12.tlv import Record
from sendinvoice_cli.onion import blinding, message
from sendinvoice_cli.onion.blinding import PathNode
from sendinvoice_cli.sandbox.model import onion_layers, sphinx
from sendinvoice_cli.sandbox.model.topology import ChannelSpec, NodeSpec, Topology
from tests.networks import shapes
from tests.networks.shapes import Shape
from tests.support.requests_builder import Changes, point
from tests.support.schema import check_paid, check_result

from .inside import answer
from .reading import Fields, read_fields

_AMOUNT_MSAT = 12_345_678

#: The payer as its own introduction node, and a peer of it in that place.
OWN, BY_PEER = ("payer",), ("router", "payer")


class LdkPath(NamedTuple):
    """The path in a refund.

    :param versions: of LDK that make such paths.
    :param when: the payer and the refund for which they do.
    :param hops: the nodes that it leads along.
    :param begins_at: how it names its introduction node: by its node id, or as the end of a
        channel.
    :param goes_by: how it names the next hop: by its node id, or by a channel.
    :param dummies: hops for the payer itself, behind its own, that lead nowhere else.
    """

    versions: str
    when: str
    hops: tuple[str, ...]
    begins_at: str
    goes_by: str = "id"
    dummies: int = 0


PATHS = (
    LdkPath("0.1", "announced, lives longer than a day", OWN, "id"),
    LdkPath("0.1", "announced, lives up to a day", OWN, "channel"),
    LdkPath("0.1", "not announced, lives longer than a day", BY_PEER, "id"),
    LdkPath("0.1", "not announced, lives up to a day", BY_PEER, "channel", "channel"),
    LdkPath("0.2, 0.3", "announced", OWN, "channel", dummies=1),
    LdkPath("0.2, 0.3", "announced, by a node id", OWN, "id", dummies=1),
    LdkPath("0.2, 0.3", "not announced", BY_PEER, "channel", "channel"),
    LdkPath("0.2, 0.3", "not announced, peer without public channels", BY_PEER, "id", "channel"),
)

of_ldk = pytest.mark.parametrize(
    "shape", PATHS, ids=[f"{each.versions}: {each.when}" for each in PATHS]
)


def ldk_fields() -> Changes:
    """What LDK's refunds have besides: an empty description, an expiry, and long metadata."""
    return {
        fields.INVREQ_METADATA: secrets.token_bytes(48),
        fields.OFFER_DESCRIPTION: b"",
        fields.OFFER_ABSOLUTE_EXPIRY: tlv.encode_tu(4_000_000_000),
    }


def next_hop(town: Shape, shape: LdkPath, node: str, after: str) -> Record:
    """How a node of the path learns which is the next."""
    if shape.goes_by == "id":
        return Record(blinding.NEXT_NODE_ID, town.id(after))
    return Record(blinding.SHORT_CHANNEL_ID, town.scid(node, after).to_bytes(8, "big"))


def make_path(town: Shape, shape: LdkPath, path_id: bytes) -> BlindedPath:
    """A path in that shape, without its dummy hops."""
    nodes = [
        PathNode(town.id(node), (next_hop(town, shape, node, after),))
        for node, after in pairwise(shape.hops)
    ]
    end = PathNode(town.id(shape.hops[-1]), (Record(blinding.PATH_ID, path_id),))
    path = blinding.blind_path([*nodes, end])
    if shape.begins_at == "id":
        return path
    other = "router" if shape.hops == OWN else "payer"
    return path._replace(introduction_node=town.end_of_channel(shape.hops[0], other))


@of_ldk
def test_refund_in_this_shape_is_answered_and_paid(
    town_with_paths: Shape, label: str, shape: LdkPath
) -> None:
    town = town_with_paths
    request = town.refund(
        _AMOUNT_MSAT, ldk_fields(), lambda path_id: [make_path(town, shape, path_id)]
    )
    assert payer.is_ldk(invoice_request.decode(request))

    paid = answer(town, "private", request, label).json

    check_paid(paid)
    assert paid["amount_received_msat"] == _AMOUNT_MSAT
    assert paid["description"] == ""
    invoice = read_fields(paid["bolt12"])
    assert {type_: invoice[type_] for type_ in read_fields(request, "lnr")} == read_fields(
        request, "lnr"
    )


@pytest.mark.parametrize(
    ("name", "exit_code"),
    # LDK names the alias from 0.2 on; 0.1 had the real one, which nobody forwards by.
    [("local", 0), ("real", 15)],
)
def test_payer_behind_an_unannounced_channel(label: str, name: str, exit_code: int) -> None:
    topology = Topology(
        nodes=tuple(NodeSpec(each, has_address=False) for each in ("payer", "router", "receiver")),
        channels=(
            ChannelSpec("payer", "router", public=False),
            ChannelSpec("router", "receiver"),
        ),
    )
    with shapes.simulated(topology) as town:
        (channel,) = [
            each
            for each in town.nodes["router"].rpc("listpeerchannels")["channels"]
            if each["private"]
        ]
        shown = channel["short_channel_id"] if name == "real" else channel["alias"][name]
        by_channel = Record(blinding.SHORT_CHANNEL_ID, parse_scid(shown).to_bytes(8, "big"))

        def paths(path_id: bytes) -> list[BlindedPath]:
            router = PathNode(town.id("router"), (by_channel,))
            end = PathNode(town.id("payer"), (Record(blinding.PATH_ID, path_id),))
            return [blinding.blind_path([router, end])]

        request = town.refund(_AMOUNT_MSAT, ldk_fields(), paths)
        answered = answer(town, "receiver", request, label, timeout=1 if exit_code else 20)

    check_result(answered.json, exit_code)
    if exit_code:
        # LDK may have given it up in silence: another invoice would be for nothing.
        assert answered.outcome.error is not None
        assert answered.outcome.error.hint is not None
        assert answered.outcome.error.hint.startswith("ask the payer for a new request: LDK")


# Dummy hops

#: LDK's mark of a hop that leads nowhere else: its node peels once more.
_DUMMY = 65_539
_PAYER_KEY, _START_KEY, _OUR_KEY = b"\x51" * 32, b"\x52" * 32, b"\x53" * 32


def _peel(key: bytes, path_key: bytes, packet: bytes) -> tuple[Fields, bytes | None, Fields, bytes]:
    """Peel one layer: its payload, the rest, what the path says, and the next path key."""
    private_key = PrivateKey(key)
    layer = sphinx.peel(packet, onion_layers.onion_secret(private_key, path_key, packet))
    payload = dict(tlv.decode_stream(layer.payload))
    data = onion_layers.open_hop(private_key, path_key, payload[message.ENCRYPTED_RECIPIENT_DATA])
    return payload, layer.next_packet, data.values, data.next_path_key


@pytest.mark.parametrize("dummies", sorted({shape.dummies for shape in PATHS} | {3, 9}))
@pytest.mark.parametrize("hops", [OWN, BY_PEER])
def test_payer_peels_dummy_hops_off_and_finds_the_invoice(
    hops: tuple[str, ...], dummies: int
) -> None:
    """LDK fills a refund's path up to 2 hops, and those of other requests up to 4 or more."""
    path_id = secrets.token_bytes(32)
    to_payer = PathNode(point(_START_KEY), (Record(blinding.NEXT_NODE_ID, point(_PAYER_KEY)),))
    their_nodes = [
        *[to_payer] * (hops == BY_PEER),
        *[PathNode(point(_PAYER_KEY), (Record(_DUMMY, b""),))] * dummies,
        PathNode(point(_PAYER_KEY), (Record(blinding.PATH_ID, path_id),)),
    ]
    invoice = Record(message.INVOICE, b"an invoice" * 50)
    nodes = (point(_OUR_KEY), their_nodes[0].node_id)
    onion = message.outgoing(nodes, (invoice,), blinding.blind_path(their_nodes))

    path_key, packet = onion.first_path_key, onion_layers.wrap(onion)
    _, rest, _, path_key = _peel(_OUR_KEY, path_key, packet)
    assert rest is not None
    if hops == BY_PEER:
        _, rest, of_start, path_key = _peel(_START_KEY, path_key, rest)
        assert of_start == {blinding.NEXT_NODE_ID: point(_PAYER_KEY)}
    for _ in range(dummies):
        assert rest is not None
        payload, rest, said, path_key = _peel(_PAYER_KEY, path_key, rest)
        assert set(payload) == {message.ENCRYPTED_RECIPIENT_DATA}
        assert said == {_DUMMY: b""}
    assert rest is not None
    payload, rest, said, _ = _peel(_PAYER_KEY, path_key, rest)
    assert rest is None
    assert said == {blinding.PATH_ID: path_id}
    assert payload[message.INVOICE] == invoice.value
