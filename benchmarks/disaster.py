"""A batch in the sandbox during which everything goes wrong: is every row accounted for?

Nodes limit messages, messages are lost, some payers refuse, lightningd restarts, and the batch is
killed at random times and started again. This is not about speed, but too long for the tests.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import click

from sendinvoice_cli.sandbox.sandbox import lightning_options
from tests.networks import environment
from tests.networks.sandbox import Sandbox
from tests.support.batches import check_books, crowd, lose_messages, wishes, write

from .measure import machine


def run_batch(sandbox: Sandbox, file: Path, output: Path, seconds: float | None = None) -> int:
    """Run the batch as a process of its own.

    :param seconds: after which it is killed; None for never.
    :returns: its exit status.
    """
    args = [sys.executable, "-m", "sendinvoice_cli"]
    args += [*lightning_options(sandbox, "receiver"), "--json", "--output", str(output)]
    with output.with_suffix(".err").open("a") as errors:
        process = subprocess.Popen(
            [*args, "--batch", str(file)],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def results_in(output: Path) -> dict[str, int]:
    """The last exit code of each row, by label."""
    found = {}
    for line in output.read_text(encoding="utf-8").splitlines():
        result = json.loads(line)
        found[result["label"]] = result["exit_code"]
    return found


@click.command()
@click.option("--rows", default=200, show_default=True)
@click.option("--kills", default=0, show_default=True, help="How often it is killed.")
@click.option("--lost", default=0.1, show_default=True, help="Share of the messages that is lost.")
@click.option("--restarts", default=1, show_default=True, help="Of lightningd, meanwhile.")
@click.option("--timeout", default=300, show_default=True, help="TIMEOUT of each row.")
@click.option("--seed", default=1, show_default=True)
def main(  # noqa: PLR0917
    rows: int, kills: int, lost: float, restarts: int, timeout: int, seed: int
) -> None:
    """Run a batch to its end through all of this, and check that every row is accounted for."""
    numbers = random.Random(seed)
    print(f"{machine()}; {rows} rows, {kills} kills, {restarts} restarts, seed {seed}")
    with tempfile.TemporaryDirectory() as directory, Sandbox(crowd()) as sandbox:
        wanted = wishes(sandbox, rows)
        file = write(Path(directory) / "batch", wanted, timeout=timeout)
        output = Path(directory) / "results"
        lose_messages(sandbox, lost, rows * 20, seed)
        for _ in range(restarts):
            at = numbers.uniform(2, rows / 8)
            threading.Timer(at, sandbox.restart_node, ("receiver",)).start()
        started = time.monotonic()
        for at in range(kills):
            status = run_batch(sandbox, file, output, numbers.uniform(0.5, rows / 20))
            print(f"{time.monotonic() - started:6.1f} s  run {at + 1} ended with {status}")
        while (status := run_batch(sandbox, file, output)) == 1:
            print(output.with_suffix(".err").read_text()[-2000:])
        results = results_in(output)
        print(f"{time.monotonic() - started:6.1f} s  the last run exits with {status}")
        print(f"         {dict(Counter(results.values()))}")
        lost_ = sum("lost on the way" in text for name in _names() for text in sandbox.log(name))
        many = sum("too many" in text for name in _names() for text in sandbox.log(name))
        print(f"         {lost_} messages were lost, {many} were too many")
        check_books(sandbox, wanted, results)
        print("         every row is accounted for, none is lost, none is paid twice")


def _names() -> list[str]:
    return [spec.name for spec in crowd().nodes]


if __name__ == "__main__":
    main()
