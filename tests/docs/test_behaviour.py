"""What the man page says of a command's behaviour, each with the test that shows it."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.docs.mdoc import ROOT, Page

_ORDER = "answering/test_order.py"
_COPIES_ALONE = "answering/test_copies.py"
_COPIES = "conformance/test_copies.py"
_FAILURES = "conformance/test_failures.py"
_PAID = "conformance/test_paid.py"
_READINESS = "conformance/test_readiness.py"
_RESTARTS = "conformance/test_restarts.py"
_RESUME = "conformance/test_resume.py"
_WHILE_WAITING = "conformance/test_while_waiting.py"


class Shown(NamedTuple):
    """Words of the page, and a test that shows what they say.

    :param file: below ``tests/``.
    """

    words: str
    file: str
    test: str


#: By subsection of DESCRIPTION or OPTIONS.
_SHOWN = {
    "What ends the wait": (
        Shown(
            "A payment always ends it, with exit status 0, whatever the payer has said.",
            _ORDER,
            "test_refusal_of_an_invoice_that_is_paid_all_the_same_is_no_refusal",
        ),
        Shown(
            "that the invoice will not do",
            _FAILURES,
            "test_more_than_requested_is_refused_within_a_second",
        ),
        Shown(
            "that the invoice will not do",
            _COPIES_ALONE,
            "test_final_reply_is_not_outweighed_by_replies_to_other_copies",
        ),
        Shown(
            "that it is paying already",
            _COPIES,
            "test_held_payment_with_repeated_copies",
        ),
        Shown(
            "that its attempt has failed,",
            _WHILE_WAITING,
            "test_payer_that_cannot_pay_yet_is_asked_again_and_pays_the_same_invoice",
        ),
        Shown(
            "that its attempt has failed,",
            _WHILE_WAITING,
            "test_payer_that_never_can_pay_is_an_error_in_its_words_but_only_at_the_deadline",
        ),
        Shown(
            "the same in LDK's form",
            _WHILE_WAITING,
            "test_payer_that_has_given_up_ends_the_wait_at_once",
        ),
        Shown(
            "nothing",
            _FAILURES,
            "test_silent_payer_is_a_timeout",
        ),
        Shown(
            "nothing",
            _COPIES,
            "test_several_messages_are_lost",
        ),
        Shown(
            "anything else",
            _COPIES,
            "test_error_is_final_once_every_copy_has_its_reply",
        ),
    ),
    "Which invoice": (
        Shown(
            "it counts as deleted, with exit status 1",
            _RESUME,
            "test_another_invoice_under_the_label_is_neither_waited_for_nor_reported",
        ),
    ),
    "A lightningd that is not ready": (
        Shown(
            "with exit status 4",
            _FAILURES,
            "test_no_lightningd",
        ),
        Shown(
            "At the start as after every loss",
            _RESTARTS,
            "test_peers_take_a_while_after_a_restart",
        ),
        Shown(
            "At the start as after every loss",
            _READINESS,
            "test_no_invoice_is_made_before_the_channel_peers_are_back",
        ),
        Shown(
            "it is waited for within",
            _READINESS,
            "test_no_invoice_is_made_behind_the_chain",
        ),
        Shown(
            "When lightningd is still behind the chain at the end, the error says so.",
            _READINESS,
            "test_a_node_that_stays_behind_the_chain_is_the_error",
        ),
        Shown(
            "A lightningd that is lost later",
            _RESTARTS,
            "test_lightningd_stays_away",
        ),
    ),
    "Running it again": (
        Shown(
            "create it, send it, wait",
            _PAID,
            "test_is_paid",
        ),
        Shown(
            "print it, and send nothing",
            _PAID,
            "test_same_command_again_sends_nothing_and_succeeds",
        ),
        Shown(
            "send it again, wait until it expires",
            _RESUME,
            "test_unpaid_invoice_is_waited_for_until_it_expires",
        ),
        Shown(
            "exit 20, or replace it with",
            _FAILURES,
            "test_expired_invoice_keeps_its_label_until_renewed",
        ),
        Shown(
            "exit 20, or replace it with",
            _RESUME,
            "test_renewed_invoice_is_paid",
        ),
        Shown(
            "exit 20, nothing is changed",
            _FAILURES,
            "test_label_of_another_request",
        ),
        Shown(
            "exit 20, nothing is changed",
            _FAILURES,
            "test_label_with_another_amount",
        ),
    ),
    "How long and how": (
        Shown(
            "is over, is replaced then, once.",
            _RESUME,
            "test_resumed_invoice_that_expires_meanwhile_is_replaced_once",
        ),
        Shown(
            "Only what lightningd itself calls expired is deleted.",
            _RESUME,
            "test_invoice_that_has_expired_by_our_clock_alone_is_not_deleted",
        ),
    ),
}

each_statement = pytest.mark.parametrize(
    ("title", "shown"), [(title, shown) for title, each in _SHOWN.items() for shown in each]
)


@cache
def _functions(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


@each_statement
def test_statement_is_in_the_page_and_shown_by_a_test(title: str, shown: Shown) -> None:
    page = Page("sendinvoice")
    lines = {**page.subsections("DESCRIPTION"), **page.subsections("OPTIONS")}[title]
    assert shown.words in " ".join(" ".join(lines).split())
    assert shown.test in _functions(ROOT / "tests" / shown.file)


@pytest.mark.parametrize("title", ["What ends the wait", "Running it again"])
def test_each_row_of_a_table_is_shown(title: str) -> None:
    lines = Page("sendinvoice").subsections("DESCRIPTION")[title]
    rows = [line for line in lines if line.startswith('.It "') and not line.startswith('.It ""')]
    # This row goes on in the next line.
    rows = [row for row in rows if not row.startswith('.It "or ')]
    assert [row for row in rows if not any(each.words in row for each in _SHOWN[title])] == []
