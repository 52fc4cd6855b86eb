from __future__ import annotations

import pytest

from sendinvoice_cli.node.ways.software import may_count_bytes, may_run
from tests.node.fake_client import LND, MESSAGES, MESSAGES_BY_CHANNEL, NO_MESSAGES


def _names(features: str | None) -> set[str]:
    return {software.name for software in may_run(features)}


@pytest.mark.parametrize("features", [MESSAGES, MESSAGES_BY_CHANNEL, NO_MESSAGES, ""])
def test_a_node_that_offers_no_amp_is_no_lnd(features: str) -> None:
    assert _names(features) == {"lightningd", "eclair"}
    assert not may_count_bytes(features)


@pytest.mark.parametrize("bit", [30, 31])
def test_lnd_is_known_by_amp(bit: int) -> None:
    features = f"{1 << 39 | 1 << bit:010x}"
    assert _names(features) == _names(LND) == {"LND"}
    assert may_count_bytes(features)


def test_a_node_that_nobody_knows_may_be_any() -> None:
    assert _names(None) == {"lightningd", "eclair", "LND"}
    assert may_count_bytes(None)
