from __future__ import annotations

from typing import Any

import pytest

from sendinvoice_cli.errors import ExitStatus, LabelTakenError, LightningdError
from sendinvoice_cli.node import invoices
from tests.node.fake_client import FakeClient

_PREIMAGE = bytes(range(32))
_UNPAID: dict[str, Any] = {
    "label": "a label",
    "description": "A refund",
    "payment_hash": "77" * 32,
    "status": "unpaid",
    "expires_at": 1_700_000_090,
    "created_index": 1,
    "amount_msat": 100_000,
    "bolt12": "lni1…",
}
_PAID = {
    **_UNPAID,
    "status": "paid",
    "pay_index": 1,
    "updated_index": 2,
    "amount_received_msat": 100_000,
    "paid_at": 1_700_000_010,
    "payment_preimage": _PREIMAGE.hex(),
}


def test_create() -> None:
    client = FakeClient({"createinvoice": {**_UNPAID, "local_offer_id": "no field of the RPC's"}})
    assert invoices.create(client, "lni1…", "a label", _PREIMAGE) == _UNPAID
    ((_, params),) = client.calls
    assert params == {"invstring": "lni1…", "label": "a label", "preimage": _PREIMAGE.hex()}


def test_label_taken() -> None:
    refusal = LightningdError("createinvoice: Duplicate label", rpc_code=900, data=_UNPAID)
    with pytest.raises(LabelTakenError, match="'a label' belongs to another invoice") as taken:
        invoices.create(FakeClient({"createinvoice": refusal}), "lni1…", "a label", _PREIMAGE)
    assert taken.value.exit_status == ExitStatus.LABEL_TAKEN
    assert taken.value.data == _UNPAID


def test_any_other_refusal() -> None:
    refusal = LightningdError("createinvoice: no", rpc_code=-1)
    with pytest.raises(LightningdError) as error:
        invoices.create(FakeClient({"createinvoice": refusal}), "lni1…", "a label", _PREIMAGE)
    assert error.value is refusal


@pytest.mark.parametrize("status", ["unpaid", "expired"])
def test_the_preimage_is_shown_only_once_paid(status: str) -> None:
    answer = {**_PAID, "status": status}
    assert "payment_preimage" not in invoices.fields(answer)
    refusal = LightningdError("createinvoice: Duplicate label", rpc_code=900, data=answer)
    with pytest.raises(LabelTakenError) as taken:
        invoices.create(FakeClient({"createinvoice": refusal}), "lni1…", "a label", _PREIMAGE)
    assert _PREIMAGE.hex() not in repr(taken.value.as_json())


def test_all_fields_once_paid() -> None:
    assert invoices.fields(_PAID) == _PAID
    assert set(invoices.fields(_PAID)) == set(invoices.RPC_FIELDS)


def test_amounts_of_old_versions() -> None:
    """lightningd before v23.08 wrote them as strings."""
    old = {**_PAID, "amount_msat": "100000msat", "amount_received_msat": "100001msat"}
    found = invoices.fields(old)
    assert (found["amount_msat"], found["amount_received_msat"]) == (100_000, 100_001)


@pytest.mark.parametrize(
    ("answer", "found"),
    [({"invoices": [_PAID]}, _PAID), ({"invoices": []}, None)],
)
def test_find(answer: dict[str, Any], found: dict[str, Any] | None) -> None:
    client = FakeClient({"listinvoices": answer})
    assert invoices.find(client, "a label") == found
    assert client.calls == [("listinvoices", {"label": "a label"})]


def test_delete_only_in_the_state_that_was_seen() -> None:
    client = FakeClient({"delinvoice": {}})
    invoices.delete(client, "a label", "expired")
    assert client.calls == [("delinvoice", {"label": "a label", "status": "expired"})]
