"""What a payer's words mean for the wait. The texts are those of its software, word by word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sendinvoice_cli.bolt12.invoice_error import InvoiceError
from sendinvoice_cli.bolt12.verdict import Meaning, Verdict, bare_words, judge

_INVOICE = (
    "lni1qqgds4gweqxey37gexf5jus4kcrwuq3qqc3xu3s3rg94nj40zfsy866mhu5vxne6tcej5878k2mneuvgjy8s"
)
_HASH = "5e" * 32

REFUSED, IN_PROGRESS = Verdict.REFUSED, Verdict.IN_PROGRESS
NOT_YET, UNCLEAR = Verdict.NOT_YET, Verdict.UNCLEAR
GAVE_UP = Verdict.GAVE_UP


def _judge(text: str) -> Verdict:
    return judge(InvoiceError(text)).verdict


def _cln(words: str) -> Verdict:
    return _judge(f"Failed invoice {_INVOICE}: {words}")


@pytest.mark.parametrize(
    "words",
    [
        f"Unknown invoice_request {_HASH}",
        "invoice_request no longer available",
        "invoice missing signature",
        "invalid invoice signature",
        "invoice amount is too large",
        "Missing invoice_amount",
        "Missing invoice_created_at",
        "Missing invoice_payment_hash",
        "Missing invoice_node_id",
        "Missing invoice_paths",
        "Missing invoice_blindedpay",
        "Unsupported invoice feature 98",
        "Expired invoice",
        "Empty path in invoice_paths",
        "Mismatch between invoice_blindedpay and invoice_paths",
        "Unsupported feature for all paths (98)",
        "Expected to use invreq_path!",
        f"Wrong blinded path (invreq_id_nopath = {_HASH}, path_secret = aa, secret = bb)",
    ],
)
def test_cln_refuses_the_invoice(words: str) -> None:
    assert _cln(words) is REFUSED


def test_cln_cannot_read_the_invoice() -> None:
    """Then its words name no invoice."""
    assert _judge("Failed invoice: Invalid invoice 00ff") is REFUSED


@pytest.mark.parametrize(
    "words",
    [
        # pay
        "Ran out of routes to try after 1 attempt: see `paystatus`",
        "Destination said it doesn't know invoice: incorrect_or_unknown_payment_details",
        # xpay
        "Failed: There is no connection between source and destination at all",
        "Failed: We could not find a usable set of paths.",
        "Failed after 3 attempts. From destination: temporary_channel_failure. Then: no route",
        "Timed out after after 12 attempts. ",
        "Could not resolve any paths: unknown short_channel_id",
        "",
    ],
)
def test_cln_tried_to_pay_and_failed(words: str) -> None:
    assert _cln(f'pay attempt failed: "{words}"') is NOT_YET


_PARTS = "Already have parallel payment in progress"


@pytest.mark.parametrize(
    "words",
    [
        f"Single-use invoice_request already in progress with {_HASH}",
        "Payment with groupid=3 still in progress, cannot retry before that completes.",
        _PARTS,
        _PARTS.replace("parallel", "non-parallel"),
        'Unexpected injectpaymentonion error 200: {\\"code\\":200,\\"message\\":\\"Payment with '
        'groupid=1 still in progress, cannot retry before that completes.\\"}',
        'Unexpected injectpaymentonion error 212: {\\"code\\":212,\\"message\\":\\"Single-use '
        f'invoice_request already in progress with {_HASH}\\"}}',
        # It has paid: our own lightningd will say so.
        "Already paid this invoice",
        "Already paid this invoice successfully",
    ],
)
def test_cln_is_paying_it(words: str) -> None:
    assert _cln(f'pay attempt failed: "{words}"') is IN_PROGRESS


@pytest.mark.parametrize(
    "words",
    [
        "Invoice expired",
        "Invoice expired 7 seconds ago",
        "Invalid bolt12: invoice missing signature",
        "Invalid bolt12 invoice: bad signature",
        "Invalid bolt12 invoice with zero amount",
        "invoice missing invoice_paths",
        "Wrong blinding info: 1 paths, 2 payinfo",
        f"Single-use invoice_request already paid with {_HASH}",
        'Unexpected injectpaymentonion error 212: {\\"code\\":212,\\"message\\":\\"Single-use '
        f'invoice_request already paid with {_HASH}\\"}}',
    ],
)
def test_the_payment_command_of_cln_refuses_the_invoice(words: str) -> None:
    assert _cln(f'pay attempt failed: "{words}"') is REFUSED


@pytest.mark.parametrize(
    "words",
    [
        "Failed after 1 attempts. The destination said: Expired invoice",
        "node 02aa said: Unknown invoice_request",
        "channel closed: invoice expired, Invalid bolt12",
        "RouteNotFound, PaymentExpired",
        'nested: \\"Failed invoice lni1qq: Expired invoice\\"',
    ],
)
def test_what_a_failed_attempt_quotes_is_not_judged_by_itself(words: str) -> None:
    assert _cln(f'pay attempt failed: "{words}"') is NOT_YET


@pytest.mark.parametrize(
    ("word", "verdict"),
    [
        ("RouteNotFound", NOT_YET),
        ("DuplicatePayment", IN_PROGRESS),
        ("PaymentExpired", REFUSED),
        ("OnionPacketSizeExceeded", REFUSED),
        ("UnknownRequiredFeatures", REFUSED),
        ("AlreadyExpired", REFUSED),
        ("InvalidAmount", REFUSED),
        ("UnsupportedChain", REFUSED),
        ("MissingPaths", REFUSED),
        ("InvalidPayInfo", REFUSED),
        ("MissingSignature", REFUSED),
        ("Unrecognized invoice", REFUSED),
        ("DuplicateInvoice", IN_PROGRESS),
        ("UnexpectedInvoice", REFUSED),
        # Words that LDK has for its side as a receiver, or for other kinds of invoices.
        ("Failed invoice signature verification", UNCLEAR),
        ("Static invoices not yet supported", UNCLEAR),
    ],
)
def test_ldk(word: str, verdict: Verdict) -> None:
    assert _judge(word) is verdict


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Internal error",
        "no",
        "RouteNotFoundAtAll",
        "xRouteNotFound",
        "We are paying: pay attempt failed",
        "Expired invoices are not paid here",
        f"Failed invoice {_INVOICE}",
        f"Failed invoice {_INVOICE}: ",
        f"Failed invoice {_INVOICE}: Internal error",
        f"Failed invoice {_INVOICE} Expired invoice",
        "Failed invoice lno1qq: Expired invoice",
        f"Failed invoice {_INVOICE}: Failed invoice {_INVOICE}: Expired invoice",
        f"Failed invoice {_INVOICE}: he said: Expired invoice",
        f"Failed invoice {_INVOICE}: still in progress",
    ],
)
def test_other_words_are_unclear(text: str) -> None:
    assert _judge(text) is UNCLEAR


@pytest.mark.parametrize(
    "text", ["", "whatever", "RouteNotFound", f'Failed invoice {_INVOICE}: pay attempt failed: "x"']
)
@pytest.mark.parametrize("field", [0, 170, 2**64 - 1])
def test_an_erroneous_field_is_about_the_invoice(text: str, field: int) -> None:
    """BOLT 12: the field that had a problem."""
    assert judge(InvoiceError(text, erroneous_field=field)).verdict is REFUSED


# --- LDK's own framing ---


@pytest.mark.parametrize("word", ["RouteNotFound", "PaymentExpired"])
def test_ldk_has_given_the_request_up_before_it_says_so(word: str) -> None:
    meaning = judge(InvoiceError(word, has_length=True))
    assert meaning.verdict is GAVE_UP
    assert meaning.next_step == "ask the payer for a new request"
    # In the bare form they may come from other software, which may try again.
    assert judge(InvoiceError(word)).verdict is not GAVE_UP


@pytest.mark.parametrize("word", ["DuplicatePayment", "UnexpectedAmount", "the moon is full", ""])
def test_the_framing_alone_gives_nothing_up(word: str) -> None:
    assert judge(InvoiceError(word, has_length=True)) == judge(InvoiceError(word))


def test_a_field_that_is_wrong_outweighs_the_framing() -> None:
    error = InvoiceError("RouteNotFound", erroneous_field=162, has_length=True)
    assert judge(error) == Meaning(REFUSED)


# --- in plain words ---


@pytest.mark.parametrize(
    ("words", "plain", "next_step"),
    [
        (
            "invoice_request no longer available",
            "the request was used already, or withdrawn",
            "ask the payer for a new request",
        ),
        (
            f"Unknown invoice_request {_HASH}",
            "its node does not know the request",
            "ask the payer for a new request",
        ),
        (
            f'pay attempt failed: "Single-use invoice_request already paid with {_HASH}"',
            "the request was paid already",
            "ask the payer for a new request",
        ),
        (
            "invoice amount is too large",
            "the invoice asks for another amount than the payer offers",
            "ask for what the payer offers, under another label",
        ),
        (
            "Unsupported invoice feature 98",
            "its software does not take the invoice",
            "tell the payer what its node says, and ask for a new request",
        ),
        ("Expired invoice", "the invoice had expired when it arrived", None),
        (
            'pay attempt failed: "Failed: There is no connection between source and destination '
            'at all"',
            "it finds no way to this node",
            None,
        ),
        (
            'pay attempt failed: "Failed: We could not find a usable set of paths.  The shortest '
            'path is 103x1x0->02aa..., but 103x1x0/1 layer xpay says max is 4msat"',
            "it finds no way that can carry the amount now",
            None,
        ),
        (
            'pay attempt failed: "Failed: We could not find a usable set of paths. Total source '
            'capacity is only 4msat (in 1 channels)."',
            "its channels cannot send the amount now",
            None,
        ),
        (
            'pay attempt failed: "Ran out of routes to try after 1 attempt: see `paystatus`"',
            "it finds no way that can carry the amount now",
            None,
        ),
        ('pay attempt failed: "the moon is full"', None, None),
    ],
)
def test_plain_words_and_the_next_step(
    words: str, plain: str | None, next_step: str | None
) -> None:
    meaning = judge(InvoiceError(f"Failed invoice {_INVOICE}: {words}"))
    assert (meaning.plain, meaning.next_step) == (plain, next_step)


@pytest.mark.parametrize(
    "text",
    [
        f"Failed invoice {_INVOICE}: Expired invoice",
        f'Failed invoice {_INVOICE}: pay attempt failed: "Invoice expired"',
        "PaymentExpired",
        "AlreadyExpired",
    ],
)
def test_words_about_time(text: str) -> None:
    assert judge(InvoiceError(text)).is_about_time
    assert not judge(InvoiceError("RouteNotFound")).is_about_time


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"Failed invoice {_INVOICE}: Expired invoice", "Expired invoice"),
        (f'Failed invoice {_INVOICE}: pay attempt failed: "no \\"way\\""', 'no \\"way\\"'),
        ("Failed invoice: pay attempt failed: oh", "oh"),
        ("RouteNotFound", "RouteNotFound"),
        ('pay attempt failed: "x"', 'pay attempt failed: "x"'),
        ("", ""),
    ],
)
def test_bare_words_are_without_the_frame_and_the_invoice(text: str, words: str) -> None:
    assert bare_words(InvoiceError(text)) == words


@given(st.text(), st.none() | st.integers(0, 2**64 - 1))
def test_any_words_are_judged(text: str, field: int | None) -> None:
    prefixes = ("", "Failed invoice lni1qq: ", 'Failed invoice: pay attempt failed: "')
    for prefix in prefixes:
        assert isinstance(judge(InvoiceError(prefix + text, field)), Meaning)


@pytest.mark.parametrize(
    "unit",
    [
        "Failed invoice lni1",
        "Failed invoice lni1qq: ",
        "pay attempt failed: ",
        "Payment with groupid=",
        "Payment with groupid=1",
        "Single-use invoice_request already ",
        'Unexpected injectpaymentonion error 1: {\\"',
        " ",
        "q",
        "1",
    ],
)
def test_a_huge_text_takes_no_time(unit: str) -> None:
    """Were the time quadratic in the size, a megabyte would take minutes."""
    for prefix in ("", f"Failed invoice {_INVOICE}: ", 'Failed invoice: pay attempt failed: "'):
        text = prefix + unit * (1_000_000 // len(unit))
        assert judge(InvoiceError(text)).verdict in (UNCLEAR, NOT_YET)
