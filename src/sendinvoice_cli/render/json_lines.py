"""Results for programs: one JSON object per line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any


def write_json(result: Mapping[str, Any], file: IO[str]) -> None:
    """Write one object in ASCII, so that text from strangers cannot act on a terminal.

    Every unpaired surrogate becomes U+FFFD, since strict readers refuse the whole line.

    :raises OSError: the file cannot be written.
    """
    line = json.dumps(result)
    if "\\ud" in line:
        text = json.dumps(result, ensure_ascii=False)
        # UTF-16 joins surrogates that are a pair, and has no way to write the others.
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        line = json.dumps(json.loads(text))
    file.write(line + "\n")
    file.flush()
