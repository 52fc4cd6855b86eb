"""Answering a request inside of this process, where its clock and its client can be replaced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sendinvoice_cli.exchange import Ask, Outcome
from sendinvoice_cli.node.client import Client
from sendinvoice_cli.request import Request
from sendinvoice_cli.send import send
from tests.networks.shapes import Shape


class Steps:
    """A Progress that remembers what it was told."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.warnings: list[str] = []

    def asked(self, ask: Ask) -> None:
        """Not remembered."""

    def step(self, text: str) -> None:
        """Something was done."""
        self.steps.append(text)

    def routed(self, aliases: Callable[[], list[str]]) -> None:
        """A route is taken."""
        self.steps.append(" → ".join(aliases()))

    def waiting(self, until: float) -> None:
        """Not remembered."""

    def warn(self, text: str, hint: str | None = None) -> None:
        """Something is not as it should be."""
        self.warnings.append(f"{text} ({hint})" if hint else text)


class ChangedClient(Client):
    """A client which is told of other settings than lightningd's.

    :param configs: what ``listconfigs`` adds.
    """

    configs: Mapping[str, Any]

    def call(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        reply_filter: Mapping[str, Any] | None = None,
        patience: float | None = None,
    ) -> dict[str, Any]:
        """Make one call."""
        answer = super().call(method, params, reply_filter=reply_filter, patience=patience)
        if method == "listconfigs":
            answer["configs"].update(self.configs)
        return answer


@dataclass(frozen=True)
class Answered:
    """How it ended, and what was said on the way."""

    outcome: Outcome
    said: Steps = field(default_factory=Steps)

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
    **more: Any,
) -> Answered:
    """Answer a request; without a reply helper, unless ``more`` says so.

    :param configs: settings of lightningd to pretend.
    :param more: further parameters of the command.
    """
    client = ChangedClient(shape.nodes[receiver].rpc_file)
    client.configs = configs or {}
    defaults: dict[str, Any] = {"timeout": 20, "no_replies": True}
    request = Request(invreq=invreq, label=label, **{**defaults, **more})
    steps = Steps()
    return Answered(send(request, client, steps), steps)
