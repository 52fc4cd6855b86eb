"""Every error of usage says what to do next."""

from __future__ import annotations

import ast
from pathlib import Path

import sendinvoice_cli

_PACKAGE = Path(sendinvoice_cli.__file__).parent


def test_usage_errors_have_hints() -> None:
    made, without = 0, []
    for path in _PACKAGE.rglob("*.py"):
        if "sandbox" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "UsageError":
                made += 1
                if "hint" not in {each.arg for each in node.keywords}:
                    without.append(f"{path.relative_to(_PACKAGE)}:{node.lineno}")
    assert made > 30
    assert without == []
