"""Invoices that are paid, end to end, and the payer's reasons against the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

import pytest

from sendinvoice_cli.bolt12 import fields, invoice, signature, tlv
from sendinvoice_cli.bolt12.blinded_path import BlindedPath, ShortChannelIdDirection
from sendinvoice_cli.bolt12.invoice import BlindedPayinfo, PaymentPath
from sendinvoice_cli.bolt12.tlv import Record
from sendinvoice_cli.onion import blinding, message
from sendinvoice_cli.onion.blinding import PathNode
from sendinvoice_cli.sandbox.model.family import Family
from sendinvoice_cli.sandbox.model.topology import ChannelSpec, NodeSpec, Topology, line
from tests.networks.sandbox import Sandbox
from tests.sandbox.conftest import Start
from tests.sandbox.wire import (
    Prepared,
    call,
    channel_between,
    deliver,
    payment_path,
    prepare,
    refusals,
    row,
    send,
    with_node,
)
from tests.support.manual_clock import ManualClock

_ALL_FAMILIES = pytest.mark.parametrize("family", list(Family))


def _is_paid(sandbox: Sandbox, label: str = "l") -> bool:
    return bool(row(sandbox, label)["status"] == "paid")


@_ALL_FAMILIES
def test_a_request_is_paid_through_three_nodes(
    start: Start, family: Family, clock: ManualClock
) -> None:
    sandbox = start(line(family=family))
    prepared = prepare(sandbox, sandbox.request("alice", 100_000, "a refund"), "l")
    clock.advance(5)
    deliver(sandbox, prepared)
    paid = row(sandbox, "l")
    assert paid["status"] == "paid"
    assert paid["payment_preimage"] == prepared.preimage.hex()
    assert paid["amount_received_msat"] == 100_000
    assert paid["paid_at"] == int(clock())
    assert (paid["pay_index"], paid["updated_index"]) == (1, 1)
    (request,) = call(sandbox, "alice", "listinvoicerequests")["invoicerequests"]
    assert (request["used"], request["active"]) == (True, False)
    assert refusals(sandbox) == []


def test_the_money_moves_and_bob_earns(sandbox: Sandbox) -> None:
    deliver(sandbox, prepare(sandbox, sandbox.request("alice", 1_000_000), "l"))
    balances = {
        (name, channel["peer_id"]): channel["to_us_msat"]
        for name in ("alice", "bob", "carol")
        for channel in call(sandbox, name, "listpeerchannels")["channels"]
    }
    alice, bob, carol = (sandbox.node_id(name).hex() for name in ("alice", "bob", "carol"))
    assert balances["carol", bob] == 501_000_000
    assert balances["bob", carol] == 499_000_000
    # 1 msat and 10 millionths for bob.
    assert balances["alice", bob] == 500_000_000 - 1_000_011
    assert balances["bob", alice] == 500_000_000 + 1_000_011


@_ALL_FAMILIES
def test_a_direct_peer_pays(start: Start, family: Family) -> None:
    sandbox = start(line(("alice", "carol"), family))
    deliver(
        sandbox,
        prepare(sandbox, sandbox.request("alice", 1000, "x"), "l"),
        ("carol", "alice"),
        reply_names=("carol",),
    )
    assert _is_paid(sandbox)


@_ALL_FAMILIES
def test_an_invoice_in_a_large_onion_is_paid(start: Start, family: Family) -> None:
    sandbox = start(line(family=family))
    description = "x" * 3000
    deliver(sandbox, prepare(sandbox, sandbox.request("alice", 1000, description), "l"))
    assert _is_paid(sandbox)


def test_less_than_offered_is_paid(sandbox: Sandbox) -> None:
    prepared = prepare(sandbox, sandbox.request("alice", 1000), "l", amount_msat=999)
    deliver(sandbox, prepared)
    assert row(sandbox, "l")["amount_received_msat"] == 999


@pytest.fixture
def by_path(start: Start) -> Sandbox:
    """Alice announces no address, so her requests name a path from bob."""
    return start(with_node(line(), "alice", has_address=False))


def test_an_invoice_along_the_requests_path_is_paid(by_path: Sandbox) -> None:
    prepared = prepare(by_path, by_path.request("alice", 1000), "l")
    assert prepared.their_path is not None
    deliver(by_path, prepared, ("carol", "bob"))
    assert _is_paid(by_path)


def test_an_invoice_past_the_requests_path_is_refused(by_path: Sandbox) -> None:
    prepared = replace(prepare(by_path, by_path.request("alice", 1000), "l"), their_path=None)
    deliver(by_path, prepared)
    assert not _is_paid(by_path)
    (refusal,) = refusals(by_path)
    assert refusal.startswith("Unknown invoice_request ")


def test_an_invoice_along_another_requests_path_is_refused(by_path: Sandbox) -> None:
    other = prepare(by_path, by_path.request("alice", 1000), "other")
    prepared = prepare(by_path, by_path.request("alice", 1000), "l")
    deliver(by_path, replace(prepared, their_path=other.their_path), ("carol", "bob"))
    (refusal,) = refusals(by_path)
    assert refusal.startswith("Unknown invoice_request ")


def _changed(
    sandbox: Sandbox, prepared: Prepared, changes: dict[int, bytes | None], *, sign: bool = True
) -> Prepared:
    """The same invoice with other fields, signed anew by carol."""
    values: dict[int, bytes | None] = {**dict(invoice.decode(prepared.bolt12)), **changes}
    records = sorted(Record(type_, value) for type_, value in values.items() if value is not None)
    if sign:
        unsigned = [record for record in records if record.type != fields.SIGNATURE]
        sig = Record(
            fields.SIGNATURE, signature.sign("invoice", unsigned, sandbox.private_key("carol"))
        )
        records = sorted((*unsigned, sig))
    return replace(prepared, bolt12=invoice.encode(records))


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({fields.INVOICE_AMOUNT: tlv.encode_tu(1001)}, "invoice amount is too large"),
        ({fields.INVOICE_AMOUNT: None}, "Missing invoice_amount"),
        ({fields.INVOICE_CREATED_AT: None}, "Missing invoice_created_at"),
        ({fields.INVOICE_PAYMENT_HASH: None}, "Missing invoice_payment_hash"),
        ({fields.INVOICE_FEATURES: b"\x04"}, "Unsupported invoice feature 2"),
        ({fields.INVOICE_FEATURES: b"\x08"}, None),
        ({fields.INVOICE_CREATED_AT: tlv.encode_tu(1_799_990_000)}, "Expired invoice"),
        ({fields.INVOICE_PATHS: None}, "Missing invoice_paths"),
        ({fields.INVOICE_BLINDEDPAY: None}, "Missing invoice_blindedpay"),
        (
            {fields.INVOICE_BLINDEDPAY: bytes(28) * 2},
            "Mismatch between invoice_blindedpay and invoice_paths",
        ),
        (
            {fields.INVOICE_BLINDEDPAY: bytes(26) + b"\x00\x01\x01"},
            "Unsupported feature for all paths (0)",
        ),
        ({fields.OFFER_DESCRIPTION: b"another"}, "Unknown invoice_request"),
        ({1_000_000_001: b"added"}, "Unknown invoice_request"),
    ],
)
def test_the_payer_refuses_bad_fields_but_not_unknown_odd_features(
    sandbox: Sandbox, changes: dict[int, bytes | None], refusal: str | None
) -> None:
    prepared = prepare(sandbox, sandbox.request("alice", 1000, "one"), "l")
    deliver(sandbox, _changed(sandbox, prepared, changes))
    if refusal is None:
        assert _is_paid(sandbox)
    else:
        (text,) = refusals(sandbox)
        assert text.startswith(refusal)
        assert not _is_paid(sandbox)


def test_a_bad_signature_is_refused(sandbox: Sandbox) -> None:
    prepared = prepare(sandbox, sandbox.request("alice", 1000), "l")
    changes: dict[int, bytes | None] = {fields.INVOICE_AMOUNT: tlv.encode_tu(900)}
    deliver(sandbox, _changed(sandbox, prepared, changes, sign=False))
    assert refusals(sandbox) == ["invalid invoice signature"]


def test_an_unsigned_invoice_is_refused(sandbox: Sandbox) -> None:
    prepared = prepare(sandbox, sandbox.request("alice", 1000), "l")
    deliver(sandbox, _changed(sandbox, prepared, {fields.SIGNATURE: None}, sign=False))
    assert refusals(sandbox) == ["invoice missing signature"]


def test_a_malformed_invoice_is_refused(sandbox: Sandbox) -> None:
    send(sandbox, ("carol", "bob", "alice"), [Record(message.INVOICE, b"\x00\x05")])
    sandbox.settle()
    assert "Failed invoice: Invalid invoice 0005" in sandbox.log("alice")


def test_an_expired_invoice_is_refused(sandbox: Sandbox, clock: ManualClock) -> None:
    prepared = prepare(sandbox, sandbox.request("alice", 1000), "l", relative_expiry=60)
    clock.advance(61)
    deliver(sandbox, prepared)
    assert refusals(sandbox) == ["Expired invoice"]


def test_a_deleted_invoice_is_not_paid(sandbox: Sandbox) -> None:
    prepared = prepare(sandbox, sandbox.request("alice", 1000), "l")
    call(sandbox, "carol", "delinvoice", label="l", status="unpaid")
    deliver(sandbox, prepared)
    assert refusals(sandbox) == [
        "pay attempt failed: \"Destination said it doesn't know invoice: "
        'incorrect_or_unknown_payment_details"'
    ]


_IN_PROGRESS = (
    'pay attempt failed: "Unexpected injectpaymentonion error 200: {\\"code\\":200,'
    '\\"message\\":\\"Payment with groupid='
)
_OUT_OF_ROUTES = 'pay attempt failed: "Ran out of routes to try after 1 attempt: see `paystatus`"'


@pytest.mark.parametrize(
    ("family", "copy_refusal"), [(Family.V26_06, _IN_PROGRESS), (Family.V24_02, None)]
)
def test_a_second_copy_during_the_payment_does_not_pay_twice(
    start: Start, family: Family, copy_refusal: str | None
) -> None:
    sandbox = start(line(family=family))
    hold = sandbox.faults.hold_payments("alice")
    prepared = prepare(sandbox, sandbox.request("alice", 1000, "x"), "l")
    deliver(sandbox, prepared)
    deliver(sandbox, prepared)
    assert [text.startswith(copy_refusal or "") for text in refusals(sandbox)] == (
        [True] if copy_refusal else []
    )
    hold.release()
    sandbox.settle()
    assert _is_paid(sandbox)
    said = len(refusals(sandbox))
    deliver(sandbox, prepared)
    assert refusals(sandbox)[said:] == ["invoice_request no longer available"]


@pytest.mark.parametrize("family", [Family.V26_06, Family.V24_02])
def test_another_invoice_during_the_payment_is_not_paid(start: Start, family: Family) -> None:
    sandbox = start(line(family=family))
    hold = sandbox.faults.hold_payments("alice")
    request = sandbox.request("alice", 1000, "x")
    first = prepare(sandbox, request, "l")
    deliver(sandbox, first)
    deliver(sandbox, prepare(sandbox, request, "other"))
    (refusal,) = refusals(sandbox)
    if family is Family.V26_06:
        payment_hash = sha256(first.preimage).hexdigest()
        assert f"Single-use invoice_request already in progress with {payment_hash}" in refusal
    else:
        assert refusal == _OUT_OF_ROUTES
    hold.release()
    sandbox.settle()
    assert _is_paid(sandbox)
    assert not _is_paid(sandbox, "other")


def test_a_reusable_request_is_paid_once_for_each_invoice(sandbox: Sandbox) -> None:
    request = sandbox.request("alice", 1000, single_use=False)
    first = prepare(sandbox, request, "first")
    deliver(sandbox, first)
    deliver(sandbox, prepare(sandbox, request, "second"))
    assert _is_paid(sandbox, "first")
    assert row(sandbox, "second")["pay_index"] == 2
    deliver(sandbox, first)
    assert refusals(sandbox) == ['pay attempt failed: "Already paid this invoice successfully"']


def test_a_payer_without_enough_money_names_its_capacity(sandbox: Sandbox) -> None:
    deliver(sandbox, prepare(sandbox, sandbox.request("alice", 5_000_000_000), "l"))
    assert refusals(sandbox) == [
        'pay attempt failed: "Failed: We could not find a usable set of paths. Total source '
        'capacity is only 500000000msat (in 1 channels)."'
    ]


@pytest.mark.parametrize("obstacle", ["disabled", "stopped"])
def test_a_payer_without_a_usable_channel_finds_no_path(start: Start, obstacle: str) -> None:
    sandbox = start(replace(line(), links=(("alice", "carol"),)))
    prepared = prepare(sandbox, sandbox.request("alice", 1000), "l")
    if obstacle == "disabled":
        channel_between(sandbox, "bob", "carol").enabled[sandbox.node_id("bob")] = False
    else:
        sandbox.stop_node("bob")
    deliver(sandbox, prepared, ("carol", "alice"), reply_names=("carol",))
    assert refusals(sandbox) == [
        'pay attempt failed: "Failed: We could not find a usable set of paths."'
    ]


# Blinded payment paths

_PRIVATE = Topology(
    nodes=(NodeSpec("alice"), NodeSpec("bob"), NodeSpec("carol")),
    channels=(ChannelSpec("alice", "bob"), ChannelSpec("bob", "carol", public=False)),
)


def _pay_by_path(sandbox: Sandbox, paths: Sequence[PaymentPath], preimage: bytes) -> list[str]:
    prepared = prepare(
        sandbox,
        sandbox.request("alice", 1_000_000),
        "l",
        payment_paths=paths,
        preimage=preimage,
    )
    deliver(sandbox, prepared)
    return refusals(sandbox)


_PREIMAGE = bytes(range(32))


def test_lightningds_own_path_does_not_reach_a_private_node(start: Start) -> None:
    sandbox = start(_PRIVATE)
    deliver(sandbox, prepare(sandbox, sandbox.request("alice", 1000), "l"))
    assert refusals(sandbox) == [
        'pay attempt failed: "Failed: There is no connection between source and destination at all"'
    ]


def test_a_blinded_path_reaches_a_private_node(start: Start) -> None:
    sandbox = start(_PRIVATE)
    assert _pay_by_path(sandbox, [payment_path(sandbox, _PREIMAGE)], _PREIMAGE) == []
    assert row(sandbox, "l")["amount_received_msat"] == 1_000_000


def _scid(sandbox: Sandbox, which: str) -> Record:
    (channel,) = call(sandbox, "carol", "listpeerchannels")["channels"]
    shown = channel["short_channel_id"] if which == "real" else channel["alias"][which]
    block, transaction, output = (int(part) for part in shown.split("x"))
    number = block << 40 | transaction << 16 | output
    return Record(blinding.SHORT_CHANNEL_ID, number.to_bytes(8, "big"))


@pytest.mark.parametrize(
    ("which", "is_paid"), [("remote", True), ("local", False), ("real", False)]
)
def test_a_path_over_a_private_channel_works_by_its_peers_alias_only(
    start: Start, which: str, is_paid: bool
) -> None:
    sandbox = start(_PRIVATE)
    path = payment_path(sandbox, _PREIMAGE, hop=_scid(sandbox, which))
    texts = _pay_by_path(sandbox, [path], _PREIMAGE)
    assert _is_paid(sandbox) is is_paid
    assert ["inside the blinded path" in text for text in texts] == ([] if is_paid else [True])


def test_a_payment_with_a_wrong_path_id_is_refused(start: Start) -> None:
    sandbox = start(_PRIVATE)
    path = payment_path(sandbox, _PREIMAGE, path_id=bytes(32))
    (text,) = _pay_by_path(sandbox, [path], _PREIMAGE)
    assert "incorrect_or_unknown_payment_details" in text


def test_a_path_without_room_for_cltv_padding_fails(start: Start) -> None:
    sandbox = start(_PRIVATE)
    path = payment_path(sandbox, _PREIMAGE, most_cltv=200 + 16 + 100)
    (text,) = _pay_by_path(sandbox, [path], _PREIMAGE)
    assert "inside the blinded path" in text


def test_the_first_path_that_works_is_taken(start: Start) -> None:
    sandbox = start(_PRIVATE)
    works = payment_path(sandbox, _PREIMAGE)
    unknown = ShortChannelIdDirection(1, 0)
    leads_nowhere = PaymentPath(
        BlindedPath(unknown, works.path.first_path_key, works.path.hops), works.payinfo
    )
    assert _pay_by_path(sandbox, [leads_nowhere, works], _PREIMAGE) == []


def test_a_path_may_begin_at_a_channel(start: Start) -> None:
    sandbox = start(_PRIVATE)
    works = payment_path(sandbox, _PREIMAGE)
    alice, bob = sandbox.node_id("alice"), sandbox.node_id("bob")
    scid = call(sandbox, "alice", "listchannels")["channels"][0]["short_channel_id"]
    block, transaction, output = (int(part) for part in scid.split("x"))
    number = block << 40 | transaction << 16 | output
    start_of_path = ShortChannelIdDirection(number, sorted((alice, bob)).index(bob))
    path = BlindedPath(start_of_path, works.path.first_path_key, works.path.hops)
    assert _pay_by_path(sandbox, [PaymentPath(path, works.payinfo)], _PREIMAGE) == []


@pytest.mark.parametrize(("single_use", "is_paid"), [(False, True), (True, False)])
def test_an_amount_is_paid_in_parts_unless_the_request_is_single_use(
    start: Start, single_use: bool, is_paid: bool
) -> None:
    nodes = tuple(NodeSpec(name) for name in ("alice", "bob", "dave", "carol"))
    channels = tuple(
        ChannelSpec(left, right, left_msat=600_000_000)
        for left, right in (
            ("alice", "bob"),
            ("bob", "carol"),
            ("alice", "dave"),
            ("dave", "carol"),
        )
    )
    sandbox = start(Topology(nodes, channels))
    preimage = _PREIMAGE
    base = call(sandbox, "carol", "makesecret", string="bolt12-invoice-base")["secret"]
    path_id = sha256(bytes.fromhex(base) + sha256(preimage).digest()).digest()
    relay = Record(blinding.PAYMENT_RELAY, bytes(2) + bytes(4))
    paths = []
    for name in ("bob", "dave"):
        path = blinding.blind_path(
            [
                PathNode(
                    sandbox.node_id(name),
                    (Record(blinding.NEXT_NODE_ID, sandbox.node_id("carol")), relay),
                ),
                PathNode(sandbox.node_id("carol"), (Record(blinding.PATH_ID, path_id),)),
            ]
        )
        paths.append(PaymentPath(path, BlindedPayinfo(0, 0, 10, 0, 10**12)))
    request = sandbox.request("alice", 900_000_000, single_use=single_use)
    deliver(sandbox, prepare(sandbox, request, "l", payment_paths=paths, preimage=preimage))
    assert _is_paid(sandbox) is is_paid
    texts = refusals(sandbox)
    assert ["already in progress" in text for text in texts] == ([] if is_paid else [True])
