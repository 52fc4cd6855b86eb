"""A batch to one payer two hops away on real nodes, against the time of the limit itself.

With two ways, the payer is a node with an address, whose requests name it: those of another begin
at one of its peers, which is then the only way.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import click

from tests.networks import SENT, Network, real

from .measure import machine, real_network, require_nodes

#: lightningd's own: so many messages at once, and then so many a second.
BURST = 4
RATE = 4
#: Channels, by the number of ways to the payer. Only the hermit has an address.
_CHANNELS = {
    1: real.CHANNELS,
    2: (
        ("hermit", "router"),
        ("hermit", "recluse"),
        ("router", "receiver"),
        ("recluse", "receiver"),
    ),
}


def run_one(network: Network, directory: Path, size: int, at: int) -> str:
    """Run one batch; returns a line of the table."""
    file = directory / f"batch-{at}"
    with file.open("w", encoding="utf-8") as out:
        for number in range(size):
            row = {"invreq": network.request(1000 + number), "label": f"limit-{at}-{number}"}
            out.write(json.dumps(row) + "\n")
    result = network.run("--json", "-v", "--batch", file, timeout=600)
    paid = sum(json.loads(line)["exit_code"] == 0 for line in result.stdout.splitlines())
    copies = len(SENT.findall(result.stderr))
    ratio = result.seconds / ((size - BURST) / RATE)
    return f"| {size} | {paid} | {copies} | {result.seconds:.1f} | {ratio:.2f} |"


@click.command()
@click.option("--size", default=40, show_default=True, help="Requests in each batch.")
@click.option("--rounds", default=5, show_default=True, help="How many batches.")
@click.option(
    "--ways", type=click.IntRange(1, 2), default=1, help="How many ways lead to the payer."
)
def main(size: int, rounds: int, ways: int) -> None:
    """Run batches, and compare the time of the whole process with that of the limit."""
    nodes = require_nodes()
    with tempfile.TemporaryDirectory() as directory, real_network(_CHANNELS[ways]) as network:
        if ways > 1:
            network = replace(network, payer=network.hermit)  # noqa: PLW2901
        network.run("--json", network.request(1000), "limit-warm-up")
        print(f"{machine()}; {nodes}; the limit takes {(size - BURST) / RATE:.1f} s\n")
        print("| requests | paid | messages | seconds | ratio to the limit |")
        print("|---|---|---|---|---|")
        for at in range(rounds):
            print(run_one(network, Path(directory), size, at), flush=True)


if __name__ == "__main__":
    main()
