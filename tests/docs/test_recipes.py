"""docs/recipes.md holds: its scripts run, and its files are what cron and systemd take."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sendinvoice_cli.errors import ExitStatus
from sendinvoice_cli.sandbox.model.family import Family
from tests.docs.mdoc import ROOT, Page
from tests.networks import CHAIN, Network, environment, simulated

_TEXT = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
_AGAIN = {ExitStatus.OUTCOME_UNKNOWN, ExitStatus.NO_ROUTE, ExitStatus.TIMED_OUT}
_ENDED = {
    ExitStatus.USAGE,
    ExitStatus.REQUEST_EXPIRED,
    ExitStatus.PAYER_ERROR,
    ExitStatus.LABEL_TAKEN,
}
_OTHERS = {ExitStatus.ERROR, ExitStatus.UNREACHABLE, 127}


def _block(info: str) -> str:
    """The one block of code with these words behind its fence."""
    (found,) = re.findall(rf"^```{re.escape(info)}\n(.*?)^```$", _TEXT, re.DOTALL | re.MULTILINE)
    return str(found)


def _script(name: str) -> str:
    """The script whose first comment begins with this name."""
    scripts = re.findall(r"^```sh\n(#!/bin/sh\n.*?)^```$", _TEXT, re.DOTALL | re.MULTILINE)
    (found,) = (each for each in scripts if each.startswith(f"#!/bin/sh\n# {name} "))
    return str(found)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home directory whose owner keeps requests in ``refunds``."""
    for name in ("bin", ".local/bin", "refunds"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "refunds" / "refund-4711").write_text("lnr1qqg\n")
    return tmp_path


def _executable(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def _install(home: Path, script: str) -> None:
    """Put a ``sendinvoice`` where the recipes find it."""
    _executable(home / ".local" / "bin" / "sendinvoice", f"#!/bin/sh\n{script}\n")


def _pretend(home: Path, status: int, stdout: str = "", stderr: str = "") -> None:
    """A ``sendinvoice`` that ends like this, and writes down what it was given."""
    for name, text in (("stdout", stdout), ("stderr", stderr)):
        (home / name).write_text(text)
    _install(
        home,
        f'printf "%s\\n" "$@" > {home}/args; cat > {home}/stdin\n'
        f"cat {home}/stdout; cat {home}/stderr >&2; exit {status}",
    )


def _run(home: Path, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join((str(home / ".local" / "bin"), os.environ["PATH"]))
    return subprocess.run(
        command,
        env={**environment(env), "HOME": str(home), "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def network() -> Iterator[Network]:
    with simulated.network(Family.V26_06) as network:
        yield network


@pytest.fixture
def real_command(home: Path, network: Network) -> None:
    """This command as the receiver, and a request that is paid."""
    where = f"--lightning-dir '{network.receiver.lightning_dir}' --network {CHAIN}"
    _install(home, f'exec "{sys.executable}" -m sendinvoice_cli {where} "$@"')
    request = network.request(5_000_000, "order 4711")
    (home / "refunds" / "refund-4711").write_text(f"{request}\n")


# --- the file ---


def test_the_file_of_a_request_is_for_its_owner_only(tmp_path: Path) -> None:
    lines = re.findall(r"^    (mkdir .*|\(umask .*\))(?: +#.*)?$", _TEXT, re.MULTILINE)
    assert len(lines) == 2
    done = subprocess.run(
        ["sh", "-ec", "umask 022\n" + "\n".join(lines)],
        env={**os.environ, "HOME": str(tmp_path)},
        input="lnr1qqg\n",
        text=True,
        check=False,
    )
    assert done.returncode == 0
    file = tmp_path / "refunds" / "refund-4711"
    assert file.read_text() == "lnr1qqg\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_no_recipe_has_a_request_on_a_command_line() -> None:
    assert "lnr1" not in _TEXT


@pytest.mark.parametrize("name", ["refund", "answer"])
def test_man_page_has_the_same_scripts(name: str) -> None:
    assert f"\n{_script(name)}.Ed" in Page("sendinvoice").source.replace("\\e", "\\")


# --- the script ---


@pytest.fixture
def refund(home: Path) -> Path:
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    return _executable(home / "bin" / "refund", _script("refund"))


@pytest.mark.usefixtures("real_command")
def test_script_prints_the_preimage(home: Path, refund: Path, network: Network) -> None:
    done = _run(home, str(refund), "refund-4711")
    assert (done.returncode, done.stderr) == (0, "")
    invoice = network.receiver.invoice("refund-4711")
    assert invoice is not None
    assert done.stdout.strip() == invoice["payment_preimage"]


@pytest.mark.usefixtures("real_command")
def test_script_that_is_run_again_after_a_timeout_is_paid(
    home: Path, refund: Path, network: Network
) -> None:
    with network.hushed():
        first = _run(home, str(refund), "refund-4711", SENDINVOICE_TIMEOUT="1")
    assert (first.returncode, "run this again" in first.stderr) == (15, True)
    again = _run(home, str(refund), "refund-4711")
    assert (again.returncode, again.stderr) == (0, "")


@pytest.mark.parametrize("status", sorted(_AGAIN | _ENDED | _OTHERS))
def test_script_keeps_the_status(home: Path, refund: Path, status: int) -> None:
    _pretend(home, status, json.dumps({"exit_code": status, "error": {}}))
    done = _run(home, str(refund), "refund-4711")
    assert done.returncode == status
    assert done.stdout == ""
    assert ("run this again" in done.stderr) is (status in _AGAIN)
    assert ("ask the payer" in done.stderr) is (status in _ENDED - {ExitStatus.USAGE})
    assert (home / "stdin").read_text() == "lnr1qqg\n"


def test_every_status_of_a_single_request_is_in_the_table() -> None:
    rows = re.findall(r"^\| ([\d, ]+) \|", _TEXT, re.MULTILINE)
    listed = {int(status) for row in rows for status in row.split(",")}
    signals = {ExitStatus.INTERRUPTED, ExitStatus.TERMINATED}
    assert listed == set(ExitStatus) - signals - {ExitStatus.PARTLY_PAID}


def test_label_in_jq() -> None:
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    (works,) = re.findall(r"`(\{label: .*?\})` works", _TEXT)
    done = subprocess.run(
        ["jq", "-c", works],
        input='{"label": "x", "status": null}',
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == {"label": "x", "status": None}


# --- cron ---


@pytest.fixture
def answer(home: Path) -> Callable[[], subprocess.CompletedProcess[str]]:
    """The line of the crontab, run as cron does."""
    _executable(home / "bin" / "answer", _script("answer"))
    command = _block("crontab").strip().split(maxsplit=5)[5]

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", "-c", command],
            env={"HOME": str(home), "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh"},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


@pytest.mark.usefixtures("real_command")
def test_cron_removes_what_is_paid(
    home: Path, answer: Callable[[], subprocess.CompletedProcess[str]]
) -> None:
    first = answer()
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout == f"{home}/refunds/refund-4711 is paid\n"
    assert list((home / "refunds").iterdir()) == []
    again = answer()
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


@pytest.mark.parametrize("status", sorted(_AGAIN | _ENDED | _OTHERS))
def test_cron_mails_only_what_there_is_to_know(
    home: Path, answer: Callable[[], subprocess.CompletedProcess[str]], status: int
) -> None:
    _pretend(home, status, stderr="error: because\n")
    done = answer()
    assert (home / "args").read_text().splitlines()[-2:] == ["-", "refund-4711"]
    assert (home / "stdin").read_text() == "lnr1qqg\n"
    assert done.stdout + done.stderr == ("" if status in _AGAIN else "error: because\n")
    left = {path.name for path in (home / "refunds").iterdir()}
    assert left == {"refund-4711.ended" if status in _ENDED else "refund-4711"}


def test_cron_takes_the_line(tmp_path: Path) -> None:
    line = _block("crontab")
    assert len(line) < 1000
    crontab = shutil.which("crontab")
    usage = subprocess.run([crontab or "false", "-h"], capture_output=True, text=True, check=False)
    if "-n" not in usage.stderr:
        pytest.skip("no crontab that can check a file (-n)")
    (tmp_path / "table").write_text(line)
    done = subprocess.run(
        [str(crontab), "-n", str(tmp_path / "table")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_run_ends_before_the_next_one_begins() -> None:
    (minutes,) = re.findall(r"^\*/(\d+) ", _block("crontab"))
    (seconds,) = re.findall(r"--timeout (\d+) ", _script("answer"))
    assert int(seconds) < 60 * int(minutes)


# --- systemd ---

_UNITS = ("sendinvoice@.service", "sendinvoice-ended@.service")


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    version = subprocess.check_output(["systemd-analyze", "--version"], text=True).split()[1]
    if int(re.match(r"\d+", version)[0]) < 251:  # type: ignore[index]
        pytest.skip(f"systemd {version} is older than 251")
    command = _executable(tmp_path / "sendinvoice", "#!/bin/sh\n")
    for name in _UNITS:
        unit = _block(f"systemd {name}").replace("/usr/local/bin/sendinvoice", str(command))
        (tmp_path / name).write_text(unit)
    done = subprocess.run(
        ["systemd-analyze", "verify", *(str(tmp_path / name) for name in _UNITS)],
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
        check=False,
    )
    complaints = [line for line in done.stderr.splitlines() if "sendinvoice" in line]
    assert (done.returncode, complaints) == (0, [])


def test_unit_starts_again_only_where_that_helps() -> None:
    unit = _block("systemd sendinvoice@.service")
    (prevented,) = re.findall(r"^RestartPreventExitStatus=(.*)$", unit, re.MULTILINE)
    assert {int(status) for status in prevented.split()} == _ENDED


@pytest.mark.parametrize("status", sorted({0} | _AGAIN | _ENDED | _OTHERS))
def test_unit_puts_aside_what_has_ended(tmp_path: Path, status: int) -> None:
    unit = _block("systemd sendinvoice@.service")
    (script,) = re.findall(r"^ExecStopPost=\+/bin/sh -c '(.*)'$", unit, re.MULTILINE)
    script = script.replace("/etc/sendinvoice", str(tmp_path)).replace("%i", "refund-4711")
    (tmp_path / "refund-4711").touch()
    env = {**os.environ, "EXIT_STATUS": str(status)}
    subprocess.run(["/bin/sh", "-c", script], env=env, check=True)
    assert (tmp_path / "refund-4711.ended").exists() is (status in {0} | _ENDED)


def test_files_that_are_named_are_the_units() -> None:
    for name in _UNITS:
        assert _block(f"systemd {name}").startswith(f"# /etc/systemd/system/{name}\n")
