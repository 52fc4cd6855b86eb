"""The node itself: getinfo, help, listconfigs, makesecret, plugin, stop."""

from __future__ import annotations

from typing import Any

from ..model.network import BLOCKHEIGHT, address_json
from ..model.node import NETWORK, Node
from ..rpc import parameters
from ..rpc.errors import INVALID_PARAMS, UNKNOWN_METHOD, RpcError
from ..rpc.parameters import optional, required
from .call import Context, Result, call

_SUBCOMMANDS = ("start", "stop", "startdir", "rescan", "list")


@call("getinfo")
async def get_info(context: Context, _args: dict[str, Any]) -> Result:
    """Show information about this node."""
    network, node = context.network, context.node
    return {
        "id": node.id.hex(),
        "alias": node.alias,
        "num_peers": len(network.peers(node.id)),
        "num_active_channels": len(network.channels.of(node.id)),
        "address": [address_json(node)] if node.spec.has_address else [],
        "binding": [address_json(node)],
        "version": node.family.version,
        "blockheight": BLOCKHEIGHT,
        "network": NETWORK,
        "lightning-dir": str(node.network_dir),
        "our_features": node.features,
    }


@call("listconfigs")
async def list_configs(context: Context, _args: dict[str, Any]) -> Result:
    """List the settings."""
    node = context.node
    configs: dict[str, Any] = {
        "lightning-dir": {"value_str": str(node.lightning_dir), "source": "cmdline"},
        "network": {"value_str": NETWORK, "source": "cmdline"},
        "alias": {"value_str": node.alias, "source": "cmdline"},
        "fetchinvoice-noconnect": {
            "set": node.spec.no_connect,
            "source": "cmdline" if node.spec.no_connect else "default",
            "plugin": "offers",
        },
    }
    if not node.family.routes_replies:
        configs["experimental-offers"] = {"set": True, "source": "cmdline"}
        if node.spec.onion_messages:
            configs["experimental-onion-messages"] = {"set": True, "source": "cmdline"}
    return {"configs": configs}


@call("makesecret", required("string", parameters.string))
async def make_secret(context: Context, args: dict[str, Any]) -> Result:
    """Derive a 32-byte secret that only this node can derive."""
    return {"secret": context.node.derive_secret(args["string"].encode()).hex()}


@call("stop")
async def stop(context: Context, _args: dict[str, Any]) -> Result:
    """Stop lightningd."""
    context.stop()
    return {"result": "Shutdown complete"}


@call("plugin", required("subcommand", parameters.string), optional("plugin", parameters.string))
async def plugin(context: Context, args: dict[str, Any]) -> Result:
    """Start, stop or list plugins."""
    subcommand, name = args["subcommand"], args["plugin"]
    host = context.node.plugins
    if subcommand not in _SUBCOMMANDS:
        raise RpcError(INVALID_PARAMS, f"Unknown subcommand '{subcommand}'")
    if subcommand in ("start", "stop") and name is None:
        raise RpcError(INVALID_PARAMS, "missing required parameter: plugin")
    if subcommand == "start":
        await host.start(name, context.cmd_id)
    elif subcommand == "stop":
        return {"command": "stop", "result": f"Successfully stopped {await host.stop(name)}."}
    return {"command": subcommand, "plugins": host.listing()}


@call("help", optional("command", parameters.string))
async def explain(context: Context, args: dict[str, Any]) -> Result:
    """List all calls, or show one, with their parameters."""
    usages = {each.name: (each.usage, each.summary) for each in context.calls.values()}
    for running in context.node.plugins:
        for name, method in running.methods.items():
            usages[name] = (f"{name} {method.get('usage', '')}", method.get("description", ""))
    rows = {name: _help(context.node, *usages[name]) for name in sorted(usages)}
    wanted = args["command"]
    if wanted is not None and wanted not in rows:
        raise RpcError(UNKNOWN_METHOD, f"Unknown command {wanted}")
    shown = list(rows.values()) if wanted is None else [rows[wanted]]
    return {"help": shown, "format-hint": "simple"}


def _help(node: Node, usage: str, summary: str) -> dict[str, str]:
    if not node.family.documents_help:
        return {"command": usage}
    return {"command": usage, "category": "plugin", "description": summary, "verbose": summary}
