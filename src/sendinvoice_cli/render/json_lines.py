"""Results for programs: one JSON object on a line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any


def write_json(result: Mapping[str, Any], file: IO[str]) -> None:
    """Write one object, in ASCII, so that nothing a stranger wrote acts on a terminal."""
    file.write(json.dumps(result) + "\n")
    file.flush()
