"""One send, from the start of the process to paid, against lightningd's own ``sendinvoice``."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import click

from tests.networks import CHAIN, Network, environment

from .measure import (
    executable,
    machine,
    print_ratios,
    real_network,
    require_nodes,
    seconds_of,
    take_turns,
)

HELPER = "sendinvoice-reply-helper"
BUILT_IN = "lightning-cli sendinvoice"
WARM = "sendinvoice, helper running"
COLD = "sendinvoice, helper not running"
#: Before each send, so that no node on the way has to drop a message.
_REST_SECONDS = 0.5

_labels = (f"bench-{number}" for number in count(1))


def lightning_cli(network: Network) -> list[str]:
    """The lightning-cli of the lightningd on PATH, for the receiver."""
    lightningd = shutil.which("lightningd")
    assert lightningd is not None
    return [
        str(Path(lightningd).parent / "lightning-cli"),
        f"--lightning-dir={network.receiver.lightning_dir}",
        f"--network={CHAIN}",
    ]


def send_built_in(network: Network) -> float:
    """Seconds of one built-in send."""
    time.sleep(_REST_SECONDS)
    request = network.request(1000)
    return seconds_of([*lightning_cli(network), "sendinvoice", request, next(_labels)])


def send(network: Network, *options: str) -> float:
    """Seconds of one send of ours."""
    time.sleep(_REST_SECONDS)
    request = network.request(1000)
    command = [executable(), *network.as_receiver(), "--json", *options, request, next(_labels)]
    return seconds_of(command)


def send_cold(network: Network) -> float:
    """Seconds of one send of ours that has to have its helper started."""
    stop_helper(network)
    return send(network)


def stop_helper(network: Network) -> None:
    """Have lightningd end the helper, if it runs."""
    for path in network.receiver.plugins(HELPER):
        network.receiver.rpc("plugin", subcommand="stop", plugin=path)


def phases(network: Network) -> dict[str, float]:
    """Where the seconds of one send go, told by the calls that ``-v`` prints as they end."""
    time.sleep(_REST_SECONDS)
    request = network.request(1000)
    command = [executable(), *network.as_receiver(), "--json", "-v", request, next(_labels)]
    started = time.perf_counter()
    ended: dict[str, float] = {}
    with subprocess.Popen(
        [str(part) for part in command],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            words = line.split()
            if words[1:2] == ["call"]:
                ended[words[2]] = time.perf_counter() - started
        if process.wait() != 0:
            raise RuntimeError("the send failed")
    total = time.perf_counter() - started
    sent = ended.get("injectonionmessage", ended.get("sendonionmessage", 0.0))
    return {
        "Python, imports, options; the first call": ended["getinfo"],
        "looking: request, label, peers, path": ended["createinvoice"] - ended["getinfo"],
        "the helper, the onion, sending it": sent - ended["createinvoice"],
        "until it is paid (the nodes)": ended["waitinvoice"] - sent,
        "the last look, and the end of the process": total - ended["waitinvoice"],
    }


@click.command()
@click.option("--rounds", default=15, show_default=True, help="How often each is measured.")
def main(rounds: int) -> None:
    """Compare whole processes on real nodes, with a payer two hops away."""
    nodes = require_nodes()
    with real_network() as network:
        found = take_turns(
            {
                BUILT_IN: lambda: send_built_in(network),
                WARM: lambda: send(network),
                COLD: lambda: send_cold(network),
                "python -c 'import pyln.client'": lambda: seconds_of(
                    [sys.executable, "-c", "import pyln.client"]
                ),
            },
            rounds,
        )
        warm = [phases(network) for _ in range(rounds)]
        cold = []
        for _ in range(rounds):
            stop_helper(network)
            cold.append(phases(network))
        is_direct = network.payer.id in network.receiver.peers()
    print(f"{machine()}; {nodes}; {rounds} rounds; the payer is a peer: {is_direct}\n")
    print_ratios(found, BUILT_IN)
    print("\n| where the time goes (-v; median ms) | helper running | not running |\n|---|---|---|")
    for name in warm[0]:
        medians = [1000 * statistics.median(each[name] for each in runs) for runs in (warm, cold)]
        print(f"| {name} | {medians[0]:.0f} | {medians[1]:.0f} |")


if __name__ == "__main__":
    main()
