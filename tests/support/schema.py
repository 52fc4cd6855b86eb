"""The shape of results, see ``result.schema.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

#: As it is in the package.
SCHEMA: dict[str, Any] = json.loads(
    files("sendinvoice_cli").joinpath("result.schema.json").read_text(encoding="utf-8")
)


def _closed(schema: Any) -> Any:
    """The same schema, but fields that it does not describe are refused."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(each) for name, each in schema.items()}
    if "object" in schema.get("type", ()) and "properties" in schema:
        closed["additionalProperties"] = False
    return closed


_VALIDATOR = Draft202012Validator(_closed(SCHEMA))


def check_result(result: Mapping[str, Any], exit_code: int) -> None:
    """Check one result against the schema, and against the process's exit status."""
    assert result["exit_code"] == exit_code, result
    error = best_match(_VALIDATOR.iter_errors(result))
    assert error is None, f"{error.json_path}: {error.message[:300]} in {result}"


def lasting(result: Mapping[str, Any]) -> dict[str, Any]:
    """A result without what differs from run to run: when it ended, and the warnings."""
    return {name: each for name, each in result.items() if name not in ("ended_at", "warnings")}


def check_paid(result: Mapping[str, Any], exit_code: int = 0) -> None:
    """Check that a result is that of a paid invoice, and proves it."""
    check_result(result, exit_code)
    assert result["status"] == "paid"
    preimage = bytes.fromhex(result["payment_preimage"])
    assert sha256(preimage).hexdigest() == result["payment_hash"]


def check_row(result: Mapping[str, Any], exit_code: int) -> None:
    """Check a line of a batch: a result with its place."""
    assert result["line"] >= result["row"] >= 1
    (check_result if exit_code else check_paid)(result, exit_code)
