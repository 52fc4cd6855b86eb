"""How commands end, again and again in the sandbox: singly and in a batch, paid and interrupted.

A thread that Python tears down while the process ends may abort it, once in some hundred times.
"""

from __future__ import annotations

import random
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from itertools import count

import click

from sendinvoice_cli.sandbox.model.family import Family
from tests.networks import SENT, Result, finish, simulated
from tests.networks.runs import read_until
from tests.networks.simulated import SimulatedNetwork

from .measure import machine

#: Longest time from what the command says to the signal, in seconds.
_SIGNAL_SECONDS = 0.05
#: What is waited for before a signal.
_SIGNAL_AFTER = [re.compile("call getinfo "), re.compile("call makesecret "), SENT]

_labels = (f"end-{number}" for number in count(1))


def be_paid(network: SimulatedNetwork) -> Result:
    """Answer a request that is paid at once."""
    return network.run("--json", network.request(1000), next(_labels))


def be_interrupted(network: SimulatedNetwork) -> Result:
    """Answer a request that is not paid, and send SIGINT at some instant."""
    with network.hushed():
        process = network.start("--json", "-v", network.request(1000), next(_labels))
        read_until(process, random.choice(_SIGNAL_AFTER))
        time.sleep(random.uniform(0, _SIGNAL_SECONDS))
        process.send_signal(signal.SIGINT)
        return finish(process)


_ENDS: dict[str, tuple[Callable[[SimulatedNetwork], Result], int]] = {
    "paid": (be_paid, 0),
    "interrupted": (be_interrupted, 130),
}


@click.command()
@click.option("--times", default=250, show_default=True, help="How often each of the four ends.")
def main(times: int) -> None:
    """Count the exit statuses: 0 for what is paid, 130 for what is interrupted."""
    faults = 0
    print(f"{machine()}\n\n| | runs | other exit statuses |\n|---|---|---|", flush=True)
    for way in ("single", "batch"):
        for name, (end, expected) in _ENDS.items():
            others: Counter[int] = Counter()
            with simulated.network(Family.V26_06, in_batch=way == "batch") as network:
                for _ in range(times):
                    result = end(network)
                    if result.exit != expected:
                        others[result.exit] += 1
                        print(result.stderr, file=sys.stderr)
            faults += sum(others.values())
            print(f"| {way}, {name} | {times} | {dict(others) or 'none'} |", flush=True)
    sys.exit(faults > 0)


if __name__ == "__main__":
    main()
