"""The shape of results, see ``result.schema.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

SCHEMA: dict[str, Any] = json.loads(Path(__file__).with_name("result.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)


def check_result(result: Mapping[str, Any], exit_code: int) -> None:
    """Check one result against the schema, and against the process's exit status."""
    assert result["exit_code"] == exit_code, result
    error = best_match(VALIDATOR.iter_errors(result))
    assert error is None, f"{error.json_path}: {error.message[:300]} in {result}"


def check_paid(result: Mapping[str, Any], exit_code: int = 0) -> None:
    """Check that a result is that of a paid invoice, and proves it."""
    check_result(result, exit_code)
    assert result["status"] == "paid"
    preimage = bytes.fromhex(result["payment_preimage"])
    assert sha256(preimage).hexdigest() == result["payment_hash"]


def check_row(result: Mapping[str, Any], exit_code: int) -> None:
    """Check a line of a batch: a result with its place, or a row that makes no sense."""
    rest = {name: value for name, value in result.items() if name not in ("row", "line")}
    assert result["line"] >= result["row"] >= 1
    if exit_code != 2:
        (check_result if exit_code else check_paid)(rest, exit_code)
        return
    assert result["exit_code"] == exit_code
    assert rest.keys() - {"label"} == {"exit_code", "error"}
    assert rest["error"]["code"] == -32602
