"""Batches of different sizes in the sandbox: rate, memory, sockets, and cost per request."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import psutil

from sendinvoice_cli.sandbox.model import network
from sendinvoice_cli.sandbox.sandbox import Sandbox, lightning_options
from tests.networks import environment

from .measure import machine

#: Sockets of the process that have nothing to do with lightningd: asyncio's own pair.
_OWN_SOCKETS = 2


def measure(sandbox: Sandbox, size: int, run: int, directory: Path) -> str:
    """Run one batch as a process of its own; returns a line of the table."""
    file = directory / f"{size}-{run}.jsonl"
    with file.open("w", encoding="utf-8") as out:
        for at in range(size):
            row = {"invreq": sandbox.request("alice", 1000), "label": f"{size}-{run}-{at}"}
            out.write(json.dumps(row) + "\n")
    results, errors = directory / "results", directory / "errors"
    args = [sys.executable, "-m", "benchmarks.unpaced", "--interval", "0", "--"]
    args += [*lightning_options(sandbox, "carol"), "--json", "--batch", str(file)]
    sandbox_cpu = time.process_time()
    sockets = 0
    with results.open("w") as out, errors.open("w") as err:
        process = subprocess.Popen(
            args, env=environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=err
        )
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                sockets = max(sockets, len(watched.net_connections("unix")) - _OWN_SOCKETS)
            except psutil.Error:
                break
            time.sleep(0.05)
        status = process.wait()
    sandbox_cpu = time.process_time() - sandbox_cpu
    paid = sum(json.loads(line)["exit_code"] == 0 for line in results.open(encoding="utf-8"))
    if status != 0 or paid != size:
        raise RuntimeError(f"exit {status}, {paid} of {size} paid: {errors.read_text()[-2000:]}")
    took = json.loads(errors.read_text().splitlines()[-1])
    seconds, cpu = took["seconds"], took["cpu_seconds"]
    return (
        f"| {size:,} | {size / seconds:.0f} | {1000 * seconds / size:.1f} | "
        f"{1000 * cpu / size:.2f} | {1000 * sandbox_cpu / size:.2f} | "
        f"{took['peak_mb']:.0f} | {sockets} |"
    )


@click.command()
@click.option("--sizes", default="100,1000", show_default=True, help="Requests in each batch.")
@click.option("--rounds", default=3, show_default=True, help="How often each is measured.")
def main(sizes: str, rounds: int) -> None:
    """Run batches against a sandbox that limits no messages, and print what each took.

    CPU time counts the whole process, from its start; the sandbox has its own.
    """
    network.BURST = sys.maxsize // network._COST_MS
    print(f"{machine()}; a simulated lightningd v26.06 without limits\n")
    print("| requests | a second | ms each | CPU ms each | sandbox's CPU | peak MB | sockets |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as directory:
        for at in range(rounds):
            for size in sizes.split(","):
                # A fresh one each: what it holds from before would be in the figures.
                with Sandbox() as sandbox:
                    print(measure(sandbox, int(size), at, Path(directory)), flush=True)


if __name__ == "__main__":
    main()
