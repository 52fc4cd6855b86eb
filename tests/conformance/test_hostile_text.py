"""Text from strangers, as people and programs see it."""

from __future__ import annotations

import os
import pty
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from subprocess import DEVNULL, PIPE, Popen

import pytest

from sendinvoice_cli.bolt12 import fields
from sendinvoice_cli.sandbox.model.family import Family
from tests.networks import Network, command_line, environment, simulated
from tests.networks.simulated import SimulatedNetwork
from tests.render.hostile import HOSTILE, SHOWN, harmless
from tests.support.crafting import craft_request

#: What can be written in UTF-8, and in lightningd's requests.
TEXT = HOSTILE.replace("\0", "").replace("\udcff", "")

#: What rich itself writes to show a countdown: hide the cursor, go up, erase the line.
_COUNTDOWN = ("\x1b[?25l", "\x1b[?25h", "\x1b[1A", "\x1b[2K")


@pytest.fixture
def strange() -> Iterator[SimulatedNetwork]:
    """A sandbox whose nodes all have such an alias."""
    line = simulated.topology(Family.V26_06)
    nodes = tuple(replace(node, alias=TEXT) for node in line.nodes)
    with simulated.network(Family.V26_06, replace(line, nodes=nodes)) as network:
        yield network


def on_a_terminal(network: Network, *args: object) -> tuple[int, str]:
    """Run the command on a terminal; returns its exit status and what the terminal got."""
    ours, theirs = pty.openpty()
    process = Popen(
        command_line(*network.as_receiver(), *args),
        env=environment({"TERM": "xterm-256color", "COLUMNS": "80"}),
        stdin=DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    # Linux says "input/output error" where others say that there is no more.
    with suppress(OSError):
        while data := os.read(ours, 65536):
            shown += data
    os.close(ours)
    text = shown.decode("utf-8").replace("\r\n", "\n")
    for sequence in _COUNTDOWN:
        text = text.replace(sequence, "")
    return process.wait(), text.replace("\r", "")


def stranger(network: Network) -> str:
    """A request with such a text in every text field."""
    texts = (fields.OFFER_DESCRIPTION, fields.OFFER_ISSUER, fields.INVREQ_PAYER_NOTE)
    return craft_request(network.payer.id, 1000, {field: TEXT.encode() for field in texts})


def test_request_on_a_terminal(network: Network, label: str) -> None:
    exit_status, shown = on_a_terminal(network, "--dry-run", stranger(network), label)

    assert exit_status == 0
    # Description, issuer and note.
    assert harmless(shown).count(SHOWN) >= 3


def test_request_on_stderr(network: Network, label: str) -> None:
    result = network.run("--dry-run", "-v", stranger(network), label)

    assert result.exit == 0
    harmless(result.stdout)
    harmless(result.stderr)


@pytest.mark.parametrize("args", [(), ("-v",), ("--color", "always")])
def test_everything_of_a_payment(strange: SimulatedNetwork, args: tuple[str, ...]) -> None:
    exit_status, shown = on_a_terminal(strange, *args, strange.request(1000, TEXT), TEXT)

    assert exit_status == 0
    # The description, the label, and the alias on the way.
    assert harmless(shown).count(SHOWN) >= 3


def test_refusal(strange: SimulatedNetwork) -> None:
    strange.sandbox.faults.refuse("payer", TEXT)
    request = strange.request(1000, TEXT)
    again = strange.request(1000, TEXT)

    exit_status, shown = on_a_terminal(strange, request, TEXT)
    as_json = strange.run("--json", again, "another")

    assert exit_status == 14
    assert harmless(shown).count(SHOWN) >= 3
    assert as_json.exit == 14
    assert as_json.stdout.isascii()
    assert as_json.json["error"]["data"]["error"] == TEXT
    assert as_json.json["description"] == TEXT
    assert SHOWN in harmless(as_json.stderr)


def test_long_refusal(strange: SimulatedNetwork) -> None:
    """As many characters as fit into an onion message."""
    text = "x\x1b" * 15_000
    strange.sandbox.faults.refuse("payer", text)

    result = strange.run("--json", strange.request(1000), "label")

    assert result.exit == 14
    assert result.json["error"]["data"]["error"] == text
    assert len(result.stderr) < 11_000
    harmless(result.stderr)


def test_batch(strange: SimulatedNetwork) -> None:
    strange.sandbox.faults.refuse("payer", TEXT)
    rows = ["invreq,label", f'{strange.request(1000, TEXT)},"{TEXT}"', f'"{TEXT}",{TEXT[:5]}']
    with Popen(
        command_line(*strange.as_receiver(), "--batch", "-"),
        env=environment(),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
    ) as process:
        shown = process.communicate("\n".join(rows).encode())

    assert process.returncode == 1
    out, err = (each.decode() for each in shown)
    harmless(out)
    assert harmless(err).count(SHOWN) >= 2
