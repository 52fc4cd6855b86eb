"""Answering a request inside of this process, where its clock and its client can be replaced."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sendinvoice_cli.answering.blocking_host import send, wait_in_real_time
from sendinvoice_cli.node.rpc.client import Client
from sendinvoice_cli.outcome import Outcome
from sendinvoice_cli.request import Request
from tests.networks.runs import Told
from tests.networks.shapes import Shape


class ChangedClient(Client):
    """A client which is told of other settings than lightningd's.

    :param configs: what ``listconfigs`` adds.
    """

    configs: Mapping[str, Any]

    def call(self, method: str, params: Any = None, **more: Any) -> dict[str, Any]:
        """Make one call."""
        answer = super().call(method, params, **more)
        if method == "listconfigs":
            answer["configs"].update(self.configs)
        return answer


@dataclass(frozen=True)
class Answered:
    """How it ended, and what was said on the way."""

    outcome: Outcome
    said: Told

    @property
    def json(self) -> dict[str, Any]:
        """The contract's JSON object."""
        return self.outcome.as_json()


def answer(
    shape: Shape,
    receiver: str,
    invreq: str,
    label: str,
    configs: Mapping[str, Any] | None = None,
    *,
    pace: float = 1,
    **more: Any,
) -> Answered:
    """Answer a request; without a reply helper, unless ``more`` says so.

    :param configs: settings of lightningd to pretend.
    :param pace: how many times as fast as lightningd's the command's clock runs.
    :param more: further parameters of the command.
    """
    client = ChangedClient(shape.nodes[receiver].rpc_file)
    client.configs = configs or {}
    defaults: dict[str, Any] = {"timeout": 20, "no_replies": True}
    request = Request(invreq=invreq, label=label, **{**defaults, **more})
    told = Told()
    began = time.time()
    outcome = send(
        request,
        client,
        told,
        clock=lambda: began + (time.time() - began) * pace,
        wait=lambda events, seconds: wait_in_real_time(events, seconds / pace),
    )
    return Answered(outcome, told)
