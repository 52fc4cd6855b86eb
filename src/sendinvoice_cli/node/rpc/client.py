"""Calls to lightningd over its JSON-RPC socket.

Only this module and the reply helper use pyln.client. This module hides its
traps: a missing socket raises a bare FileNotFoundError; a dropped connection
raises an RpcError whose ``.error`` is a string; an RpcError's text and the debug
log hold the parameters of the call, and so the preimage.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ...errors import LightningdError, SendInvoiceError, UnreachableError
from .call_socket import CallSocket
from .pyln_modules import load
from .socket_path import networks_with_socket

if TYPE_CHECKING:
    from pathlib import Path

lightning: Any = load("lightning", "LightningRpc")
#: Whether calls can have a timeout: LightningRpc calls UnixSocket with its own socket_path.
_HAS_TIMEOUT = hasattr(lightning, "UnixSocket")
lightning.UnixSocket = CallSocket.connect

#: Seconds that lightningd gets to answer a call.
CALL_SECONDS = 30
#: lightningd's error code for "lightningd is shutting down".
_SHUTTING_DOWN = -5

_silent = logging.getLogger(__name__)
_silent.disabled = True


class ConnectionLostError(UnreachableError):
    """The connection broke during a call, which may have been carried out or not."""


class NoAnswerError(ConnectionLostError):
    """lightningd took too long to answer. It may still be carrying out the call."""


class Client:
    """One lightningd, by its socket. May be used from several threads.

    :param rpc_file: path of the socket.
    :param on_call: gets each finished call: its name, the seconds it took, and
        its error message (None for success).
    """

    def __init__(
        self, rpc_file: str | Path, on_call: Callable[[str, float, str | None], None] | None = None
    ) -> None:
        self.rpc_file = rpc_file
        self._on_call = on_call
        self._lock = threading.Lock()
        #: The calls that are being made now.
        self._sockets: set[CallSocket] = set()
        self._is_closed = False

    def call(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        reply_filter: Mapping[str, Any] | None = None,
        patience: float | None = CALL_SECONDS,
    ) -> dict[str, Any]:
        """Make one call and wait for its answer.

        :param params: by name; None values are left out.
        :param reply_filter: the fields of the answer to send (lightningd's ``filter``).
        :param patience: seconds after which a lightningd that does not answer
            counts as gone; None for a call that waits for something.
        :raises UnreachableError: no connection.
        :raises ConnectionLostError: the connection broke before the answer came.
        :raises NoAnswerError: it did not come in time.
        :raises LightningdError: lightningd answered with an error, or with nonsense.
        """
        started = time.monotonic()
        result, error = self._attempt(patience, method, dict(params or {}), reply_filter)
        if self._on_call is not None and not self._is_closed:
            self._on_call(method, time.monotonic() - started, error.message if error else None)
        # Raised outside of the except clauses, so that pyln's exception, which
        # holds the parameters, does not become its context.
        if error is not None:
            raise error
        return result

    def close(self) -> None:
        """End all calls, those of other threads too: lightningd seems to be gone from now on."""
        with self._lock:
            self._is_closed = True
            for call_socket in self._sockets:
                call_socket.end()

    def _attempt(
        self,
        patience: float | None,
        method: str,
        params: dict[str, Any],
        reply_filter: Mapping[str, Any] | None,
    ) -> tuple[dict[str, Any], SendInvoiceError | None]:
        error: SendInvoiceError
        try:
            call_socket = CallSocket(str(self.rpc_file), patience)
        except OSError as failure:
            # The process has too many open files.
            return {}, self._unreachable(failure)
        try:
            with self._lock:
                if self._is_closed:
                    return {}, self._lost(method)
                self._sockets.add(call_socket)
            path = call_socket if _HAS_TIMEOUT else str(self.rpc_file)
            rpc = lightning.LightningRpc(path, logger=_silent)
            result = rpc.call(method, params, filter=reply_filter)
        except lightning.RpcError as failure:
            error = self._rpc_error(method, failure.error)
        except TimeoutError:
            error = NoAnswerError(
                f"lightningd did not answer {method} within {patience:g} s", hint=self._lost_hint
            )
        except ConnectionError as failure:
            error = (
                self._unreachable(failure)
                if isinstance(failure, ConnectionRefusedError)
                else self._lost(method)
            )
        except OSError as failure:
            error = self._unreachable(failure)
        except (ValueError, TypeError, AttributeError, RecursionError):
            error = LightningdError(f"{method}: lightningd's answer is not JSON-RPC")
        else:
            if isinstance(result, dict):
                return result, None
            error = LightningdError(f"{method}: lightningd's answer is not an object")
        finally:
            with self._lock:
                self._sockets.discard(call_socket)
            call_socket.close()
        return {}, error

    def _rpc_error(self, method: str, error: object) -> SendInvoiceError:
        if isinstance(error, str):
            return self._lost(method)
        if not isinstance(error, dict):
            return LightningdError(f"{method}: lightningd's error is not an object")
        code = error.get("code")
        if code == _SHUTTING_DOWN:
            return self._lost(method)
        data = error.get("data")
        return LightningdError(
            f"{method}: {error.get('message')}",
            data=data if isinstance(data, dict) else None,
            rpc_code=code if isinstance(code, int) else None,
        )

    def _lost(self, method: str) -> SendInvoiceError:
        return ConnectionLostError(
            f"the connection to lightningd broke during {method}", hint=self._lost_hint
        )

    @property
    def _lost_hint(self) -> str:
        return f"is lightningd still running? its socket is {self.rpc_file}"

    def _unreachable(self, failure: OSError) -> SendInvoiceError:
        if isinstance(failure, PermissionError):
            hint = "run sendinvoice as lightningd's user, or give your user access to that file"
        elif others := networks_with_socket(str(self.rpc_file)):
            hint = f"there is a socket for {' and '.join(others)}: is it --network {others[0]}?"
        else:
            hint = "is lightningd running? --lightning-dir and --network say where to look"
        reason = failure.strerror or str(failure)
        return UnreachableError(f"cannot reach lightningd at {self.rpc_file}: {reason}", hint=hint)
