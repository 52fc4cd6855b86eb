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
