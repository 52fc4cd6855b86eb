"""Whether the tests that the tables name are there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from .rule import Row
from .rules import SECTIONS, Section

_TESTS = Path(__file__).parent.parent
_ROWS = [(section, row) for section in SECTIONS for row in section.rows]

each_rule = pytest.mark.parametrize(
    ("section", "row"),
    _ROWS,
    ids=[f"BOLT {section.bolt}, {section.title}: {row.says}" for section, row in _ROWS],
)


@cache
def _functions(path: Path) -> frozenset[str]:
    """The test functions of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, functions) and node.name.startswith("test_")
    )


@each_rule
def test_rule_is_shown_by_tests_that_exist_or_says_why_not(section: Section, row: Row) -> None:
    assert row.tests or row.why_not
    for name in row.tests:
        file, _, function = name.partition("::")
        assert function in _functions(_TESTS / file), name


@each_rule
def test_rule_is_written_as_the_others(section: Section, row: Row) -> None:
    assert row.level in ("MUST", "SHOULD", "MAY")
    assert re.fullmatch(r"[a-z].*[^.]", row.says)
    assert len(set(row.tests)) == len(row.tests)


def test_no_rule_stands_twice() -> None:
    said = [(section.bolt, section.title, section.role, row.says) for section, row in _ROWS]
    assert len(set(said)) == len(said)


def test_rules_that_are_broken_are_those_that_the_documents_name() -> None:
    """SECURITY.md tells users; whoever breaks another one has to say so there."""
    broken = [row.says for _, row in _ROWS if row.why_not.startswith("broken on purpose")]
    told = (_TESTS.parent / "SECURITY.md").read_text(encoding="utf-8")
    assert len(broken) == 4
    assert "We leave out four rules of BOLT 12 on purpose." in told
