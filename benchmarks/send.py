"""One send, from the start of the process to paid, against lightningd's own ``sendinvoice``."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import time
from functools import partial
from itertools import count
from pathlib import Path

import click

from tests.networks import CHAIN, Network, environment

from .measure import (
    Installation,
    Timed,
    before_option,
    installed,
    machine,
    print_ratios,
    real_network,
    require_nodes,
    seconds_of,
    take_turns,
)
from .start_up import BASELINE, start_ups

HELPER = "sendinvoice-reply-helper"
BUILT_IN = "lightning-cli sendinvoice"
WARM = "sendinvoice, helper running"
COLD = "sendinvoice, helper not running"
DRY_RUN = "sendinvoice --dry-run"
#: Seconds before each send, so that no node on the way drops a message.
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


def send(network: Network, installation: Installation, *options: str) -> float:
    """Seconds of one send of ours."""
    time.sleep(_REST_SECONDS)
    request = network.request(1000)
    command = [installation.command, *network.as_receiver(), "--json", *options]
    return seconds_of([*command, request, next(_labels)])


def send_warm(network: Network, installation: Installation) -> float:
    """Seconds of one send of ours that finds its helper running."""
    helper = str(installation.scripts / HELPER)
    if network.receiver.plugins(HELPER) != [helper]:
        stop_helper(network)
        network.receiver.rpc("plugin", subcommand="start", plugin=helper)
    return send(network, installation)


def send_cold(network: Network, installation: Installation) -> float:
    """Seconds of one send of ours that must start its helper."""
    stop_helper(network)
    return send(network, installation)


def import_click(installation: Installation) -> float:
    """Seconds of an import of click, when the nodes have nothing left to do."""
    time.sleep(_REST_SECONDS)
    return seconds_of([installation.python, "-c", "import click"])


def sends(network: Network, installation: Installation) -> dict[str, Timed]:
    """What to measure of an installation."""
    label = installation.label
    return {
        label(WARM): partial(send_warm, network, installation),
        label(COLD): partial(send_cold, network, installation),
        label(DRY_RUN): partial(send, network, installation, "--dry-run"),
    }


def stop_helper(network: Network) -> None:
    """Let lightningd stop the helper, if it runs."""
    for path in network.receiver.plugins(HELPER):
        network.receiver.rpc("plugin", subcommand="stop", plugin=path)


def phases(network: Network, installation: Installation) -> dict[str, float]:
    """Where the seconds of one send go, by the calls that ``-v`` prints as they end."""
    time.sleep(_REST_SECONDS)
    request = network.request(1000)
    command = [installation.command, *network.as_receiver(), "--json", "-v"]
    command += [request, next(_labels)]
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
@before_option
def main(rounds: int, before: Path | None) -> None:
    """Compare whole processes on real nodes, with a payer two hops away."""
    nodes = require_nodes()
    with installed(before) as installations, real_network() as network:
        this = installations[0]
        timed: dict[str, Timed] = {
            BUILT_IN: partial(send_built_in, network),
            BASELINE: partial(import_click, this),
        }
        for installation in installations:
            timed |= sends(network, installation) | start_ups(installation)
        found = take_turns(timed, rounds)
        send_warm(network, this)
        warm = [phases(network, this) for _ in range(rounds)]
        cold = []
        for _ in range(rounds):
            stop_helper(network)
            cold.append(phases(network, this))
        is_direct = network.payer.id in network.receiver.peers()
    print(f"{machine()}; {nodes}; {rounds} rounds; the payer is a peer: {is_direct}\n")
    print_ratios(found, BUILT_IN)
    floor = statistics.median(found[BUILT_IN]) + statistics.median(found[BASELINE])
    print("\nA send cannot be faster than the built-in one and an import of click together.")
    for installation in installations:
        for name in (WARM, COLD):
            median = statistics.median(found[installation.label(name)])
            print(f"{installation.label(name)}: {median / floor:.2f} times that")
    print("\n| where the time goes (-v; median ms) | helper running | not running |\n|---|---|---|")
    for name in warm[0]:
        medians = [1000 * statistics.median(each[name] for each in runs) for runs in (warm, cold)]
        print(f"| {name} | {medians[0]:.0f} | {medians[1]:.0f} |")


if __name__ == "__main__":
    main()
