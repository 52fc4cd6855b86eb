"""The schema of results refuses what is none."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from sendinvoice_cli.errors import ExitStatus
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
#: What every result has.
ENDED: dict[str, Any] = {
    "request": {"payer_id": "02" * 33, "signed": False, "paths": 1},
    "warnings": ["low on funds"],
    "ended_at": 1_800_000_000,
}
PAID: dict[str, Any] = {
    **INVOICE,
    **ENDED,
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
    **ENDED,
    "status": "unpaid",
    "exit_code": 14,
    "error": {"code": 1004, "message": "no", "hint": None, "data": {"error": "no"}},
}
TIMED_OUT: dict[str, Any] = {
    **INVOICE,
    **ENDED,
    "status": "expired",
    "exit_code": 15,
    "error": {"code": 1005, "message": "no", "hint": "retry", "data": {"invstring": "lni1qq"}},
}
NO_ROUTE: dict[str, Any] = {
    **ENDED,
    "label": "a",
    "status": None,
    "exit_code": 13,
    "error": {"code": 1003, "message": "no", "hint": "connect"},
}
#: A row of a batch that could not be read at all.
NO_ROW: dict[str, Any] = {
    **ENDED,
    "row": 1,
    "line": 2,
    "status": None,
    "request": None,
    "exit_code": 2,
    "error": {"code": -32602, "message": "no", "hint": None},
}


def without(result: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in result.items() if key != name}


@pytest.mark.parametrize("result", [PAID, REFUSED, TIMED_OUT, NO_ROUTE, NO_ROW])
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
        pytest.param(without(NO_ROW, "line"), id="row without its line"),
        pytest.param(without(without(NO_ROW, "row"), "line"), id="usage error of a single send"),
        pytest.param({**NO_ROUTE, "status": "unpaid"}, id="status without an invoice"),
        pytest.param({**REFUSED, "status": None}, id="invoice without a status"),
        pytest.param({**PAID, "request": None}, id="paid without a request"),
        pytest.param({**PAID, "warnings": None}, id="no list of warnings"),
        pytest.param({**PAID, "ended_at": 1.5}, id="fraction of a second"),
    ],
)
def test_others_do_not(result: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        check_result(result, result["exit_code"])


@pytest.mark.parametrize("name", SCHEMA["required"])
@pytest.mark.parametrize("result", [PAID, TIMED_OUT, NO_ROUTE, NO_ROW])
def test_every_result_has_these(result: dict[str, Any], name: str) -> None:
    check_result(result, result["exit_code"])
    with pytest.raises((AssertionError, KeyError)):
        check_result(without(result, name), result["exit_code"])


def test_error_wants_a_hint_or_null() -> None:
    for error in (without(NO_ROUTE["error"], "hint"), {**NO_ROUTE["error"], "hint": ""}):
        with pytest.raises(AssertionError):
            check_result({**NO_ROUTE, "error": error}, 13)


def test_the_schema_is_one_and_has_an_id() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    assert SCHEMA["$id"].startswith("urn:uuid:")


def test_the_schema_of_the_package_takes_fields_that_are_new() -> None:
    assert Draft202012Validator(SCHEMA).is_valid({**PAID, "new": 1})


def _properties(schema: Any) -> Iterator[tuple[str, Any]]:
    """Every field that an object has anywhere, where its type is told."""
    if isinstance(schema, list):
        for each in schema:
            yield from _properties(each)
    elif isinstance(schema, dict):
        if "object" in schema.get("type", ()):
            yield from schema.get("properties", {}).items()
        for each in schema.values():
            yield from _properties(each)


def test_every_field_is_described() -> None:
    fields = list(_properties(SCHEMA))
    assert {"status", "payer_id", "htlc_maximum_msat", "hint", "reason"} <= {
        name for name, _ in fields
    }
    assert [name for name, field in fields if not field.get("description")] == []


def test_every_exit_status_of_a_result_is_in_it() -> None:
    of_batches = {ExitStatus.PARTLY_PAID}
    assert set(SCHEMA["properties"]["exit_code"]["enum"]) == set(ExitStatus) - of_batches


def test_paid_wants_the_preimage_of_its_hash() -> None:
    check_paid(PAID)
    with pytest.raises(AssertionError):
        check_paid({**PAID, "payment_preimage": "11" * 32})
