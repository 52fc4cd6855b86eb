"""Whether this commit can be released.

    python tests/packaging/release.py build [--tag v0.1.0]
    python tests/packaging/release.py try
    python tests/packaging/release.py notes

``build`` compares the versions, builds wheel and sdist twice, and leaves them in
``dist``. ``try`` installs that wheel in a fresh environment and runs it. ``notes``
prints what CHANGELOG.md says of this version. ``make release-check`` runs the
first two. Uncommitted changes are not looked at.

Whatever builds must be trusted, so this needs nothing but hatchling, which
``build.lock`` names with its hashes, and ``src`` in PYTHONPATH.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from sendinvoice_cli import __version__

_ROOT = Path(__file__).parents[2]


class _NotReadyError(Exception):
    """Why it cannot be released."""


def check_versions(tag: str | None) -> None:
    """One version, everywhere; with a tag, also in the tag, and nothing unreleased."""
    for page in (_ROOT / "man").glob("*.1"):
        if f'.Os "sendinvoice {__version__}"' not in page.read_text(encoding="utf-8"):
            raise _NotReadyError(f"{page.name} is not of version {__version__}")
    changelog = (_ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    unreleased, _, released = changelog.partition("## [Unreleased]\n")[2].partition("\n## ")
    if not re.match(rf"\[{re.escape(__version__)}\] - \d{{4}}-\d\d-\d\d\n", released):
        raise _NotReadyError(f"CHANGELOG.md has no date for {__version__}")
    if tag is None:
        return
    if tag != f"v{__version__}":
        raise _NotReadyError(f"the tag is {tag}, the version {__version__}")
    if unreleased.strip():
        raise _NotReadyError("CHANGELOG.md has changes under Unreleased")


def notes() -> str:
    """What CHANGELOG.md says of this version."""
    changelog = (_ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    section = changelog.partition(f"\n## [{__version__}]")[2].partition("\n## ")[0]
    return section.partition("\n")[2].strip() + "\n"


def build_twice(directory: Path) -> list[Path]:
    """Build wheel and sdist from two copies of the commit; they must be the same.

    :returns: the files, in the directory.
    """
    epoch = _run("git", "log", "-1", "--format=%ct").strip()
    built: list[dict[str, bytes]] = []
    with tempfile.TemporaryDirectory() as temporary:
        for name in ("one", "another directory"):
            source, target = Path(temporary, name), Path(temporary, f"{name} built")
            source.mkdir()
            archive = Path(temporary, "archive.tar")
            _run("git", "archive", "--output", str(archive), "HEAD")
            _run("tar", "--extract", "--file", str(archive), "--directory", str(source))
            _run(
                *(sys.executable, "-m", "hatchling", "build", "--directory", str(target)),
                cwd=source,
                SOURCE_DATE_EPOCH=epoch,
            )
            built.append({path.name: path.read_bytes() for path in target.iterdir()})
    first, second = built
    if first != second:
        names = sorted(name for name in first if first[name] != second.get(name))
        raise _NotReadyError(f"two builds differ: {', '.join(names)}")
    if sorted(Path(name).suffix for name in first) != [".gz", ".whl"]:
        raise _NotReadyError(f"built were {', '.join(first)}")
    directory.mkdir(exist_ok=True)
    for name, content in first.items():
        (directory / name).write_bytes(content)
    return [directory / name for name in sorted(first)]


def try_wheel(wheel: Path) -> None:
    """Install the wheel with the locked versions and nothing else, and run it."""
    with tempfile.TemporaryDirectory() as temporary:
        python = _environment(Path(temporary))
        lock = str(_ROOT / "requirements.lock")
        _pip(python, "install", "--require-hashes", "--only-binary", ":all:", "--requirement", lock)
        _pip(python, "install", "--no-deps", str(wheel))
        _pip(python, "check")
        _run(python, str(Path(__file__).with_name("owners.py")))
        commands = Path(python).parent
        version = _run(str(commands / "sendinvoice"), "--version")
        if version != f"sendinvoice {__version__}\n":
            raise _NotReadyError(f"the installed command says it is {version.strip()}")
        if "\nPaid " not in _run(str(commands / "sendinvoice-sandbox"), "demo"):
            raise _NotReadyError("the demo was not paid")


def _environment(directory: Path) -> str:
    """A fresh virtual environment; returns its Python."""
    _run(sys.executable, "-m", "venv", str(directory))
    return str(directory / "bin" / "python")


def _pip(python: str, *args: str) -> None:
    _run(python, "-m", "pip", "--quiet", "--disable-pip-version-check", *args)


def _run(*command: str, cwd: Path = _ROOT, **environment: str) -> str:
    """Run a command and return its output.

    :raises _NotReadyError: it failed.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SENDINVOICE_", "PYTHON"))
    }
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**inherited, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise _NotReadyError(f"{' '.join(command)}\n{done.stdout}")
    return done.stdout


def main() -> int:
    """Do what the command line says; returns the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["build", "try", "notes"])
    parser.add_argument("--tag", help="the tag that is to be released")
    args = parser.parse_args()
    try:
        if args.command == "build":
            check_versions(args.tag)
            print(f"version {__version__}: the same in code, man pages and changelog")
            files = build_twice(_ROOT / "dist")
            print(f"two builds are the same: {', '.join(path.name for path in files)}")
        elif args.command == "try":
            try_wheel(_ROOT / "dist" / f"sendinvoice-{__version__}-py3-none-any.whl")
            print("the wheel installs with the locked versions, runs, and shares no file")
        else:
            print(notes(), end="")
    except _NotReadyError as reason:
        print(f"not ready: {reason}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
