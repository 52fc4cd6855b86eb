"""What docs/lightningd.md says of lightningd's own ``sendinvoice``, on real nodes."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from pyln.client.lightning import RpcError

from sendinvoice_cli.bolt12 import fields, tlv
from tests.networks import Network
from tests.support.crafting import craft_request

#: Requests at once: enough for the limit of messages to drop some.
_MANY = 24
_number = count(1)


@pytest.fixture
def label(request: pytest.FixtureRequest) -> str:
    return f"{request.node.name}-{next(_number)}"


def _builtin(network: Network, request: str, label: str, timeout: int = 20) -> dict[str, Any]:
    return network.receiver.rpc("sendinvoice", invreq=request, label=label, timeout=timeout)


def test_the_same_call_again(real_network: Network, label: str) -> None:
    request = real_network.request(1000)
    assert _builtin(real_network, request, label)["status"] == "paid"
    with pytest.raises(RpcError, match=r"(?i)label"):
        _builtin(real_network, request, label)
    # This command goes on with the invoice that the other one has made.
    again = real_network.run("--json", request, label)
    assert (again.exit, again.json["status"]) == (0, "paid")


def test_unsigned_requests(real_network: Network, label: str) -> None:
    request = craft_request(real_network.payer.id, 1000)
    with pytest.raises(RpcError, match=r"(?i)signature"):
        _builtin(real_network, request, label)
    assert real_network.run("--dry-run", request, label).exit == 0


def test_an_expired_request(real_network: Network, label: str) -> None:
    request = real_network.request(1000, absolute_expiry=int(time.time()) - 60)
    assert real_network.run(request, label).exit == 12
    assert real_network.receiver.invoice(label) is None
    with suppress(RpcError):
        _builtin(real_network, request, label, 5)
    assert real_network.receiver.invoice(label) is not None


def test_a_lost_message(real_network: Network, label: str) -> None:
    ours, theirs = (real_network.request(1000, description) for description in ("a", "b"))
    with real_network.hushed() as mailbox, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(_builtin, real_network, theirs, f"{label}-b", 18)
        assert real_network.run("--timeout", 18, ours, label).exit == 15
        with pytest.raises(RpcError) as failure:
            waiting.result()
        assert failure.value.error["code"] == 1005
        descriptions = [
            dict(tlv.decode_stream(invoice))[fields.OFFER_DESCRIPTION]
            for invoice in mailbox.invoices()
        ]
    assert descriptions.count(b"a") > 1
    assert descriptions.count(b"b") == 1


def test_many_at_once(real_network: Network, label: str, tmp_path: Path) -> None:
    if real_network.version < (24, 8):
        pytest.skip("lightningd before v24.08 is not known to limit messages")
    requests = [real_network.request(1000, f"number {at}") for at in range(2 * _MANY)]

    def attempt(at: int) -> str:
        try:
            return str(_builtin(real_network, requests[at], f"{label}-{at}", 10)["status"])
        except RpcError as failure:
            return str(failure.error["code"])

    with ThreadPoolExecutor(_MANY) as pool:
        outcomes = list(pool.map(attempt, range(_MANY)))
    assert set(outcomes) == {"paid", "1005"}

    batch = tmp_path / "batch.jsonl"
    with batch.open("w") as file:
        for at, request in enumerate(requests[_MANY:]):
            file.write(json.dumps({"invreq": request, "label": f"{label}-batch-{at}"}) + "\n")
    assert real_network.run("--batch", batch).exit == 0
