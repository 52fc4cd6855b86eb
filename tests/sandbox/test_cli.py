"""The command sendinvoice-sandbox."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sendinvoice_cli import __version__
from sendinvoice_cli.sandbox import cli
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


def test_sandbox_prints_a_working_command_and_runs_until_interrupted(tmp_path: Path) -> None:
    directory = tmp_path / "with a space"
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
            lines.append(line.strip())
            if "Ctrl-C" in line:
                break
        assert _NOTICE in lines[0]
        (command,) = [shlex.split(line) for line in lines if line.startswith("sendinvoice ")]
        assert command[command.index("--lightning-dir") + 1] == str(directory / "carol")
        for name in ("alice", "bob", "carol"):
            assert (directory / name / "regtest" / "lightning-rpc").is_socket()
        paid = subprocess.run(
            [sys.executable, "-m", "sendinvoice_cli", *command[1:]],
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert paid.returncode == 0
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=20)
        assert "The sandbox has ended." in rest
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()


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
