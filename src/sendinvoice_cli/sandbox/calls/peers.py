"""The network as a node sees it: peers, channels, nodes, connections."""

from __future__ import annotations

from typing import Any

from ...bolt12.blinded_path import format_scid
from ..model.channels import Channel
from ..model.network import Network, address_json, address_of
from ..model.node import Node
from ..rpc import parameters
from ..rpc.errors import INVALID_PARAMS, LIGHTNINGD, RpcError
from ..rpc.parameters import optional, required
from .call import Context, Result, call

_NODE_ID = optional("id", parameters.node_id)


@call("listpeers", _NODE_ID)
async def list_peers(context: Context, args: dict[str, Any]) -> Result:
    """List the nodes that are connected to us or have a channel with us."""
    network, node = context.network, context.node
    found = []
    for peer in network.nodes.values():
        connected = network.is_connected(node.id, peer.id)
        channels = network.channels.between(node.id, peer.id) if peer is not node else []
        if args["id"] not in (None, peer.id) or not (connected or channels):
            continue
        row: dict[str, Any] = {
            "id": peer.id.hex(),
            "connected": connected,
            "num_channels": len(channels),
        }
        if connected:
            row["netaddr"] = [address_of(peer)]
            row["features"] = peer.features["init"]
        found.append(row)
    return {"peers": found}


@call("listpeerchannels", _NODE_ID)
async def list_peer_channels(context: Context, args: dict[str, Any]) -> Result:
    """List our channels."""
    network, node = context.network, context.node
    return {
        "channels": [
            _own_channel(network, node, channel)
            for channel in network.channels.of(node.id)
            if args["id"] in (None, channel.other(node.id))
        ]
    }


def _own_channel(network: Network, node: Node, channel: Channel) -> dict[str, Any]:
    other = channel.other(node.id)
    spec = channel.spec
    fees = {
        "fee_base_msat": spec.fee_base_msat,
        "fee_proportional_millionths": spec.fee_ppm,
    }
    update = {
        "htlc_minimum_msat": 0,
        "htlc_maximum_msat": channel.htlc_maximum_msat,
        "cltv_expiry_delta": spec.cltv_delta,
        **fees,
    }
    reserve = channel.capacity_msat // 100
    return {
        "peer_id": other.hex(),
        "peer_connected": network.is_connected(node.id, other),
        "reestablished": network.is_reestablished(node.id, other),
        "updates": {"local": update, "remote": update},
        "state": "CHANNELD_NORMAL",
        "short_channel_id": format_scid(channel.scid),
        "direction": channel.direction_from(node.id),
        "private": not spec.public,
        "opener": "local" if spec.left == node.name else "remote",
        "alias": {
            "local": format_scid(channel.aliases[node.id]),
            "remote": format_scid(channel.aliases[other]),
        },
        "to_us_msat": channel.balances[node.id],
        "total_msat": channel.capacity_msat,
        **fees,
        "their_reserve_msat": reserve,
        "our_reserve_msat": reserve,
        "spendable_msat": channel.sendable_msat(node.id),
        "receivable_msat": channel.sendable_msat(other),
        "maximum_htlc_out_msat": channel.htlc_maximum_msat,
        "htlcs": [],
    }


@call("listnodes", _NODE_ID)
async def list_nodes(context: Context, args: dict[str, Any]) -> Result:
    """List the nodes that have a public channel."""
    network = context.network
    return {
        "nodes": [
            _announcement(node)
            for node in network.nodes.values()
            if args["id"] in (None, node.id) and network.channels.is_public_node(node.id)
        ]
    }


def _announcement(node: Node) -> dict[str, Any]:
    return {
        "nodeid": node.id.hex(),
        "alias": node.alias,
        "color": node.id[:3].hex(),
        "last_timestamp": 1,
        "features": node.features["node"],
        "addresses": [address_json(node)] if node.spec.has_address else [],
    }


@call(
    "listchannels",
    optional("short_channel_id", parameters.scid),
    optional("source", parameters.node_id),
    optional("destination", parameters.node_id),
)
async def list_channels(context: Context, args: dict[str, Any]) -> Result:
    """List the public channels, one row per direction."""
    if sum(value is not None for value in args.values()) > 1:
        raise RpcError(
            INVALID_PARAMS,
            "Can only specify one of `short_channel_id`, `source` or `destination`",
        )
    halves = [
        _half(channel, source)
        for channel in context.network.channels.public()
        for source in channel.ids
        if args["short_channel_id"] in (None, channel.scid)
        and args["source"] in (None, source)
        and args["destination"] in (None, channel.other(source))
    ]
    return {"channels": halves}


def _half(channel: Channel, source: bytes) -> dict[str, Any]:
    direction = channel.direction_from(source)
    enabled = channel.enabled[source]
    return {
        "source": source.hex(),
        "destination": channel.other(source).hex(),
        "short_channel_id": format_scid(channel.scid),
        "direction": direction,
        "public": True,
        "amount_msat": channel.capacity_msat,
        "message_flags": 1,
        "channel_flags": direction | (0 if enabled else 2),
        "active": enabled,
        "last_update": 1,
        "base_fee_millisatoshi": channel.spec.fee_base_msat,
        "fee_per_millionth": channel.spec.fee_ppm,
        "delay": channel.spec.cltv_delta,
        "htlc_minimum_msat": 0,
        "htlc_maximum_msat": channel.htlc_maximum_msat,
        "features": "",
    }


@call("listincoming")
async def list_incoming(context: Context, _args: dict[str, Any]) -> Result:
    """List the channels that we can receive through."""
    network, node = context.network, context.node
    channels = network.channels
    found = []
    for channel in channels.of(node.id):
        peer = network.node(channel.other(node.id))
        row: dict[str, Any] = {
            "id": peer.id.hex(),
            "short_channel_id": format_scid(channel.scid),
            "fee_base_msat": channel.spec.fee_base_msat,
            "htlc_min_msat": 0,
            "htlc_max_msat": channel.sendable_msat(peer.id),
            "fee_proportional_millionths": channel.spec.fee_ppm,
            "cltv_expiry_delta": channel.spec.cltv_delta,
            "incoming_capacity_msat": sum(
                other.htlc_maximum_msat
                for other in channels.of(peer.id)
                if other is not channel
                and other.spec.public
                and other.enabled[other.other(peer.id)]
            ),
            "public": channel.spec.public,
        }
        if channels.is_public_node(peer.id):
            row["peer_features"] = peer.features["node"]
        if not node.family.documents_help:
            is_connected = network.is_connected(node.id, peer.id)
            row["enabled"] = channel.enabled[peer.id] and is_connected
        found.append(row)
    return {"incoming": found}


@call(
    "connect",
    required("id", parameters.node_address),
    optional("host", parameters.string),
    optional("port", parameters.number),
)
async def connect(context: Context, args: dict[str, Any]) -> Result:
    """Connect to a node."""
    peer = context.network.connect(
        context.node, args["id"], is_address_given=args["host"] is not None
    )
    return {
        "id": peer.id.hex(),
        "features": peer.features["init"],
        "direction": "out",
        "address": address_json(peer),
    }


@call(
    "disconnect",
    required("id", parameters.node_id),
    optional("force", parameters.boolean, False),
)
async def disconnect(context: Context, args: dict[str, Any]) -> Result:
    """Disconnect from a peer; with ``force`` even if we have a channel."""
    network, node = context.network, context.node
    if not network.is_connected(node.id, args["id"]):
        raise RpcError(INVALID_PARAMS, f"Unknown peer '{args['id'].hex()}'")
    if network.channels.between(node.id, args["id"]) and not args["force"]:
        raise RpcError(LIGHTNINGD, "Peer has (at least one) channel in state CHANNELD_NORMAL")
    network.disconnect(node.id, args["id"])
    return {}
