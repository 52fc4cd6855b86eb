"""The errors that lightningd's JSON-RPC answers with.

Source: lightningd-rpc(7).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

INVALID_REQUEST = -32600
UNKNOWN_METHOD = -32601
INVALID_PARAMS = -32602
LIGHTNINGD = -1
PLUGIN_ERROR = -3
PLUGIN_TERMINATED = -4
CONNECT_NO_ADDRESS = 400
CONNECT_FAILED = 401
LABEL_EXISTS = 900
EXPIRED_DURING_WAIT = 903
INVOICE_NOT_FOUND = 905
STATUS_UNEXPECTED = 906


class RpcError(Exception):
    """An error as the answer to a call.

    :param code: one of the codes above, or a plugin's own.
    :param data: JSON-compatible.
    """

    def __init__(self, code: int, message: str, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data

    def as_response(self, id_: Any) -> dict[str, Any]:
        """The response to the request with this id."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.data is not None:
            error["data"] = dict(self.data)
        return {"jsonrpc": "2.0", "id": id_, "error": error}
