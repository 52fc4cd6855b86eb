"""A unix socket that answers each JSON-RPC call as a test tells it to."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: The bytes to answer a request with; the connection is closed behind them.
Respond = Callable[[dict[str, Any]], bytes]


def result(of: dict[str, Any], value: object) -> bytes:
    """A well-formed answer to a request."""
    return json.dumps({"jsonrpc": "2.0", "id": of["id"], "result": value}).encode() + b"\n\n"


def error(of: dict[str, Any], value: object) -> bytes:
    """A well-formed error, or whatever else shall stand in its place."""
    return json.dumps({"jsonrpc": "2.0", "id": of["id"], "error": value}).encode() + b"\n\n"


def answers(table: Mapping[str, object]) -> Respond:
    """Answer methods from a table, and any other as lightningd does."""

    def respond(request: dict[str, Any]) -> bytes:
        if request["method"] in table:
            return result(request, table[request["method"]])
        unknown = {"code": -32601, "message": f"Unknown command '{request['method']}'"}
        return error(request, unknown)

    return respond


@contextmanager
def serving(path: Path, respond: Respond) -> Iterator[list[dict[str, Any]]]:
    """Serve a socket at ``path``; yields the list of requests that came."""
    requests: list[dict[str, Any]] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            data = b""
            while chunk := self.request.recv(65536):
                data += chunk
                try:
                    request = json.loads(data)
                except ValueError:
                    continue
                requests.append(request)
                self.request.sendall(respond(request))
                return

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True
        request_queue_size = 20

    with Server(str(path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield requests
        finally:
            server.shutdown()
            thread.join()
