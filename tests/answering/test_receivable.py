"""The warnings about how much our channels can receive, before anything is created."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.requests_builder import node_id
from tests.support.scripted import AMOUNT_MSAT, PAYER, World

_ONLY_TOGETHER = "only several together"
_TOO_LITTLE = "can receive only"


def channel(number: int, receivable_msat: int) -> dict[str, Any]:
    """A public channel, as ``listpeerchannels`` has it."""
    return {
        "peer_id": node_id(PAYER).hex(),
        "peer_connected": True,
        "state": "CHANNELD_NORMAL",
        "short_channel_id": f"{number}x1x1",
        "receivable_msat": receivable_msat,
    }


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ((1.0, 0.1), None),
        # A payer that cannot pay in parts fails, or leaves a part on its way until it times out.
        ((0.7, 0.7), _ONLY_TOGETHER),
        ((0.4, 0.4), _TOO_LITTLE),
    ],
)
def test_warning_when_channels_cannot_receive_the_amount(
    shares: tuple[float, ...], said: str | None
) -> None:
    world = World()
    channels = [channel(i + 1, int(share * AMOUNT_MSAT)) for i, share in enumerate(shares)]
    world.lightningd.answers["listpeerchannels"] = {"channels": channels}
    world.lightningd.answers["listincoming"] = {"incoming": []}
    world.at(1, world.pay)
    world.run()
    assert [said] * len(world.told.warnings) == ([] if said is None else [said])
    assert all(said is not None and said in warning for warning in world.told.warnings)
