"""Sends on a node that knows the main network, and searches for paths in that network.

The graph is a ``gossip_store``, packed with xz or not: ``$GOSSIP_STORE``, else the one file in
``../shared/gossip``. It is put into the receiver's directory while the receiver is stopped.
"""

from __future__ import annotations

import lzma
import os
import random
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from sendinvoice_cli.node.features import ONION_MESSAGES
from sendinvoice_cli.node.rpc.client import Client
from sendinvoice_cli.node.ways.graph import Graph
from sendinvoice_cli.node.ways.search import find_path
from tests.networks import CHAIN, wait_for
from tests.networks.real import RealNetwork

from .measure import (
    installed,
    machine,
    percentile,
    print_ratios,
    real_network,
    require_nodes,
    take_turns,
)
from .send import send

#: init features with onion messages, a bitmap in hex.
_FEATURES = (1 << ONION_MESSAGES + 1).to_bytes(5, "big").hex()
#: Searches begin at nodes with this number of neighbours.
_USUAL_NEIGHBOURS = range(2, 200)


def gossip_store() -> bytes:
    """The mainnet graph.

    :raises SystemExit: there is none.
    """
    default = Path(__file__).parents[2] / "shared" / "gossip"
    path = Path(os.environ.get("GOSSIP_STORE", default))
    files = sorted(each for each in path.iterdir() if each.is_file()) if path.is_dir() else [path]
    if len(files) != 1 or not files[0].is_file():
        sys.exit(f"no graph at {path}: set GOSSIP_STORE to a gossip_store, or to one packed by xz")
    content = files[0].read_bytes()
    return lzma.decompress(content) if files[0].suffix == ".xz" else content


def load(network: RealNetwork, store: bytes) -> None:
    """Restart the receiver with this graph, and wait until it knows its own network again."""
    receiver, router = network.receiver, network.router
    with network.stopped(receiver):
        (receiver.lightning_dir / CHAIN / "gossip_store").write_bytes(store)
    port = network.handles[router.role].port
    receiver.rpc("connect", id=router.id, host="127.0.0.1", port=port)
    wait_for(
        lambda: (
            receiver.rpc("listchannels", source=network.payer.id)["channels"]
            and receiver.rpc("listnodes", id=network.payer.id)["nodes"]
            and receiver.rpc("listnodes", id=receiver.id)["nodes"]
        ),
        "the payer's gossip",
    )


# --- sends ---


def compare_sends(small: RealNetwork, large: RealNetwork, rounds: int) -> None:
    """Print how long sends and dry runs take on both."""
    for name, options in (("a send", ()), ("a dry run", ("--dry-run",))):
        with installed() as [installation]:
            found = take_turns(
                {
                    f"{name}, small network": partial(send, small, installation, *options),
                    f"{name}, main network": partial(send, large, installation, *options),
                },
                rounds,
            )
        print_ratios(found, f"{name}, small network")
        print()


# --- paths ---


@dataclass(frozen=True)
class Kind:
    """What a search may use.

    :param share: the share of nodes that take messages, picked by a hash of their ids; None when
        no node's features are known, and all may be used.
    :param disabled: also use disabled channels where nothing else leads there.
    """

    name: str
    share: float | None
    disabled: bool

    def takes(self, node: str) -> bool:
        """Whether a node takes messages."""
        return self.share is None or sha256(bytes.fromhex(node)).digest()[0] < 256 * self.share

    def features(self, node: str) -> str | None:
        """Features that a node announces (bitmap in hex), None when they are unknown."""
        if self.share is None:
            return None
        return _FEATURES if self.takes(node) else "00"

    def find(self, graph: Graph, target: str) -> list[str]:
        """Look for a path as a send does: with the last resorts only where nothing else leads."""
        id_ = bytes.fromhex(target)
        path = find_path(graph, id_)
        if path is None and self.disabled:
            path = find_path(graph, id_, with_disabled=True)
        if path is None and self.share is None:
            path = find_path(graph, id_, with_disabled=True, with_unknown=True)
        return [node.hex() for node in path or ()]


_KINDS = (
    Kind("60 % take messages", 0.6, False),
    Kind("60 % take messages, disabled channels too", 0.6, True),
    Kind("no features known, disabled channels too", None, True),
)


@dataclass(frozen=True)
class Map:
    """The whole graph, to know which nodes can be reached at all.

    :param enabled: by node, the neighbours to which it has an enabled channel.
    :param known: the same, disabled channels too.
    """

    nodes: list[str]
    enabled: Mapping[str, set[str]]
    known: Mapping[str, set[str]]

    def neighbours(self, node: str, kind: Kind) -> set[str]:
        """The nodes to which this one can pass a message."""
        return (self.known if kind.disabled else self.enabled).get(node, set())

    def reachable(self, start: Collection[str], kind: Kind) -> set[str]:
        """The nodes that a message can reach."""
        seen = {node for node in start if kind.takes(node)}
        queue = list(seen)
        while queue:
            for neighbour in self.neighbours(queue.pop(), kind):
                if neighbour not in seen and kind.takes(neighbour):
                    seen.add(neighbour)
                    queue.append(neighbour)
        return seen


def read_map(client: Client) -> Map:
    """Read the whole graph."""
    enabled: defaultdict[str, set[str]] = defaultdict(set)
    known: defaultdict[str, set[str]] = defaultdict(set)
    for half in client.call("listchannels")["channels"]:
        known[half["source"]].add(half["destination"])
        if half["active"]:
            enabled[half["source"]].add(half["destination"])
    nodes = sorted(each["nodeid"] for each in client.call("listnodes")["nodes"])
    return Map(nodes, enabled, known)


class Viewpoint(Client):
    """lightningd as if it were another node of the graph, with that node's neighbours as peers.

    :param features: the features of each node (bitmap in hex), None when unknown.
    """

    def __init__(
        self, rpc_file: Path, peers: Collection[str], features: Callable[[str], str | None]
    ) -> None:
        super().__init__(rpc_file)
        self.calls: Counter[str] = Counter()
        self._peers = peers
        self._features = features

    def call(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        """Make one call, or answer it in lightningd's place."""
        self.calls[method] += 1
        if method == "listpeers":
            peers = [
                {"id": peer, "connected": True, "features": self._features(peer) or _FEATURES}
                for peer in self._peers
            ]
            return {"peers": peers}
        answer = super().call(method, params, **more)
        if method == "listnodes":
            for node in answer["nodes"]:
                features = self._features(node["nodeid"])
                if features is not None:
                    node["features"] = features
        return answer


@dataclass
class Searches:
    """The results of the searches of one kind."""

    reachable: int = 0
    found: int = 0
    #: Paths to nodes that should not be reachable, or over nodes that take no messages.
    wrong: int = 0
    seconds: list[float] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)

    def line(self, name: str) -> str:
        """A line of the table."""
        times = (statistics.median(self.seconds), percentile(self.seconds, 99), max(self.seconds))
        calls = (statistics.median(self.calls), percentile(self.calls, 99))
        return (
            f"| {name} | {self.found} of {self.reachable} | {self.wrong} | "
            + " | ".join(f"{1000 * seconds:.0f}" for seconds in times)
            + f" | {calls[0]:.0f} | {calls[1]:.0f} |"
        )


def search(rpc_file: Path, whole: Map, seed: int, targets: int, kind: Kind) -> Searches:
    """Look for paths from one node of the graph to others."""
    numbers = random.Random(seed)
    takers = [node for node in whole.nodes if kind.takes(node)]
    usual = [
        node
        for node in takers
        if sum(map(kind.takes, whole.neighbours(node, kind))) in _USUAL_NEIGHBOURS
    ]
    source = numbers.choice(usual)
    peers = sorted(whole.neighbours(source, kind))
    reachable = whole.reachable(peers, kind)
    done = Searches()
    for target in numbers.sample([node for node in takers if node != source], targets):
        client = Viewpoint(rpc_file, peers, kind.features)
        started = time.perf_counter()
        path = kind.find(Graph(client, bytes.fromhex(source)), target)
        done.seconds.append(time.perf_counter() - started)
        done.calls.append(client.calls.total())
        done.reachable += target in reachable
        if path:
            done.found += target in reachable
            done.wrong += not _leads_there(path, target, whole, kind)
    return done


def _leads_there(path: list[str], target: str, whole: Map, kind: Kind) -> bool:
    return path[-1] == target and all(
        after in whole.neighbours(before, kind) and kind.takes(after)
        for before, after in pairwise(path)
    )


def search_paths(network: RealNetwork, seeds: int, targets: int) -> None:
    """Print how searches of each kind went."""
    rpc_file = network.receiver.rpc_file
    whole = read_map(Client(rpc_file))
    print(f"{len(whole.nodes):,} nodes; from {seeds} of them to {targets} others each\n")
    print("| allowed | found of reachable | wrong | p50 ms | p99 ms | max ms | calls | p99 |")
    print("|---|---|---|---|---|---|---|---|")
    for kind in _KINDS:
        for seed in range(1, seeds + 1):
            line = search(rpc_file, whole, seed, targets, kind).line(f"{kind.name}, node {seed}")
            print(line, flush=True)


@click.command()
@click.option("--rounds", default=15, show_default=True, help="How often each send is measured.")
@click.option("--seeds", default=3, show_default=True, help="Nodes to look for paths from.")
@click.option("--targets", default=200, show_default=True, help="Nodes to look for, from each.")
def main(rounds: int, seeds: int, targets: int) -> None:
    """Compare sends on a small network and on the main network, and search for paths there."""
    nodes = require_nodes()
    store = gossip_store()
    with real_network() as large:
        load(large, store)
        print(f"{machine()}; {nodes}; {rounds} rounds\n")
        with real_network() as small:
            compare_sends(small, large, rounds)
        search_paths(large, seeds, targets)


if __name__ == "__main__":
    main()
