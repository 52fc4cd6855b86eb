"""What a send costs as a node and its network grow, and what lightningd's own answers cost."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator

import click

from sendinvoice_cli.sandbox.model.family import Family
from sendinvoice_cli.sandbox.model.invoices import Invoice
from sendinvoice_cli.sandbox.model.topology import ChannelSpec, NodeSpec, Topology
from sendinvoice_cli.sandbox.sandbox import Sandbox
from tests.networks import environment

from .counted import Figures
from .measure import machine

_LINE = ("payer", "router", "receiver")


def topology(
    names: list[str], channels: list[tuple[str, str]], links: list[tuple[str, str]]
) -> Topology:
    """A payer, a router and a receiver in line, and more."""
    line = [("payer", "router"), ("router", "receiver")]
    return Topology(
        tuple(NodeSpec(name, has_address=False) for name in (*_LINE, *names)),
        tuple(ChannelSpec(left, right) for left, right in (*line, *channels)),
        tuple(links),
    )


def with_channels(size: int) -> Sandbox:
    """A receiver with so many channels, ten with each peer."""
    names = [f"peer {at}" for at in range(-(-size // 10))] if size > 1 else []
    ends = [("receiver", names[at % len(names)]) for at in range(size - 1)] if names else []
    return Sandbox(topology(names, ends, []))


def with_peers(size: int) -> Sandbox:
    """A receiver that is connected to so many nodes."""
    names = [f"peer {at}" for at in range(size - 1)]
    return Sandbox(topology(names, [], [("receiver", name) for name in names]))


def with_network(size: int) -> Sandbox:
    """A network of so many channels, of which the receiver has one."""
    names = [f"node {at}" for at in range(-(-size // 3))]
    ends = [
        (names[at % len(names)], names[(at * 7 + 1) % len(names)])
        for at in range(size)
        if at % len(names) != (at * 7 + 1) % len(names)
    ]
    return Sandbox(topology(names, ends, []))


def with_invoices(size: int) -> Sandbox:
    """A receiver with so many unpaid invoices."""
    sandbox = Sandbox(topology([], [], []))
    invoices = sandbox._node("receiver").invoices
    for at in range(size):
        preimage = at.to_bytes(32, "big")
        invoices.add(Invoice(f"old {at}", f"lni1{at}", preimage, 1000, None, expires_at=2**40))
    return sandbox


_GROWING: dict[str, tuple[Callable[[int], Sandbox], tuple[int, ...]]] = {
    "channels of ours": (with_channels, (1, 100, 1000)),
    "peers": (with_peers, (1, 100, 1000)),
    "channels of the network": (with_network, (100, 1000, 3000)),
    "invoices": (with_invoices, (10, 1000, 100_000)),
}


def measure(sandbox: Sandbox, rounds: int) -> Iterator[Figures]:
    """Send so many times in a process of its own."""
    requests = [sandbox.request("payer", 1000) for _ in range(rounds + 1)]
    command = [sys.executable, "-m", "benchmarks.counted", str(sandbox.rpc_file("receiver"))]
    done = subprocess.run(
        [*command, *requests], env=environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    for text in done.stdout.splitlines():
        yield Figures(*json.loads(text))


@click.command()
@click.option("--rounds", default=10, show_default=True, help="How often each is measured.")
def main(rounds: int) -> None:
    """Print what a send takes, and what the largest answer in it takes: medians.

    CPU time is that of the command without its start. Calls and sizes are exact. The answer of a
    real lightningd takes another time, but it has the same size.
    """
    Family.V26_06.message_limit = None
    print(f"{machine()}; a simulated lightningd v26.06 without limits; {rounds} rounds\n")
    print("| what grows | to | CPU ms | calls | answers, KiB | the largest | KiB | ms |")
    print("|---|---|---|---|---|---|---|---|")
    for what, (make, sizes) in _GROWING.items():
        for size in sizes:
            with make(size) as sandbox:
                found = list(measure(sandbox, rounds))
            cpu_ms, calls, kib, ms, dearest_kib = (
                statistics.median(getattr(each, name) for each in found)
                for name in ("cpu_ms", "calls", "kib", "dearest_ms", "dearest_kib")
            )
            print(
                f"| {what} | {size:,} | {cpu_ms:.0f} | {calls:.0f} | {kib:.0f} | "
                f"{found[-1].dearest} | {dearest_kib:.0f} | {ms:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
