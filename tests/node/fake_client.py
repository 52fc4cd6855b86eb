"""lightningd's answers from a table, and a small network as lightningd would report it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from sendinvoice_cli.errors import LightningdError
from sendinvoice_cli.node.info import NodeInfo, OnionApi
from sendinvoice_cli.node.rpc.client import Client
from sendinvoice_cli.node.ways.graph import Graph
from tests.support.requests_builder import node_id

#: option_onion_messages offered (bit 39), only over channels (bit 67 beside it, or alone as
#: eclair has it), and neither.
MESSAGES = (1 << 39).to_bytes(5, "big").hex()
MESSAGES_BY_CHANNEL = (1 << 67 | 1 << 39).to_bytes(9, "big").hex()
MESSAGES_BY_CHANNEL_ALONE = (1 << 67).to_bytes(9, "big").hex()
NO_MESSAGES = "82"
#: LND takes them over channels only, and offers AMP (bit 31).
LND = (1 << 67 | 1 << 39 | 1 << 31).to_bytes(9, "big").hex()

Params = Mapping[str, Any]
Answer = Mapping[str, Any] | BaseException | Callable[[Params], Mapping[str, Any]]

US = node_id(1)
#: The number of each node that a network may have.
NUMBERS = {node_id(number): number for number in range(1, 20)}


class FakeClient(Client):
    """Answers from a table, and remembers what it was asked."""

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self.rpc_file = Path("/nowhere")
        self.answers = dict(answers)
        self.calls: list[tuple[str, dict[str, Any]]] = []
        #: The patience of the latest call of each method.
        self.patience: dict[str, float | None] = {}

    def call(
        self,
        method: str,
        params: Params | None = None,
        *,
        reply_filter: Params | None = None,
        patience: float | None = None,
    ) -> dict[str, Any]:
        self.calls.append((method, dict(params or {})))
        self.patience[method] = patience
        answer = self.answers.get(method)
        if answer is None:
            raise LightningdError(f"{method}: Unknown command '{method}'", rpc_code=-32601)
        if isinstance(answer, BaseException):
            raise answer
        return dict(answer(params or {}) if callable(answer) else answer)

    def methods(self) -> list[str]:
        """The names of the calls made, in order."""
        return [method for method, _ in self.calls]


class Network:
    """What lightningd tells of a network; nodes are numbers, ours is 1.

    :param peers: connected to us.
    :param channels: pairs of nodes; both directions are usable.
    :param silent: nodes that do not take messages.
    :param disabled: directed pairs whose source calls them disabled.
    :param unknown: nodes that lightningd knows nothing of.
    :param hidden: nodes that announce no address.
    :param unannounced: nodes known only by their channels.
    :param channelless: peers that have no channel with us.
    :param choosy: nodes that take messages only from peers they have a channel with.
    :param lnd: nodes that run LND.
    """

    def __init__(
        self,
        peers: Iterable[int] = (),
        channels: Iterable[tuple[int, int]] = (),
        *,
        silent: Iterable[int] = (),
        disabled: Iterable[tuple[int, int]] = (),
        unknown: Iterable[int] = (),
        hidden: Iterable[int] = (),
        unannounced: Iterable[int] = (),
        channelless: Iterable[int] = (),
        choosy: Iterable[int] = (),
        lnd: Iterable[int] = (),
    ) -> None:
        self.peers = list(peers)
        self.silent = set(silent)
        self.unknown = set(unknown)
        self.hidden = set(hidden)
        self.unannounced = set(unannounced)
        self.channelless = set(channelless)
        self.choosy = set(choosy)
        self.lnd = set(lnd)
        disabled = set(disabled)
        self.halves: list[dict[str, Any]] = [
            {
                "source": node_id(source).hex(),
                "destination": node_id(destination).hex(),
                "active": (source, destination) not in disabled,
            }
            for one, other in channels
            for source, destination in ((one, other), (other, one))
        ]

    def features(self, number: int) -> str:
        if number in self.silent:
            return NO_MESSAGES
        if number in self.lnd:
            return LND
        return MESSAGES_BY_CHANNEL if number in self.choosy else MESSAGES

    def answers(self) -> dict[str, Answer]:
        return {
            "listpeers": {
                "peers": [
                    {
                        "id": node_id(peer).hex(),
                        "connected": True,
                        "features": self.features(peer),
                    }
                    for peer in self.peers
                ]
            },
            "listpeerchannels": {
                "channels": [
                    {"peer_id": node_id(peer).hex(), "state": "CHANNELD_NORMAL"}
                    for peer in self.peers
                    if peer not in self.channelless
                ]
            },
            "listnodes": self._listnodes,
            "listchannels": self._listchannels,
        }

    def _listnodes(self, params: Params) -> dict[str, Any]:
        number = NUMBERS[bytes.fromhex(params["id"])]
        if number in self.unknown:
            return {"nodes": []}
        if number in self.unannounced:
            return {"nodes": [{"nodeid": params["id"]}]}
        node: dict[str, Any] = {"nodeid": params["id"], "alias": f"node {number}"}
        if number not in self.hidden:
            node["addresses"] = [{"type": "ipv4"}]
        return {"nodes": [{**node, "features": self.features(number)}]}

    def _listchannels(self, params: Params) -> dict[str, Any]:
        if "short_channel_id" in params:
            return {"channels": []}
        ((end, node),) = params.items()
        return {"channels": [half for half in self.halves if half[end] == node]}


def node_info(
    onion_api: OnionApi = OnionApi.INJECT_ONION,
    *,
    network: str = "regtest",
    no_connect: bool = False,
) -> NodeInfo:
    """Our own node."""
    return NodeInfo(
        id=US,
        alias="us",
        network=network,
        version="v26.06",
        blockheight=100,
        onion_api=onion_api,
        no_connect=no_connect,
        cltv_final=18,
        fronting_nodes=(),
    )


def graph_of(network: Network) -> tuple[Graph, FakeClient]:
    """Our node's view of a network, and the client that it asks."""
    client = FakeClient(network.answers())
    return Graph(client, US), client
