"""The plugins of a node: start, handshake, hooks and stop, as lightningd does them.

Source: lightningd's documentation of plugins; ``plugin start``, ``stop`` and ``list``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn

from ..rpc.child_process import ChildProcess
from ..rpc.errors import INVALID_PARAMS, PLUGIN_ERROR, PLUGIN_TERMINATED, RpcError

#: lightningd's own plugin for invoices; in the sandbox, the node does its work.
_OWN_PLUGIN = "offers"
_CONTINUE = {"result": "continue"}

_START_TIMEOUT_SECONDS = 120
_STOP_TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class Surroundings:
    """What plugins are told about their node.

    :param version: of lightningd.
    :param features: bitmaps in hex, as ``getinfo`` shows them.
    """

    lightning_dir: Path
    rpc_file: Path
    version: str
    features: dict[str, str]


class Plugin(ChildProcess):
    """One plugin, running or starting.

    :param path: canonical path of its executable.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.checksum = _checksum(path)
        self.is_active = False
        self.methods: dict[str, dict[str, Any]] = {}
        #: The hooks it registers, and whether to call it before lightningd's own plugin.
        self.hooks: dict[str, bool] = {}
        self.subscriptions: tuple[str, ...] = ()
        #: Its state, in lightningd's words about the end of a plugin.
        self.state = "before replying to getmanifest"


class PluginHost:
    """The plugins of a node.

    :param log: logs what happens to them.
    """

    def __init__(self, node: Surroundings, log: Callable[[str], None]) -> None:
        self._node = node
        self._log = log
        self._plugins: list[Plugin] = []
        self._runs: set[asyncio.Task[None]] = set()

    def __iter__(self) -> Iterator[Plugin]:
        return iter(self._plugins)

    def providing(self, method: str) -> Plugin | None:
        """The plugin that has registered a method, if there is one."""
        return next((plugin for plugin in self if method in plugin.methods), None)

    def listing(self) -> list[dict[str, Any]]:
        """The rows of ``plugin list``."""
        return [
            {"name": str(plugin.path), "active": plugin.is_active, "dynamic": True}
            for plugin in self
        ]

    async def start(self, name: str, cmd_id: str = "") -> None:
        """Start a plugin: run the file, call its getmanifest and init.

        :param name: path of the file, or its name in the node's ``plugins``.
        :param cmd_id: id of the JSON-RPC request.
        :raises RpcError: it cannot be run, runs already, ends, or does not
            answer as a plugin should.
        """
        path = Path(name)
        if not os.access(path, os.X_OK):
            path = self._node.lightning_dir / "plugins" / name
        if not os.access(path, os.X_OK):
            reason = "Permission denied" if path.exists() else "No such file or directory"
            raise RpcError(INVALID_PARAMS, f"{path} is not executable: {reason}")
        await self._make_room(path)
        plugin = await self._spawn(path)
        try:
            await asyncio.wait_for(self._introduce(plugin, cmd_id), _START_TIMEOUT_SECONDS)
        except asyncio.TimeoutError:
            self._refuse(plugin, f"timed out {plugin.state}")

    async def stop(self, name: str) -> str:
        """Stop a plugin.

        :param name: its path or file name.
        :returns: its file name.
        :raises RpcError: there is no such plugin.
        """
        for plugin in self:
            if plugin.path == Path(name).resolve() or plugin.path.name == name:
                if "shutdown" in plugin.subscriptions:
                    await plugin.notify("shutdown", {})
                    with contextlib.suppress(asyncio.TimeoutError):
                        await asyncio.wait_for(plugin.ended(), _STOP_TIMEOUT_SECONDS)
                await self._end(plugin)
                return plugin.path.name
        raise RpcError(INVALID_PARAMS, f"Could not find plugin {name}")

    async def stop_all(self) -> None:
        """Kill all plugins."""
        for plugin in list(self):
            plugin.kill()
        await asyncio.gather(*self._runs)

    async def call_hook(self, hook: str, payload: dict[str, Any], *, early: bool) -> bool:
        """Call a hook of one plugin after another, as long as they answer ``continue``.

        :param early: call only plugins that want it before lightningd's own
            plugin; otherwise only the others.
        :returns: whether all answered ``continue``.
        """
        for plugin in list(self):
            # Hooks are called once the manifest is there, even before init is answered.
            if plugin.hooks.get(hook) is not early:
                continue
            answer = await plugin.request(hook, payload)
            # A plugin that dies meanwhile counts as one that continues.
            if answer.get("result", _CONTINUE) != _CONTINUE:
                return False
        return True

    async def _make_room(self, path: Path) -> None:
        """End the plugin that runs this file, if the file has changed since."""
        canonical = path.resolve()
        for plugin in list(self):
            if plugin.path == canonical:
                if plugin.checksum == _checksum(canonical):
                    # lightningd's words for a plugin that runs already.
                    raise RpcError(INVALID_PARAMS, f"{path}: Invalid argument")
                await self._end(plugin)

    async def _spawn(self, path: Path) -> Plugin:
        # List it at once, so that a second start is refused.
        plugin = Plugin(path.resolve())
        self._plugins.append(plugin)
        environment = {"LIGHTNINGD_PLUGIN": "1", "LIGHTNINGD_VERSION": self._node.version}
        try:
            await plugin.spawn(
                self._node.rpc_file.parent, environment, self._node.lightning_dir / "log"
            )
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
        self._log(f"plugin {plugin.path.name} started")
        await plugin.run()
        self._forget(plugin)
        self._log(f"plugin {plugin.path.name} exited {plugin.state}")

    async def _introduce(self, plugin: Plugin, cmd_id: str) -> None:
        manifest = await self._ask(plugin, "getmanifest", {"allow-deprecated-apis": True}, cmd_id)
        if not isinstance(manifest, dict):
            self._refuse(plugin, "Invalid/missing result tok")
        self._register(plugin, manifest)
        plugin.state = "before replying to init"
        init = await self._ask(plugin, "init", self._init_params(), "")
        # Many plugins answer null.
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
            plugin.hooks[details["name"]] = _OWN_PLUGIN in details.get("before", [])
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
        directory = self._node.rpc_file.parent
        return {
            "options": {},
            "configuration": {
                "lightning-dir": str(directory),
                "rpc-file": self._node.rpc_file.name,
                "startup": False,
                "network": directory.name,
                "feature_set": self._node.features,
            },
        }

    def _refuse(self, plugin: Plugin, reason: str) -> NoReturn:
        plugin.kill()
        self._forget(plugin)
        raise RpcError(PLUGIN_ERROR, f"{plugin.path}: {reason}")

    async def _end(self, plugin: Plugin) -> None:
        plugin.kill()
        await plugin.ended()
        self._forget(plugin)

    def _forget(self, plugin: Plugin) -> None:
        if plugin in self._plugins:
            self._plugins.remove(plugin)


def _checksum(path: Path) -> bytes:
    return sha256(path.read_bytes()).digest() if path.is_file() else b""
