"""The main job in short, on real nodes: paid, each failure by its real cause, nothing left out.

The conformance suite has these and more in every detail.
"""

from __future__ import annotations

import time
from pathlib import Path
from uuid import uuid4

import pytest

from sendinvoice_cli.bolt12 import fields, string, tlv
from sendinvoice_cli.node.events.helper_path import HELPER
from tests.networks import Network, run
from tests.support.crafting import UNKNOWN_FIELDS, craft_request
from tests.support.requests_builder import PAYER_ID
from tests.support.schema import check_paid, check_result


@pytest.fixture
def label() -> str:
    """A label that no other invoice has."""
    return uuid4().hex


def test_paid_over_two_hops(network: Network, label: str) -> None:
    assert network.payer.id not in network.receiver.peers()

    result = network.run("--json", network.request(123_456), label)

    assert result.exit == 0
    check_paid(result.json)


def test_refused_with_the_payers_words(network: Network, label: str) -> None:
    result = network.run("--json", network.request(1_000), label, "--amount-msat", "2000")

    assert result.exit == 14
    check_result(result.json, 14)
    assert result.json["error"]["data"]["error"].endswith("invoice amount is too large")


def test_unreachable(network: Network, label: str) -> None:
    result = network.run("--json", craft_request(PAYER_ID.hex(), 1_000), label)

    assert result.exit == 13
    check_result(result.json, 13)


def test_expired(network: Network, label: str) -> None:
    past = {fields.OFFER_ABSOLUTE_EXPIRY: tlv.encode_tu(int(time.time()) - 1)}

    result = network.run("--json", craft_request(network.payer.id, 1_000, past), label)

    assert result.exit == 12
    check_result(result.json, 12)
    assert network.receiver.invoice(label) is None


def test_silent(network: Network, label: str) -> None:
    with network.hushed():
        result = network.run("--json", network.request(1_000), label, "--timeout", 3)

    assert result.exit == 15
    check_result(result.json, 15)
    assert 1 < result.seconds < 6
    assert result.json["error"]["data"]["invstring"] == result.json["bolt12"]


def test_no_lightningd(tmp_path: Path) -> None:
    request = craft_request(PAYER_ID.hex(), 1_000)

    result = run("--json", "--lightning-dir", tmp_path, "--regtest", request, "label")

    assert result.exit == 4
    check_result(result.json, 4)


def test_garbage(network: Network, label: str) -> None:
    result = network.run("--json", "lnr1garbage", label)

    assert result.exit == 2
    assert network.receiver.invoice(label) is None


def test_the_invoice_is_valid_and_has_every_field(network: Network, label: str) -> None:
    changes = UNKNOWN_FIELDS if network.version >= (24, 8) else {}
    request = craft_request(network.payer.id, 12_000, {**changes, fields.OFFER_ISSUER: b"x"})

    # The payer does not know this request, and says so.
    result = network.run("--json", request, label)

    assert result.exit == 14
    bolt12 = result.json["bolt12"]
    assert network.receiver.rpc("decode", string=bolt12)["valid"]
    asked = dict(tlv.decode_stream(string.decode(request, "lnr")))
    answered = dict(tlv.decode_stream(string.decode(bolt12, "lni")))
    assert {type_: answered.get(type_) for type_ in asked} == asked
    assert asked.keys() >= changes.keys()


def test_helper_leaves_other_messages_alone(network: Network, label: str) -> None:
    """lightningd's own plugin hears of them by the same hook."""
    network.run("--json", network.request(1_000), f"{label}-1", "--amount-msat", "2000")
    assert network.receiver.plugins(HELPER)
    offer = network.receiver.rpc("offer", amount=1_000, description=label)["bolt12"]

    fetched = network.payer.rpc("fetchinvoice", offer=offer)

    assert fetched["invoice"].startswith("lni1")
