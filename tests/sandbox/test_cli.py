"""The command sendinvoice-sandbox."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sendinvoice_cli import __version__
from sendinvoice_cli.sandbox import cli
from sendinvoice_cli.sandbox.known_ends import End
from sendinvoice_cli.sandbox.model.family import Family
from sendinvoice_cli.sandbox.rpc import server

_NOTICE = "simulated money on a simulated network"


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The processes that the command starts; sendinvoice ends with status 7 here."""
    started: list[list[str]] = []

    def run(command: list[str], **_more: Any) -> subprocess.CompletedProcess[str]:
        started.append(command)
        return subprocess.CompletedProcess(command, 7)

    monkeypatch.setattr(subprocess, "run", run)
    return started


@pytest.mark.parametrize(
    "arguments", [["--family", "v24.02", "demo"], ["demo", "--family", "v24.02"]]
)
def test_demo_runs_sendinvoice_and_ends_with_its_status(
    commands: list[list[str]], arguments: list[str]
) -> None:
    result = CliRunner().invoke(cli.main, arguments)
    assert result.exit_code == 7
    assert _NOTICE in result.output
    assert Family.V24_02.version in result.output
    (command,) = commands
    assert command[:3] == [sys.executable, "-m", "sendinvoice_cli"]
    options = dict(zip(command[3:7:2], command[4:7:2], strict=True))
    assert options["--network"] == "regtest"
    carol = Path(options["--lightning-dir"])
    assert carol.name == "carol"
    assert not carol.exists()
    assert command[7].startswith("lnr1")


def test_demo_ends_paid() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sendinvoice_cli.sandbox", "demo", "--amount", "1234"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done
    assert done.stdout.startswith("This is " + _NOTICE)
    assert "1,234 msat" in done.stdout
    assert "Paid" in done.stdout


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """What the command prints before it waits; at the end it is interrupted."""
    directory = tmp_path_factory.mktemp("sandbox") / "with a space"
    process = subprocess.Popen(
        [sys.executable, "-m", "sendinvoice_cli.sandbox", "--dir", str(directory)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line.rstrip())
            if "Ctrl-C" in line:
                break
        yield lines
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=20)
        assert "The sandbox has ended." in rest
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()


def test_sandbox_prints_its_nodes_and_fits_a_terminal(printed: list[str]) -> None:
    assert _NOTICE in printed[0]
    sockets = [line[line.index("/") :] for line in printed if line.endswith("/lightning-rpc")]
    assert [Path(path).is_socket() for path in sockets] == [True] * 3
    directory = shlex.split(next(line for line in printed if line.startswith("cd ")))[1]
    long = [line for line in printed if len(line.replace(directory, "/tmp/sandbox-q72zo31h")) > 80]
    assert long == []


@pytest.mark.parametrize("end", list(End), ids=lambda end: end.file)
def test_each_request_ends_as_is_printed(printed: list[str], end: End) -> None:
    """The commands as they are printed, in a shell."""
    assert f"  {end.file:12}  {end.status:4}  {end.meaning}" in printed
    first = next(at for at, line in enumerate(printed) if line.startswith("cd "))
    script = "\n".join(printed[first : first + 3])
    assert script.count(f"sendinvoice - LABEL < {End.PAID.file}") == 1
    script = script.replace("LABEL", f"label-{end.name}").replace(End.PAID.file, end.file)
    done = subprocess.run(
        ["sh", "-ec", script],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            # Only the silent one lasts until then.
            "SENDINVOICE_TIMEOUT": "6s" if end is End.SILENT else "60s",
        },
    )
    assert done.returncode == end.status, done
    file = Path(shlex.split(script.splitlines()[0])[1]) / end.file
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_request_is_paid_later_each_time(printed: list[str]) -> None:
    """So a script can be run against it again and again."""
    directory = Path(shlex.split(next(line for line in printed if line.startswith("cd ")))[1])
    command = [sys.executable, "-m", "sendinvoice_cli", "--lightning-dir", str(directory / "carol")]
    for label in ("one", "two"):
        done = subprocess.run(
            [*command, "--regtest", "-v", "-", label],
            input=(directory / End.LATER.file).read_text(encoding="ascii"),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done
        assert "could not pay" in done.stderr


def test_version_is_that_of_the_package() -> None:
    result = CliRunner().invoke(cli.main, ["--version"])
    assert result.output == f"sendinvoice-sandbox, version {__version__}\n"


@pytest.mark.parametrize("arguments", [["--amount", "0"], ["--family", "v1"], ["--nosuch"]])
def test_bad_options_are_usage_errors(arguments: list[str]) -> None:
    assert CliRunner().invoke(cli.main, arguments).exit_code == 2


@pytest.mark.parametrize("obstacle", ["a file in the way", "no such place", "a name too long"])
def test_an_unusable_directory_is_reported_in_one_line(tmp_path: Path, obstacle: str) -> None:
    directory = {
        "a file in the way": tmp_path,
        "no such place": Path("/dev/null/sandbox"),
        "a name too long": tmp_path / ("x" * 300),
    }[obstacle]
    (tmp_path / "bob").touch()
    result = CliRunner().invoke(cli.main, ["--dir", str(directory)])
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: cannot use {directory}: ")
    assert len(result.output.splitlines()) == 1
    assert isinstance(result.exception, SystemExit)


def test_the_directory_of_a_sandbox_that_runs_is_left_alone(tmp_path: Path) -> None:
    with cli._nodes_up(tmp_path, "v26.06"):
        result = CliRunner().invoke(cli.main, ["--dir", str(tmp_path), "demo"])
    assert result.exit_code == 1
    assert f"another sandbox runs in {tmp_path}" in result.output


def test_a_file_as_directory_is_a_usage_error(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    result = CliRunner().invoke(cli.main, ["--dir", str(file)])
    assert result.exit_code == 2
    assert "is a file" in result.output


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="no short name for a socket here")
def test_a_path_too_long_for_a_socket_works(tmp_path: Path, commands: list[list[str]]) -> None:
    directory = tmp_path / ("x" * 150)
    assert CliRunner().invoke(cli.main, ["demo", "--dir", str(directory)]).exit_code == 7
    assert len(commands) == 1


def test_a_path_too_long_for_a_socket_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_short_name(path: Path) -> AbstractContextManager[str]:
        return nullcontext(str(path))

    monkeypatch.setattr(server, "_short_name", no_short_name)
    result = CliRunner().invoke(cli.main, ["--dir", str(tmp_path / ("x" * 150))])
    assert result.exit_code == 1
    assert "path too long" in result.output
