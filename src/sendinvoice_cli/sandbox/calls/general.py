"""The node itself: getinfo, help, listconfigs, makesecret, notifications, plugin, stop."""

from __future__ import annotations

from typing import Any

from .. import params
from ..network import BLOCKHEIGHT, port_of
from ..node import NETWORK, RPC_FILE, Node
from ..params import optional, required
from ..rpc_errors import INVALID_PARAMS, UNKNOWN_METHOD, RpcError
from .call import Call, Context, Result

_SUBCOMMANDS = ("start", "stop", "startdir", "rescan", "list")


async def get_info(context: Context, _args: dict[str, Any]) -> Result:
    """``getinfo``: what kind of node this is."""
    network, node = context.network, context.node
    address = {"type": "ipv4", "address": "127.0.0.1", "port": port_of(node)}
    return {
        "id": node.id.hex(),
        "alias": node.alias,
        "color": node.id[:3].hex(),
        "num_peers": len(network.peers(node.id)),
        "num_pending_channels": 0,
        "num_active_channels": len(network.graph.of(node.id)),
        "num_inactive_channels": 0,
        "address": [address] if node.spec.has_address else [],
        "binding": [address],
        "version": node.family.version,
        "blockheight": BLOCKHEIGHT,
        "network": NETWORK,
        "fees_collected_msat": 0,
        "lightning-dir": str(node.network_dir),
        "our_features": {
            "init": node.init_features,
            "node": node.node_features,
            "channel": "",
            "invoice": "02000002024100",
        },
    }


async def list_configs(context: Context, args: dict[str, Any]) -> Result:
    """``listconfigs``: the settings, or one of them."""
    configs = _configs(context.node)
    if args["config"] is None:
        return {"configs": configs}
    if args["config"] not in configs:
        raise params.bad_token("config", "Unknown config option", args["config"])
    return {"configs": {args["config"]: configs[args["config"]]}}


def _configs(node: Node) -> dict[str, Any]:
    configs: dict[str, Any] = {
        "lightning-dir": {"value_str": str(node.lightning_dir), "source": "cmdline"},
        "network": {"value_str": NETWORK, "source": "cmdline"},
        "rpc-file": {"value_str": RPC_FILE, "source": "default"},
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
    return configs


async def make_secret(context: Context, args: dict[str, Any]) -> Result:
    """``makesecret``: 32 bytes that only this node can make."""
    data, text = args["hex"], args["string"]
    if data is not None and text is not None:
        raise RpcError(INVALID_PARAMS, "Cannot have both hex and string")
    if data is None and text is None:
        raise RpcError(INVALID_PARAMS, "Must have either hex or string")
    return {"secret": context.node.derive_secret(text.encode() if data is None else data).hex()}


async def notifications(_context: Context, _args: dict[str, Any]) -> Result:
    """``notifications``: there never are any."""
    return {}


async def stop(context: Context, _args: dict[str, Any]) -> Result:
    """``stop``: end the node."""
    context.stop()
    return {"result": "Shutdown complete"}


async def plugin(context: Context, given: Any) -> Result:
    """``plugin``: start, stop or list plugins."""
    subcommand = _argument(given, "subcommand")
    host = context.node.plugins
    if subcommand == "start":
        error = context.network.faults.plugin_error(context.node.name)
        if error is not None:
            raise error
        await host.start(_argument(given, "plugin"), context.cmd_id)
    elif subcommand == "stop":
        name = await host.stop(_argument(given, "plugin"))
        return {"command": "stop", "result": f"Successfully stopped {name}."}
    elif subcommand not in _SUBCOMMANDS:
        raise RpcError(INVALID_PARAMS, f"Unknown subcommand '{subcommand}'")
    return {"command": subcommand, "plugins": host.listing()}


def _argument(given: Any, name: str) -> str:
    by_name = (
        dict(zip(("subcommand", "plugin"), given, strict=False))
        if isinstance(given, list)
        else given
    )
    found = by_name.get(name)
    if found is None:
        raise RpcError(INVALID_PARAMS, f"missing required parameter: {name}")
    return str(found)


async def explain(context: Context, args: dict[str, Any], calls: dict[str, Call]) -> Result:
    """``help``: the calls, or one of them, with what they take.

    :param calls: what the node has of its own.
    """
    rows = {call.name: _help(context.node, call.usage, call.summary) for call in calls.values()}
    for running in context.node.plugins:
        for method in running.methods.values():
            usage = f"{method['name']} {method.get('usage', '')}"
            rows[method["name"]] = _help(context.node, usage, method.get("description", ""))
    wanted = args["command"]
    if wanted is None:
        return {"help": [rows[name] for name in sorted(rows)], "format-hint": "simple"}
    if wanted not in rows:
        raise RpcError(UNKNOWN_METHOD, f"Unknown command {wanted}")
    return {"help": [rows[wanted]], "format-hint": "simple"}


def _help(node: Node, usage: str, summary: str) -> dict[str, str]:
    if not node.family.documents_help:
        return {"command": usage}
    return {"command": usage, "category": "plugin", "description": summary, "verbose": summary}


CALLS = (
    Call("getinfo", (), get_info, "Show what this node is"),
    Call("listconfigs", (optional("config", params.string),), list_configs, "Show settings"),
    Call(
        "makesecret",
        (optional("hex", params.lenient_hex), optional("string", params.string)),
        make_secret,
        "Make a secret from the node's own",
    ),
    Call(
        "notifications",
        (required("enable", params.boolean),),
        notifications,
        "Turn notifications on or off",
    ),
    Call("stop", (), stop, "End lightningd"),
    Call(
        "plugin",
        (required(f"subcommand={'|'.join(_SUBCOMMANDS)}", params.string),),
        plugin,
        "Start, stop or list plugins",
        is_free=True,
    ),
)
