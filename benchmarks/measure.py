"""What the benchmarks share: taking turns, medians, tables, and what it ran on."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from tests.networks import environment, real

#: Returns the seconds that something took.
Timed = Callable[[], float]


def executable(name: str = "sendinvoice") -> Path:
    """An installed script, as people start it.

    :raises SystemExit: it is not installed beside this Python.
    """
    path = Path(sys.executable).parent / name
    if not path.exists():
        sys.exit(f"{path}: not installed")
    return path


def machine() -> str:
    """What this runs on, without naming it."""
    packages = " ".join(f"{name} {version(name)}" for name in ("click", "pyln-client", "rich"))
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, {packages}"


def require_nodes() -> str:
    """The version of the lightningd on PATH.

    :raises SystemExit: there is none, or it cannot be used.
    """
    reason = real.missing()
    if reason is not None:
        sys.exit(f"this benchmark needs real nodes: {reason}")
    return f"lightningd {real.version()[0]}"


@contextmanager
def real_network() -> Iterator[real.RealNetwork]:
    """A network of the lightningd on PATH, gone in the end."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as directory,
        real.network(Path(directory)) as network,
    ):
        yield network


def seconds_of(
    command: Sequence[object],
    *,
    env: Mapping[str, str] | None = None,
    expected: int = 0,
) -> float:
    """Run a process to its end, and return the seconds it took.

    :raises RuntimeError: it exits with another status than expected.
    """
    started = time.perf_counter()
    done = subprocess.run(
        [str(part) for part in command],
        env=environment(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - started
    if done.returncode != expected:
        raise RuntimeError(f"{command}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return seconds


def take_turns(of: Mapping[str, Timed], rounds: int) -> dict[str, list[float]]:
    """Measure each so many times, one after the other: what slows the machine slows all.

    The first round only warms up.
    """
    found: dict[str, list[float]] = {name: [] for name in of}
    for at in range(rounds + 1):
        for name, timed in of.items():
            seconds = timed()
            if at > 0:
                found[name].append(seconds)
    return found


def print_ratios(found: Mapping[str, Sequence[float]], baseline: str) -> None:
    """Print a table of medians in ms, and how they compare to one of them."""
    print(f"| | median ms | fastest | slowest | ratio to {baseline} |\n|---|---|---|---|---|")
    base = statistics.median(found[baseline])
    for name, all_seconds in found.items():
        median = statistics.median(all_seconds)
        figures = [median * 1000, min(all_seconds) * 1000, max(all_seconds) * 1000]
        shown = " | ".join(f"{figure:.0f}" for figure in figures)
        print(f"| {name} | {shown} | {median / base:.2f} |")


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that so many percent of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100).__int__() - 1)]
