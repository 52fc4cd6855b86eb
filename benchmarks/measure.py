"""What the benchmarks share: alternating runs, medians, tables, and the versions used."""

from __future__ import annotations

import compileall
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import click

from tests.networks import environment, real

_HERE = Path(__file__).resolve().parents[1]
_PACKAGE = "sendinvoice_cli"
#: A script in a checkout's pyproject.toml, and the module that has its ``main``.
_SCRIPT = re.compile(r'^(sendinvoice[\w-]*) = "([\w.]+):main"$', re.MULTILINE)

before_option = click.option(
    "--before",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Another checkout, to be measured side by side with this one.",
)

#: Returns the seconds that something took.
Timed = Callable[[], float]


@dataclass(frozen=True)
class Installation:
    """A checkout, installed.

    :param tree: the checkout's directory.
    :param scripts: the directory of the installation's scripts, ``python`` among them.
    :param name: in tables, None for this checkout.
    """

    tree: Path
    scripts: Path
    name: str | None = None

    @property
    def command(self) -> Path:
        """``sendinvoice``."""
        return self.scripts / "sendinvoice"

    @property
    def python(self) -> Path:
        """The Python that finds what is installed."""
        return self.scripts / "python"

    def label(self, what: str) -> str:
        """The name in a table of something measured with this installation."""
        return f"{self.name}: {what}" if self.name else what


@contextmanager
def installed(before: Path | None = None) -> Iterator[list[Installation]]:
    """Temporary installations of this checkout and, if given, of another one.

    They are made in the same way. They use the packages of this Python. Their
    modules are compiled, as pip compiles those that it installs.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        found = [Installation(_HERE, _install(_HERE, Path(directory, "now")))]
        if before is not None:
            scripts = _install(before, Path(directory, "before"))
            found.append(Installation(before, scripts, "before"))
        yield found


def _install(tree: Path, prefix: Path) -> Path:
    """Install a checkout, and return the directory of its scripts."""
    venv.create(prefix, symlinks=True)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(prefix)}))
    shutil.copytree(
        tree / "src" / _PACKAGE, site / _PACKAGE, ignore=shutil.ignore_patterns("__pycache__")
    )
    compileall.compile_dir(site, quiet=1)
    (site / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    scripts = prefix / "bin"
    for name, module in _SCRIPT.findall((tree / "pyproject.toml").read_text(encoding="utf-8")):
        script = scripts / name
        script.write_text(
            f"#!{scripts / 'python'}\n"
            f"import sys\nfrom {module} import main\n"
            "if __name__ == '__main__':\n    sys.exit(main())\n",
            encoding="utf-8",
        )
        script.chmod(0o755)
    return scripts


def machine() -> str:
    """The number of cores, and the versions of Python and of packages."""
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
def real_network(
    channels: Sequence[tuple[str, str]] = real.CHANNELS,
) -> Iterator[real.RealNetwork]:
    """A temporary network of the lightningd on PATH, with these channels between its roles."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as directory,
        real.network(Path(directory), channels) as network,
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
    """Measure each in every round, so that a slow moment of the machine slows all of them.

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
    """The value that ``percent`` percent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100).__int__() - 1)]
