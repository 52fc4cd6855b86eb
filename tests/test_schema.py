"""The schema of results refuses what is none."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from tests.support.schema import SCHEMA, check_paid, check_result

PREIMAGE = bytes(32)
INVOICE: dict[str, Any] = {
    "label": "a",
    "description": "b",
    "payment_hash": sha256(PREIMAGE).hexdigest(),
    "expires_at": 1_800_000_000,
    "created_index": 1,
    "amount_msat": 1,
    "bolt12": "lni1qq",
}
PAID: dict[str, Any] = {
    **INVOICE,
    "status": "paid",
    "updated_index": 1,
    "pay_index": 1,
    "amount_received_msat": 1,
    "paid_at": 1_800_000_000,
    "payment_preimage": PREIMAGE.hex(),
    "exit_code": 0,
    "error": None,
}
REFUSED: dict[str, Any] = {
    **INVOICE,
    "status": "unpaid",
    "exit_code": 14,
    "error": {"code": 1004, "message": "no", "data": {"error": "no"}},
}
TIMED_OUT: dict[str, Any] = {
    **INVOICE,
    "status": "expired",
    "exit_code": 15,
    "error": {"code": 1005, "message": "no", "data": {"invstring": "lni1qq"}},
}
NO_ROUTE: dict[str, Any] = {
    "label": "a",
    "exit_code": 13,
    "error": {"code": 1003, "message": "no"},
}


def without(result: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in result.items() if key != name}


@pytest.mark.parametrize("result", [PAID, REFUSED, TIMED_OUT, NO_ROUTE])
def test_results_pass(result: dict[str, Any]) -> None:
    check_result(result, result["exit_code"])


@pytest.mark.parametrize("name", sorted(SCHEMA["$defs"]["paid"]["required"]))
def test_paid_wants_every_field_of_the_rpc_page(name: str) -> None:
    with pytest.raises(AssertionError):
        check_result(without(PAID, name), 0)


@pytest.mark.parametrize(
    "result",
    [
        pytest.param({**PAID, "amount_msat": "1msat"}, id="amount as text"),
        pytest.param({**PAID, "payment_hash": PAID["payment_hash"][2:]}, id="short hash"),
        pytest.param({**PAID, "payment_preimage": "00" * 33}, id="long preimage"),
        pytest.param({**PAID, "payment_hash": PAID["payment_hash"].upper()}, id="upper case"),
        pytest.param({**PAID, "path": ["02" * 33]}, id="paid with a plan"),
        pytest.param({**PAID, "error": NO_ROUTE["error"]}, id="paid with an error"),
        pytest.param({**PAID, "surprise": 1}, id="new field"),
        pytest.param({**REFUSED, "payment_preimage": "00" * 32}, id="preimage of an unpaid one"),
        pytest.param({**REFUSED, "error": TIMED_OUT["error"]}, id="another failure's error"),
        pytest.param({**REFUSED, "error": None}, id="failure without an error"),
        pytest.param(without(TIMED_OUT, "bolt12"), id="timeout without an invoice"),
        pytest.param(without(NO_ROUTE, "label"), id="no label"),
    ],
)
def test_others_do_not(result: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        check_result(result, result["exit_code"])


def test_paid_wants_the_preimage_of_its_hash() -> None:
    check_paid(PAID)
    with pytest.raises(AssertionError):
        check_paid({**PAID, "payment_preimage": "11" * 32})
