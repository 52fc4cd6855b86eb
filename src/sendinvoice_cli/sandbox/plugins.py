"""Plugins: child processes that speak lightningd's plugin protocol on stdin and stdout.

Source: lightningd's documentation of plugins; ``plugin start``, ``stop`` and ``list``.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from .framing import FramingError, ObjectReader, encode
from .rpc_errors import INVALID_PARAMS, PLUGIN_ERROR, PLUGIN_TERMINATED, RpcError

if TYPE_CHECKING:
    from .node import Node

#: The plugin of lightningd's own that deals with invoices; here it is part of the node.
OWN_PLUGIN = "offers"
_CONTINUE = {"result": "continue"}

_START_TIMEOUT_SECONDS = 120
_STOP_TIMEOUT_SECONDS = 30
_READ_SIZE = 65536


class Plugin:
    """One plugin, running or about to.

    :param path: of its executable, canonical.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checksum = _checksum(path)
        self.is_active = False
        self.methods: dict[str, dict[str, Any]] = {}
        #: The hooks it wants, and whether before lightningd's own plugin.
        self.hooks: dict[str, bool] = {}
        self.subscriptions: tuple[str, ...] = ()
        #: What it was doing, for lightningd's words about its end.
        self.state = "before replying to getmanifest"
        self._process: asyncio.subprocess.Process | None = None
        self._numbers = itertools.count(1)
        self._pending: dict[str, asyncio.Future[dict[str, Any]]] = {}

    async def spawn(self, node: Node) -> None:
        """Start its process.

        :raises OSError: it cannot be run.
        """
        with (node.lightning_dir / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                str(self.path),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                cwd=node.network_dir,
                env={
                    **os.environ,
                    "LIGHTNINGD_PLUGIN": "1",
                    "LIGHTNINGD_VERSION": node.family.version,
                },
            )

    async def run(self) -> None:
        """Read what it writes, until it ends."""
        process = self._running()
        assert process.stdout is not None
        reader = ObjectReader()
        try:
            while data := await process.stdout.read(_READ_SIZE):
                for message in reader.feed(data):
                    self._take(message)
        except FramingError:
            self.kill()
        await process.wait()
        terminated = RpcError(PLUGIN_TERMINATED, "Plugin terminated before replying to RPC call.")
        for answer in self._pending.values():
            if not answer.done():
                answer.set_result({"error": terminated.as_json()})

    async def request(
        self, method: str, params: Any, *, cmd_id: str = "", **members: Any
    ) -> dict[str, Any]:
        """Ask it something.

        :param cmd_id: id of the call that it is asked for.
        :param members: further members of the request.
        :returns: its answer, with ``result`` or ``error``.
        """
        number = f"cln:{method}#{next(self._numbers)}"
        id_ = f"{cmd_id}/{number}" if cmd_id else number
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._pending[id_] = answer
        request = {"jsonrpc": "2.0", "id": id_, "method": method, "params": params, **members}
        await self._write(request)
        try:
            return await answer
        finally:
            del self._pending[id_]

    async def notify(self, method: str, params: dict[str, Any]) -> None:
        """Tell it something."""
        await self._write({"jsonrpc": "2.0", "method": method, "params": params})

    async def ended(self) -> None:
        """Return once its process is gone."""
        if self._process is not None:
            await self._process.wait()

    def kill(self) -> None:
        """End it, if it has begun."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    def _running(self) -> asyncio.subprocess.Process:
        assert self._process is not None
        return self._process

    async def _write(self, message: dict[str, Any]) -> None:
        stdin = self._running().stdin
        assert stdin is not None
        # One that is about to end does not read; run() answers for it.
        with contextlib.suppress(ConnectionError):
            stdin.write(encode(message))
            await stdin.drain()

    def _take(self, message: dict[str, Any]) -> None:
        answer = self._pending.get(str(message.get("id")))
        if answer is not None and not answer.done():
            answer.set_result(message)


class PluginHost:
    """The plugins of a node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._plugins: list[Plugin] = []
        self._runs: set[asyncio.Task[None]] = set()

    def __iter__(self) -> Iterator[Plugin]:
        return iter(self._plugins)

    def providing(self, method: str) -> Plugin | None:
        """The plugin that has registered a method."""
        return next((plugin for plugin in self if method in plugin.methods), None)

    def listing(self) -> list[dict[str, Any]]:
        """What ``plugin list`` says of each."""
        return [
            {"name": str(plugin.path), "active": plugin.is_active, "dynamic": True}
            for plugin in self
        ]

    async def start(self, name: str, cmd_id: str = "") -> None:
        """Start an executable and agree with it on what it does.

        :raises RpcError: it cannot be run, it runs already, it does not answer
            as a plugin should, or it ends.
        """
        path = Path(name)
        if not os.access(path, os.X_OK):
            path = self._node.lightning_dir / "plugins" / name
        if not os.access(path, os.X_OK):
            reason = "Permission denied" if path.exists() else "No such file or directory"
            raise RpcError(INVALID_PARAMS, f"{path} is not executable: {reason}")
        canonical = path.resolve()
        await self._make_room(path, canonical)
        plugin = await self._spawn(path, canonical)
        try:
            await asyncio.wait_for(self._introduce(plugin, cmd_id), _START_TIMEOUT_SECONDS)
        except asyncio.TimeoutError:
            plugin.kill()
            raise RpcError(PLUGIN_ERROR, f"{canonical}: timed out {plugin.state}") from None

    async def stop(self, name: str) -> str:
        """Stop a plugin.

        :param name: its path, or the last part of it.
        :returns: the last part of its path.
        :raises RpcError: there is no such plugin.
        """
        for plugin in self:
            matches = plugin.path == Path(name).resolve() if "/" in name else False
            if matches or plugin.path.name == name:
                await self._stop(plugin)
                return plugin.path.name
        raise RpcError(INVALID_PARAMS, f"Could not find plugin {name}")

    async def stop_all(self) -> None:
        """The node stops, and its plugins with it."""
        for plugin in list(self):
            plugin.kill()
        await asyncio.gather(*self._runs)

    async def call_hook(self, hook: str, payload: dict[str, Any], *, early: bool) -> bool:
        """Call a hook of one plugin after the other, as long as they answer ``continue``.

        :param early: those that want it before lightningd's own plugin; else
            the others.
        :returns: whether all have answered so.
        """
        for plugin in list(self):
            # From its manifest on, even before it has answered init.
            if plugin.hooks.get(hook) is not early:
                continue
            answer = await plugin.request(hook, payload)
            # One that dies meanwhile counts as if it had not been there.
            if answer.get("result", _CONTINUE) != _CONTINUE:
                return False
        return True

    async def _make_room(self, path: Path, canonical: Path) -> None:
        for plugin in self:
            if plugin.path == canonical:
                if plugin.checksum == _checksum(canonical):
                    # lightningd means to say that it runs already.
                    raise RpcError(INVALID_PARAMS, f"{path}: Invalid argument")
                plugin.kill()
                await plugin.ended()
                self._forget(plugin)
                return

    async def _spawn(self, path: Path, canonical: Path) -> Plugin:
        # On the list at once: whoever else wants it now is told that it is there.
        plugin = Plugin(canonical)
        self._plugins.append(plugin)
        try:
            await plugin.spawn(self._node)
        except OSError as failure:
            self._forget(plugin)
            raise RpcError(PLUGIN_ERROR, f"{path}: opening pipe: {failure.strerror}") from None
        except asyncio.CancelledError:
            # The node stops.
            self._forget(plugin)
            raise
        run = asyncio.get_running_loop().create_task(self._run(plugin))
        self._runs.add(run)
        run.add_done_callback(self._runs.discard)
        return plugin

    async def _run(self, plugin: Plugin) -> None:
        self._node.log(f"plugin {plugin.path.name} started")
        await plugin.run()
        self._forget(plugin)
        self._node.log(f"plugin {plugin.path.name} exited {plugin.state}")

    async def _introduce(self, plugin: Plugin, cmd_id: str) -> None:
        manifest = await self._ask(
            plugin,
            "getmanifest",
            {"allow-deprecated-apis": self._node.spec.allows_deprecated},
            cmd_id,
        )
        if not isinstance(manifest, dict):
            self._refuse(plugin, "Invalid/missing result tok")
        self._register(plugin, manifest)
        plugin.state = "before replying to init"
        init = await self._ask(plugin, "init", self._init_params(), "")
        # Only that is looked for: many plugins answer null.
        if isinstance(init, dict) and "disable" in init:
            self._refuse(plugin, f"disabled itself at init: {init['disable']}")
        plugin.state = "during normal operation"
        plugin.is_active = True

    async def _ask(self, plugin: Plugin, method: str, params: dict[str, Any], cmd_id: str) -> Any:
        answer = await plugin.request(method, params, cmd_id=cmd_id)
        if answer.get("error", {}).get("code") == PLUGIN_TERMINATED:
            self._refuse(plugin, f"exited {plugin.state}")
        return answer.get("result")

    def _register(self, plugin: Plugin, manifest: dict[str, Any]) -> None:
        if "disable" in manifest:
            self._refuse(plugin, f"disabled itself: {manifest['disable']}")
        for missing in ("options", "rpcmethods"):
            if missing not in manifest:
                self._refuse(plugin, f'"result.{missing}" missing')
        if not manifest.get("dynamic"):
            self._refuse(plugin, "Not a dynamic plugin")
        for hook in manifest.get("hooks", []):
            details = hook if isinstance(hook, dict) else {"name": hook}
            plugin.hooks[details["name"]] = OWN_PLUGIN in details.get("before", [])
        plugin.subscriptions = tuple(manifest.get("subscriptions", []))
        for method in manifest["rpcmethods"]:
            other = self.providing(method["name"])
            if other is not None:
                self._refuse(
                    plugin,
                    f'Could not register method "{method["name"]}", a method with that name is '
                    f"already registered by plugin {other.path}",
                )
            plugin.methods[method["name"]] = method

    def _init_params(self) -> dict[str, Any]:
        return {
            "options": {},
            "configuration": {
                "lightning-dir": str(self._node.network_dir),
                "rpc-file": self._node.rpc_file.name,
                "startup": False,
                "network": self._node.network_dir.name,
                "feature_set": {
                    "init": self._node.init_features,
                    "node": self._node.node_features,
                    "channel": "",
                    "invoice": "02000002024100",
                },
            },
        }

    def _refuse(self, plugin: Plugin, reason: str) -> NoReturn:
        plugin.kill()
        self._forget(plugin)
        raise RpcError(PLUGIN_ERROR, f"{plugin.path}: {reason}")

    async def _stop(self, plugin: Plugin) -> None:
        if "shutdown" in plugin.subscriptions:
            await plugin.notify("shutdown", {})
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(plugin.ended(), _STOP_TIMEOUT_SECONDS)
        plugin.kill()
        await plugin.ended()
        self._forget(plugin)

    def _forget(self, plugin: Plugin) -> None:
        """Take it off the list; whoever first notices its end does."""
        if plugin in self._plugins:
            self._plugins.remove(plugin)


def _checksum(path: Path) -> bytes:
    return sha256(path.read_bytes()).digest() if path.is_file() else b""
