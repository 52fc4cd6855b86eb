"""The reply helper inside lightningd, and doing without it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from subprocess import Popen

import pytest

from tests.networks import PROMPT_SECONDS, Network, finish, wait_for
from tests.support.schema import check_paid, check_result

from .conftest import HELPER


@pytest.mark.usefixtures("no_helper")
def test_dry_run_creates_and_starts_nothing(network: Network, label: str) -> None:
    request = network.request(8_000, "Only looking")
    peers = network.receiver.peers()

    result = network.run("--json", "--dry-run", request, label)

    assert result.exit == 0
    check_result(result.json, 0)
    assert result.json["status"] == "dry-run"
    assert result.json["amount_msat"] == 8_000
    assert result.json["network"] == "regtest"
    assert result.json["would_connect"] is False
    assert result.json["payer"] == network.payer.rpc("decode", string=request)["invreq_payer_id"]
    # As far as we can see it: a blinded path of the payer's may begin at the router.
    whole_path = [network.receiver.id, network.router.id, network.payer.id]
    assert result.json["path"] in (whole_path, whole_path[:2])
    assert network.receiver.invoice(label) is None
    assert network.receiver.plugins(HELPER) == []
    assert network.receiver.peers() == peers


@pytest.mark.usefixtures("no_helper")
def test_dry_run_would_connect(network: Network, label: str) -> None:
    result = network.run("--json", "--dry-run", network.request(1_000, payer=network.hermit), label)

    assert result.exit == 0
    check_result(result.json, 0)
    assert result.json["would_connect"] is True
    assert result.json["path"] == [network.receiver.id, network.hermit.id]
    assert network.hermit.id not in network.receiver.peers()
    assert network.receiver.invoice(label) is None


@pytest.mark.usefixtures("no_helper")
def test_dry_run_fails_as_the_real_one_would(network: Network, label: str) -> None:
    request = network.request(1_000, payer=network.hermit)

    result = network.run("--json", "--dry-run", "--no-connect", request, label)

    assert result.exit == 13
    check_result(result.json, 13)
    assert network.receiver.plugins(HELPER) == []


@pytest.mark.usefixtures("no_helper")
def test_no_replies_is_paid_without_a_helper(network: Network, label: str) -> None:
    result = network.run("--json", "--no-replies", network.request(8_000), label)

    assert (result.exit, result.stderr) == (0, "")
    check_paid(result.json)
    assert network.receiver.plugins(HELPER) == []


@pytest.mark.usefixtures("no_helper")
def test_no_replies_hears_no_refusal(network: Network, label: str) -> None:
    arguments = (network.request(8_000), label, "--amount-msat", "9000", "--timeout", "3")

    result = network.run("--json", "--no-replies", *arguments)

    assert result.exit == 15
    check_result(result.json, 15)
    assert network.receiver.plugins(HELPER) == []


@pytest.mark.usefixtures("no_helper")
def test_two_commands_share_one_helper(network: Network, label: str) -> None:
    """Both start it at the same time, and each hears its own refusal."""

    def refused(number: int) -> tuple[str, dict[str, object]]:
        request = network.request(1_000)
        result = network.run(
            "--json", request, f"{label}-{number}", "--amount-msat", "2000", "--timeout", "10"
        )
        assert result.exit == 14, result
        check_result(result.json, 14)
        return result.json["bolt12"], result.json["error"]["data"]

    with ThreadPoolExecutor() as executor:
        answers = list(executor.map(refused, range(2)))

    assert len({invoice for invoice, _ in answers}) == 2
    for invoice, data in answers:
        assert data == {"error": f"Failed invoice {invoice}: invoice amount is too large"}
    assert len(network.receiver.plugins(HELPER)) == 1


def test_refusal_of_one_command_does_not_end_another(
    network: Network, label: str, start: Callable[..., Popen[str]]
) -> None:
    request = network.request(1_000)
    with network.hushed(request) as mailbox:
        waiting = start("--json", request, f"{label}-waits")
        wait_for(mailbox.invoices, "the first invoice at the payer")

        refused = network.run(
            "--json",
            network.request(1_000),
            f"{label}-refused",
            "--amount-msat",
            "2000",
            "--timeout",
            "10",
        )

        assert refused.exit == 14
        assert waiting.poll() is None
        waiting.send_signal(signal.SIGINT)
        interrupted = finish(waiting)
    assert interrupted.exit == 130
    assert interrupted.seconds < PROMPT_SECONDS
    check_result(interrupted.json, 130)


def test_helper_is_there_for_the_next_command(network: Network, label: str) -> None:
    first = network.run("--json", network.request(1_000), f"{label}-1", "--amount-msat", "2000")
    helper = network.receiver.plugins(HELPER)

    second = network.run(
        "--json", "-v", network.request(1_000), f"{label}-2", "--amount-msat", "2000"
    )

    assert (first.exit, second.exit) == (14, 14)
    assert len(helper) == 1
    assert network.receiver.plugins(HELPER) == helper
    assert "call plugin " not in second.stderr
