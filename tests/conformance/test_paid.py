"""A request that a node made is paid, over two hops."""

from __future__ import annotations

from typing import Any

import pytest

from sendinvoice_cli.bolt12 import fields, signature, string, tlv
from sendinvoice_cli.bolt12.tlv import Record
from tests.networks import SENT, Network, run, wait_for
from tests.support.crafting import UNKNOWN_FIELDS, craft_request
from tests.support.schema import check_paid, check_result, lasting


def records(text: str, prefix: str) -> dict[int, bytes]:
    """The fields of a BOLT 12 string, by type."""
    return dict(tlv.decode_stream(string.decode(text, prefix)))


def keeps_unknown_fields(network: Network) -> bool:
    """Whether lightningd keeps unknown fields when it signs."""
    return network.version >= (24, 8)


def assert_has_all_of(invoice: str, request: str) -> None:
    """The invoice has each field of the request, and besides only its own fields."""
    asked = records(request, "lnr")
    answered = records(invoice, "lni")
    asked.pop(fields.SIGNATURE, None)
    assert {type_: answered.get(type_) for type_ in asked} == asked
    added = answered.keys() - asked.keys()
    assert all(160 <= type_ <= 176 or type_ == fields.SIGNATURE for type_ in added)


def test_payer_and_receiver_are_two_hops_apart(network: Network) -> None:
    assert network.payer.id not in network.receiver.peers()
    assert network.router.id in network.receiver.peers()
    assert network.router.id in network.payer.peers()


def test_is_paid(network: Network, label: str) -> None:
    request = network.request(123_456, "Refund of order 7")

    result = network.run("--json", request, label)

    assert (result.exit, result.stderr) == (0, "")
    check_paid(result.json)
    assert result.json["label"] == label
    assert result.json["description"] == "Refund of order 7"
    assert result.json["amount_msat"] == 123_456
    assert result.json["amount_received_msat"] == 123_456
    stored = network.receiver.invoice(label)
    assert stored is not None
    assert {name: result.json[name] for name in stored if name in result.json} == {
        name: value for name, value in stored.items() if name in result.json
    }

    # It is the payer who has paid, and who has the proof.
    def payment() -> dict[str, Any]:
        pays = network.payer.rpc("listpays", payment_hash=result.json["payment_hash"])["pays"]
        assert len(pays) == 1
        return dict(pays[0])

    wait_for(lambda: payment()["status"] == "complete", "the end of the payment at the payer")
    assert payment()["preimage"] == result.json["payment_preimage"]
    requests = network.payer.rpc("listinvoicerequests")["invoicerequests"]
    assert [each["used"] for each in requests if each["bolt12"] == request] == [True]


def test_is_paid_less_when_less_is_asked_for(network: Network, label: str) -> None:
    result = network.run("--json", network.request(50_000), label, "--amount-msat", "20sat")

    assert result.exit == 0
    check_paid(result.json)
    assert result.json["amount_received_msat"] == 20_000


def test_result_table_has_the_amount_and_the_preimage(network: Network, label: str) -> None:
    result = network.run(network.request(5_000), label)

    assert result.exit == 0
    stored = network.receiver.invoice(label)
    assert stored is not None
    for shown in (label, "5 sat", stored["payment_preimage"]):
        assert shown in result.stdout
    assert result.stdout.splitlines()[-1].startswith("Paid 5 sat")


def test_request_is_read_from_stdin(network: Network, label: str) -> None:
    qr_code = f"LIGHTNING:{network.request(7_000).upper()}\n"

    result = network.run("--json", "-", label, stdin=qr_code)

    assert result.exit == 0
    check_paid(result.json)


def test_environment_finds_the_node(network: Network, label: str) -> None:
    settings = {
        "SENDINVOICE_LIGHTNING_DIR": str(network.receiver.lightning_dir),
        "SENDINVOICE_REGTEST": "1",
        "SENDINVOICE_JSON": "1",
    }

    result = run(network.request(1_000), label, env=settings)

    assert result.exit == 0
    check_paid(result.json)


def test_node_calls_the_invoice_valid_and_it_has_all_of_the_request(
    network: Network, label: str
) -> None:
    request = network.request(11_000, issuer="A shop", absolute_expiry=4_000_000_000)

    result = network.run("--json", request, label)

    assert result.exit == 0
    asked = network.payer.rpc("decode", string=request)
    answered = network.receiver.rpc("decode", string=result.json["bolt12"])
    assert (asked["valid"], answered["valid"]) == (True, True)
    assert answered["type"] == "bolt12 invoice"
    ours = {"type", "valid", "signature"}
    assert {name: answered.get(name) for name in asked.keys() - ours} == {
        name: asked[name] for name in asked.keys() - ours
    }
    assert {"offer_issuer", "offer_absolute_expiry", "invreq_metadata"} <= asked.keys()
    assert answered["invoice_amount_msat"] == 11_000
    assert answered["invoice_node_id"] == network.receiver.id
    assert_has_all_of(result.json["bolt12"], request)
    signed = records(result.json["bolt12"], "lni")
    assert signature.verify(
        "invoice",
        [Record(*field) for field in signed.items()],
        bytes.fromhex(network.receiver.id),
        signed[fields.SIGNATURE],
    )


def test_every_field_is_in_the_invoice_byte_for_byte(network: Network, label: str) -> None:
    """Even unknown odd ones. The payer does not know this request, so it will not pay."""
    if not keeps_unknown_fields(network):
        pytest.skip(f"createinvoice of {network.name} drops fields that it does not know")
    request = craft_request(network.payer.id, 12_000, {**UNKNOWN_FIELDS, fields.OFFER_ISSUER: b"x"})

    result = network.run("--json", request, label)

    check_result(result.json, 14)
    assert network.receiver.rpc("decode", string=result.json["bolt12"])["valid"]
    assert_has_all_of(result.json["bolt12"], request)
    assert records(request, "lnr").keys() >= UNKNOWN_FIELDS.keys()


def test_node_that_drops_fields_is_caught(network: Network, label: str) -> None:
    if keeps_unknown_fields(network):
        pytest.skip(f"createinvoice of {network.name} keeps fields that it does not know")
    request = craft_request(network.payer.id, 12_000, UNKNOWN_FIELDS)

    result = network.run("--json", "-v", request, label)

    assert result.exit == 1
    check_result(result.json, 1)
    assert "field 79" in result.json["error"]["message"]
    assert not SENT.search(result.stderr)
    # Nobody has got it, so nobody can pay it, and the label is free again.
    assert network.receiver.invoice(label) is None


def test_request_with_unknown_fields_is_paid(network: Network, label: str) -> None:
    if not keeps_unknown_fields(network):
        pytest.skip(f"{network.name} drops fields that it does not know")
    crafted = craft_request(network.payer.id, 13_000, UNKNOWN_FIELDS)
    request = network.payer.rpc("createinvoicerequest", bolt12=crafted, savetodb=True)["bolt12"]
    assert records(request, "lnr").keys() >= UNKNOWN_FIELDS.keys()

    result = network.run("--json", request, label)

    assert result.exit == 0
    check_paid(result.json)


@pytest.mark.parametrize(("timeout", "written"), [(7200, None), (600, 600)])
def test_invoice_lives_for_timeout(
    network: Network, label: str, timeout: int, written: int | None
) -> None:
    result = network.run("--json", network.request(1_000), label, "--timeout", timeout)

    assert result.exit == 0
    answered = records(result.json["bolt12"], "lni")
    created_at = tlv.decode_tu(answered[fields.INVOICE_CREATED_AT], 8, "created_at")
    # lightningd counts from when it stores the invoice, a moment later.
    assert 0 <= result.json["expires_at"] - (created_at + timeout) <= 2
    # 7200 is what a reader takes when nothing is written.
    expiry = answered.get(fields.INVOICE_RELATIVE_EXPIRY)
    assert expiry == (None if written is None else tlv.encode_tu(written))


def test_same_command_again_sends_nothing_and_succeeds(network: Network, label: str) -> None:
    request = network.request(9_000)
    first = network.run("--json", request, label)

    second = network.run("--json", "-v", request, label)

    assert (first.exit, second.exit) == (0, 0)
    assert lasting(second.json) == lasting(first.json)
    assert not SENT.search(second.stderr)
