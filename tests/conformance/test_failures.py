"""Each failure from its real cause: its exit status, what it says, what it leaves behind."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

import pytest

from sendinvoice_cli.bolt12 import fields, tlv
from tests.networks import CHAIN, PROMPT_SECONDS, SENT, Network, Node, Result, finish, run, wait_for
from tests.support.crafting import UNKNOWN_FIELDS, craft_request
from tests.support.requests_builder import OTHER_KEY, PAYER_ID, path, point
from tests.support.schema import check_paid, check_result

NODE_OF_NOBODY = PAYER_ID.hex()


def assert_nothing_was_created(network: Network, label: str) -> None:
    assert network.receiver.invoice(label) is None


def finish_after_sending(process: Popen[str]) -> tuple[Result, float]:
    """Wait for a command (with -v) to end.

    :returns: its result, and how many seconds after sending the invoice it ended.
    """
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if SENT.search(said):
            break
    result = finish(process)
    assert SENT.search(said), said + result.stderr
    return result, result.seconds


# --- 14: the payer refuses ---


def test_more_than_requested_is_refused_within_a_second(
    network: Network, label: str, start: Callable[..., Popen[str]]
) -> None:
    request = network.request(100_000)

    result, seconds = finish_after_sending(
        start("--json", "-v", request, label, "--amount-msat", "100001")
    )

    assert result.exit == 14
    assert seconds < PROMPT_SECONDS
    check_result(result.json, 14)
    said = result.json["error"]["data"]["error"]
    assert said == f"Failed invoice {result.json['bolt12']}: invoice amount is too large"
    assert result.json["status"] == "unpaid"
    stored = network.receiver.invoice(label)
    assert stored is not None
    assert stored["status"] == "unpaid"


def test_payer_says_that_it_does_not_know_the_request(network: Network, label: str) -> None:
    result = network.run("--json", craft_request(network.payer.id, 5_000), label)

    assert result.exit == 14
    check_result(result.json, 14)
    assert "Unknown invoice_request" in result.json["error"]["data"]["error"]


def test_payer_without_a_way_to_pay_says_so(network: Network, label: str) -> None:
    """The command connects to the hermit, which can reply, but has no route for the payment."""
    request = network.request(4_000, payer=network.hermit)
    assert network.hermit.id not in network.receiver.peers()
    try:
        result = network.run("--json", "-v", request, label, "--timeout", 11)
    finally:
        if network.hermit.id in network.receiver.peers():
            network.receiver.rpc("disconnect", id=network.hermit.id, force=True)

    assert result.exit == 14, result
    check_result(result.json, 14)
    assert "call connect (" in result.stderr
    # The command asks the payer again before it gives up.
    assert "The payer could not pay yet" in result.stderr
    assert len(SENT.findall(result.stderr)) == 2
    assert "pay attempt failed" in result.json["error"]["data"]["error"]


def test_refusal_in_words(network: Network, label: str) -> None:
    result = network.run(network.request(1_000), label, "--amount-msat", "2000")

    assert result.exit == 14
    assert "invoice amount is too large" in result.stderr


# --- 15: no answer ---


def test_silent_payer_is_a_timeout(
    network: Network, label: str, start: Callable[..., Popen[str]]
) -> None:
    timeout = 4
    with network.hushed() as mailbox:
        process = start("--json", "-v", network.request(6_000), label, "--timeout", timeout)
        result, seconds = finish_after_sending(process)
        (arrived,) = mailbox.invoices()

    assert result.exit == 15
    assert timeout - 2 < seconds < timeout + 2
    check_result(result.json, 15)
    assert result.json["error"]["data"]["invstring"] == result.json["bolt12"]
    assert result.json["status"] == "expired"
    stored = network.receiver.invoice(label)
    assert stored is not None
    assert stored["bolt12"] == result.json["bolt12"]
    # What lightningd stored is what the payer got.
    assert network.receiver.rpc("decode", string=stored["bolt12"])["valid"]
    assert stored["payment_hash"] == dict(tlv.decode_stream(arrived))[168].hex()


def test_expired_invoice_keeps_its_label_until_renewed(network: Network, label: str) -> None:
    request = network.request(6_000)
    with network.hushed():
        first = network.run("--json", request, label, "--timeout", 1)

    again = network.run("--json", request, label)
    renewed = network.run("--json", "--renew", request, label)

    assert (first.exit, again.exit, renewed.exit) == (15, 20, 0)
    check_result(first.json, 15)
    check_result(again.json, 20)
    check_paid(renewed.json)
    assert renewed.json["payment_hash"] != first.json["payment_hash"]


# --- 13: no way to the payer ---


def test_no_path_and_no_connect(network: Network, label: str) -> None:
    request = network.request(3_000, payer=network.hermit)

    result = network.run("--json", "--no-connect", request, label)

    assert result.exit == 13
    check_result(result.json, 13)
    (tried,) = result.json["error"]["data"]["tried"]
    assert tried["node"] == network.hermit.id
    assert "--no-connect" in tried["reason"]
    assert_nothing_was_created(network, label)
    assert network.hermit.id not in network.receiver.peers()


def test_payer_is_stopped(network: Network, label: str) -> None:
    request = network.request(3_000, payer=network.hermit)
    with network.stopped(network.hermit):
        result = network.run("--json", request, label)

    assert result.exit == 13
    check_result(result.json, 13)
    assert_nothing_was_created(network, label)


def test_nobody_knows_the_payer(network: Network, label: str) -> None:
    result = network.run("--json", craft_request(NODE_OF_NOBODY, 2_000, sign=True), label)

    assert result.exit == 13
    check_result(result.json, 13)
    assert_nothing_was_created(network, label)


def test_every_path_of_the_payer_begins_nowhere(network: Network, label: str) -> None:
    """BOLT 12 then forbids to use its payer_id, although a node has it."""
    starts = (NODE_OF_NOBODY, point(OTHER_KEY).hex())
    paths = b"".join(path(bytes.fromhex(start)).encode() for start in starts)
    request = craft_request(network.payer.id, 2_000, {fields.INVREQ_PATHS: paths})

    result = network.run("--json", request, label)

    assert result.exit == 13
    check_result(result.json, 13)
    assert [tried["node"] for tried in result.json["error"]["data"]["tried"]] == list(starts)
    assert_nothing_was_created(network, label)


# --- 12: too late ---


def test_expired_request(network: Network, label: str) -> None:
    expires_at = int(time.time()) + 1
    request = network.request(2_000, absolute_expiry=expires_at)
    wait_for(lambda: time.time() > expires_at + 1, "the request's expiry")

    result = network.run("--json", request, label)

    assert result.exit == 12
    check_result(result.json, 12)
    assert_nothing_was_created(network, label)


# --- 2: not to be answered ---


def _with(payer: Node, changes: dict[int, bytes | None]) -> str:
    return craft_request(payer.id, 1_000, changes)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(lambda _: "garbage", "lnr1", id="garbage"),
        pytest.param(lambda _: "lnr1qqqqq", "", id="cut short"),
        pytest.param(
            lambda payer: _with(payer, {160: b"\x01"}), "invoice_paths", id="of an invoice"
        ),
        pytest.param(lambda payer: _with(payer, {158: b"\x01"}), "field 158", id="unknown even"),
        pytest.param(lambda payer: _with(payer, {0: None}), "metadata", id="no metadata"),
        pytest.param(lambda payer: _with(payer, {80: None}), "for bitcoin", id="bitcoin"),
        pytest.param(lambda payer: _with(payer, {22: PAYER_ID}), "offer", id="answers an offer"),
        pytest.param(lambda payer: _with(payer, {240: bytes(64)}), "signature", id="signature"),
    ],
)
def test_request_that_cannot_be_answered(
    network: Network, label: str, make: Callable[[Node], str], words: str
) -> None:
    result = network.run("--json", make(network.payer), label)

    assert result.exit == 2
    assert words in result.stderr
    assert_nothing_was_created(network, label)


def test_changed_request_is_refused(network: Network, label: str) -> None:
    """One character of a request that a node signed."""
    request = network.request(1_000)
    changed = request[:-1] + ("q" if request[-1] != "q" else "p")

    result = network.run("--json", changed, label)

    assert result.exit == 2
    assert_nothing_was_created(network, label)


def test_usage_error_asks_the_node_nothing(network: Network, label: str) -> None:
    result = network.run("--json", "-v", network.request(1_000), label, "0.5sat", "--timeout", "x")

    assert (result.exit, result.stdout) == (2, "")
    assert "call " not in result.stderr
    assert_nothing_was_created(network, label)


# --- 4: no lightningd ---


@pytest.mark.parametrize("socket", ["absent", "a file", "abandoned"])
def test_no_lightningd(network: Network, label: str, tmp_path: Path, socket: str) -> None:
    rpc_file = tmp_path / CHAIN / "lightning-rpc"
    rpc_file.parent.mkdir()
    if socket == "a file":
        rpc_file.touch()
    elif socket == "abandoned":
        _abandon_socket(rpc_file)

    result = run("--json", "--lightning-dir", tmp_path, "--regtest", network.request(1_000), label)

    assert result.exit == 4
    check_result(result.json, 4)
    assert str(rpc_file) in result.stderr
    assert_nothing_was_created(network, label)


def _abandon_socket(rpc_file: Path) -> None:
    """Leave a socket that nobody listens on any more, as a killed lightningd does."""
    import socket

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(rpc_file))


# --- 20: the label ---


def test_label_of_a_foreign_invoice(network: Network, label: str) -> None:
    network.receiver.rpc("invoice", amount_msat=1_000, label=label, description="not ours")
    before = network.receiver.invoice(label)

    result = network.run("--json", network.request(1_000), label)

    assert result.exit == 20
    check_result(result.json, 20)
    assert network.receiver.invoice(label) == before


def test_label_of_another_request(network: Network, label: str) -> None:
    first = network.run("--json", network.request(1_000), label)

    second = network.run("--json", network.request(1_000), label)

    assert (first.exit, second.exit) == (0, 20)
    check_result(second.json, 20)
    stored = network.receiver.invoice(label)
    assert stored is not None
    assert stored["bolt12"] == first.json["bolt12"]


def test_label_with_another_amount(network: Network, label: str) -> None:
    request = network.request(2_000)
    first = network.run("--json", request, label)

    second = network.run("--json", request, label, "--amount-msat", "1000")

    assert (first.exit, second.exit) == (0, 20)
    check_result(second.json, 20)


def test_unknown_odd_fields_alone_do_not_make_another_request_the_same(
    network: Network, label: str
) -> None:
    changes: dict[int, bytes | None] = {fields.INVREQ_METADATA: b"the same metadata"}
    one = craft_request(network.payer.id, 1_000, changes)
    other = craft_request(network.payer.id, 1_000, {**changes, **UNKNOWN_FIELDS})

    first = network.run("--json", one, label)
    second = network.run("--json", other, label)

    assert (first.exit, second.exit) == (14, 20)
