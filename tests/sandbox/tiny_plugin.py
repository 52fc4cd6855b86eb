#!/usr/bin/env python3
"""A tiny plugin, which the tests copy and start.

It has the methods ``tiny`` (echoes), ``tiny-die``, ``tiny-later`` (answers when
``tiny-now`` is called) and ``tiny-heard`` (the hook calls so far).
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

# What the tests change in their copies.
MANIFEST: dict[str, Any] = {}
HOOK_ANSWER: dict[str, Any] = {"result": "continue"}

heard: list[Any] = []
later: list[str] = []


def write(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n\n")
    sys.stdout.flush()


def manifest() -> dict[str, Any]:
    names = ("tiny", "tiny-die", "tiny-later", "tiny-now", "tiny-heard")
    return {
        "options": [],
        "rpcmethods": [
            {"name": name, "usage": "[what]", "description": "For tests"} for name in names
        ],
        "hooks": [{"name": "onion_message_recv_secret"}, "onion_message_recv"],
        "dynamic": True,
        "nonnumericids": True,
        **MANIFEST,
    }


def answer(method: str, params: Any) -> Any:
    if method == "getmanifest":
        return manifest()
    if method == "init":
        heard.append({"init": params, "version": os.environ.get("LIGHTNINGD_VERSION")})
        return None
    if method == "tiny":
        return {"params": params, "plugin": os.environ.get("LIGHTNINGD_PLUGIN")}
    if method == "tiny-heard":
        return {"heard": heard}
    heard.append({method: params})
    return HOOK_ANSWER


for line in sys.stdin:
    if not line.strip():
        continue
    request = json.loads(line)
    method = request["method"]
    if method == "tiny-die":
        sys.exit(3)
    elif method == "tiny-later":
        later.append(request["id"])
    elif method == "tiny-now":
        for id_ in later:
            write({"id": id_, "result": {"late": True}})
        write({"id": request["id"], "result": {}})
    elif "id" in request:
        write({"id": request["id"], "result": answer(method, request["params"])})
    elif method == "shutdown":
        sys.exit(0)
