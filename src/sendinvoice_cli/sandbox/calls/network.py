"""The network as a node knows it: peers, channels, nodes, routes, connections."""

from __future__ import annotations

from typing import Any

from ...bolt12.blinded_path import format_scid
from .. import params
from ..graph import Channel, Step
from ..network import Network, address_of, port_of
from ..node import Node
from ..params import optional, required
from ..rpc_errors import INVALID_PARAMS, ROUTE_NOT_FOUND, UNKNOWN_METHOD, RpcError
from .call import Call, Context, Result

#: option_static_remotekey, option_anchors.
_CHANNEL_TYPE_BITS = (12, 22)
_DEFAULT_FINAL_CLTV = 9


async def list_peers(context: Context, args: dict[str, Any]) -> Result:
    """``listpeers``: who is connected, or has a channel with us."""
    network, node = context.network, context.node
    found = []
    for peer in network.nodes.values():
        connected = network.is_connected(node.id, peer.id)
        channels = network.graph.between(node.id, peer.id) if peer is not node else []
        if args["id"] not in (None, peer.id) or not (connected or channels):
            continue
        row: dict[str, Any] = {
            "id": peer.id.hex(),
            "connected": connected,
            "num_channels": len(channels),
        }
        if connected:
            row["netaddr"] = [address_of(peer)]
            row["features"] = peer.init_features
        found.append(row)
    return {"peers": found}


async def list_peer_channels(context: Context, args: dict[str, Any]) -> Result:
    """``listpeerchannels``: our own channels."""
    network, node = context.network, context.node
    return {
        "channels": [
            _own_channel(network, node, channel)
            for channel in network.graph.of(node.id)
            if args["id"] in (None, channel.other(node.id))
        ]
    }


def _own_channel(network: Network, node: Node, channel: Channel) -> dict[str, Any]:
    other = channel.other(node.id)
    spec = channel.spec
    update = {
        "htlc_minimum_msat": 0,
        "htlc_maximum_msat": channel.htlc_maximum_msat,
        "cltv_expiry_delta": spec.cltv_delta,
        "fee_base_msat": spec.fee_base_msat,
        "fee_proportional_millionths": spec.fee_ppm,
    }
    reserve = spec.capacity_msat // 100
    return {
        "peer_id": other.hex(),
        "peer_connected": network.is_connected(node.id, other),
        "reestablished": network.is_connected(node.id, other),
        "channel_type": {
            "bits": list(_CHANNEL_TYPE_BITS),
            "names": ["static_remotekey/even", "anchors/even"],
        },
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
        "features": ["option_static_remotekey", "option_anchors"],
        "to_us_msat": channel.balances[node.id],
        "total_msat": spec.capacity_msat,
        "fee_base_msat": spec.fee_base_msat,
        "fee_proportional_millionths": spec.fee_ppm,
        "their_reserve_msat": reserve,
        "our_reserve_msat": reserve,
        "spendable_msat": min(channel.balances[node.id], channel.htlc_maximum_msat),
        "receivable_msat": min(channel.balances[other], channel.htlc_maximum_msat),
        "minimum_htlc_in_msat": 0,
        "minimum_htlc_out_msat": 0,
        "maximum_htlc_out_msat": channel.htlc_maximum_msat,
        "htlcs": [],
    }


async def list_nodes(context: Context, args: dict[str, Any]) -> Result:
    """``listnodes``: those that have a public channel."""
    network = context.network
    return {
        "nodes": [
            _announcement(node)
            for node in network.nodes.values()
            if args["id"] in (None, node.id) and network.graph.is_public_node(node.id)
        ]
    }


def _announcement(node: Node) -> dict[str, Any]:
    addresses = []
    if node.spec.has_address:
        addresses.append({"type": "ipv4", "address": "127.0.0.1", "port": port_of(node)})
    return {
        "nodeid": node.id.hex(),
        "alias": node.alias,
        "color": node.id[:3].hex(),
        "last_timestamp": 1,
        "features": node.node_features,
        "addresses": addresses,
    }


async def list_channels(context: Context, args: dict[str, Any]) -> Result:
    """``listchannels``: the public ones, each direction by itself."""
    if sum(value is not None for value in args.values()) > 1:
        raise RpcError(
            INVALID_PARAMS,
            "Can only specify one of `short_channel_id`, `source` or `destination`",
        )
    halves = [
        (channel, source)
        for channel in context.network.graph.public()
        for source in channel.ids
        if args["short_channel_id"] in (None, channel.scid)
        and args["source"] in (None, source)
        and args["destination"] in (None, channel.other(source))
    ]
    return {"channels": [_half(channel, source) for channel, source in halves]}


def _half(channel: Channel, source: bytes) -> dict[str, Any]:
    direction = channel.direction_from(source)
    enabled = channel.enabled[source]
    return {
        "source": source.hex(),
        "destination": channel.other(source).hex(),
        "short_channel_id": format_scid(channel.scid),
        "direction": direction,
        "public": True,
        "amount_msat": channel.spec.capacity_msat,
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


async def list_incoming(context: Context, _args: dict[str, Any]) -> Result:
    """``listincoming``: the channels that we could be paid through."""
    network, node = context.network, context.node
    found = []
    for channel in network.graph.of(node.id):
        peer = network.node(channel.other(node.id))
        assert peer is not None
        row: dict[str, Any] = {
            "id": peer.id.hex(),
            "short_channel_id": format_scid(channel.scid),
            "fee_base_msat": channel.spec.fee_base_msat,
            "htlc_min_msat": 0,
            "htlc_max_msat": min(channel.htlc_maximum_msat, channel.balances[peer.id]),
            "fee_proportional_millionths": channel.spec.fee_ppm,
            "cltv_expiry_delta": channel.spec.cltv_delta,
            "incoming_capacity_msat": sum(
                other.htlc_maximum_msat
                for other in network.graph.of(peer.id)
                if other is not channel
                and other.spec.public
                and other.enabled[other.other(peer.id)]
            ),
            "public": channel.spec.public,
        }
        if network.graph.is_public_node(peer.id):
            row["peer_features"] = peer.node_features
        if not node.family.documents_help:
            is_connected = network.is_connected(node.id, peer.id)
            row["enabled"] = channel.enabled[peer.id] and is_connected
        found.append(row)
    return {"incoming": found}


async def get_route(context: Context, args: dict[str, Any]) -> Result:
    """``getroute``: a way for a payment, which v26.06 calls deprecated."""
    network, node = context.network, context.node
    if not node.family.documents_help and not node.spec.allows_deprecated:
        raise RpcError(UNKNOWN_METHOD, 'Command "getroute" is deprecated')
    source = args["fromid"] or node.id
    for id_, role in ((source, "source"), (args["id"], "destination")):
        if id_ != node.id and not network.graph.is_public_node(id_):
            raise RpcError(
                INVALID_PARAMS,
                f"{id_.hex()}: unknown {role} node_id (no public channels?)",
            )
    excluded = args["exclude"] or []

    def usable(channel: Channel, start: bytes, amount_msat: int) -> bool:
        # Of channels that are not its own, a node knows no balances.
        sendable = channel.balances[start] if start == node.id else channel.htlc_maximum_msat
        name = f"{format_scid(channel.scid)}/{channel.direction_from(start)}"
        return (
            channel.enabled[start]
            and amount_msat <= min(sendable, channel.htlc_maximum_msat)
            and name not in excluded
            and channel.other(start).hex() not in excluded
        )

    steps = network.graph.find_route(source, args["id"], args["amount_msat"], usable)
    if steps is None:
        raise RpcError(ROUTE_NOT_FOUND, "Could not find a route")
    return {"route": _route_rows(steps, args["cltv"])}


def _route_rows(steps: tuple[Step, ...], final_cltv: int) -> list[dict[str, Any]]:
    rows = []
    for at, step in enumerate(steps):
        rows.append(
            {
                "id": step.channel.other(step.source).hex(),
                "channel": format_scid(step.channel.scid),
                "direction": step.channel.direction_from(step.source),
                "amount_msat": step.amount_msat,
                "delay": final_cltv
                + sum(later.channel.spec.cltv_delta for later in steps[at + 1 :]),
                "style": "tlv",
            }
        )
    return rows


async def connect(context: Context, args: dict[str, Any]) -> Result:
    """``connect``: make a node our peer."""
    peer = context.network.connect(
        context.node, args["id"], is_address_given=args["host"] is not None
    )
    return {
        "id": peer.id.hex(),
        "features": peer.init_features,
        "direction": "out",
        "address": {"type": "ipv4", "address": "127.0.0.1", "port": port_of(peer)},
    }


async def disconnect(context: Context, args: dict[str, Any]) -> Result:
    """``disconnect``: part with a peer; with ``force`` even if we have a channel."""
    network, node = context.network, context.node
    if not network.is_connected(node.id, args["id"]):
        raise RpcError(INVALID_PARAMS, f"Unknown peer '{args['id'].hex()}'")
    if network.graph.between(node.id, args["id"]) and not args["force"]:
        raise RpcError(-1, "Peer has (at least one) channel in state CHANNELD_NORMAL")
    network.disconnect(node.id, args["id"])
    return {}


_NODE_ID = optional("id", params.node_id)

CALLS = (
    Call("listpeers", (_NODE_ID, optional("level", params.string)), list_peers, "Show peers"),
    Call("listpeerchannels", (_NODE_ID,), list_peer_channels, "Show our channels"),
    Call("listnodes", (_NODE_ID,), list_nodes, "Show the nodes of the network"),
    Call(
        "listchannels",
        (
            optional("short_channel_id", params.scid),
            optional("source", params.node_id),
            optional("destination", params.node_id),
        ),
        list_channels,
        "Show the channels of the network",
    ),
    Call("listincoming", (), list_incoming, "Show the channels from our peers to us"),
    Call(
        "getroute",
        (
            required("id", params.node_id),
            required("amount_msat", params.msat),
            required("riskfactor", params.anything),
            optional("cltv", params.number, _DEFAULT_FINAL_CLTV),
            optional("fromid", params.node_id),
            optional("fuzzpercent", params.anything),
            optional("exclude", params.anything),
            optional("maxhops", params.number),
        ),
        get_route,
        "Find a route for a payment",
    ),
    Call(
        "connect",
        (
            required("id", params.node_address),
            optional("host", params.string),
            optional("port", params.number),
        ),
        connect,
        "Connect to a node",
    ),
    Call(
        "disconnect",
        (required("id", params.node_id), optional("force", params.boolean, False)),
        disconnect,
        "Disconnect from a peer",
    ),
)
