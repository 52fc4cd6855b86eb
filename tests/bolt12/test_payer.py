"""Which requests are of LDK's kind: by the size of their metadata, and unsigned."""

from __future__ import annotations

import pytest

from sendinvoice_cli.bolt12 import fields, invoice_request, payer
from tests.support.requests_builder import request_string


@pytest.mark.parametrize("sign", [False, True])
@pytest.mark.parametrize(
    ("size", "is_ldk"), [(16, False), (32, True), (48, True), (80, True), (81, False)]
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


def test_a_refund_with_a_path_that_ldk_has_made() -> None:
    """By LDK 0.1.0: its metadata has 32 bytes."""
    refund = (
        "lnr1qqsvt5rrx36z4q34h6hareaav24x9s7g39htv4gwl3rve8gsn360zcq2qq8qg6cf5r29qgqxyfhyvyg6pdvu"
        "4tcjvpp7kkal9rp57wj7xv4pl3ajku70rzy3pafqxnztgpvzzqnwk7gtgqsh9qhx33h3lh38acdgu6kkplh25dne"
        "d3ushtdlxrfczpd0zq4ylvrjl8vcmhyy7t4u3p9kea7cyfmyp7j7dm2a4zdwleu45mr90gpzuev3ucl5r4gtjqxu"
        "4d5u600adxljdlpr0nm4rkwahpx9pnv23hczqfecxarn8pcq9v67zf5k4dh7e7zgw6x3zcm8p06ucf2yp7d8szpw"
        "kqq6evsss88atmqkcyzzugr65w9wtzs3x6h4uudp9a02rupd3vp0t53xwj58e59yxhvx83t2r2h8runu7f66e03s"
        "m7rn3evxqzqqfegcqt8hkws8a9clgae6z8vwyahnrq760578g0tqz50mava546wtu9703rce8kwnjmrjdsc996xs"
        "yms3hkp2pj2ffpykpegwqv8tazsydmrs40l37ew08qf58j2df9s"
    )
    invreq = invoice_request.decode(refund)
    assert payer.is_ldk(invreq)
    assert (invreq.amount_msat, len(invreq.paths)) == (5_000_000, 1)
