"""Batches to test with: payers of several kinds, and what has to hold when all is over."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sendinvoice_cli.sandbox.model.family import Family
from sendinvoice_cli.sandbox.model.topology import ChannelSpec, NodeSpec, Topology
from tests.networks.sandbox import Sandbox

#: What the refuser says.
REFUSAL = "No, thank you"
#: Payers who pay, and one who does not.
PAYERS = ("payer", "patron")
REFUSER = "refuser"


@dataclass(frozen=True)
class Wish:
    """A row to come: who is to pay, and the ``lnr1…`` string."""

    label: str
    payer: str
    invreq: str

    def as_json(self, **more: object) -> str:
        """A line of JSON Lines."""
        return json.dumps({"invreq": self.invreq, "label": self.label, **more}) + "\n"


def crowd(family: Family = Family.V26_06) -> Topology:
    """Payers and a refuser, with a router between them and the receiver."""
    names = (*PAYERS, REFUSER, "router", "receiver")
    return Topology(
        nodes=tuple(NodeSpec(name, family, has_address=False) for name in names),
        channels=tuple(
            ChannelSpec(name, "router", capacity_msat=5_000_000_000)
            for name in (*PAYERS, REFUSER, "receiver")
        ),
    )


def wishes(sandbox: Sandbox, number: int) -> list[Wish]:
    """So many requests of a crowd, one of ten of the refuser's; 1 sat and more each."""
    sandbox.faults.refuse(REFUSER, REFUSAL)
    found = []
    for at in range(number):
        payer = REFUSER if at % 10 == 9 else PAYERS[at % len(PAYERS)]
        found.append(Wish(f"wish-{at}", payer, sandbox.request(payer, 1000 + at)))
    return found


def write(path: Path, rows: Iterable[Wish], **more: object) -> Path:
    """Make a batch of them."""
    path.write_text("".join(each.as_json(**more) for each in rows), encoding="utf-8")
    return path


def lose_messages(sandbox: Sandbox, share: float, among: int, seed: int) -> int:
    """Lose that share of the messages to come, picked at random; returns how many."""
    picked = [at for at in range(1, among) if random.Random(f"{seed}-{at}").random() < share]
    for at in picked:
        sandbox.faults.drop_message(at)
    return len(picked)


def check_books(sandbox: Sandbox, rows: Iterable[Wish], exits: Mapping[str, int]) -> None:
    """Every row is accounted for, none is lost, and none is paid twice.

    :param exits: the exit code of each row, by label.
    """
    rows = list(rows)
    assert sorted(exits) == sorted(each.label for each in rows)
    invoices = sandbox.call("receiver", "listinvoices")["invoices"]
    assert all(count == 1 for count in Counter(each["label"] for each in invoices).values())
    by_label = {each["label"]: each for each in invoices}
    wrong = {
        each.label: exits[each.label]
        for each in rows
        if exits[each.label] != (14 if each.payer == REFUSER else 0)
    }
    assert wrong == {}
    for each in rows:
        is_paid = by_label[each.label]["status"] == "paid"
        assert is_paid == (exits[each.label] == 0), each.label
    for payer in {each.payer for each in rows}:
        paid = [
            each["payment_hash"]
            for each in sandbox.call(payer, "listpays")["pays"]
            if each["status"] == "complete"
        ]
        hashes = [
            by_label[each.label]["payment_hash"]
            for each in rows
            if each.payer == payer and exits[each.label] == 0
        ]
        assert sorted(paid) == sorted(hashes)
