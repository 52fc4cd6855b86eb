"""JSON objects, back to back in a stream of bytes.

Source: lightningd-rpc(7). lightningd reads objects with or without white space
between them, and writes two newlines after each.
"""

from __future__ import annotations

import json
import re
from typing import Any

_SPACE = b" \t\r\n"
#: A string, as far as it has arrived, or a brace outside strings.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[{}]', re.DOTALL)


class FramingError(Exception):
    """The stream contains something other than a JSON object."""


class ObjectReader:
    """Splits a stream into its objects; takes it in pieces of any size."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Take more bytes, and return the objects that are complete now.

        :raises FramingError: the stream contains something else.
        """
        self._buffer += data
        found: list[dict[str, Any]] = []
        while end := self._find_end():
            found.append(_parse(self._buffer[:end]))
            self._buffer = self._buffer[end:]
        return found

    def _find_end(self) -> int | None:
        """The end of the first object in the buffer; None while it is incomplete."""
        self._buffer = self._buffer.lstrip(_SPACE)
        if self._buffer and not self._buffer.startswith(b"{"):
            raise FramingError("Expected {} for json command")
        depth = 0
        for token in _TOKEN.finditer(self._buffer):
            depth += {b"{": 1, b"}": -1}.get(token[0], 0)
            if depth == 0:
                return token.end()
        return None


def encode(value: dict[str, Any]) -> bytes:
    """An object as lightningd writes it, with the two newlines."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode() + b"\n\n"


def _parse(data: bytes) -> dict[str, Any]:
    try:
        value: dict[str, Any] = json.loads(data)
    except ValueError:
        shown = data.decode("utf-8", "replace")
        raise FramingError(f"Failed to parse RPC JSON response '{shown}'") from None
    return value
