"""JSON objects that stand back to back in a stream of bytes.

Source: lightningd-rpc(7). lightningd reads one object after the other, with or
without white space between, and writes two newlines behind each.
"""

from __future__ import annotations

import json
from typing import Any

_SPACE = b" \t\r\n"
_QUOTE, _BACKSLASH, _OPEN, _CLOSE = b'"\\{}'


class FramingError(Exception):
    """The stream holds something that is no JSON object."""


class ObjectReader:
    """Cuts a stream into its objects. Fed with whatever has arrived."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scanned = 0
        self._depth = 0
        self._in_string = False
        self._is_escaped = False

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Take more bytes, and return the objects that are complete now.

        :raises FramingError: there is something else.
        """
        self._buffer += data
        found: list[dict[str, Any]] = []
        while True:
            end = self._find_end()
            if end is None:
                return found
            found.append(_parse(bytes(self._buffer[:end])))
            del self._buffer[:end]
            self._scanned = 0

    def _find_end(self) -> int | None:
        if self._depth == 0:
            self._buffer = self._buffer.lstrip(_SPACE)
            if self._buffer and self._buffer[0] != _OPEN:
                raise FramingError("Expected {} for json command")
        for at in range(self._scanned, len(self._buffer)):
            byte = self._buffer[at]
            if self._in_string:
                if self._is_escaped:
                    self._is_escaped = False
                elif byte == _BACKSLASH:
                    self._is_escaped = True
                elif byte == _QUOTE:
                    self._in_string = False
            elif byte == _QUOTE:
                self._in_string = True
            elif byte == _OPEN:
                self._depth += 1
            elif byte == _CLOSE:
                self._depth -= 1
                if self._depth == 0:
                    return at + 1
        self._scanned = len(self._buffer)
        return None


def encode(value: dict[str, Any]) -> bytes:
    """An object as lightningd writes it, the two newlines included."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode() + b"\n\n"


def _parse(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except ValueError:
        shown = data.decode("utf-8", "replace")
        raise FramingError(f"Failed to parse RPC JSON response '{shown}'") from None
    if not isinstance(value, dict):
        raise FramingError("Expected {} for json command")
    return value
