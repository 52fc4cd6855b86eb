"""The receiver's invoices, and the payer's requests, as the calls show them."""

from __future__ import annotations

import threading
from hashlib import sha256
from typing import Any

import pytest

from sendinvoice_cli.bolt12 import fields, invoice, invoice_request
from sendinvoice_cli.bolt12.blinded_path import decode_paths
from sendinvoice_cli.bolt12.tlv import Record
from sendinvoice_cli.sandbox.model.family import Family
from sendinvoice_cli.sandbox.model.topology import line
from tests.networks.sandbox import Sandbox
from tests.sandbox.conftest import Start
from tests.sandbox.wire import CallError, call, deliver, prepare, row, with_node
from tests.support.crafting import UNKNOWN_FIELDS, craft_request
from tests.support.manual_clock import ManualClock


def _calling(sandbox: Sandbox, method: str, *params: Any) -> tuple[threading.Thread, list[Any]]:
    """Start a call that blocks; returns its thread and the list for its answer."""
    answers: list[Any] = []
    names = {"wait": ("subsystem", "indexname", "nextvalue"), "waitinvoice": ("label",)}[method]
    started = threading.Event()

    def observe(_node: str, seen: str, _phase: str) -> None:
        if seen == method:
            started.set()

    def run() -> None:
        try:
            answers.append(call(sandbox, "carol", method, **dict(zip(names, params, strict=True))))
        except CallError as error:
            answers.append(error)

    sandbox.observe_calls(observe)
    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(10)
    sandbox.settle()
    return thread, answers


def test_createinvoice_signs_and_adds_a_path(sandbox: Sandbox) -> None:
    request = sandbox.request("alice", 1000, "a refund")
    prepared = prepare(sandbox, request, "l")
    decoded = call(sandbox, "alice", "decode", string=prepared.bolt12)
    assert decoded["type"] == "bolt12 invoice"
    assert decoded["valid"] is True
    records = invoice.decode(prepared.bolt12)
    assert invoice.answers(records, invoice_request.decode(request))
    (path,) = decode_paths(dict(records)[fields.INVOICE_PATHS], "")
    assert path.introduction_node == sandbox.node_id("carol")


def test_the_row_of_an_unpaid_invoice_has_lightningds_fields(
    sandbox: Sandbox, clock: ManualClock
) -> None:
    prepared = prepare(sandbox, sandbox.request("alice", 1000, "a refund"), "l")
    assert row(sandbox, "l") == {
        "label": "l",
        "bolt12": prepared.bolt12,
        "payment_hash": sha256(prepared.preimage).hexdigest(),
        "amount_msat": 1000,
        "status": "unpaid",
        "description": "a refund",
        "expires_at": int(clock()) + 3600,
        "created_index": 1,
    }


def test_a_taken_label_is_refused_with_its_row(sandbox: Sandbox) -> None:
    request = sandbox.request("alice", 1000)
    prepare(sandbox, request, "l")
    with pytest.raises(CallError, match="Duplicate label") as error:
        prepare(sandbox, request, "l")
    assert error.value.code == 900
    assert error.value.data == row(sandbox, "l")


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        (fields.INVREQ_CHAIN, "wrong chain"),
        (fields.INVOICE_AMOUNT, "Missing invoice_amount in invoice"),
        (fields.INVOICE_PAYMENT_HASH, "Missing payment_hash in invoice"),
    ],
)
def test_createinvoice_refuses_an_invoice_with_a_field_missing(
    sandbox: Sandbox, missing: int, reason: str
) -> None:
    prepared = prepare(sandbox, sandbox.request("alice", 1000), "l")
    kept = [
        record
        for record in invoice.decode(prepared.bolt12)
        if record.type not in (missing, fields.SIGNATURE)
    ]
    with pytest.raises(CallError, match=reason) as error:
        call(
            sandbox,
            "carol",
            "createinvoice",
            invstring=invoice.encode(kept),
            label="other",
            preimage=prepared.preimage.hex(),
        )
    assert error.value.code == -32602


def test_createinvoice_wants_the_right_preimage_and_no_signature(sandbox: Sandbox) -> None:
    prepared = prepare(sandbox, sandbox.request("alice", 1000), "l")
    args = {"invstring": prepared.bolt12, "label": "other", "preimage": prepared.preimage.hex()}
    with pytest.raises(CallError, match="already signed"):
        call(sandbox, "carol", "createinvoice", **args)
    unsigned = [
        record for record in invoice.decode(prepared.bolt12) if record.type != fields.SIGNATURE
    ]
    args = {**args, "invstring": invoice.encode(unsigned), "preimage": "00" * 32}
    with pytest.raises(CallError, match="Incorrect preimage"):
        call(sandbox, "carol", "createinvoice", **args)


def test_indexes_grow_as_invoices_change(sandbox: Sandbox, clock: ManualClock) -> None:
    for label in ("a", "b", "c"):
        prepare(sandbox, sandbox.request("alice", 1000), label, relative_expiry=100)
    paid = prepare(sandbox, sandbox.request("alice", 1000), "d", relative_expiry=200)
    deliver(sandbox, paid)
    clock.advance(101)
    with pytest.raises(CallError, match="expired"):
        call(sandbox, "carol", "waitinvoice", label="b")
    rows = {each["label"]: each for each in call(sandbox, "carol", "listinvoices")["invoices"]}
    assert [rows[label]["created_index"] for label in "abcd"] == [1, 2, 3, 4]
    assert rows["d"]["updated_index"] == 1
    assert sorted(rows[label]["updated_index"] for label in "abc") == [2, 3, 4]
    later = call(sandbox, "carol", "listinvoices", index="updated", start=3)["invoices"]
    assert [each["updated_index"] for each in later] == [3, 4]
    limited = call(sandbox, "carol", "listinvoices", index="created", start=2, limit=2)
    assert [each["label"] for each in limited["invoices"]] == ["b", "c"]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"start": 1}, "Can only specify {start} with {index}"),
        ({"limit": 1}, "Can only specify {limit} with {index}"),
    ],
)
def test_listinvoices_refuses_start_and_limit_without_an_index(
    sandbox: Sandbox, params: dict[str, Any], message: str
) -> None:
    with pytest.raises(CallError) as error:
        call(sandbox, "carol", "listinvoices", **params)
    assert error.value.message.startswith(message)


def test_waitinvoice_returns_the_paid_row(sandbox: Sandbox) -> None:
    prepared = prepare(sandbox, sandbox.request("alice", 1000), "l")
    thread, answers = _calling(sandbox, "waitinvoice", "l")
    deliver(sandbox, prepared)
    thread.join(10)
    assert answers == [row(sandbox, "l")]
    assert answers[0]["payment_preimage"] == prepared.preimage.hex()


def test_waitinvoice_reports_expiry(sandbox: Sandbox, clock: ManualClock) -> None:
    prepare(sandbox, sandbox.request("alice", 1000), "l", relative_expiry=60)
    thread, answers = _calling(sandbox, "waitinvoice", "l")
    clock.advance(60)
    thread.join(10)
    (error,) = answers
    assert (error.code, error.message) == (903, "invoice expired during wait")
    assert error.data == row(sandbox, "l")
    assert error.data["status"] == "expired"


def test_waitinvoice_reports_deletion_and_unknown_labels(sandbox: Sandbox) -> None:
    prepare(sandbox, sandbox.request("alice", 1000), "l")
    thread, answers = _calling(sandbox, "waitinvoice", "l")
    call(sandbox, "carol", "delinvoice", label="l", status="unpaid")
    thread.join(10)
    assert (answers[0].code, answers[0].message) == (-1, "Invoice deleted during wait")
    with pytest.raises(CallError, match="Label not found"):
        call(sandbox, "carol", "waitinvoice", label="l")


@pytest.mark.parametrize(
    ("family", "member"), [(Family.V24_02, "details"), (Family.V26_06, "invoices")]
)
def test_wait_returns_when_an_index_grows(start: Start, family: Family, member: str) -> None:
    sandbox = start(line(family=family))
    thread, answers = _calling(sandbox, "wait", "invoices", "created", 1)
    prepared = prepare(sandbox, sandbox.request("alice", 1000, "x"), "l")
    thread.join(10)
    assert answers == [
        {
            "subsystem": "invoices",
            "created": 1,
            member: {"status": "unpaid", "label": "l", "bolt12": prepared.bolt12},
        }
    ]
    thread, answers = _calling(sandbox, "wait", "invoices", "updated", 1)
    deliver(sandbox, prepared)
    thread.join(10)
    assert answers[0]["updated"] == 1
    assert answers[0][member] == {"status": "paid", "label": "l"}


def test_wait_returns_at_once_if_the_index_is_there(sandbox: Sandbox) -> None:
    prepare(sandbox, sandbox.request("alice", 1000), "l")
    answer = call(sandbox, "carol", "wait", subsystem="invoices", indexname="created", nextvalue=0)
    assert answer == {"subsystem": "invoices", "created": 1}


def test_delinvoice_deletes_only_an_invoice_with_the_given_status(sandbox: Sandbox) -> None:
    prepare(sandbox, sandbox.request("alice", 1000), "l")
    with pytest.raises(CallError, match="Invoice status is unpaid not paid") as wrong:
        call(sandbox, "carol", "delinvoice", label="l", status="paid")
    assert wrong.value.code == 906
    assert wrong.value.data == {"current_status": "unpaid", "expected_status": "paid"}
    assert call(sandbox, "carol", "delinvoice", label="l", status="unpaid")["label"] == "l"
    with pytest.raises(CallError, match="Unknown invoice") as gone:
        call(sandbox, "carol", "delinvoice", label="l", status="unpaid")
    assert gone.value.code == 905


def test_a_request_has_the_fields_asked_for(sandbox: Sandbox) -> None:
    answer = call(
        sandbox,
        "alice",
        "invoicerequest",
        amount="100sat",
        description="a refund",
        issuer="alice & co",
        absolute_expiry=2_000_000_000,
        single_use=False,
    )
    assert (answer["active"], answer["single_use"], answer["used"]) == (True, False, False)
    request = invoice_request.decode(answer["bolt12"])
    assert request.amount_msat == 100_000
    assert request.description == "a refund"
    assert request.issuer == "alice & co"
    assert request.expires_at == 2_000_000_000
    assert request.payer_id == sandbox.node_id("alice")
    assert request.is_signed
    assert request.paths == ()
    assert call(sandbox, "alice", "listinvoicerequests")["invoicerequests"] == [answer]


def test_equal_requests_have_different_strings(sandbox: Sandbox) -> None:
    assert sandbox.request("alice", 1000) != sandbox.request("alice", 1000)


def test_the_description_is_required_before_v26_06(start: Start) -> None:
    sandbox = start(line(family=Family.V24_02))
    with pytest.raises(CallError, match="missing required parameter: description"):
        call(sandbox, "alice", "invoicerequest", amount=1)


@pytest.mark.parametrize(
    ("family", "has_address", "has_path"),
    [
        (Family.V26_06, True, False),
        (Family.V26_06, False, True),
        (Family.V24_02, False, False),
    ],
)
def test_a_request_has_a_path_if_its_payer_has_no_address(
    start: Start, family: Family, has_address: bool, has_path: bool
) -> None:
    topology = with_node(line(family=family), "alice", has_address=has_address)
    sandbox = start(topology)
    paths = invoice_request.decode(sandbox.request("alice", 1000, "x")).paths
    assert [path.introduction_node for path in paths] == (
        [sandbox.node_id("bob")] if has_path else []
    )


def test_a_label_may_belong_to_a_bolt11_invoice(sandbox: Sandbox, clock: ManualClock) -> None:
    made = call(sandbox, "carol", "invoice", amount_msat=1000, label="l", description="not ours")
    expected = {
        "label": "l",
        "bolt11": made["bolt11"],
        "payment_hash": made["payment_hash"],
        "amount_msat": 1000,
        "status": "unpaid",
        "description": "not ours",
        "expires_at": int(clock()) + 604_800,
        "created_index": 1,
    }
    assert row(sandbox, "l") == expected
    with pytest.raises(CallError, match="Duplicate label") as error:
        prepare(sandbox, sandbox.request("alice", 1000), "l")
    assert error.value.data == expected


@pytest.mark.parametrize("has_path", [False, True])
@pytest.mark.parametrize("family", [Family.V24_02, Family.V26_06])
def test_unknown_fields_are_dropped_by_v24_02_and_kept_by_v26_06(
    start: Start, family: Family, has_path: bool
) -> None:
    """v24.02 drops them; if it adds no path, it even signs what it drops."""
    sandbox = start(line(family=family))
    prepared = prepare(sandbox, sandbox.request("alice", 1000, "x"), "l")
    kept = (fields.SIGNATURE,) if has_path else (fields.SIGNATURE, fields.INVOICE_PATHS)
    unsigned = [record for record in invoice.decode(prepared.bolt12) if record.type not in kept]
    call(sandbox, "carol", "delinvoice", label="l", status="unpaid")
    signed = call(
        sandbox,
        "carol",
        "createinvoice",
        invstring=invoice.encode([*unsigned, Record(1_000_000_001, b"new")]),
        label="l",
        preimage=prepared.preimage.hex(),
    )["bolt12"]
    is_kept = family is Family.V26_06
    assert (1_000_000_001 in dict(invoice.decode(signed))) is is_kept
    is_valid = call(sandbox, "carol", "decode", string=signed)["valid"]
    assert is_valid is (is_kept or not has_path)


def test_createinvoicerequest_signs_and_stores(sandbox: Sandbox) -> None:
    crafted = craft_request(sandbox.node_id("alice").hex(), 1000, UNKNOWN_FIELDS)
    made = call(sandbox, "alice", "createinvoicerequest", bolt12=crafted, savetodb=True)
    request = invoice_request.decode(made["bolt12"])
    assert request.is_signed
    assert {record.type for record in request.records} >= UNKNOWN_FIELDS.keys()
    assert call(sandbox, "alice", "listinvoicerequests")["invoicerequests"] == [made]
    deliver(sandbox, prepare(sandbox, made["bolt12"], "l"))
    assert row(sandbox, "l")["status"] == "paid"
    with pytest.raises(CallError, match="Could not create invoice_request!"):
        call(sandbox, "alice", "createinvoicerequest", bolt12=crafted, savetodb=True)
    with pytest.raises(CallError, match="payer_id did not match"):
        call(sandbox, "bob", "createinvoicerequest", bolt12=crafted, savetodb=True)


def test_listpays_shows_a_payment_pending_and_complete(
    sandbox: Sandbox, clock: ManualClock
) -> None:
    hold = sandbox.faults.hold_payments("alice")
    prepared = prepare(sandbox, sandbox.request("alice", 1_000_000), "l")
    deliver(sandbox, prepared)
    (pending,) = call(sandbox, "alice", "listpays")["pays"]
    assert pending["status"] == "pending"
    assert "preimage" not in pending
    clock.advance(3)
    hold.release()
    sandbox.settle()
    payment_hash = sha256(prepared.preimage).hexdigest()
    (complete,) = call(sandbox, "alice", "listpays", payment_hash=payment_hash)["pays"]
    assert complete == {
        **pending,
        "status": "complete",
        "preimage": prepared.preimage.hex(),
        "completed_at": pending["created_at"] + 3,
        "amount_sent_msat": 1_000_011,
    }
    assert complete["destination"] == sandbox.node_id("carol").hex()
    assert call(sandbox, "alice", "listpays", status="failed")["pays"] == []


@pytest.mark.parametrize("string", ["foo", "lnr1qqq", "lnr1qqqsyqcyq5rqwzqf"])
def test_decode_refuses_malformed_strings(sandbox: Sandbox, string: str) -> None:
    with pytest.raises(CallError) as error:
        call(sandbox, "alice", "decode", string=string)
    assert error.value.code == -32602


def test_decode_sees_a_bad_signature(sandbox: Sandbox) -> None:
    prepared = prepare(sandbox, sandbox.request("alice", 1000), "l")
    records = [
        record._replace(value=b"\x01") if record.type == fields.INVOICE_AMOUNT else record
        for record in invoice.decode(prepared.bolt12)
    ]
    decoded = call(sandbox, "alice", "decode", string=invoice.encode(records))
    assert decoded["valid"] is False
    assert decoded["warning_invalid_invoice_signature"] == "Bad signature"
