"""Results for programs: one JSON object per line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any


def write_json(result: Mapping[str, Any], file: IO[str]) -> None:
    """Write one object in ASCII, so that text from strangers cannot act on a terminal.

    :raises OSError: the file cannot be written.
    """
    file.write(json.dumps(result) + "\n")
    file.flush()
