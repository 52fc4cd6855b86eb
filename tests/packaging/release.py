"""Whether this commit can be released.

    python -m tests.packaging.release [--tag v0.1.0] [DIRECTORY]

``make release-check`` runs it. It compares the versions, builds twice, checks
the builds, and tries the wheel in a fresh environment. The wheel and the sdist
are left in the directory, ``dist`` by default. Uncommitted changes are not
looked at.
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
from tests.packaging import owners

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


def check_files(files: list[Path]) -> None:
    """Have twine check what the package index would show."""
    with tempfile.TemporaryDirectory() as temporary:
        python = _environment(Path(temporary))
        _pip(python, "install", "twine")
        _run(python, "-m", "twine", "check", "--strict", *map(str, files))


def try_wheel(wheel: Path) -> None:
    """Install the wheel with the locked versions and nothing else, and run it."""
    with tempfile.TemporaryDirectory() as temporary:
        python = _environment(Path(temporary))
        lock = str(_ROOT / "requirements.lock")
        _pip(python, "install", "--require-hashes", "--only-binary", ":all:", "--requirement", lock)
        _pip(python, "install", "--no-deps", str(wheel))
        _pip(python, "check")
        _run(python, str(Path(owners.__file__)))
        commands = Path(python).parent
        version = _run(str(commands / "sendinvoice"), "--version")
        if version != f"sendinvoice {__version__}\n":
            raise _NotReadyError(f"the installed command says it is {version.strip()}")
        if "Paid\n" not in _run(str(commands / "sendinvoice-sandbox"), "demo"):
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
    """Run all checks, or print the notes; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.packaging.release")
    parser.add_argument("directory", type=Path, nargs="?", default=_ROOT / "dist")
    parser.add_argument("--tag", help="the tag that is to be released")
    parser.add_argument("--notes", action="store_true", help="print the notes of this version")
    args = parser.parse_args()
    if args.notes:
        print(notes(), end="")
        return 0
    try:
        check_versions(args.tag)
        print(f"version {__version__}: the same in code, man pages and changelog")
        files = build_twice(args.directory)
        print(f"two builds are the same: {', '.join(path.name for path in files)}")
        check_files(files)
        print("twine finds nothing wrong with them")
        try_wheel(next(path for path in files if path.suffix == ".whl"))
        print("the wheel installs with the locked versions, runs, and shares no file")
    except _NotReadyError as reason:
        print(f"not ready: {reason}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
