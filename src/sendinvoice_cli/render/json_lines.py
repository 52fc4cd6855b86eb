"""Results for programs: one JSON object on a line of stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any


def print_json(result: Mapping[str, Any]) -> None:
    """Print one object, in ASCII, so that nothing a stranger wrote acts on a terminal."""
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()
