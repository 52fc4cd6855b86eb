"""One send that counts: its calls, what lightningd answers, and what the dearest answer costs."""

from __future__ import annotations

import json
import sys
import time
from typing import Any, NamedTuple

import click

from sendinvoice_cli.answering import blocking_host
from sendinvoice_cli.node.rpc.client import Client
from sendinvoice_cli.request import Request
from tests.networks.runs import Told


class Figures(NamedTuple):
    """What one send took.

    :param cpu_ms: of this process, without its start.
    :param calls: how many were made.
    :param kib: of all answers.
    :param dearest: the call whose answer was the largest.
    :param dearest_ms: from that call to its answer, read and parsed.
    :param dearest_kib: of that answer.
    """

    cpu_ms: float
    calls: int
    kib: float
    dearest: str
    dearest_ms: float
    dearest_kib: float


class CountingClient(Client):
    """Counts calls, and measures answers."""

    def __init__(self, rpc_file: str) -> None:
        super().__init__(rpc_file)
        #: The size (KiB) of each answer, its milliseconds, and its call.
        self.answers: list[tuple[float, float, str]] = []

    def call(self, method: str, *args: Any, **options: Any) -> dict[str, Any]:
        started = time.perf_counter()
        answer = super().call(method, *args, **options)
        seconds = time.perf_counter() - started
        self.answers.append((len(json.dumps(answer)) / 1024, 1000 * seconds, method))
        return answer


@click.command()
@click.argument("rpc_file")
@click.argument("requests", nargs=-1)
def main(rpc_file: str, requests: tuple[str, ...]) -> None:
    """Answer each of REQUESTS, and print the figures of each but the first as JSON."""
    for at, request in enumerate(requests):
        client = CountingClient(rpc_file)
        started = time.process_time()
        outcome = blocking_host.send(
            Request(request, f"counted {request}", no_replies=True), client, Told()
        )
        cpu_ms = 1000 * (time.process_time() - started)
        client.close()
        if outcome.error is not None:
            sys.exit(str(outcome.error))
        if at:
            kib, milliseconds, method = max(client.answers)
            total = sum(size for size, _, _ in client.answers)
            figures = Figures(cpu_ms, len(client.answers), total, method, milliseconds, kib)
            print(json.dumps(figures))


if __name__ == "__main__":
    main()
