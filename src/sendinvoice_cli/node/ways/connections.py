"""Connections to nodes that no path leads to: which we open, and why we do not open others."""

from collections.abc import Callable
from typing import NamedTuple

from ...errors import LightningdError
from ..info import NodeInfo
from ..rpc.client import NoAnswerError
from .graph import CONNECT_SECONDS, TAKES_NO_MESSAGES, WANTS_CHANNEL, Graph, UnwillingNodeError

#: To how many nodes we try to connect for one request.
MAX_CONTACTS = 3

_NO_PATH = "no path to it is known"
_OTHER_PATHS = "ask the payer for a request with other paths"
_OPEN_A_CHANNEL = f"open a channel with it, or {_OTHER_PATHS}"
_CONNECT = "connect your node to the payer, or to one of the payer's peers"

#: lightningd's errors for a node without a known address, for one that does not answer at any of
#: them, and for one that hangs up.
_NO_ADDRESS, _ALL_ADDRESSES_FAILED, _DISCONNECTED = 400, 401, 402


class Refusal(NamedTuple):
    """Why there is no connection to a node.

    :param reason: a clause in which the node is "it".
    :param hint: what the user can do.
    :param is_away: whether the node did not answer, though somebody knows where it should be.
    """

    reason: str
    hint: str = _CONNECT
    is_away: bool = False


class Connections:
    """Opens connections for one search.

    :param allow: False opens none; lightningd's option ``fetchinvoice-noconnect`` forbids it as
        well.
    :param seconds_left: how long the search may still take.
    :param contacts: the nodes to which a connection was tried for this request; grows with each.
    """

    def __init__(
        self,
        graph: Graph,
        info: NodeInfo,
        *,
        allow: bool,
        seconds_left: Callable[[], float],
        contacts: set[bytes],
    ) -> None:
        self._graph = graph
        self._info = info
        self._allow = allow
        self._seconds_left = seconds_left
        self._contacts = contacts

    def open(self, node: bytes) -> Refusal | None:
        """Connect to a node (33-byte id) that no path leads to; None for success."""
        refusal = self._forbidden(node)
        if refusal is not None:
            return refusal
        patience = min(CONNECT_SECONDS, self._seconds_left())
        if self._graph.failures.find(node, patience) is None:
            self._contacts.add(node)
        try:
            self._graph.connect(node, patience)
        except NoAnswerError:
            # lightningd is still trying its addresses.
            reason = f"{_NO_PATH}, and it did not answer within {patience:.0f} s"
            return Refusal(reason, is_away=True)
        except UnwillingNodeError as error:
            return _unwilling(error.message)
        except LightningdError as error:
            return _failed(error)
        return None

    def look(self, node: bytes) -> Refusal | None:
        """Why a connection to a node would not be possible, as far as lightningd knows now."""
        refusal = self._forbidden(node)
        if refusal is None and not self._graph.has_address(node):
            return _failed(LightningdError("", rpc_code=_NO_ADDRESS))
        return refusal

    def _forbidden(self, node: bytes) -> Refusal | None:
        """Why a connection to a node would not help, or is not allowed."""
        if self._graph.wants_channel(node):
            return _unwilling(WANTS_CHANNEL)
        if self._graph.features(node) is not None and not self._graph.takes_messages(node):
            return _unwilling(TAKES_NO_MESSAGES)
        if not self._allow:
            return Refusal(
                f"{_NO_PATH}, and --no-connect forbids a connection",
                f"leave --no-connect out, or {_CONNECT}",
            )
        if self._info.no_connect:
            return Refusal(
                f"{_NO_PATH}, and lightningd's fetchinvoice-noconnect forbids a connection"
            )
        if len(self._contacts | {node}) > MAX_CONTACTS:
            return Refusal(f"{_NO_PATH}, and {MAX_CONTACTS} other nodes were tried already")
        return None


def _unwilling(reason: str) -> Refusal:
    return Refusal(reason, _OPEN_A_CHANNEL if reason == WANTS_CHANNEL else _OTHER_PATHS)


def _failed(error: LightningdError) -> Refusal:
    """How a connection failed, by lightningd's error."""
    told = {
        _NO_ADDRESS: "lightningd knows no address of it",
        _ALL_ADDRESSES_FAILED: "it does not answer at any address that lightningd knows",
        _DISCONNECTED: "it closes the connection at once",
    }
    words = error.message.removeprefix("connect: ")
    reason = told.get(error.rpc_code or 0, f"lightningd cannot connect to it: {words}")
    return Refusal(f"{_NO_PATH}, and {reason}", is_away=error.rpc_code == _ALL_ADDRESSES_FAILED)
