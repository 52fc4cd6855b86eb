"""Which requests are of LDK's kind: by the size of their metadata, and unsigned."""

from __future__ import annotations

import pytest

from sendinvoice_cli.bolt12 import fields, invoice_request, payer
from tests.support.requests_builder import request_string


@pytest.mark.parametrize("sign", [False, True])
@pytest.mark.parametrize(
    ("size", "is_ldk"), [(16, False), (32, False), (48, True), (80, True), (81, False)]
)
def test_ldk_does_not_sign_and_has_its_payment_id_in_the_metadata(
    size: int, is_ldk: bool, sign: bool
) -> None:
    text = request_string({fields.INVREQ_METADATA: b"\x07" * size}, sign=sign)
    assert payer.is_ldk(invoice_request.decode(text)) is (is_ldk and not sign)


def test_a_refund_that_ldk_has_made() -> None:
    """By LDK 0.1.0, without paths: its metadata has 80 bytes, and its description none."""
    refund = (
        "lnr1qpg9mqkjx72qz4urq25mu8xs8kd2nvwvtn00w7ecqr7ltw206pzw6nkgjrzknmwkeskpteg2y32u3h4qvxaz"
        "pxkjx5a0yr0x4ces0p9tn4jm8hcpjxus420mkksdtkwtwl0s5qzjqw7xznjcyypvvprlj3q76ltdxpz5qm54cp7d"
        "shrh3e9cemeu5746czdet3cfaeg"
    )
    invreq = invoice_request.decode(refund)
    assert payer.is_ldk(invreq)
    assert (invreq.amount_msat, invreq.description) == (12_345_678, "")
