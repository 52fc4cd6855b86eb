"""Requests as LDK makes them: unsigned, with more fields than lightningd's; and what it demands.

LDK's parser refuses an invoice in which one of these is missing, and its payer
one in which a field of the request has changed. The payers here are not LDK,
so it is seen field by field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import pytest

from sendinvoice_cli.bolt12 import fields, signature, tlv
from sendinvoice_cli.bolt12.blinded_path import BlindedPath
from sendinvoice_cli.bolt12.tlv import Record
from sendinvoice_cli.onion import blinding
from tests.networks import run
from tests.networks.shapes import Shape, SimulatedShape
from tests.support.crafting import craft_request
from tests.support.requests_builder import Changes, node_id
from tests.support.schema import check_paid, check_result

from . import inside
from .reading import payment_paths, read_fields, read_relay, unblind

_AMOUNT_MSAT = 12_345_678
_MPP_BITS = {16, 17}

#: What LDK's builder of refunds can set.
FULL: Changes = {
    fields.OFFER_DESCRIPTION: b"",
    fields.OFFER_ABSOLUTE_EXPIRY: tlv.encode_tu(4_000_000_000),
    fields.OFFER_ISSUER: "Käse & Co.".encode(),
    fields.INVREQ_QUANTITY: tlv.encode_tu(3),
    fields.INVREQ_PAYER_NOTE: b"returned: 3 Gouda",
}


def refund(town: Shape, changes: Changes | None = None) -> str:
    """An unsigned request; with paths of several hops and one hop, where they are known."""

    def paths(path_id: bytes) -> list[BlindedPath]:
        ways = (("relay", "router", "payer"), ("router", "payer"))
        return [town.path(names, path_id) for names in ways]

    return town.refund(_AMOUNT_MSAT, changes, paths if town.knows_paths else None)


def check_refused(result: Mapping[str, Any], sentence: str) -> None:
    """Check the result of a request that cannot be answered."""
    assert result["exit_code"] == 2
    assert result["error"]["code"] == -32602
    assert sentence in result["error"]["message"]


def answer(town: Shape, receiver: str, request: str, label: str) -> str:
    """Answer it, see it paid if the payer knows it; returns the invoice."""
    assert fields.SIGNATURE not in read_fields(request, "lnr")
    answered = inside.answer(town, receiver, request, label, no_replies=town.knows_paths).json
    if town.knows_paths:
        if fields.OFFER_DESCRIPTION in read_fields(request, "lnr"):
            check_paid(answered)
        assert answered["status"] == "paid", answered
        assert answered["amount_received_msat"] == _AMOUNT_MSAT
    else:
        # It cannot be told of a request that it has not made.
        check_result(answered, 14)
        assert "Unknown invoice_request" in answered["error"]["data"]["error"]
    return str(answered["bolt12"])


def bits(features: bytes) -> set[int]:
    """The bits that are set."""
    number = int.from_bytes(features, "big")
    return {bit for bit in range(number.bit_length()) if number >> bit & 1}


def check_what_ldk_demands(request: str, bolt12: str, node: bytes) -> None:
    """Each field of an invoice that LDK looks at."""
    asked, invoice = read_fields(request, "lnr"), read_fields(bolt12)
    assert list(invoice) == sorted(invoice)
    # What its parser wants.
    for type_ in (0, 82, 88, 160, 162, 164, 168, 170, 176, 240):
        assert type_ in invoice, fields.field_name(type_)
    assert (10 in invoice) == (10 in asked)
    assert invoice[170] == asked[82]
    assert int.from_bytes(invoice[164], "big") > 1_700_000_000
    assert len(invoice[168]) == 32
    assert bits(invoice.get(174, b"")) <= _MPP_BITS
    assert invoice[176] == node
    unsigned = [Record(type_, value) for type_, value in invoice.items() if type_ != 240]
    assert signature.verify("invoice", unsigned, node, invoice[240])
    # What its payer compares: all that it has asked for, and nothing besides.
    shared = {type_: value for type_, value in invoice.items() if fields.is_request_field(type_)}
    assert shared == asked
    assert invoice.keys() - shared.keys() <= {160, 162, 164, 166, 168, 170, 174, 176, 240}
    # At least one path, and each can carry something.
    paths = payment_paths(bolt12)
    assert paths
    for path, payinfo in paths:
        assert path.hops
        assert payinfo.features == b""
        assert payinfo.htlc_minimum_msat <= _AMOUNT_MSAT
        assert payinfo.htlc_maximum_msat >= payinfo.htlc_minimum_msat


@pytest.mark.parametrize("receiver", ["private", "linked"])
def test_full_refund(town: Shape, label: str, receiver: str) -> None:
    request = refund(town, FULL)

    bolt12 = answer(town, receiver, request, label)

    check_what_ldk_demands(request, bolt12, town.id(receiver))
    decoded = town.nodes[receiver].rpc("decode", string=bolt12)
    assert decoded["valid"] is True
    # Nobody but the payer sets these.
    assert read_fields(bolt12)[fields.INVREQ_QUANTITY] == b"\x03"


@pytest.mark.parametrize(
    "description", [None, b"", "Zurück".encode()], ids=["none", "empty", "text"]
)
def test_description(town: Shape, label: str, description: bytes | None) -> None:
    if description is None and not town.knows_paths:
        pytest.skip(f"{town.name} has to have one; see the next test")
    request = refund(town, {fields.OFFER_DESCRIPTION: description})
    assert read_fields(request, "lnr").get(fields.OFFER_DESCRIPTION) == description

    bolt12 = answer(town, "private", request, label)

    check_what_ldk_demands(request, bolt12, town.id("private"))
    assert read_fields(bolt12).get(fields.OFFER_DESCRIPTION) == description


def test_where_there_has_to_be_a_description(town: Shape, label: str) -> None:
    if town.knows_paths:
        pytest.skip(f"{town.name} does without")
    without = refund(town, {fields.OFFER_DESCRIPTION: None})
    result = town.run("private", "--json", without, label, "--timeout", 1)

    assert result.exit == 1
    check_result(result.json, 1)
    assert "Missing description in invoice" in result.json["error"]["message"]
    assert town.nodes["private"].invoice(label) is None


@pytest.mark.parametrize("receiver", ["private", "double"])
def test_payment_paths_hop_by_hop(sandbox_town: SimulatedShape, label: str, receiver: str) -> None:
    """What the peer and the receiver find in each of them."""
    town = sandbox_town
    incoming = town.nodes[receiver].rpc("listincoming")["incoming"]
    details = town.nodes[receiver].rpc("listpeerchannels")["channels"]
    bolt12 = answer(town, receiver, refund(town), label)
    paths = payment_paths(bolt12)
    assert len(paths) == len(incoming) == len(details)
    named = set()
    for path, payinfo in paths:
        assert path.introduction_node == town.id("router")
        keys = [town.sandbox.private_key(name) for name in ("router", receiver)]
        of_router, of_receiver = unblind(path, keys)
        # LDK knows no next_node_id in payment paths, and cannot do without the others.
        assert set(of_router) - {blinding.PADDING} == {
            blinding.SHORT_CHANNEL_ID,
            blinding.PAYMENT_RELAY,
            blinding.PAYMENT_CONSTRAINTS,
        }
        named.add(int.from_bytes(of_router[blinding.SHORT_CHANNEL_ID], "big"))
        relay = read_relay(of_router)
        assert relay.fee_base_msat == payinfo.fee_base_msat == incoming[0]["fee_base_msat"]
        assert (
            relay.fee_proportional_millionths
            == payinfo.fee_proportional_millionths
            == incoming[0]["fee_proportional_millionths"]
        )
        assert relay.htlc_minimum_msat == payinfo.htlc_minimum_msat == incoming[0]["htlc_min_msat"]
        # The peer's delta, and what the receiver wants to be left.
        assert relay.cltv_expiry_delta == incoming[0]["cltv_expiry_delta"]
        assert payinfo.cltv_expiry_delta > relay.cltv_expiry_delta
        height = town.nodes[receiver].rpc("getinfo")["blockheight"]
        assert relay.max_cltv_expiry >= height + payinfo.cltv_expiry_delta + 1008
        assert payinfo.htlc_maximum_msat in [
            each["updates"]["remote"]["htlc_maximum_msat"] for each in details
        ]
        # By which the receiver's lightningd knows what is being paid.
        base = town.nodes[receiver].rpc("makesecret", string="bolt12-invoice-base")["secret"]
        payment_hash = read_fields(bolt12)[fields.INVOICE_PAYMENT_HASH]
        path_id = sha256(bytes.fromhex(base) + payment_hash).digest()
        assert of_receiver[blinding.PATH_ID] == path_id
        assert set(of_receiver) - {blinding.PADDING} == {blinding.PATH_ID}
    # Each leads through another channel.
    assert len(named) == len(paths)
    # No two paths have anything in common that tells them to be of one node.
    points = [path.first_path_key for path, _ in paths]
    points += [hop.blinded_node_id for path, _ in paths for hop in path.hops]
    assert len(set(points)) == len(points)


def test_path_of_a_public_receiver(sandbox_town: SimulatedShape, label: str) -> None:
    """lightningd's own, of one hop: all that it holds is a path_id."""
    town = sandbox_town
    ((path, _),) = payment_paths(answer(town, "linked", refund(town), label))
    (of_receiver,) = unblind(path, [town.sandbox.private_key("linked")])
    assert set(of_receiver) == {blinding.PATH_ID}


# Requests that are not for us to answer


def _tu(number: int) -> bytes:
    return tlv.encode_tu(number)


#: Changes and options, and what is said about them.
REFUSED: Sequence[tuple[str, Changes, tuple[object, ...], str]] = (
    (
        "unknown feature",
        {fields.INVREQ_FEATURES: (1 << 100).to_bytes(13, "big")},
        (),
        "the request requires feature 100, which this version does not know",
    ),
    (
        "answers an offer",
        {fields.OFFER_ISSUER_ID: node_id(5)},
        (),
        "this request answers an offer",
    ),
    (
        "answers an offer with paths",
        {fields.OFFER_PATHS: BlindedPath(node_id(5), node_id(6), ()).encode()},
        (),
        "the request is damaged (offer_paths: a path has no hops)",
    ),
    ("recurrence of old", {26: b"\x01"}, (), "recurring payments are not supported (field 26)"),
    ("recurrence counter of old", {92: b"\x01"}, (), "payments are not supported (field 92)"),
    (
        "recurrence",
        {2_000_000_092: b"\x01"},
        (),
        "recurring payments are not supported (field 2000000092)",
    ),
    ("unknown field", {150: b"\x01"}, (), "field 150, which this version does not know"),
    ("quantity missing", {fields.OFFER_QUANTITY_MAX: _tu(5)}, (), "needs a QUANTITY (1 to 5)"),
    (
        "quantity too large",
        {fields.OFFER_QUANTITY_MAX: _tu(5)},
        ("--quantity", 6),
        "QUANTITY 6 is more than this request allows (1 to 5)",
    ),
    ("quantity without limit missing", {fields.OFFER_QUANTITY_MAX: b""}, (), "needs a QUANTITY"),
    ("quantity of no use", {}, ("--quantity", 1), "this request takes no QUANTITY"),
)


@pytest.mark.parametrize(
    ("changes", "options", "sentence"),
    [each[1:] for each in REFUSED],
    ids=[each[0].replace(" ", "-") for each in REFUSED],
)
def test_refused_before_a_node_is_asked(
    changes: Changes, options: tuple[object, ...], sentence: str
) -> None:
    """There is none, and that does not matter."""
    request = craft_request(node_id(9).hex(), 1_000, changes)

    result = run("--rpc-file", "/nonexistent", "--json", request, "l", *options)

    assert result.exit == 2
    assert result.stderr.startswith("sendinvoice: ")
    assert sentence in result.stderr
    if "QUANTITY" in result.stderr:
        assert result.stdout == ""
    else:
        check_refused(result.json, sentence)


def test_every_refusal_has_a_sentence_of_its_own() -> None:
    sentences = [sentence for _, _, _, sentence in REFUSED]
    assert len(set(sentences)) == len(sentences)


@pytest.mark.parametrize(
    ("chain", "asked"),
    [
        (None, "for bitcoin, this node is on regtest"),
        (
            bytes.fromhex("43f08bdab050e35b567c864b91f47f50ae725ae2de53bcfbbaf284da00000000"),
            "for testnet4, this node is on regtest",
        ),
        (b"\xab" * 32, f"for the unknown chain {'ab' * 32}, this node is on regtest"),
    ],
    ids=["bitcoin", "testnet4", "unknown"],
)
def test_another_network(town: Shape, label: str, chain: bytes | None, asked: str) -> None:
    request = craft_request(town.nodes["payer"].id, 1_000, {fields.INVREQ_CHAIN: chain})

    result = town.run("receiver", "--json", "-v", request, label)

    assert result.exit == 2
    assert f"the request is {asked}" in result.stderr
    check_refused(result.json, f"the request is {asked}")
    assert "call createinvoice" not in result.stderr
    assert town.nodes["receiver"].invoice(label) is None


@pytest.mark.parametrize("maximum", [0, 5])
def test_quantity_that_fits(town_with_paths: Shape, label: str, maximum: int) -> None:
    town = town_with_paths
    request = town.refund(3_000, {fields.OFFER_QUANTITY_MAX: _tu(maximum)})

    result = town.run("receiver", "--json", request, label, "--quantity", 5)

    assert result.exit == 0, result.stderr
    check_paid(result.json)
    assert result.json["amount_received_msat"] == 3_000
