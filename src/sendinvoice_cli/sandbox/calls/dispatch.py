"""From a request to its answer: the envelope, the call, the filter.

Source: lightningd's JSON-RPC server.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..model.family import Family
from ..model.network import Network
from ..model.node import Node
from ..rpc import answer_filter, parameters
from ..rpc.errors import INVALID_REQUEST, UNKNOWN_METHOD, RpcError
from ..rpc.framing import encode
from . import control, decoding, invoicing, messages, peers, requesting
from .call import Call, Context

_MODULES = (control, decoding, invoicing, messages, peers, requesting)
_WRONG_VERSION = 'jsonrpc: "2.0" must be specified in the request'


class Dispatcher:
    """Answers the requests to one node.

    :param stop: stops the node.
    """

    def __init__(self, network: Network, node: Node, stop: Callable[[], None]) -> None:
        self._network = network
        self._node = node
        self._stop = stop
        self._calls = _calls_of(node.family)

    async def answer(self, request: dict[str, Any]) -> bytes | None:
        """The bytes to answer a request with; None closes the connection."""
        refusal = _refuse(request)
        if refusal is not None:
            return encode(refusal)
        return await self._network.behaviour.answer(self._node.name, request, self._respond)

    async def call(self, method: str, given: Any, cmd_id: str = "sandbox") -> dict[str, Any]:
        """Make a call without a socket.

        :raises RpcError: as lightningd would answer.
        """
        call = self._calls.get(method)
        if call is None:
            raise RpcError(UNKNOWN_METHOD, f"Unknown command '{method}'")
        context = Context(self._network, self._node, self._calls, cmd_id, self._stop)
        self._network.timers.run_due()
        return await call.run(context, parameters.match(given, call.parameters))

    async def _respond(self, request: dict[str, Any]) -> bytes:
        id_, method, params = request["id"], request["method"], request["params"]
        more = {"filter": request["filter"]} if "filter" in request else {}
        try:
            plugin = self._node.plugins.providing(method)
            if plugin is not None:
                answer = await plugin.request(method, params, cmd_id=str(id_), **more)
                return encode({**answer, "jsonrpc": "2.0", "id": id_})
            if more and method in self._calls:
                answer_filter.check(more["filter"])
            result = await self.call(method, params, str(id_))
        except RpcError as error:
            return encode(error.as_response(id_))
        if more:
            result = answer_filter.apply(more["filter"], result)
        return encode({"jsonrpc": "2.0", "id": id_, "result": result})


def _calls_of(family: Family) -> dict[str, Call]:
    """The calls of a family of versions, by name."""
    return {
        each.name: each
        for module in _MODULES
        for each in vars(module).values()
        if isinstance(each, Call) and family in each.families
    }


def _refuse(request: dict[str, Any]) -> dict[str, Any] | None:
    """The error response to a malformed request; None if it is well-formed."""
    # lightningd checks the id and the version before it repeats the id in an error.
    id_, method = request.get("id"), request.get("method")
    for is_wrong, repeats_id, problem in (
        ("id" not in request, False, "No id"),
        (isinstance(id_, dict | list), False, "Expected string/primitive for id"),
        (request.get("jsonrpc") != "2.0", False, _WRONG_VERSION),
        (method is None, True, "No method"),
        ("params" not in request, True, "No params"),
        (not isinstance(method, str), True, "Expected string for method"),
    ):
        if is_wrong:
            return RpcError(INVALID_REQUEST, problem).as_response(id_ if repeats_id else None)
    return None
