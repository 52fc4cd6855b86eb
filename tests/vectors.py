"""Test vectors of the repository lightning/bolts."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest

_BESIDE_THE_REPOSITORY = Path(__file__).resolve().parents[2] / "shared" / "bolts"


def directory() -> Path | None:
    """A checkout of lightning/bolts (with ``bolt04/`` and ``bolt12/``), None when there is none."""
    named = os.environ.get("BOLTS_DIR")
    found = Path(named) if named else _BESIDE_THE_REPOSITORY
    return found if (found / "bolt12").is_dir() and (found / "bolt04").is_dir() else None


@cache
def load(path: str) -> Any:
    """The content of a JSON file of vectors, such as ``bolt12/offers-test.json``.

    Skips the test that asks when there are no vectors.
    """
    found = directory()
    if found is None:
        pytest.skip("set BOLTS_DIR to a checkout of the repository lightning/bolts")
    return json.loads((found / path).read_text(encoding="utf-8"))


def cases(path: str, name: str) -> list[Any]:
    """The vectors of a file that is one list, as parameters of a test.

    :param name: the key whose value names a vector.
    """
    if directory() is None:
        reason = "set BOLTS_DIR to a checkout of the repository lightning/bolts"
        return [pytest.param(None, marks=pytest.mark.skip(reason=reason), id=path)]
    return [
        pytest.param(vector, id=f"{at}: {vector[name]}") for at, vector in enumerate(load(path))
    ]
