"""The test vectors of the BOLTs, as data of our own.

Each JSON file holds the figures that our tests use (inputs, keys, expected
bytes, all in hex) and names, under ``source``, the file that they come from.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

_DIRECTORY = Path(__file__).parent


@cache
def load(name: str) -> Any:
    """The content of a file of vectors, such as ``offers``."""
    return json.loads((_DIRECTORY / f"{name}.json").read_text(encoding="utf-8"))


def cases(name: str, kind: str) -> list[Any]:
    """The vectors of one list in a file, as parameters of a test.

    :param kind: the key of the list, such as ``accepted``.
    """
    return [pytest.param(vector, id=vector["name"]) for vector in load(name)[kind]]
