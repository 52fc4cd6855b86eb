"""The command, with another pace for a batch. For sandboxes only."""

from __future__ import annotations

import json
import resource
import sys
import time
from functools import partial
from pathlib import Path

import click

from sendinvoice_cli.batch import batch
from sendinvoice_cli.batch.pacing import INTERVAL, Pacer
from sendinvoice_cli.cli import command as cli


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--interval", default=INTERVAL, show_default=True, help="Seconds between messages.")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def main(interval: float, args: tuple[str, ...]) -> None:
    """Run sendinvoice with ARGS; the last line on stderr is its time and memory, as JSON."""
    started = time.perf_counter()
    run_batch = partial(batch.run, pacer=Pacer(interval=interval))
    status = cli.run(list(args), run_batch=run_batch)
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
