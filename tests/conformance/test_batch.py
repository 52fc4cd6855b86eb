"""Many requests at once, as a process of its own."""

from __future__ import annotations

import csv
import fcntl
import json
import os
import random
import signal
import stat
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from subprocess import Popen
from typing import Any

import psutil
import pytest

from tests.networks import SENT, Network, Result, command_line, environment, finish, wait_for
from tests.networks.runs import catches
from tests.support.schema import check_row, lasting

from .conftest import HELPER

#: More than what a node takes at once.
SOME = 6


def results(result: Result) -> dict[str, dict[str, Any]]:
    """The lines of ``--json``, by label."""
    found = [json.loads(line) for line in result.stdout.splitlines()]
    for each in found:
        check_row(each, each["exit_code"])
    assert len({each["row"] for each in found}) == len(found)
    return {each.get("label", ""): each for each in found}


def exits(result: Result) -> dict[str, int]:
    """The exit code of each row, by label."""
    return {label: each["exit_code"] for label, each in results(result).items()}


def row(network: Network, label: str) -> dict[str, Any]:
    """A row with a fresh request of 1 sat."""
    return {"invreq": network.request(1_000), "label": label}


def write(path: Path, *rows: Mapping[str, Any] | str) -> Path:
    """Make a file of JSON Lines; a text goes in as it is."""
    lines = (each if isinstance(each, str) else json.dumps(each) for each in rows)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def assert_paid_once(network: Network, labels: list[str]) -> None:
    """Each of these invoices exists once, and each was paid with one payment."""
    for label in labels:
        invoice = network.receiver.invoice(label)
        assert invoice is not None
        assert invoice["status"] == "paid"
        pays = network.payer.rpc("listpays", payment_hash=invoice["payment_hash"])["pays"]
        assert [each["amount_msat"] for each in pays] == [invoice["amount_received_msat"]]


def rest() -> None:
    """Let the limits recover: messages of earlier processes count, and delay copies."""
    time.sleep(1)


# --- the file ---


def test_json_lines(network: Network, label: str, tmp_path: Path) -> None:
    good, other, twice = (row(network, f"{label}-{name}") for name in ("good", "other", "twice"))
    file = write(
        tmp_path / "batch",
        good,
        {**other, "amount_msat": "500msat"},
        "",
        "nonsense",
        {"invreq": "lnr1qqqq", "label": f"{label}-malformed"},
        twice,
        twice,
        {**good, "label": f"{label}-twice"},
    )

    result = network.run("--json", "--batch", file)

    assert result.exit == 3
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    for each in lines:
        check_row(each, each["exit_code"])
    by_row = {each["row"]: (each["line"], each["exit_code"]) for each in lines}
    assert by_row == {1: (1, 0), 2: (2, 0), 3: (4, 2), 4: (5, 2), 5: (6, 0), 6: (7, 0), 7: (8, 20)}
    received = {each["row"]: each.get("amount_received_msat") for each in lines}
    assert (received[1], received[2]) == (1_000, 500)
    one, again = (next(each for each in lines if each["row"] == number) for number in (5, 6))
    assert lasting({**one, "row": 6, "line": 7}) == lasting(again)


def test_csv_for_people(network: Network, label: str, tmp_path: Path) -> None:
    file = tmp_path / "batch.csv"
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["label", "invreq", "amount_msat"])
        writer.writerow([f"{label}, one", network.request(1_000), ""])
        writer.writerow([f"{label}, two", network.request(3_000), "2sat"])
        writer.writerow([f"{label}, bad", "lnr1qqqq", ""])

    result = network.run("--batch", file)

    assert result.exit == 3
    lines = result.stdout.splitlines()
    assert sorted(lines[:2]) == [
        f"row 1  {label}, one  paid  1 sat",
        f"row 2  {label}, two  paid  2 sat",
    ]
    assert lines[2:] == ["2 of 3 paid, 3 sat", "  1 cannot be answered (exit 2)"]
    assert f"row 3 (line 4)  {label}, bad: " in result.stderr


def fed(network: Network, source: object) -> Popen[str]:
    """Start a batch whose file is written while it runs."""
    return Popen(
        command_line(*network.as_receiver(), "--json", "--batch", source),
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_results_come_while_stdin_is_still_arriving(network: Network, label: str) -> None:
    with fed(network, "-") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            for number in range(3):
                one = row(network, f"{label}-{number}")
                process.stdin.write(json.dumps(one) + "\n")
                process.stdin.flush()
                line = json.loads(process.stdout.readline())
                assert (line["row"], line["label"]) == (number + 1, one["label"])
                check_row(line, 0)
            process.stdin.close()
            assert process.stdout.read() == ""
            assert process.wait(30) == 0
        finally:
            process.kill()


@pytest.mark.parametrize("kind", ["pipe", "fifo"])
def test_interrupted_while_it_waits_for_input(
    network: Network, label: str, tmp_path: Path, kind: str
) -> None:
    fifo = tmp_path / "fifo"
    if kind == "fifo":
        os.mkfifo(fifo)
    with fed(network, "-" if kind == "pipe" else fifo) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        writer = process.stdin if kind == "pipe" else fifo.open("w", encoding="utf-8")
        try:
            writer.write(json.dumps(row(network, label)) + "\n")
            writer.flush()
            check_row(json.loads(process.stdout.readline()), 0)
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 130
        finally:
            writer.close()
            process.kill()


@pytest.mark.parametrize("where", ["stdout", "output"])
@pytest.mark.parametrize("network", ["v26.06"], indirect=True)
def test_signals_while_nobody_reads_the_results(
    network: Network, tmp_path: Path, where: str
) -> None:
    """The first one stops the sending; a second one, or one after the work, ends the process."""
    file = tmp_path / "batch"
    file.write_text((json.dumps({"invreq": "lnr1qqqq", "label": "x" * 1000}) + "\n") * 400)
    results = tmp_path / "fifo"
    os.mkfifo(results)
    reader = os.open(results, os.O_RDONLY | os.O_NONBLOCK)
    output = ("--output", results) if where == "output" else ()
    with Popen(
        command_line(*network.as_receiver(), "--json", *output, "--batch", file),
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if where == "stdout" else subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            pipe = reader if process.stdout is None else process.stdout.fileno()
            wait_for(lambda: waiting_in(pipe) > 40_000, "the pipe to be full")
            process.send_signal(signal.SIGINT)
            wait_for(
                lambda: process.poll() is not None or not catches(process, signal.SIGINT),
                "the first signal to be taken",
            )
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == -signal.SIGINT
        finally:
            process.kill()
            os.close(reader)


def waiting_in(pipe: int) -> int:
    """How many bytes a pipe holds."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


@pytest.mark.parametrize("network", ["v26.06", "lightningd"], indirect=True)
def test_dry_run_starts_nothing(network: Network, label: str, tmp_path: Path) -> None:
    for path in network.receiver.plugins(HELPER):
        network.receiver.rpc("plugin", subcommand="stop", plugin=path)
    file = write(tmp_path / "batch", row(network, label))
    assert network.run("--json", "--dry-run", "--batch", file).exit == 0
    assert network.receiver.plugins(HELPER) == []


@pytest.mark.parametrize("network", ["v26.06"], indirect=True)
def test_output_into_the_batch_itself(network: Network, label: str, tmp_path: Path) -> None:
    file = write(tmp_path / "batch", row(network, label))
    before = file.read_bytes()
    result = network.run("--json", "--output", file, "--batch", file)
    assert (result.exit, result.stdout, file.read_bytes()) == (2, "", before)
    assert "--output and --batch name the same file" in result.stderr


@pytest.mark.parametrize("network", ["v26.06"], indirect=True)
def test_labels_that_are_not_utf_8(network: Network, label: str, tmp_path: Path) -> None:
    file = tmp_path / "batch"
    lines = [f"{network.request(1_000)},{label}-{name}" for name in ("Müller", "Möller")]
    file.write_bytes("\n".join(["invreq,label", *lines]).encode("latin-1"))
    result = network.run("--batch", file)
    assert result.exit == 2
    assert result.stderr.count("the label has bytes or characters that are not UTF-8") == 2
    assert f"{label}-M\N{REPLACEMENT CHARACTER}ller" in result.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("invreq\nlnr1qqqq\n", "there is no column 'label'"),
        ("lnr1qqqq,label\n", "the first line is a request, but must name columns"),
        ("", "the batch has no rows"),
        ("invreq,label\n,\n", "the batch has no rows"),
    ],
)
def test_what_is_no_batch(network: Network, tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "batch"
    file.write_text(content, encoding="utf-8")
    result = network.run("--json", "--batch", file)
    assert (result.exit, result.stdout) == (2, "")
    assert said in result.stderr


def test_file_that_is_not_there(network: Network, tmp_path: Path) -> None:
    result = network.run("--batch", tmp_path / "nothing")
    assert (result.exit, result.stdout) == (2, "")
    assert "No such file" in result.stderr


# --- how it ends ---


def test_common_exit_code_of_failures(network: Network, label: str, tmp_path: Path) -> None:
    rows = [row(network, label), row(network, label)]
    malformed = {"invreq": "lnr1qqqq", "label": f"{label}-malformed"}
    assert network.run("--json", "--batch", write(tmp_path / "a", rows[0])).exit == 0

    taken = network.run("--json", "--batch", write(tmp_path / "b", rows[1]))
    mixed = network.run("--json", "--batch", write(tmp_path / "c", rows[1], malformed))
    usage = network.run("--json", "--batch", write(tmp_path / "d", malformed, "[]"))

    assert (taken.exit, exits(taken)) == (20, {label: 20})
    assert (mixed.exit, exits(mixed)) == (1, {label: 20, f"{label}-malformed": 2})
    assert usage.exit == 2


def test_dry_run_changes_nothing(network: Network, label: str, tmp_path: Path) -> None:
    file = write(tmp_path / "batch", *(row(network, f"{label}-{at}") for at in range(3)))
    result = network.run("--json", "--dry-run", "--batch", file)
    assert result.exit == 0
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [each["status"] for each in found] == ["dry-run"] * 3
    assert network.receiver.invoice(f"{label}-0") is None


def test_refusals_are_heard(network: Network, label: str, tmp_path: Path) -> None:
    # A payer pays no more than it has offered.
    rows = [{**row(network, f"{label}-{at}"), "amount_msat": 2_000} for at in range(2)]
    result = network.run("--json", "--batch", write(tmp_path / "batch", *rows), timeout=120)
    assert (result.exit, set(exits(result).values())) == (14, {14})


# --- again ---


def test_the_same_file_again_sends_nothing(network: Network, label: str, tmp_path: Path) -> None:
    file = write(tmp_path / "batch", *(row(network, f"{label}-{at}") for at in range(3)))
    first = network.run("--json", "--batch", file)
    second = network.run("--json", "-v", "--batch", file)

    assert (first.exit, second.exit) == (0, 0)
    before, after = results(first), results(second)
    assert after.keys() == before.keys()
    for name, result in after.items():
        assert lasting(result) == lasting(before[name])
    assert not SENT.search(second.stderr)


def test_no_message_is_lost_and_few_sockets_are_open(
    network: Network, label: str, tmp_path: Path, start: Callable[..., Popen[str]]
) -> None:
    labels = [f"{label}-{at}" for at in range(SOME)]
    file = write(tmp_path / "batch", *(row(network, each) for each in labels))
    rest()

    process = start("--json", "-v", "--batch", file)
    most = 0
    with suppress(psutil.Error):
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            most = max(most, len(watched.net_connections("unix")))
    result = finish(process)

    assert (result.exit, exits(result)) == (0, dict.fromkeys(labels, 0))
    assert len(SENT.findall(result.stderr)) == SOME
    assert_paid_once(network, labels)
    # Four threads, two that look for routes, the feed, the answers, and a pair of asyncio's own.
    assert 0 < most <= 10


def test_interrupted_and_started_again(
    network: Network, label: str, tmp_path: Path, start: Callable[..., Popen[str]]
) -> None:
    labels = [f"{label}-{at}" for at in range(SOME)]
    file = write(tmp_path / "batch", *(row(network, each) for each in labels))
    with network.hushed() as mailbox:
        process = start("--json", "--batch", file)
        wait_for(mailbox.invoices, "the first invoice")
        process.send_signal(signal.SIGINT)
        stopped = finish(process)

    assert stopped.exit == 130
    assert "run the same command with the same file again" in stopped.stderr
    pending = results(stopped)
    assert pending
    for each in pending.values():
        assert each["exit_code"] == 130
        assert each["error"]["data"]["invstring"] == each["bolt12"]
    # Sending has stopped: most have no invoice yet, and nothing is said of them.
    created = {each for each in labels if network.receiver.invoice(each) is not None}
    assert pending.keys() <= created < set(labels)
    rest()

    again = network.run("--json", "--batch", file)

    assert (again.exit, exits(again)) == (0, dict.fromkeys(labels, 0))
    assert_paid_once(network, labels)


def test_killed_and_started_again(
    network: Network, label: str, tmp_path: Path, start: Callable[..., Popen[str]]
) -> None:
    labels = [f"{label}-{at}" for at in range(SOME)]
    file = write(tmp_path / "batch", *(row(network, each) for each in labels))
    output = tmp_path / "output"
    process = start("--json", "--output", output, "--batch", file)
    at = random.randrange(1, SOME - 2)
    wait_for(lambda: output.exists() and output.read_text().count("\n") >= at, "some results")
    process.kill()
    finish(process)
    known = [json.loads(line) for line in output.read_text().splitlines()]
    assert len(known) >= at
    rest()

    again = network.run("--json", "--output", output, "--batch", file)

    assert (again.exit, exits(again)) == (0, dict.fromkeys(labels, 0))
    assert_paid_once(network, labels)
    # What the first run knew is still there, before what the second one says.
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    assert lines[: len(known)] == known
    assert {each["label"] for each in lines[len(known) :]} == set(labels)


# --- --output ---


def test_output_repeats_every_result(network: Network, label: str, tmp_path: Path) -> None:
    file = write(tmp_path / "batch", row(network, label), "nonsense")
    output = tmp_path / "results"

    result = network.run("--output", output, "--batch", file)

    assert result.exit == 3
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    by_row = {each["row"]: each for each in map(json.loads, output.read_text().splitlines())}
    check_row(by_row[1], 0)
    check_row(by_row[2], 2)


def test_output_that_cannot_be_opened(network: Network, label: str, tmp_path: Path) -> None:
    file = write(tmp_path / "batch", row(network, label))
    result = network.run("--output", tmp_path / "nowhere" / "file", "--batch", file)
    assert (result.exit, result.stdout) == (2, "")
    assert network.receiver.invoice(label) is None


@pytest.mark.parametrize("where", ["stdout", "output"])
def test_results_that_cannot_be_written(
    network: Network, label: str, tmp_path: Path, where: str
) -> None:
    """A result that nobody can read does not change the exit status."""
    labels = [f"{label}-{at}" for at in range(3)]
    file = write(tmp_path / "batch", *(row(network, each) for each in labels))
    more = ("--output", "/dev/full") if where == "output" else ()
    rest()
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command_line(*network.as_receiver(), *more, "--json", "--batch", file),
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=full if where == "stdout" else subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0
    assert done.stderr.count("cannot write results to") == 1
    assert_paid_once(network, labels)
