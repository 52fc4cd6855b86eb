"""What a payer's words mean for the wait: is its error final?

BOLT 12, "Invoice Errors", leaves the words of ``error`` to the payer, so this
is a table of what payers say. A stranger's text may have any length: it is only
compared with the table, in linear time.

Sources: Core Lightning v23.08 to v26.06, ``plugins/offers_inv_hook.c`` and the
commands it pays with (``plugins/pay.c``, ``plugins/xpay``, ``lightningd/pay.c``);
LDK 0.0.118 to 0.3, ``ln/channelmanager.rs`` and ``ln/outbound_payment.rs``.
"""

from __future__ import annotations

import re
from enum import Enum, auto

from .invoice_error import InvoiceError


class Verdict(Enum):
    """What an invoice_error means for the wait."""

    #: The payer rejects the invoice itself: final at once.
    REFUSED = auto()
    #: The payer is paying already, or has paid: go on waiting.
    IN_PROGRESS = auto()
    #: The invoice is good, but the payer's attempt failed: send it again later.
    NOT_YET = auto()
    #: Anything else: final once every copy has its reply.
    UNCLEAR = auto()


#: How Core Lightning's text begins. It repeats the invoice if it could read it.
_CLN = re.compile(r"Failed invoice(?: lni1[02-9ac-hj-np-z]*)?: ")

#: What follows when it refuses the invoice, without trying to pay it.
_CLN_REFUSALS = (
    "Empty path in invoice_paths",
    "Expired invoice",
    "Invalid invoice ",
    "Mismatch between invoice_blindedpay and invoice_paths",
    "Missing invoice_",
    "Unknown invoice_request",
    "Unsupported feature for all paths",
    "Unsupported invoice feature ",
    "invalid invoice signature",
    "invoice amount is too large",
    "invoice missing signature",
    "invoice_request no longer available",
    # With --developer, instead of "Unknown invoice_request".
    "Expected to use invreq_path",
    "Wrong blinded path",
)

#: What follows when it tried to pay: the error of its payment command, in quotes.
_CLN_ATTEMPT = re.compile('pay attempt failed: "?')

#: How a payment command quotes an error of lightningd, and where the quoted words begin.
_CLN_WRAPPERS = ("Unexpected injectpaymentonion error ", "Failing ")
_CLN_WRAPPED = re.compile(r'"message\\?": ?\\?"')

#: Words of payment commands that mean no failed attempt. All others mean one.
_CLN_ATTEMPTS = (
    (
        Verdict.IN_PROGRESS,
        re.compile(
            "Single-use invoice_request already in progress"
            "|Payment with groupid=[0-9]+ still in progress"
            "|Already have (?:non-)?parallel payment in progress"
            # xpay says this of the same invoice: lightningd will tell us that it is paid.
            "|Already paid this invoice"
        ),
    ),
    (
        Verdict.REFUSED,
        re.compile(
            "Single-use invoice_request already paid"
            "|Invoice expired"
            "|Invalid bolt12"
            "|invoice missing "
            "|Wrong blinding info"
        ),
    ),
)

#: LDK sends one of these names as the whole text.
_LDK = {
    "RouteNotFound": Verdict.NOT_YET,
    "DuplicateInvoice": Verdict.IN_PROGRESS,
    "DuplicatePayment": Verdict.IN_PROGRESS,
    **dict.fromkeys(
        (
            "AlreadyExpired",
            "InsufficientAmount",
            "InvalidAmount",
            "InvalidPayInfo",
            "InvalidSigningPubkey",
            "MissingAmount",
            "MissingCreationTime",
            "MissingPaths",
            "MissingPaymentHash",
            "MissingSignature",
            "MissingSigningPubkey",
            # Because of the invoice's blinded paths.
            "OnionPacketSizeExceeded",
            "PaymentExpired",
            "UnexpectedAmount",
            "UnexpectedFeatures",
            "UnexpectedInvoice",
            "UnexpectedPaths",
            "UnexpectedSigningPubkey",
            "UnknownRequiredFeatures",
            "Unrecognized invoice",
            "UnsupportedChain",
        ),
        Verdict.REFUSED,
    ),
}


def judge(error: InvoiceError) -> Verdict:
    """Tell what an invoice_error means for the wait.

    ``IN_PROGRESS`` does not tell how the attempt will end, and the payer may give
    up silently: send the invoice again when the attempt should be over.
    """
    if error.erroneous_field is not None:
        return Verdict.REFUSED
    beginning = _CLN.match(error.text)
    if beginning is not None:
        return _judge_cln(error.text, beginning.end())
    return _LDK.get(error.text, Verdict.UNCLEAR)


def _judge_cln(text: str, at: int) -> Verdict:
    """Judge Core Lightning's words, which begin at an index of the text."""
    attempt = _CLN_ATTEMPT.match(text, at)
    if attempt is None:
        return Verdict.REFUSED if text.startswith(_CLN_REFUSALS, at) else Verdict.UNCLEAR
    at = attempt.end()
    if text.startswith(_CLN_WRAPPERS, at):
        wrapped = _CLN_WRAPPED.search(text, at)
        at = at if wrapped is None else wrapped.end()
    for verdict, words in _CLN_ATTEMPTS:
        if words.match(text, at):
            return verdict
    return Verdict.NOT_YET
