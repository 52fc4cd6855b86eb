"""What the sources can say, to compare with what the documentation quotes."""

from __future__ import annotations

import ast
import inspect
import re
from functools import cache
from pathlib import Path

import sendinvoice_cli
from sendinvoice_cli import errors
from sendinvoice_cli.errors import ExitStatus, SendInvoiceError

_PACKAGE = Path(sendinvoice_cli.__file__).parent
#: Stands for what is only known at run time.
_ANYTHING = "\0"
#: A template with fewer would match what it does not mean.
_MIN_WORDS = 3


def error_classes() -> list[type[SendInvoiceError]]:
    """Every class of errors.py."""
    return [
        each
        for _, each in inspect.getmembers(errors, inspect.isclass)
        if issubclass(each, SendInvoiceError)
    ]


def codes() -> dict[int, str]:
    """The RPC code of each exit status, as text; empty where there is none."""
    found: dict[int, set[int]] = {int(status): set() for status in ExitStatus}
    for error in error_classes():
        found[error.exit_status].add(error.code)
    assert all(len(each) <= 1 for each in found.values()), "one status, several codes"
    return {status: str(next(iter(each), "")) for status, each in found.items()}


@cache
def _templates() -> frozenset[str]:
    """Every text in the sources but the sandbox's, with its placeholders blanked out."""
    found = set()
    for path in _PACKAGE.rglob("*.py"):
        if "sandbox" in path.relative_to(_PACKAGE).parts:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                parts = [
                    str(part.value) if isinstance(part, ast.Constant) else _ANYTHING
                    for part in node.values
                ]
                # A placeholder may stand for nothing.
                found |= {"".join(parts), "".join(parts).replace(_ANYTHING, "")}
            elif isinstance(node, ast.Constant) and id(node) not in docstrings:
                found.add(str(node.value))
    return frozenset(found)


def exists(quoted: str) -> bool:
    """Whether the sources can say this; ``…`` or ``...`` stands for anything."""
    parts = (re.escape(part) for part in re.split(r"\.\.\.|…", quoted))
    pattern = re.compile(".*".join(parts), re.DOTALL)
    return any(pattern.fullmatch(each) or _says(each, quoted) for each in _templates())


def _says(template: str, text: str) -> bool:
    """Whether a template that has words of its own can become this text."""
    if _ANYTHING not in template or len(re.findall(r"[a-z]{3,}", template)) < _MIN_WORDS:
        return False
    parts = (re.escape(part) for part in template.split(_ANYTHING))
    return re.fullmatch(".*".join(parts), text, re.DOTALL) is not None
