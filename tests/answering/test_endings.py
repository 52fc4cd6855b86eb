"""What is said of an invoice that was not paid, and which next step it comes with."""

from __future__ import annotations

import shlex

import pytest

from sendinvoice_cli.answering import endings, state
from sendinvoice_cli.answering.copies import Copies
from sendinvoice_cli.bolt12 import fields, invoice_request, string, tlv
from sendinvoice_cli.bolt12.invoice_error import InvoiceError
from sendinvoice_cli.bolt12.invoice_request import InvoiceRequest
from sendinvoice_cli.errors import (
    ExitStatus,
    InterruptedBySignalError,
    PayerError,
    SendInvoiceError,
    TimedOutError,
    UnreachableError,
)
from sendinvoice_cli.node.invoices import StoredInvoice
from sendinvoice_cli.node.ways.routes import Route
from tests.support.requests_builder import Changes, node_id, request_string
from tests.support.scripted import START, World

_CREATED_AT, _EXPIRES_AT = START, START + 90
_BOLT12 = string.encode("lni", bytes(300))
_LDK: Changes = {fields.INVREQ_METADATA: b"\7" * 48}
_NEW_REQUEST = "ask the payer for a new request"


def _request(
    changes: Changes | None = None, *, expires_at: int | None = None, is_ldk: bool = False
) -> str:
    changes = {**(changes or {}), **(_LDK if is_ldk else {})}
    if expires_at is not None:
        changes[fields.OFFER_ABSOLUTE_EXPIRY] = tlv.encode_tu(expires_at)
    return request_string(changes, sign=not is_ldk)


def _read(**more: int | bool | None) -> InvoiceRequest:
    return invoice_request.decode(_request(**more))  # type: ignore[arg-type]


def _stored(status: str = "unpaid", amount_msat: int | None = None) -> StoredInvoice:
    """An invoice, by default over what the request offers."""
    known = {"label": "a", "status": status, "expires_at": _EXPIRES_AT, "bolt12": _BOLT12}
    amount_msat = amount_msat or _read().amount_msat
    return StoredInvoice({**known, "payment_hash": "00" * 32, "amount_msat": amount_msat})


def _copies(*said: InvoiceError | None, has_channel: bool = True) -> Copies:
    copies = Copies()
    for error in said:
        path_id = copies.begin(Route((node_id(1), node_id(2)), has_channel=has_channel))
        if error is not None:
            copies.reply(path_id, error)
    return copies


def _end(
    *said: InvoiceError | None, after: float = 90, invreq: InvoiceRequest | None = None
) -> SendInvoiceError:
    stored = _stored("expired" if after >= 90 else "unpaid")
    invreq = invreq or _read()
    return endings.unpaid_error(_copies(*said), stored, invreq, _CREATED_AT + after)


def _cln(words: str) -> InvoiceError:
    return InvoiceError(f"Failed invoice {_BOLT12}: {words}")


# --- nothing heard ---


def test_silence_about_another_amount_than_is_offered_names_it() -> None:
    stored = _stored("expired", amount_msat=7)
    silent = endings.unpaid_error(_copies(None), stored, _read(), _CREATED_AT + 90)
    assert "another amount than the request offers" in silent.message
    assert silent.hint == "ask for what is offered, under another label"


def test_silence_of_lightningd_leads_to_another_try_and_that_of_ldk_to_a_new_request() -> None:
    silent = _end(None)
    assert isinstance(silent, TimedOutError)
    assert silent.message == ("the invoice was not paid in time, and no answer came from the payer")
    assert silent.hint == f"{_NEW_REQUEST}, or try this one again with --renew"
    for said in (None, InvoiceError("DuplicatePayment", has_length=True)):
        of_ldk = _end(said, invreq=_read(is_ldk=True))
        assert of_ldk.hint is not None
        assert of_ldk.hint.startswith(f"{_NEW_REQUEST}: LDK gives one up in silence")


@pytest.mark.parametrize("is_ldk", [False, True])
@pytest.mark.parametrize(
    "said", [(), (None,), (InvoiceError("DuplicatePayment"),), (_cln('pay attempt failed: "x"'),)]
)
def test_no_hint_leads_to_renew_once_the_request_has_expired(
    said: tuple[InvoiceError | None, ...], is_ldk: bool
) -> None:
    end = _end(*said, invreq=_read(expires_at=_CREATED_AT + 60, is_ldk=is_ldk))
    assert end.hint == _NEW_REQUEST
    if isinstance(end, TimedOutError):
        assert end.message.endswith("the request expired meanwhile, which is the likely reason")


def test_no_hint_of_ours_leads_to_renew_once_the_request_has_expired() -> None:
    """A lightningd behind the chain, and clocks that differ, had hints of their own."""
    invreq, now = _read(expires_at=_CREATED_AT + 60), _CREATED_AT + 70
    late = endings.unpaid_error(_copies(None), _stored("expired"), invreq, _EXPIRES_AT, "loading")
    assert late.hint == _NEW_REQUEST
    assert "behind the chain (loading)" in late.message
    early = endings.unpaid_error(_copies(None), _stored("expired"), invreq, now)
    assert str(early.hint).endswith(f"set them right, then {_NEW_REQUEST}")


def test_request_that_is_still_valid_is_not_blamed() -> None:
    end = _end(None, invreq=_read(expires_at=_EXPIRES_AT))
    assert "expired" not in end.message
    assert end.hint is not None
    assert "--renew" in end.hint


# --- clocks ---


def test_invoice_that_lightningd_takes_for_expired_at_once_names_the_clocks() -> None:
    end = endings.unpaid_error(Copies(), _stored("expired"), _read(), _CREATED_AT + 1)
    assert end.message.endswith("because lightningd took it for expired 1m 29s too early")
    assert end.hint is not None
    assert "the clocks of this machine and of lightningd differ" in end.hint


def test_invoice_that_lightningd_takes_for_valid_at_the_end_names_the_clocks() -> None:
    end = endings.unpaid_error(_copies(None), _stored("unpaid"), _read(), _CREATED_AT + 120)
    assert end.message.endswith(
        "no answer came from the payer; lightningd takes it for valid still"
    )
    assert end.hint is not None
    assert "the clocks of this machine and of lightningd differ" in end.hint


def test_invoice_whose_time_went_by_before_a_copy_does_not_name_the_clocks() -> None:
    end = _end()
    assert end.message.endswith("because it expired before it could be sent")
    assert end.hint is not None
    assert "clock" not in end.hint


@pytest.mark.parametrize(
    "error",
    [
        _cln("Expired invoice"),
        _cln('pay attempt failed: "Invoice expired"'),
        InvoiceError("PaymentExpired"),
        InvoiceError("PaymentExpired", has_length=True),
    ],
)
def test_fresh_invoice_that_the_payer_takes_for_expired_names_the_clocks(
    error: InvoiceError,
) -> None:
    early, late = _end(error, after=0.4), _end(error, after=90)
    assert "although it is valid for another 1m 29s by this machine's clock" in early.message
    assert early.hint is not None
    assert early.hint.startswith("the clocks of the payer and of this machine differ")
    assert "clock" not in f"{late.message} {late.hint}"


# --- the payer's words ---


@pytest.mark.parametrize(
    ("error", "message", "hint"),
    [
        (
            _cln("invoice_request no longer available"),
            "the payer refused the invoice: the request was used already, or withdrawn "
            "(invoice_request no longer available)",
            _NEW_REQUEST,
        ),
        (
            InvoiceError("RouteNotFound", has_length=True),
            "the payer has given the request up: it finds no way that can carry the amount now "
            "(RouteNotFound)",
            _NEW_REQUEST,
        ),
        (
            _cln('pay attempt failed: "the moon is full"'),
            "the payer could not pay the invoice: the moon is full",
            "run the same command again later with --renew",
        ),
        (
            InvoiceError(f"no: {_BOLT12}", erroneous_field=fields.INVOICE_AMOUNT),
            "the payer refused the invoice (about invoice_amount): no: lni1…",
            "tell the payer what its node says, and ask for a new request",
        ),
        (
            InvoiceError("the moon is full"),
            "the payer answered with an error: the moon is full",
            "tell the payer what its node says, and ask for a new request",
        ),
    ],
)
def test_words_of_the_payer_come_with_ours_and_a_next_step(
    error: InvoiceError, message: str, hint: str
) -> None:
    end = _end(error)
    assert isinstance(end, PayerError)
    assert (end.message, end.hint) == (message, hint)
    assert end.data is not None
    assert end.data["error"] == error.text


@pytest.mark.parametrize(
    ("error", "did"),
    [
        (_cln("invoice_request no longer available"), "refused"),
        (InvoiceError("RouteNotFound", has_length=True), "gave up"),
        (_cln('pay attempt failed: "the moon is full"'), "could not pay"),
        (InvoiceError("the moon is full"), "sent an error"),
    ],
)
def test_batch_counts_by_what_the_payer_did(error: InvoiceError, did: str) -> None:
    """One that could not pay was counted as one that refused."""
    end = _end(error)
    assert isinstance(end, PayerError)
    assert end.what_payer_did == did


# --- what goes on without us ---


def test_interruption_has_the_invoice_in_its_data_and_not_in_its_sentence() -> None:
    end = endings.interrupted_error(InterruptedBySignalError("x"), "a label", _stored())
    assert "may still be paid until" in end.message
    assert _BOLT12 not in end.message
    assert end.data == {"invstring": _BOLT12}


@pytest.mark.parametrize("name", ["a b", "it's", "$(rm x)", "plain", "*"])
def test_hint_that_is_a_command_quotes_the_label_for_the_shell(name: str) -> None:
    hint = endings.outcome_unknown_error(UnreachableError("it is gone"), name, None).hint
    assert hint is not None
    command = hint[hint.index("lightning-cli") :].removesuffix("'")
    assert shlex.split(command) == ["lightning-cli", "listinvoices", name]


@pytest.mark.parametrize(("expires_at", "leads"), [(None, True), (START + 50, False)])
def test_expired_invoice_leads_to_renew_only_while_the_request_is_valid(
    expires_at: int | None, leads: bool
) -> None:
    expired = _stored("expired")
    end = state.expired_error(expired, _read(expires_at=expires_at), START + 100)
    assert end.hint is not None
    assert ("--renew" in end.hint) is leads


# --- from the start to the end ---


def test_request_that_expires_during_the_wait_is_warned_of_and_named_at_the_end() -> None:
    world = World()
    world.at(90, world.expire)
    invreq = _request({fields.INVREQ_PAYER_ID: node_id(2)}, expires_at=START + 60, is_ldk=True)
    outcome = world.run(invreq=invreq)
    (warning,) = [each for each in world.told.warnings if "the request expires" in each]
    assert warning.startswith("the request expires in 1m 00s, before TIMEOUT ends")
    assert outcome.error is not None
    assert outcome.exit_status is ExitStatus.TIMED_OUT
    assert "the request expired meanwhile" in outcome.error.message
    assert outcome.error.hint == _NEW_REQUEST


def test_request_that_lives_longer_than_the_wait_is_not_warned_of() -> None:
    world = World()
    world.at(5, world.pay)
    invreq = _request({fields.INVREQ_PAYER_ID: node_id(2)}, expires_at=START + 90, is_ldk=True)
    world.run(invreq=invreq)
    assert not [each for each in world.told.warnings if "the request expires" in each]


def test_ldk_that_has_given_up_ends_the_wait_at_once() -> None:
    world = World()
    world.at(1, world.says(InvoiceError("RouteNotFound", has_length=True)))
    outcome = world.run(timeout=86_400)
    assert outcome.exit_status is ExitStatus.PAYER_ERROR
    assert world.seconds == 1
    assert world.copies_at == [0]
    assert outcome.error is not None
    assert outcome.error.hint == _NEW_REQUEST
