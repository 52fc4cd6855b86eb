"""From a request to its answer: the envelope, the faults, the call, the filter.

Source: lightningd's JSON-RPC server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from . import params, reply_filter
from .calls.call import Context
from .calls.table import calls_of
from .faults import CallFault
from .framing import encode
from .network import Network
from .node import Node
from .rpc_errors import INVALID_REQUEST, UNKNOWN_METHOD, RpcError
from .rpc_server import malformed

_GARBAGE = b"\x00\xffthis is not JSON\n\n"

#: Told of each call: the node's name, the method, and ``before`` it takes
#: effect or ``after``, ahead of the answer.
CallObserver = Callable[[str, str, str], None]


class Dispatcher:
    """Answers the requests to one node.

    :param stop: has the node stop.
    :param observe: see :data:`CallObserver`.
    """

    def __init__(
        self,
        network: Network,
        node: Node,
        stop: Callable[[], None],
        observe: CallObserver,
    ) -> None:
        self._network = network
        self._node = node
        self._stop = stop
        self._observe = observe
        self._calls = calls_of(node.family)

    async def answer(self, request: dict[str, Any]) -> bytes | None:
        """What to answer with; None closes the connection."""
        problem = _check_envelope(request)
        if problem is not None:
            return encode(malformed(problem))
        method = request.get("method")
        if not isinstance(method, str):
            return encode(await self._respond(request))
        fault = self._network.faults.fate_of_call(self._node.name, method)
        await self._show(method, "before")
        if fault is CallFault.CLOSE_BEFORE or not self._node.is_running:
            return None
        if fault is CallFault.NEVER:
            await asyncio.Event().wait()
        response = await self._respond(request)
        await self._show(method, "after")
        if fault is CallFault.CLOSE_AFTER:
            return None
        return _GARBAGE if fault is CallFault.GARBAGE else encode(response)

    async def _show(self, method: str, phase: str) -> None:
        self._observe(self._node.name, method, phase)
        # What the observer has asked for happens first.
        await asyncio.sleep(0)

    async def call(self, method: str, given: Any, cmd_id: str = "sandbox") -> dict[str, Any]:
        """Make a call without a socket.

        :raises RpcError: as lightningd would answer.
        """
        call = self._calls.get(method)
        if call is None:
            raise RpcError(UNKNOWN_METHOD, f"Unknown command '{method}'")
        context = Context(self._network, self._node, cmd_id, self._stop)
        self._network.timers.run_due()
        if call.is_free:
            return await call.run(context, given)
        return await call.run(context, params.match(given, call.parameters))

    async def _respond(self, request: dict[str, Any]) -> dict[str, Any]:
        id_ = request["id"]
        try:
            method = _method(request)
            plugin = self._node.plugins.providing(method)
            if plugin is not None:
                further = {"filter": request["filter"]} if "filter" in request else {}
                answer = await plugin.request(method, request["params"], cmd_id=str(id_), **further)
                return {**answer, "jsonrpc": "2.0", "id": id_}
            if method in self._calls and "filter" in request:
                reply_filter.check(request["filter"])
            result = await self.call(method, request["params"], str(id_))
        except RpcError as error:
            return {"jsonrpc": "2.0", "id": id_, "error": error.as_json()}
        if "filter" in request:
            result = reply_filter.apply(request["filter"], result)
        return {"jsonrpc": "2.0", "id": id_, "result": result}


def _method(request: dict[str, Any]) -> str:
    method = request.get("method")
    if method is None or "params" not in request:
        raise RpcError(INVALID_REQUEST, "No method" if method is None else "No params")
    if not isinstance(method, str):
        raise RpcError(INVALID_REQUEST, "Expected string for method")
    return method


def _check_envelope(request: dict[str, Any]) -> str | None:
    """What keeps a request from being one, None for nothing."""
    if "id" not in request:
        return "No id"
    if isinstance(request["id"], dict | list):
        return "Expected string/primitive for id"
    if request.get("jsonrpc") != "2.0":
        return 'jsonrpc: "2.0" must be specified in the request'
    return None
