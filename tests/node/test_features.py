from __future__ import annotations

import pytest

from sendinvoice_cli.node.features import ONION_MESSAGES, offers_feature


@pytest.mark.parametrize(
    ("features", "offered"),
    [
        ((1 << 38).to_bytes(5, "big").hex(), True),
        ((1 << 39).to_bytes(5, "big").hex(), True),
        ((1 << 37).to_bytes(5, "big").hex(), False),
        ((1 << 40).to_bytes(6, "big").hex(), False),
        ("", False),
        ("ff" * 40, True),
    ],
)
def test_features(features: str, offered: bool) -> None:
    assert offers_feature(features, ONION_MESSAGES) is offered
