from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from sendinvoice_cli.answering.copies import Copies
from sendinvoice_cli.answering.courier import Courier
from sendinvoice_cli.node.ways.routes import DeadEnd
from tests.networks.runs import Told
from tests.support.requests_builder import node_id, request

NEW_REQUEST = "ask the payer for a new request"


def courier_with(*dead_ends: DeadEnd) -> Courier:
    """One whose latest search ended so."""
    lightningd = SimpleNamespace(client=None)
    courier = Courier(request(), Copies(), cast(Any, lightningd), Told(), allow_connect=True)
    courier._router = cast(Any, SimpleNamespace(dead_ends=list(dead_ends)))
    return courier


def end(number: int, hint: str | None = None) -> DeadEnd:
    return DeadEnd(node_id(number).hex(), f"reason {number}", hint)


def test_no_route_names_the_first_targets_and_keeps_all_in_its_data() -> None:
    """A request may have hundreds."""
    ends = [end(number) for number in range(1, 9)]
    error = courier_with(*ends).no_route_error()
    assert [number for number in range(1, 9) if f"reason {number}" in error.message] == [1, 2, 3]
    assert "and 5 more" in error.message
    assert error.data == {"tried": [{"node": each.target, "reason": each.reason} for each in ends]}


@pytest.mark.parametrize(
    ("ends", "hint"),
    [
        ([end(1, "open a channel"), end(2, "wait")], "open a channel"),
        ([end(1), end(2, "wait")], "wait"),
        ([end(1), end(2)], NEW_REQUEST),
    ],
)
def test_no_route_has_a_next_step(ends: list[DeadEnd], hint: str) -> None:
    error = courier_with(*ends).no_route_error()
    assert error.hint == hint
    assert "more" not in error.message
