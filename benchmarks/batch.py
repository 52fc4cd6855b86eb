"""Batches of different sizes in the sandbox: rate, memory, sockets, and cost per request."""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click
import psutil

from sendinvoice_cli.sandbox.model.family import Family
from sendinvoice_cli.sandbox.sandbox import Sandbox, lightning_options
from tests.networks import environment

from .measure import Installation, before_option, installed, machine

#: Sockets of the process that do not lead to lightningd: asyncio's own pair.
_OWN_SOCKETS = 2


class Figures(NamedTuple):
    """What one batch took: seconds and CPU time per request, memory, sockets."""

    seconds: float
    cpu_seconds: float
    sandbox_cpu_seconds: float
    peak_mb: float
    sockets: int


def measure(
    sandbox: Sandbox, size: int, run: int, directory: Path, installation: Installation
) -> Figures:
    """Run one batch as a process of its own."""
    file = directory / f"{size}-{run}.jsonl"
    with file.open("w", encoding="utf-8") as out:
        for at in range(size):
            row = {"invreq": sandbox.request("alice", 1000), "label": f"{size}-{run}-{at}"}
            out.write(json.dumps(row) + "\n")
    results, errors = directory / "results", directory / "errors"
    args = [str(installation.python), "-m", "benchmarks.unpaced", "--interval", "0", "--"]
    args += [*lightning_options(sandbox, "carol"), "--json", "--batch", str(file)]
    sandbox_cpu = time.process_time()
    sockets = 0
    with results.open("w") as out, errors.open("w") as err:
        process = subprocess.Popen(
            args,
            cwd=installation.tree,  # so that its benchmarks.unpaced is used
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
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
    return Figures(
        took["seconds"] / size,
        took["cpu_seconds"] / size,
        sandbox_cpu / size,
        took["peak_mb"],
        sockets,
    )


def line(name: str, size: int, runs: Sequence[Figures]) -> str:
    """A line of the table: medians."""
    median = Figures(*(statistics.median(each) for each in zip(*runs, strict=True)))
    return (
        f"| {name} | {size:,} | {1 / median.seconds:.0f} | {1000 * median.seconds:.1f} | "
        f"{1000 * median.cpu_seconds:.2f} | {1000 * median.sandbox_cpu_seconds:.2f} | "
        f"{median.peak_mb:.0f} | {median.sockets} |"
    )


@click.command()
@click.option("--sizes", default="100,1000", show_default=True, help="Requests in each batch.")
@click.option("--rounds", default=3, show_default=True, help="How often each is measured.")
@before_option
def main(sizes: str, rounds: int, before: Path | None) -> None:
    """Run batches against a sandbox that limits no messages, and print what each took.

    CPU time counts the whole process, from its start; the sandbox has its own.
    """
    Family.V26_06.message_limit = None
    print(f"{machine()}; a simulated lightningd v26.06 without limits; {rounds} rounds\n")
    print("| | requests | a second | ms each | CPU ms each | sandbox's CPU | peak MB | sockets |")
    print("|---|---|---|---|---|---|---|---|")
    with installed(before) as installations, tempfile.TemporaryDirectory() as directory:
        for size in map(int, sizes.split(",")):
            runs: dict[str, list[Figures]] = {}
            for at in range(rounds):
                for each in installations:
                    # A fresh sandbox for each run, since a full one is slower.
                    with Sandbox() as sandbox:
                        figures = measure(sandbox, size, at, Path(directory), each)
                    runs.setdefault(each.label("sendinvoice"), []).append(figures)
            for name, found in runs.items():
                print(line(name, size, found), flush=True)


if __name__ == "__main__":
    main()
