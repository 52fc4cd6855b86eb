"""The command, with a batch's pace and copies set from outside. For sandboxes only."""

from __future__ import annotations

import json
import resource
import sys
import time
from functools import partial
from pathlib import Path

import click

from sendinvoice_cli import batch, cli, waiting
from sendinvoice_cli.pacing import INTERVAL, Pacer


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--interval", default=INTERVAL, show_default=True, help="Seconds between messages.")
@click.option("--copies", default="", help="Seconds between copies: 1,2,4.")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def main(interval: float, copies: str, args: tuple[str, ...]) -> None:
    """Run sendinvoice with ARGS; the last line on stderr is its time and memory, as JSON."""
    batch.run = partial(batch.run, pacer=Pacer(interval=interval))
    if copies:
        intervals = tuple(float(each) for each in copies.split(","))
        waiting.COPY_INTERVALS = intervals  # type: ignore[assignment]
    started = time.perf_counter()
    status = cli.run(list(args))
    used = resource.getrusage(resource.RUSAGE_SELF)
    took = {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_mb": _peak_mb(),
    }
    print(json.dumps(took), file=sys.stderr)
    sys.exit(status)


def _peak_mb() -> float:
    """The peak memory of this process in MB. (ru_maxrss would include the parent process.)"""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == "VmHWM":
            return int(value.split()[0]) / 1024
    raise LookupError("VmHWM")


if __name__ == "__main__":
    main()
