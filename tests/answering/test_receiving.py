"""What is told of the channels through which we are to be paid, before anything is created."""

from __future__ import annotations

from typing import Any

import pytest

from sendinvoice_cli.answering import receiving
from sendinvoice_cli.bolt12 import fields, invoice
from sendinvoice_cli.bolt12.blinded_path import IntroductionNode, decode_paths
from sendinvoice_cli.errors import ExitStatus, LightningdError
from sendinvoice_cli.node.ways.channels import Channel, Terms
from sendinvoice_cli.node.ways.inbound import Inbound
from sendinvoice_cli.outcome import Outcome
from tests.support.requests_builder import node_id
from tests.support.scripted import AMOUNT_MSAT, PAYER, World

_ONLY_TOGETHER = "only several together"
_TOO_LITTLE = "can receive only"
_TERMS = Terms(
    fee_base_msat=1000,
    fee_proportional_millionths=0,
    cltv_expiry_delta=65_530,
    htlc_minimum_msat=0,
    htlc_maximum_msat=10**9,
)


def _channel(number: int, receivable_msat: int) -> Channel:
    return Channel("1x1x1", node_id(number), receivable_msat, scid=1, terms=_TERMS)


def _name(node: bytes) -> str:
    return {node_id(2): "bob", node_id(3): "carol"}[node]


_BOB, _CAROL = _channel(2, 1_500_000), _channel(3, 500_000)


@pytest.mark.parametrize(
    ("inbound", "steps"),
    [
        (Inbound(), []),
        (
            Inbound(blinded=(_BOB,)),
            ["To be paid through the channel with bob (up to 1,500 sat)"],
        ),
        (
            Inbound(public=(_BOB,), blinded=(_BOB,)),
            ["To be paid through the public channel with bob (up to 1,500 sat)"],
        ),
        (
            Inbound(blinded=(_BOB, _CAROL)),
            ["To be paid through 2 channels (up to 1,500 sat in one, 2,000 sat in all)"],
        ),
        (
            Inbound(public=(_BOB,) * 100),
            ["To be paid through 100 public channels (up to 1,500 sat in one, 150,000 sat in all)"],
        ),
        (
            Inbound(blinded=(_BOB,), refused=(_CAROL,)),
            [
                "To be paid through the channel with bob (up to 1,500 sat)",
                "Not to be paid through carol, who asks for more than payers accept: "
                "a fee of 1 sat, and a delay of 65,530 blocks",
            ],
        ),
        (Inbound(blinded=(_CAROL,), refused=(_CAROL,)), []),
    ],
    ids=["none", "one", "one public", "two", "a hundred", "one refused", "only one refused"],
)
def test_steps(inbound: Inbound, steps: list[str]) -> None:
    assert receiving.steps(inbound, 1_000_000, _name) == steps


_OPEN_ONE = "open a channel with inbound capacity"


@pytest.mark.parametrize(
    ("inbound", "text", "hint"),
    [
        (Inbound(), "this node has no channel through which it can be paid now", _OPEN_ONE),
        (
            Inbound(blinded=(_CAROL,)),
            "asking for 1,000 sat, but this node's channels can receive only 500 sat now",
            _OPEN_ONE,
        ),
        (
            Inbound(blinded=(_CAROL,) * 3),
            "no channel of this node can receive 1,000 sat now, only several together",
            _OPEN_ONE,
        ),
        (
            Inbound(away=(_BOB,)),
            "this node has no channel through which it can be paid now",
            "run this again when bob is connected again",
        ),
        (
            Inbound(blinded=(_CAROL,) * 3, away=(_BOB, _channel(3, 1))),
            "no channel of this node can receive 1,000 sat now, only several together",
            "run this again when more of 2 peers are connected again",
        ),
        # With this one, it could not receive it either.
        (
            Inbound(away=(_CAROL,)),
            "this node has no channel through which it can be paid now",
            _OPEN_ONE,
        ),
        (
            Inbound(blinded=(_BOB,), refused=(_BOB, _CAROL)),
            "payers will probably not pay through bob (and 1 more), who asks for more than payers "
            "accept: a fee of 1 sat, and a delay of 65,530 blocks",
            "open a channel with another node",
        ),
        (
            Inbound(failure="listincoming: no"),
            "the invoice names none of this node's channels, since lightningd says too little of "
            "them (listincoming: no)",
            "lightningd's log may tell the reason",
        ),
        (
            Inbound(refused=(_BOB,), away=(_BOB,)),
            "this node has no channel through which it can be paid now",
            "run this again when bob is connected again",
        ),
    ],
)
def test_warnings(inbound: Inbound, text: str, hint: str) -> None:
    warning = receiving.warning(inbound, 1_000_000, _name)
    assert warning is not None
    assert warning[0] == text
    assert warning[1].endswith(hint)


def test_no_warning_when_one_channel_takes_it() -> None:
    """Whatever else is away, or asks for too much."""
    inbound = Inbound(blinded=(_BOB,), refused=(_CAROL,), away=(_CAROL,))
    assert receiving.warning(inbound, 1_500_000, _name) is None


# --- in a send ---


def _public(number: int, receivable_msat: int, **terms: int) -> dict[str, Any]:
    """A public channel, as ``listpeerchannels`` has it."""
    update = {**_TERMS._asdict(), "cltv_expiry_delta": 34, **terms}
    return {
        "peer_id": node_id(PAYER).hex(),
        "peer_connected": True,
        "state": "CHANNELD_NORMAL",
        "short_channel_id": f"{number}x1x1",
        "receivable_msat": receivable_msat,
        "updates": {"remote": update},
    }


def _private(**changes: Any) -> dict[str, Any]:
    """An unannounced channel with the payer."""
    alias = {"local": "2x1x1", "remote": "3x1x1"}
    return {**_public(1, AMOUNT_MSAT), "private": True, "alias": alias, **changes}


#: What lightningd answers where our node has no public channel, and the payer blinds routes.
_PEER = {
    "id": node_id(PAYER).hex(),
    "connected": True,
    "num_channels": 1,
    "features": (1 << 39 | 1 << 25).to_bytes(5, "big").hex(),
}
_AS_PRIVATE = {"listnodes": {"nodes": []}, "listpeers": {"peers": [_PEER]}}


def _send(*channels: dict[str, Any], **answers: Any) -> tuple[World, Outcome]:
    world = World()
    world.lightningd.answers.update(answers)
    world.lightningd.answers["listpeerchannels"] = {"channels": list(channels)}
    world.at(1, world.pay)
    return world, world.run()


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
    world, _ = _send(*(_public(i + 1, int(s * AMOUNT_MSAT)) for i, s in enumerate(shares)))
    assert [said] * len(world.told.warnings) == ([] if said is None else [said])
    assert all(said is not None and said in warning for warning in world.told.warnings)


def test_absurd_terms_of_a_peer_do_not_keep_an_invoice_from_being_sent() -> None:
    world, outcome = _send(_public(1, AMOUNT_MSAT, cltv_expiry_delta=65_530))
    assert outcome.exit_status is ExitStatus.PAID
    (warning,) = world.told.warnings
    assert "a delay of 65,530 blocks" in warning


_BLINDED = f"To be paid through the channel with {node_id(PAYER).hex()[:16]} (up to 100 sat)"


def _paths(world: World) -> list[IntroductionNode]:
    """Where the payment paths of the invoice begin."""
    (stored,) = world.lightningd.invoices.values()
    records = dict(invoice.decode(stored["bolt12"]))
    found = decode_paths(records[fields.INVOICE_PATHS], "invoice_paths")
    return [path.introduction_node for path in found]


def test_a_private_node_names_its_peer() -> None:
    world, outcome = _send(_private(), makesecret={"secret": "5e" * 32}, **_AS_PRIVATE)
    assert outcome.exit_status is ExitStatus.PAID
    assert _paths(world) == [node_id(PAYER)]
    assert world.told.steps[0] == _BLINDED
    assert world.told.warnings == []


@pytest.mark.parametrize(
    "answer", [LightningdError("makesecret: refused"), {}, {"secret": "x"}, {"secret": None}]
)
def test_makesecret_fails(answer: Any) -> None:
    """The invoice goes out all the same, with lightningd's own path."""
    world, outcome = _send(_private(), makesecret=answer, **_AS_PRIVATE)
    assert outcome.exit_status is ExitStatus.PAID
    assert node_id(PAYER) not in _paths(world)
    (warning,) = world.told.warnings
    assert "names none of this node's channels" in warning
    assert "makesecret: " in warning


def test_makesecret_fails_where_public_channels_serve() -> None:
    """They are found without it; only the spare is missing."""
    world, outcome = _send(
        _public(1, AMOUNT_MSAT),
        makesecret=LightningdError("makesecret: refused"),
        listpeers={"peers": [_PEER]},
    )
    assert outcome.exit_status is ExitStatus.PAID
    assert world.lightningd.log.count("makesecret") == 1
    assert node_id(PAYER) not in _paths(world)
    assert world.told.warnings == []


def test_makesecret_fails_where_our_node_must_not_be_named() -> None:
    fronted = {"configs": {"payment-fronting-node": {"values_str": [node_id(PAYER).hex()]}}}
    world, outcome = _send(
        _private(),
        makesecret=LightningdError("makesecret: refused"),
        listconfigs=fronted,
        **_AS_PRIVATE,
    )
    assert outcome.exit_status is ExitStatus.ERROR
    assert world.lightningd.invoices == {}


def test_a_peer_that_has_told_no_terms() -> None:
    """The advice was to open a channel. LDK's first channel_update has a time of 1970."""
    world, outcome = _send(_private(updates={}), listincoming={"incoming": []}, **_AS_PRIVATE)
    assert outcome.exit_status is ExitStatus.PAID
    (warning,) = world.told.warnings
    assert "does not know on which terms 02c6047f9441ed7d would forward" in warning
    assert "open a channel" not in warning


@pytest.mark.parametrize(
    "answer", [LightningdError("listincoming: no"), {}, {"incoming": [{"id": None}]}]
)
def test_listincoming_fails(answer: Any) -> None:
    """lightningd before v24.02 tells the terms of peers only there."""
    world, outcome = _send(_private(updates={}), listincoming=answer, **_AS_PRIVATE)
    assert outcome.exit_status is ExitStatus.PAID
    assert node_id(PAYER) not in _paths(world)
    assert len(world.told.warnings) == 1
