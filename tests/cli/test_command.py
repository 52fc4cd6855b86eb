from __future__ import annotations

import io
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from sendinvoice_cli import __version__, errors, threads
from sendinvoice_cli.bolt12 import string
from sendinvoice_cli.cli import command as cli
from sendinvoice_cli.errors import ExitStatus, SendInvoiceError
from sendinvoice_cli.node.rpc.client import Client
from sendinvoice_cli.outcome import Outcome, Result
from sendinvoice_cli.render.spool import Spool
from sendinvoice_cli.render.streams import Streams
from sendinvoice_cli.request import DEFAULT_TIMEOUT, Request
from tests.render.kept_streams import Terminal
from tests.support.requests_builder import request_string
from tests.support.schema import check_row

_PAID: dict[str, Any] = {
    "label": "a label",
    "status": "paid",
    "amount_msat": 1500,
    "description": "[red]\x1b[31m\u202e",
    "bolt12": "lni1" + "q" * 500,
}

#: UNIX seconds.
_NOW = 1_800_000_000


class _Sending:
    """Stands for send.send(): takes what it is given, and answers with an outcome."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.clients: list[Client] = []
        self.outcome = Outcome(_PAID, None, _NOW)
        self.do: Callable[[Any], None] = lambda _progress: None

    def __call__(
        self, request: Request, client: Client, progress: Any, *, settled: Callable[[], None]
    ) -> Outcome:
        self.requests.append(request)
        self.clients.append(client)
        self.do(progress)
        settled()
        return self.outcome

    def run(self, args: list[str], streams: Streams | None = None) -> int:
        """Run the command with this in the place of send.send()."""
        return cli.run(args, streams=streams, sender=self)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home without settings; signals are as before afterwards."""
    for name in list(os.environ):
        if name.startswith("SENDINVOICE_") or name in ("NO_COLOR", "FORCE_COLOR"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TERM", "xterm")
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield tmp_path
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def sending() -> _Sending:
    return _Sending()


def _request(sending: _Sending, *args: str) -> Request:
    assert sending.run(["lnr1qq", "a label", *args]) == ExitStatus.PAID
    return sending.requests[-1]


# --- parameters ---


def test_positionals_in_the_order_of_the_rpc(sending: _Sending) -> None:
    assert sending.run(["lnr1qq", "a label", "1sat", "60", "3"]) == 0
    assert sending.requests == [Request("lnr1qq", "a label", 1000, 60, 3, must_match=True)]


def test_by_name(sending: _Sending) -> None:
    args = ["--amount-msat", "1sat", "--timeout", "60", "--quantity", "3"]
    assert _request(sending, *args) == Request("lnr1qq", "a label", 1000, 60, 3)


def test_units_of_the_timeout(sending: _Sending, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _request(sending, "1000", "10m").timeout == 600
    assert _request(sending, "--timeout", "1h").timeout == 3600
    monkeypatch.setenv("SENDINVOICE_TIMEOUT", "2d")
    assert _request(sending).timeout == 172_800


def test_only_an_amount_by_position_must_be_what_is_offered(
    sending: _Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _request(sending, "1000").must_match
    assert not _request(sending).must_match
    assert not _request(sending, "--amount-msat", "1000").must_match
    monkeypatch.setenv("SENDINVOICE_AMOUNT_MSAT", "1000")
    assert not _request(sending).must_match
    assert _request(sending, "2000").must_match


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_third_word_that_is_meant_as_a_timeout(
    capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    """Nothing listens on the socket: the amount is refused before lightningd is asked."""
    args = [request_string(), "a label", "3600", "--rpc-file", "/nowhere", *options]
    assert cli.run(args) == ExitStatus.USAGE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "asks for 3.6 sat, but the payer offers 100 sat" in captured.err
    assert "--timeout 3600" in captured.err


def test_defaults(sending: _Sending, home: Path) -> None:
    assert _request(sending) == Request("lnr1qq", "a label", None, 90, None)
    assert Path(sending.clients[0].rpc_file) == home / ".lightning/bitcoin/lightning-rpc"


@pytest.mark.parametrize("flag", ["--dry-run", "--renew", "--no-connect", "--no-replies"])
def test_flags(sending: _Sending, flag: str) -> None:
    name = flag[2:].replace("-", "_")
    assert getattr(_request(sending, flag), name) is True
    assert getattr(_request(sending), name) is False


def test_a_label_of_any_text(sending: _Sending) -> None:
    assert sending.run(["--", "lnr1qq", "--label [b]\x1b\n"]) == 0
    assert sending.requests[0].label == "--label [b]\x1b\n"


def test_a_label_may_look_like_a_request(sending: _Sending) -> None:
    assert sending.run(["lnr1qq", "lnr1 refund"]) == 0
    assert sending.requests[0].label == "lnr1 refund"


def _typed(text: str) -> Streams:
    file = tempfile.TemporaryFile("w+")  # noqa: SIM115
    file.write(text)
    file.seek(0)
    return Streams(file, None, None)


@pytest.mark.parametrize(
    "text", ["lnr1qq\n", "  lnr1qq  ", "lnr1qq+\n  qq\n", "LIGHTNING:LNR1QQ\r\n"]
)
def test_request_on_standard_input(sending: _Sending, text: str) -> None:
    assert sending.run(["-", "a label"], _typed(text)) == 0
    assert sending.requests[0].invreq.strip() == text.strip()


@pytest.mark.parametrize("before", ["", "\n" * 100], ids=["at once", "behind white space"])
def test_too_much_on_standard_input(sending: _Sending, before: str) -> None:
    """What is too long stays too long: it must not be cut into a request that is not."""
    text = before + "q" * (string.MAX_LENGTH + 50)
    sending.run(["-", "a label"], _typed(text))
    assert all(len(request.invreq) > string.MAX_LENGTH for request in sending.requests)


@pytest.mark.parametrize(
    ("args", "what"), [(["-", "a label"], "the request"), (["--batch", "-"], "the batch")]
)
def test_a_terminal_is_told_what_is_awaited(
    sending: _Sending, args: list[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    leading, following = pty.openpty()
    with os.fdopen(following, "r+b", buffering=0) as file:
        os.write(leading, b"lnr1qq\n\x04\x04")
        sending.run(args, Streams(io.TextIOWrapper(file), None, sys.stderr))
    os.close(leading)
    shown = capsys.readouterr().err
    assert shown.startswith(
        f"sendinvoice: waiting for {what}: paste it, then press Enter and Ctrl-D"
    )


def test_a_request_in_a_file_that_others_can_read(
    sending: _Sending, capsys: pytest.CaptureFixture[str]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "request")
        path.write_text("lnr1qq\n")
        path.chmod(0o644)
        path.parent.chmod(0o755)
        for options, count in (([], 1), (["-q"], 0)):
            with path.open() as file:
                assert sending.run(["-", "label", *options], Streams(file, None, sys.stderr)) == 0
            assert capsys.readouterr().err.count("other users can read the file on") == count


@pytest.mark.parametrize("args", [["-", "a label"], ["--batch", "-"]])
def test_standard_input_is_closed(sending: _Sending, args: list[str]) -> None:
    stderr = io.StringIO()
    assert sending.run(args, Streams(None, None, stderr)) == ExitStatus.USAGE
    assert (
        stderr.getvalue()
        == "sendinvoice: standard input is closed\n  hint: - reads it: pipe something into it\n"
    )


def test_standard_input_that_cannot_be_read(sending: _Sending) -> None:
    stderr = io.StringIO()
    # Python opens it for reading, as it does with 0>FILE.
    descriptor = os.open("/dev/null", os.O_WRONLY)
    with open(descriptor, encoding="utf-8") as stdin:
        assert sending.run(["-", "a label"], Streams(stdin, None, stderr)) == ExitStatus.USAGE
    assert "cannot read the request: Bad file descriptor" in stderr.getvalue()


def test_standard_streams_that_do_not_block(tmp_path: Path) -> None:
    """They are waited for, whatever the parent has set."""
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    command = [sys.executable, "-m", "sendinvoice_cli", "--rpc-file", str(tmp_path), "-", "label"]
    with subprocess.Popen(command, stdin=ours, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while not os.get_blocking(ours) and process.poll() is None:
            pass
        os.write(theirs, request_string().encode())
        os.close(theirs)
        assert "cannot reach lightningd" in process.stderr.read()
    os.close(ours)


# --- where lightningd is ---


@pytest.mark.parametrize(
    ("args", "path"),
    [
        (["--network", "regtest"], ".lightning/regtest/lightning-rpc"),
        (["--mainnet"], ".lightning/bitcoin/lightning-rpc"),
        (["--testnet"], ".lightning/testnet/lightning-rpc"),
        (["--testnet4"], ".lightning/testnet4/lightning-rpc"),
        (["--signet"], ".lightning/signet/lightning-rpc"),
        (["--regtest"], ".lightning/regtest/lightning-rpc"),
        (["--regtest", "--network", "regtest"], ".lightning/regtest/lightning-rpc"),
        (["--rpc-file", "rpc"], ".lightning/bitcoin/rpc"),
        (["--lightning-dir", "{home}/dir", "--signet"], "dir/signet/lightning-rpc"),
        (["--rpc-file", "{home}/rpc", "--signet"], "rpc"),
    ],
)
def test_socket(sending: _Sending, home: Path, args: list[str], path: str) -> None:
    _request(sending, *(arg.format(home=home) for arg in args))
    assert Path(sending.clients[0].rpc_file) == home / path


@pytest.mark.parametrize(
    ("variable", "value", "path"),
    [
        ("LIGHTNING_DIR", "{home}/dir", "dir/bitcoin/lightning-rpc"),
        ("NETWORK", "signet", ".lightning/signet/lightning-rpc"),
        ("REGTEST", "1", ".lightning/regtest/lightning-rpc"),
        ("RPC_FILE", "rpc", ".lightning/bitcoin/rpc"),
    ],
)
def test_socket_by_environment(
    sending: _Sending, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, path: str
) -> None:
    monkeypatch.setenv(f"SENDINVOICE_{variable}", value.format(home=Path.home()))
    _request(sending)
    assert Path(sending.clients[0].rpc_file) == Path.home() / path


def _options() -> list[click.Option]:
    return [
        option
        for option in cli.command.params
        if isinstance(option, click.Option) and option.opts != ["--version"]
    ]


@pytest.mark.parametrize("option", _options(), ids=lambda option: max(option.opts, key=len))
def test_every_option_has_its_environment_variable(
    option: click.Option, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = max(option.opts, key=len)
    variable = f"SENDINVOICE_{long.strip('-').replace('-', '_').upper()}"
    monkeypatch.setenv(variable, "1")
    context = click.Context(cli.command, info_name="sendinvoice", auto_envvar_prefix="SENDINVOICE")
    assert option.resolve_envvar_value(context) == "1", variable


@pytest.mark.parametrize(
    ("variable", "value", "args"),
    [
        ("TIMEOUT", "60", ("1000", "30")),
        ("AMOUNT_MSAT", "60", ("1000", "30")),
        ("QUANTITY", "60", ("1000", "30", "2")),
        ("NETWORK", "bitcoin", ("--regtest",)),
        ("REGTEST", "1", ("--network", "bitcoin")),
        ("OUTPUT", "results", ()),
        ("BATCH", "batch", ()),
    ],
)
def test_the_command_line_wins_over_the_environment(
    sending: _Sending,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    args: tuple[str, ...],
) -> None:
    wanted = _request(sending, *args), Path(sending.clients[0].rpc_file)
    monkeypatch.setenv(f"SENDINVOICE_{variable}", value)
    assert (_request(sending, *args), Path(sending.clients[1].rpc_file)) == wanted


def test_an_option_wins_over_the_environment(
    sending: _Sending, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENDINVOICE_NETWORK", "signet")
    _request(sending, "--network", "regtest")
    assert Path(sending.clients[0].rpc_file) == home / ".lightning/regtest/lightning-rpc"


def test_a_configuration_file_of_another_place(sending: _Sending, home: Path) -> None:
    conf = home / "conf"
    conf.write_text(f"lightning-dir={home}/dir\nregtest\n")
    _request(sending, "--conf", str(conf))
    assert Path(sending.clients[0].rpc_file) == home / "dir/regtest/lightning-rpc"


@pytest.mark.parametrize("option", ["--lightning-dir", "--rpc-file", "--batch", "--output"])
def test_nothing_is_checked_before_it_is_used(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], home: Path, option: str
) -> None:
    """A socket that may be written but not read works, and so does a folder of mode 0711."""
    asked: list[object] = []
    for name in ("access", "stat"):
        monkeypatch.setattr(os, name, lambda path, *_, **__: asked.append(path))
    args = [option, str(home / "thing")]
    if option == "--output":
        args += ["--batch", "/dev/null"]
    elif option != "--batch":
        args = [request_string(), "a label", *args]
    cli.run(args)
    assert str(home / "thing") not in map(str, asked)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may use every socket")
def test_a_socket_of_another_user(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(home / "rpc"))
        server.listen()
        (home / "rpc").chmod(0)
        args = [request_string(), "a label", "--rpc-file", str(home / "rpc")]
        assert cli.run(args) == ExitStatus.UNREACHABLE
    assert "run sendinvoice as lightningd's user" in capsys.readouterr().err


def test_a_socket_that_is_there_for_another_network(
    capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    for network in ("regtest", "signet"):
        (home / ".lightning" / network).mkdir(parents=True)
        (home / ".lightning" / network / "lightning-rpc").touch()
    assert cli.run([request_string(), "a label"]) == ExitStatus.UNREACHABLE
    hint = "there is a socket for signet and regtest: is it --network signet?"
    assert hint in capsys.readouterr().err


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["-h"]])
def test_help_on_a_full_disk(args: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "sendinvoice_cli", *args],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    said = "sendinvoice: cannot write to standard output: No space left on device\n"
    assert (done.returncode, done.stderr) == (ExitStatus.ERROR, said)


def test_a_current_directory_that_is_gone(
    sending: _Sending,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    args = ["lnr1qq", "a label", "--lightning-dir"]
    assert sending.run([*args, "lightning"]) == ExitStatus.USAGE
    assert (
        "lightning is relative to the current directory, which is gone" in capsys.readouterr().err
    )
    assert sending.run([*args, str(tmp_path)]) == ExitStatus.PAID


@pytest.mark.parametrize("way", ["file", "pipe", "output"])
def test_rows_of_a_batch_that_cannot_reach_lightningd(tmp_path: Path, way: str) -> None:
    """Each that can be read gets its object. A pipe that goes on is not waited for."""
    batch, results = tmp_path / "batch", tmp_path / "results"
    request = request_string()
    batch.write_text(f"invreq,label,quantity\n{request},one,\n{request},two,0\nlnr1qq,three,\n")
    args = ["--output", str(results)] if way == "output" else ["--json"]
    args += ["--rpc-file", str(tmp_path / "rpc"), "--batch", "-" if way == "pipe" else str(batch)]
    with subprocess.Popen(
        [sys.executable, "-m", "sendinvoice_cli", *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(batch.read_bytes())
        process.stdin.flush()
        assert process.wait(120) == ExitStatus.UNREACHABLE
        shown = process.stdout.read().decode()
    printed = results.read_text() if way == "output" else shown
    found = [json.loads(line) for line in printed.splitlines()]
    for each in found:
        check_row(each, each["exit_code"])
    assert [(each["row"], each["label"], each["exit_code"]) for each in found] == [
        (1, "one", ExitStatus.UNREACHABLE),
        (2, "two", ExitStatus.USAGE),
        (3, "three", ExitStatus.USAGE),
    ]
    # What the payer offers is known without lightningd.
    assert found[0]["request"]["payer_id"]


class _SlowTerminal(Terminal):
    """A terminal that shows a text only some time after it is written."""

    def __init__(self, screen: io.StringIO, is_written: threading.Event) -> None:
        super().__init__()
        self._screen = screen
        self._is_written = is_written

    def write(self, text: str) -> int:
        # Longer only if nothing else is written meanwhile, which is right.
        self._is_written.wait(0.1)
        return self._screen.write(text)


class _Screen(Terminal):
    """A terminal that tells when something is written."""

    def __init__(self) -> None:
        super().__init__()
        self.is_written = threading.Event()

    def write(self, text: str) -> int:
        written = super().write(text)
        self.is_written.set()
        return written


def test_the_summary_comes_after_all_else(tmp_path: Path) -> None:
    """It shares the screen with the numbers, which another thread writes."""
    batch = tmp_path / "batch"
    batch.write_text(f"invreq,label\n{request_string()},one\n")
    screen = _Screen()
    streams = Streams(None, screen, _SlowTerminal(screen, screen.is_written))

    def run_batch(_rows: object, _client: Client, report: Spool, *, patience: float) -> ExitStatus:
        assert patience == DEFAULT_TIMEOUT
        report.result(Result(1, 2, Outcome(_PAID, None, _NOW)))
        return ExitStatus.PAID

    assert cli.run(["--batch", str(batch)], streams=streams, run_batch=run_batch) == 0
    assert screen.getvalue().endswith("1 of 1 paid, 1.5 sat (1,500 msat)\n")


def test_rows_of_a_batch_that_lightningd_cannot_answer(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """They end like a single request, which gets its object."""
    batch = tmp_path / "batch"
    batch.write_text(f"invreq,label\n{request_string()},one\n")

    def refuse(*_: object, **_more: object) -> ExitStatus:
        raise errors.LightningdError("it has onion messages turned off")

    assert cli.run(["--json", "--batch", str(batch)], run_batch=refuse) == ExitStatus.ERROR
    (line,) = capsys.readouterr().out.splitlines()
    check_row(json.loads(line), ExitStatus.ERROR)


# --- usage errors ---


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "INVREQ"),
        (["--dry-run"], "INVREQ is missing\n  hint: give the request: sendinvoice lnr1"),
        (["lnr1qq"], "LABEL is missing\n  hint: name the invoice: sendinvoice"),
        (["lnr1qq", ""], "LABEL is empty"),
        (["lnr1qq", " \t"], "LABEL is empty"),
        (["my label", "lnr1qq"], "INVREQ and LABEL are swapped"),
        (["my label", "lightning:LNR1QQ"], "INVREQ and LABEL are swapped"),
        (["lnr1qq", "label", "1", "2", "3", "4"], "too many words: 4\n  hint: quote a label"),
        (["lnr1qq", "my", "refund", "of", "order", "number", "7"], "too many words: number 7"),
        (["lnr1qq", "my", "refund"], "'refund' is not an amount\n  hint: quote a label that has"),
        (["lnr1qq", "label", "1h"], "'1h' is not an amount\n  hint: to wait that long, give --ti"),
        (["lnr1qq", "label", "--nonsense"], "--nonsense"),
        (["lnr1qq", "label", "abc"], "not an amount"),
        (["lnr1qq", "label", "0"], "must be more than 0"),
        (["lnr1qq", "label", ""], "'' is not an amount\n  hint: amounts look like"),
        (["lnr1qq", "label", "1000", "0h"], "TIMEOUT must be"),
        (["lnr1qq", "label", "1000", "0h"], "not '0h'\n  hint: times look like"),
        (["lnr1qq", "label", "1", "0"], "TIMEOUT must be"),
        (["lnr1qq", "label", "1", "4294967296"], "TIMEOUT must be"),
        (["lnr1qq", "label", "1", "1", "0"], "QUANTITY must be"),
        (["lnr1qq", "label", "1", "--amount-msat", "1"], "AMOUNT_MSAT and --amount-msat"),
        (["lnr1qq", "label", "1", "2", "--timeout", "2"], "TIMEOUT and --timeout"),
        (["lnr1qq", "label", "1", "2", "3", "--quantity", "3"], "QUANTITY and --quantity"),
        (["lnr1qq", "label", "--network", "moon"], "'moon' is not a network"),
        (["lnr1qq", "label", "--network", "../../etc"], "not a network"),
        (["lnr1qq", "label", "--signet", "--regtest"], "more than one network"),
        (["lnr1qq", "label", "--signet", "--network", "regtest"], "more than one network"),
        (["lnr1qq", "label", "--color", "pink"], "pink"),
        (["lnr1qq", "label", "--output", "results"], "--output is for a batch"),
        (["--batch", "x", "--output", "-"], "cannot open x"),
        (["--batch", "/dev/null", "--output", "-"], "--output needs the name of a file"),
        (["lnr1qq", "label", "--conf", "/nowhere/conf"], "cannot read /nowhere/conf: No such"),
    ],
)
@pytest.mark.parametrize("json_option", [[], ["--json"]], ids=["plain", "--json"])
def test_usage_errors(
    sending: _Sending,
    capsys: pytest.CaptureFixture[str],
    args: list[str],
    message: str,
    json_option: list[str],
) -> None:
    assert sending.run([*json_option, *args]) == ExitStatus.USAGE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert sending.requests == []


@pytest.mark.parametrize(
    "args",
    [
        ["--\x1b[31m\u202e", "label"],
        ["lnr1qq", "label", "1", "2", "3", "\x1b[31m\u202e"],
        ["lnr1qq", "label", "--color", "\x1b[31m\u202e"],
        ["lnr1qq", "label", "\x1b[31m\u202e"],
        ["lnr1qq", "label", "--network", "\x1b[31m\u202e"],
        ["--batch", "\x1b[31m\u202e"],
    ],
)
def test_usage_errors_quote_literally(capsys: pytest.CaptureFixture[str], args: list[str]) -> None:
    """An invoice_request that begins with dashes is taken for an option."""
    assert cli.run(args) == ExitStatus.USAGE
    shown = capsys.readouterr().err
    assert r"\x1b[31m\u202e" in shown
    assert all(line.isprintable() for line in shown.splitlines())


# --- outcomes ---


@pytest.mark.parametrize(
    "error",
    [
        errors.SendInvoiceError,
        errors.UnanswerableRequestError,
        errors.UnreachableError,
        errors.OutcomeUnknownError,
        errors.RequestExpiredError,
        errors.NoRouteError,
        errors.PayerError,
        errors.TimedOutError,
        errors.LabelTakenError,
        errors.InterruptedBySignalError,
        errors.TerminatedBySignalError,
    ],
)
def test_failures_are_results(
    sending: _Sending, capsys: pytest.CaptureFixture[str], error: type[SendInvoiceError]
) -> None:
    failure = error("what \x1b[31m happened", hint="what to do", data={"error": "\x1b[31m"})
    known = {"label": "a label", "bolt12": "lni1qq"}
    sending.outcome = Outcome(known, failure, _NOW, ["a warning"])
    assert sending.run(["lnr1qq", "a label", "--json"]) == error.exit_status
    captured = capsys.readouterr()
    assert captured.err == ("sendinvoice: what \\x1b[31m happened\n  hint: what to do\n")
    assert captured.out.count("\n") == 1
    assert captured.out.isascii()
    assert "\x1b" not in captured.out
    assert json.loads(captured.out) == {
        "label": "a label",
        "bolt12": "lni1qq",
        "status": None,
        "request": None,
        "ended_at": _NOW,
        "warnings": ["a warning"],
        "exit_code": int(error.exit_status),
        "error": {
            "code": error.code,
            "message": "what \x1b[31m happened",
            "hint": "what to do",
            "data": {"error": "\x1b[31m"},
        },
    }


def test_success_as_json(sending: _Sending, capsys: pytest.CaptureFixture[str]) -> None:
    assert sending.run(["lnr1qq", "a label", "--json"]) == 0
    captured = capsys.readouterr()
    printed = json.loads(captured.out)
    assert printed.items() >= {**_PAID, "exit_code": 0, "error": None}.items()
    assert captured.err == ""


def test_success_for_people(sending: _Sending, capsys: pytest.CaptureFixture[str]) -> None:
    assert sending.run(["lnr1qq", "a label"]) == 0
    captured = capsys.readouterr()
    assert "1.5 sat (1,500 msat)" in captured.out
    assert r"[red]\x1b[31m\u202e" in captured.out
    assert "lni1" not in captured.out
    assert captured.err == ""
    assert sending.run(["lnr1qq", "a label", "-v"]) == 0
    assert _PAID["bolt12"] in capsys.readouterr().out


@pytest.mark.parametrize("is_piped", [False, True])
def test_table_repeats_what_the_terminal_shows_only_for_a_pipe(
    sending: _Sending, is_piped: bool
) -> None:
    out = io.StringIO() if is_piped else Terminal()
    assert sending.run(["lnr1qq", "a label"], Streams(None, out, Terminal())) == 0
    assert ("amount  " in out.getvalue()) is is_piped
    assert "Paid 1.5 sat" in out.getvalue()


@pytest.mark.parametrize("options", [[], ["-q"], ["--json", "-q"]])
def test_quiet_hides_no_loss_of_money(
    sending: _Sending, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    sending.do = lambda progress: progress.warn("money is lost", "do this", even_if_quiet=True)
    assert sending.run(["lnr1qq", "a label", *options]) == 0
    assert "warning: money is lost\n  hint: do this\n" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["-q", "--quiet"])
def test_quiet(sending: _Sending, capsys: pytest.CaptureFixture[str], option: str) -> None:
    sending.do = lambda progress: progress.warn("a warning")
    assert sending.run(["lnr1qq", "a label", option]) == 0
    assert capsys.readouterr() == ("", "")
    sending.outcome = Outcome(_PAID, errors.TimedOutError("not paid"), _NOW)
    assert sending.run(["lnr1qq", "a label", option]) == ExitStatus.TIMED_OUT
    assert capsys.readouterr() == ("", "sendinvoice: not paid\n")


def test_warnings_go_to_stderr(sending: _Sending, capsys: pytest.CaptureFixture[str]) -> None:
    sending.do = lambda progress: progress.warn("a \x1b[31m warning", "a hint")
    assert sending.run(["lnr1qq", "a label", "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == "sendinvoice: warning: a \\x1b[31m warning\n  hint: a hint\n"
    assert json.loads(captured.out)["status"] == "paid"


@pytest.mark.parametrize(
    ("color", "variables", "coloured"),
    [
        ("auto", (), False),
        ("always", (), True),
        ("never", (), False),
        ("auto", ("NO_COLOR",), False),
        ("always", ("NO_COLOR",), True),
        ("auto", ("FORCE_COLOR",), True),
        ("never", ("FORCE_COLOR",), False),
        ("auto", ("NO_COLOR", "FORCE_COLOR"), False),
    ],
)
def test_colour(
    sending: _Sending,
    capsys: pytest.CaptureFixture[str],
    color: str,
    variables: tuple[str, ...],
    coloured: bool,
) -> None:
    """What --color says, then NO_COLOR, FORCE_COLOR and the terminal; here stdout is none."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in variables:
            patch.setenv(variable, "1")
        assert sending.run(["lnr1qq", "a label", "--color", color]) == 0
    # Green, not only bold: that is what NO_COLOR by itself would have left.
    shown = capsys.readouterr().out
    assert ("32m" in shown) is coloured
    assert ("\x1b[" in shown) is coloured


@pytest.mark.parametrize(
    ("options", "shown"),
    [([], True), (["--json"], False), (["--quiet"], False), (["--verbose"], True)],
)
def test_steps_are_shown_on_a_terminal(sending: _Sending, options: list[str], shown: bool) -> None:
    terminal = Terminal()
    sending.do = lambda progress: progress.step("a step")
    assert sending.run(["lnr1qq", "a label", *options], Streams(None, None, terminal)) == 0
    assert ("• a step" in terminal.getvalue()) is shown


@pytest.mark.parametrize("value", ["1", "0.1.0"])
def test_the_environment_does_not_ask_for_the_version(
    sending: _Sending, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("SENDINVOICE_VERSION", value)
    _request(sending)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out == f"sendinvoice {__version__}\n"


# --- signals ---


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, ExitStatus.INTERRUPTED), (signal.SIGTERM, ExitStatus.TERMINATED)],
)
def test_signals(
    sending: _Sending,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
    status: ExitStatus,
) -> None:
    sending.do = lambda _progress: os.kill(os.getpid(), number)
    assert sending.run(["lnr1qq", "a label"]) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    # The next one ends the process, whatever it is doing.
    assert signal.getsignal(number) is signal.SIG_DFL


def test_main_exits_with_the_status(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nowhere = str(tmp_path / "nothing")
    monkeypatch.setattr(
        sys, "argv", ["sendinvoice", request_string(), "a label", "--json", "--rpc-file", nowhere]
    )
    # Threads of other tests may be left, and the process would end with them.
    monkeypatch.setattr(threads, "join_all", lambda: True)
    with pytest.raises(SystemExit) as leaving:
        cli.main()
    assert leaving.value.code == ExitStatus.UNREACHABLE
