"""A network of real nodes on regtest, brought up by pyln-testing.

It takes the ``lightningd``, ``bitcoind`` and ``bitcoin-cli`` that are on PATH.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from . import Mailbox, Network, Node, mailbox_plugin, wait_for

PROGRAMS = ("lightningd", "bitcoind", "bitcoin-cli")
#: The recluse is all that the hermit has a channel with: without a channel no
#: node is announced.
ROLES = ("payer", "router", "receiver", "hermit", "recluse")
CHANNELS = (("payer", "router"), ("router", "receiver"), ("hermit", "recluse"))
#: Between these, and for as long as it takes, gossip goes from one part to the other.
GOSSIP = ("receiver", "hermit")

CHANNEL_SAT = 5_000_000
#: What the funder of a channel leaves to the other side.
PUSHED_MSAT = 1_000_000_000

#: option_onion_messages, as lightningd offers it (BOLT 9).
ONION_MESSAGES_BIT = 39
#: From this version on, onion messages need no option.
_ONION_MESSAGES_BY_DEFAULT = (24, 8)


def missing() -> str | None:
    """Why there can be no real network here, None when there can."""
    programs = [program for program in PROGRAMS if shutil.which(program) is None]
    if programs:
        return f"not on PATH: {', '.join(programs)}"
    if importlib.util.find_spec("pyln.testing") is None:
        return "pyln-testing is not installed"
    return None


def version() -> tuple[str, tuple[int, int]]:
    """What ``lightningd --version`` says, and its year and month.

    :raises ValueError: it says something else.
    """
    said = subprocess.run(
        ["lightningd", "--version"], capture_output=True, text=True, check=True, timeout=30
    ).stdout.strip()
    match = re.match(r"v?(\d+)\.(\d+)", said)
    if match is None:
        raise ValueError(f"lightningd --version: {said}")
    return said, (int(match[1]), int(match[2]))


@dataclass(frozen=True)
class _NodeMailbox:
    node: Node

    def invoices(self) -> list[bytes]:
        received = self.node.rpc(mailbox_plugin.INVOICES)["invoices"]
        return [bytes.fromhex(invoice) for invoice in received]


@contextmanager
def hushed(payer: Node, part: str = "") -> Iterator[Mailbox]:
    """Inside of it, a node with the mailbox plugin gets invoices and neither pays nor answers.

    :param part: bytes in hex that they hold; all by default.
    """
    payer.rpc(mailbox_plugin.TAKE, part=part)
    try:
        yield _NodeMailbox(payer)
    finally:
        payer.rpc(mailbox_plugin.TAKE)


@dataclass(frozen=True)
class RealNetwork(Network):
    """Four lightningd.

    :param handles: pyln-testing's node of each role.
    """

    handles: dict[str, Any] = field(repr=False)

    def hushed(self, request: str | None = None) -> AbstractContextManager[Mailbox]:
        """Inside of it, the payer gets invoices and neither pays nor answers."""
        part = ""
        if request is not None:
            part = self.payer.rpc("decode", string=request)["invreq_metadata"]
        return hushed(self.payer, part)

    @contextmanager
    def stopped(self, node: Node) -> Iterator[None]:
        """Inside of it, this node does not run. It comes back without connections."""
        handle = self.handles[node.role]
        handle.stop(timeout=30)
        try:
            yield
        finally:
            handle.start()

    @contextmanager
    def frozen(self, node: Node) -> Iterator[None]:
        """Inside of it, this node does nothing. Its connections stay."""
        import psutil

        process = psutil.Process(self.handles[node.role].daemon.proc.pid)
        family = [process, *process.children(recursive=True)]
        # Some end by themselves at any time: lightningd asks bitcoin-cli.
        for each in family:
            with suppress(psutil.NoSuchProcess):
                each.suspend()
        try:
            yield
        finally:
            for each in family:
                with suppress(psutil.NoSuchProcess):
                    each.resume()


@contextmanager
def network(
    directory: Path, channels: Sequence[tuple[str, str]] = CHANNELS
) -> Iterator[RealNetwork]:
    """Bring a network up, and down again to the last process.

    :param directory: an empty one, for the nodes' files.
    :param channels: the two roles of each, the funder first.
    """
    said, number = version()
    with ExitStack() as cleanup:
        executor = cleanup.enter_context(ThreadPoolExecutor(max_workers=20))
        bitcoind = start_bitcoind(directory, cleanup)
        options = {role: _options(role, number) for role in ROLES}
        # From the start: one that is started later does not reliably get a
        # message before lightningd's own plugin.
        options["payer"]["plugin"] = str(mailbox_executable(directory))
        factory = node_factory(directory, bitcoind, executor)
        handles = start_nodes(factory, options, executor, cleanup)
        nodes = nodes_of(handles)
        connect(nodes, handles, (*channels, GOSSIP))
        _open_channels(nodes, bitcoind, channels)
        _leave_alone(nodes)
        roles = {role: node for role, node in nodes.items() if role != "recluse"}
        yield RealNetwork(f"lightningd {said}", number, **roles, handles=handles, in_batch=False)


def start_bitcoind(directory: Path, cleanup: ExitStack) -> Any:
    """A chain of our own, with some coins."""
    from pyln.testing.utils import BitcoinD

    bitcoind = BitcoinD(bitcoin_dir=str(directory / "bitcoind"))
    cleanup.callback(_stop_bitcoind, bitcoind)
    bitcoind.start()
    bitcoind.generate_block(101)
    return bitcoind


def _stop_bitcoind(bitcoind: Any) -> None:
    try:
        if bitcoind.proc is not None:
            with _survivors_killed(bitcoind.proc.pid):
                bitcoind.stop()
    finally:
        bitcoind.cleanup_files()


def node_factory(directory: Path, bitcoind: Any, executor: ThreadPoolExecutor) -> Any:
    """pyln-testing's maker of nodes, which keep their files in ``directory``."""
    from pyln.testing.db import SqliteDbProvider
    from pyln.testing.utils import LightningNode, NodeFactory

    return NodeFactory(
        None,
        "network",
        bitcoind,
        executor,
        str(directory),
        db_provider=SqliteDbProvider(str(directory)),
        node_cls=LightningNode,
        jsonschemas={},
    )


def start_nodes(
    factory: Any,
    options: Mapping[str, Mapping[str, str | None]],
    executor: ThreadPoolExecutor,
    cleanup: ExitStack,
) -> dict[str, Any]:
    """Start a node for each role, with these options on its command line.

    :returns: pyln-testing's node of each role.
    """
    handles = {}
    for role, of_node in options.items():
        handle = factory.get_node(options=dict(of_node), start=False)
        # pyln-testing has everything written to stdout as well, and every call
        # of a plugin to a file of its own.
        handle.daemon.opts["log-file"] = handle.daemon.stdout_filename
        handle.daemon.opts.pop("dev-save-plugin-io", None)
        handles[role] = handle
    cleanup.callback(_stop_nodes, list(handles.values()), executor)
    for starting in [executor.submit(handle.start) for handle in handles.values()]:
        starting.result()
    return handles


def nodes_of(handles: Mapping[str, Any]) -> dict[str, Node]:
    """The nodes behind pyln-testing's."""
    return {
        role: Node(role, Path(handle.daemon.lightning_dir), handle.info["id"])
        for role, handle in handles.items()
    }


def common_options(
    number: tuple[int, int], *, onion_messages: bool = True
) -> dict[str, str | None]:
    """What any node is told on its command line.

    :param number: lightningd's year and month.
    """
    options: dict[str, str | None] = {"disable-plugin": "cln-grpc"}
    if number >= _ONION_MESSAGES_BY_DEFAULT:
        if not onion_messages:
            options["dev-force-features"] = f"-{ONION_MESSAGES_BIT}"
    elif onion_messages:
        options["experimental-offers"] = None
        options["experimental-onion-messages"] = None
    return options


def _options(role: str, number: tuple[int, int]) -> dict[str, str | None]:
    """What a node is told on its command line beyond pyln-testing's own options."""
    options = {"alias": role, **common_options(number)}
    if role == "hermit":
        # Announce the address, although it is nobody else's.
        options["dev-allow-localhost"] = None
    return options


def mailbox_executable(directory: Path) -> Path:
    """Write the plugin of a payer that can be hushed; see :func:`hushed`."""
    executable = directory / "mailbox"
    source = Path(mailbox_plugin.__file__).read_text(encoding="utf-8")
    executable.write_text(f"#!{sys.executable}\n{source}", encoding="utf-8")
    executable.chmod(0o755)
    return executable


def _stop_nodes(handles: list[Any], executor: ThreadPoolExecutor) -> None:
    for stopping in [executor.submit(_stop_node, handle) for handle in handles]:
        stopping.result()


def _stop_node(handle: Any) -> None:
    try:
        if handle.daemon.proc is not None and handle.daemon.proc.poll() is None:
            with _survivors_killed(handle.daemon.proc.pid):
                handle.stop(timeout=20)
    finally:
        handle.daemon.cleanup_files()


@contextmanager
def _survivors_killed(pid: int) -> Iterator[None]:
    """End a process inside, and see to it that none of its children outlives it."""
    import psutil

    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    try:
        yield
    finally:
        _, alive = psutil.wait_procs(family, timeout=5)
        for each in alive:
            each.kill()
        psutil.wait_procs(alive, timeout=5)


def connect(
    nodes: Mapping[str, Node], handles: Mapping[str, Any], pairs: Iterable[tuple[str, str]]
) -> None:
    """Make peers of them."""
    for one, other in pairs:
        nodes[one].rpc("connect", id=nodes[other].id, host="127.0.0.1", port=handles[other].port)


def _open_channels(
    nodes: dict[str, Node], bitcoind: Any, channels: Sequence[tuple[str, str]]
) -> None:
    give(bitcoind, [nodes[funder] for funder, _ in channels], CHANNEL_SAT)
    mine(bitcoind, nodes, 1)
    funding = []
    for funder, other in channels:
        wait_for(partial(has_funds, nodes[funder]), f"the {funder}'s funds")
        opened = nodes[funder].rpc(
            "fundchannel", id=nodes[other].id, amount=CHANNEL_SAT, push_msat=PUSHED_MSAT
        )
        funding.append(opened["txid"])
    bitcoind.generate_block(1, wait_for_mempool=funding)
    # A node that has not seen the depth of a channel yet would drop its announcement.
    mine(bitcoind, nodes, 4)
    mine(bitcoind, nodes, 1)
    for role in {role for pair in channels for role in pair}:
        node = nodes[role]
        wait_for(partial(_knows_all, node, channels), f"the {node.role}'s gossip")


def give(bitcoind: Any, funders: Iterable[Node], channel_sat: int) -> None:
    """Send each node what it needs to open a channel; to be mined."""
    addresses = [node.rpc("newaddr", addresstype="bech32")["bech32"] for node in funders]
    amount = (channel_sat + 1_000_000) / 10**8
    bitcoind.rpc.sendmany("", dict.fromkeys(addresses, amount))


def has_funds(node: Node, outputs: int = 1) -> bool:
    """Whether a node has so many outputs to spend."""
    free = [
        output
        for output in node.rpc("listfunds")["outputs"]
        if output["status"] == "confirmed" and not output["reserved"]
    ]
    return len(free) >= outputs


def _knows_all(node: Node, channels: Sequence[tuple[str, str]]) -> bool:
    """Whether a node knows both sides of each channel, their nodes, and the hermit's address."""
    listed = node.rpc("listchannels")["channels"]
    if sum(1 for channel in listed if channel["active"] and channel["public"]) < 2 * len(channels):
        return False
    known = {each.get("alias"): each for each in node.rpc("listnodes")["nodes"]}
    roles = {role for pair in channels for role in pair}
    return roles <= known.keys() and bool(known["hermit"].get("addresses"))


def _leave_alone(nodes: dict[str, Node]) -> None:
    one, other = (nodes[role] for role in GOSSIP)
    one.rpc("disconnect", id=other.id, force=True)
    for node, gone in ((one, other), (other, one)):
        wait_for(partial(_is_without, node, gone), f"the {node.role}'s disconnection")


def _is_without(node: Node, gone: Node) -> bool:
    return gone.id not in node.peers()


def mine(bitcoind: Any, nodes: Mapping[str, Node], blocks: int) -> None:
    """Mine, and wait until every node has seen it."""
    bitcoind.generate_block(blocks)
    height = bitcoind.rpc.getblockcount()
    for node in nodes.values():
        wait_for(partial(_has_reached, node, height), f"block {height} at the {node.role}")


def _has_reached(node: Node, height: int) -> bool:
    return bool(node.rpc("getinfo")["blockheight"] >= height)
