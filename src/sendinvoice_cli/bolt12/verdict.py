"""What a payer's words mean: is its error final, what has happened, and what is to be done?

BOLT 12, "Invoice Errors", leaves the words of ``error`` to the payer, so this
is a table of what payers say. A stranger's text may have any length: it is only
compared with the table, in linear time.

Sources: Core Lightning v23.08 to v26.06, ``plugins/offers_inv_hook.c`` and the
commands it pays with (``plugins/pay.c``, ``plugins/xpay``, ``plugins/askrene``,
``lightningd/pay.c``); LDK 0.0.118 to 0.3, ``ln/channelmanager.rs`` and
``ln/outbound_payment.rs``.
"""

import re
from collections.abc import Iterable
from enum import Enum, auto
from typing import NamedTuple

from .invoice_error import InvoiceError


class Verdict(Enum):
    """What an invoice_error means for the wait."""

    #: The payer rejects the invoice itself: final at once.
    REFUSED = auto()
    #: The payer has given the request up, and ignores every later copy: final at once.
    GAVE_UP = auto()
    #: The payer is paying already, or has paid: go on waiting.
    IN_PROGRESS = auto()
    #: The invoice is good, but the payer's attempt failed: send it again later.
    NOT_YET = auto()
    #: Anything else: final once every copy has its reply.
    UNCLEAR = auto()


class Meaning(NamedTuple):
    """What an invoice_error means.

    :param verdict: for the wait.
    :param plain: what has happened, for people, to follow "the payer …: "; None when we do not
        know better than the payer's own words.
    :param next_step: what to do about it; None when that depends on the verdict alone.
    :param is_about_time: whether it says that the invoice has expired, which tells something of
        the clocks if it has not.
    """

    verdict: Verdict
    plain: str | None = None
    next_step: str | None = None
    is_about_time: bool = False


_ASK = "ask the payer for a new request"
_TELL = "tell the payer what its node says, and ask for a new request"

_EXPIRED = Meaning(Verdict.REFUSED, "the invoice had expired when it arrived", is_about_time=True)
_PAID = Meaning(Verdict.REFUSED, "the request was paid already", _ASK)
_WITHDRAWN = Meaning(Verdict.REFUSED, "the request was used already, or withdrawn", _ASK)
_UNKNOWN = Meaning(Verdict.REFUSED, "its node does not know the request", _ASK)
_TOO_MUCH = Meaning(
    Verdict.REFUSED,
    "the invoice asks for another amount than the payer offers",
    "ask for what the payer offers, under another label",
)
_NOT_TAKEN = Meaning(Verdict.REFUSED, "its software does not take the invoice", _TELL)
_BY_ANOTHER_WAY = Meaning(
    Verdict.REFUSED, "the invoice did not arrive by a path of the request", _TELL
)
_IN_PROGRESS = Meaning(Verdict.IN_PROGRESS)
_UNCLEAR = Meaning(Verdict.UNCLEAR)

#: How Core Lightning's text begins. It repeats the invoice if it could read it.
_CLN = r"Failed invoice(?: lni1[02-9ac-hj-np-z]*)?: "

#: What follows when it refuses the invoice, without trying to pay it.
_CLN_REFUSALS = (
    ("Empty path in invoice_paths", _NOT_TAKEN),
    ("Expired invoice", _EXPIRED),
    ("Invalid invoice ", _NOT_TAKEN),
    ("Mismatch between invoice_blindedpay and invoice_paths", _NOT_TAKEN),
    ("Missing invoice_", _NOT_TAKEN),
    ("Unknown invoice_request", _UNKNOWN),
    ("Unsupported feature for all paths", _NOT_TAKEN),
    ("Unsupported invoice feature ", _NOT_TAKEN),
    ("invalid invoice signature", _NOT_TAKEN),
    ("invoice amount is too large", _TOO_MUCH),
    ("invoice missing signature", _NOT_TAKEN),
    ("invoice_request no longer available", _WITHDRAWN),
    # With --developer, instead of "Unknown invoice_request".
    ("Expected to use invreq_path", _BY_ANOTHER_WAY),
    ("Wrong blinded path", _BY_ANOTHER_WAY),
)

#: What follows when it tried to pay: the error of its payment command, in quotes.
_CLN_ATTEMPT = 'pay attempt failed: "?'

#: How a payment command quotes an error of lightningd, and where the quoted words begin.
_CLN_WRAPPERS = ("Unexpected injectpaymentonion error ", "Failing ")
_CLN_WRAPPED = r'"message\\?": ?\\?"'

#: Words of payment commands that mean no failed attempt. All others mean one.
_CLN_ATTEMPTS = (
    ("Single-use invoice_request already in progress", _IN_PROGRESS),
    ("Already have parallel payment in progress", _IN_PROGRESS),
    ("Already have non-parallel payment in progress", _IN_PROGRESS),
    # xpay says this of the same invoice: lightningd will tell us that it is paid.
    ("Already paid this invoice", _IN_PROGRESS),
    ("Single-use invoice_request already paid", _PAID),
    ("Invoice expired", _EXPIRED),
    ("Invalid bolt12", _NOT_TAKEN),
    ("invoice missing ", _NOT_TAKEN),
    ("Wrong blinding info", _NOT_TAKEN),
)
_CLN_GROUP_IN_PROGRESS = "Payment with groupid=[0-9]+ still in progress"

#: Words anywhere in the error of a failed attempt, and what they come down to.
_CLN_FAILURES = (
    ("Total source capacity", "its channels cannot send the amount now"),
    ("no connection between source and destination", "it finds no way to this node"),
    ("find a usable set of paths", "it finds no way that can carry the amount now"),
    ("find route", "it finds no way that can carry the amount now"),
    ("out of routes", "it finds no way that can carry the amount now"),
    ("says max is", "it finds no way that can carry the amount now"),
    ("temporary_channel_failure", "a channel on the way cannot carry the amount now"),
    ("it doesn't know invoice", "this node did not take the payment"),
    ("Timed out", "its attempts took too long"),
)

#: LDK sends one of these names as the whole text.
_LDK: dict[str, Meaning] = {
    "RouteNotFound": Meaning(Verdict.NOT_YET, "it finds no way that can carry the amount now"),
    "DuplicateInvoice": _IN_PROGRESS,
    "DuplicatePayment": _IN_PROGRESS,
    **dict.fromkeys(("AlreadyExpired", "PaymentExpired"), _EXPIRED),
    **dict.fromkeys(("InsufficientAmount", "InvalidAmount", "UnexpectedAmount"), _TOO_MUCH),
    **dict.fromkeys(
        (
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
            "UnexpectedFeatures",
            "UnexpectedInvoice",
            "UnexpectedPaths",
            "UnexpectedSigningPubkey",
            "UnknownRequiredFeatures",
            "Unrecognized invoice",
            "UnsupportedChain",
        ),
        _NOT_TAKEN,
    ),
}
#: Those that come after LDK has abandoned the payment.
_LDK_GAVE_UP = frozenset(("RouteNotFound", "PaymentExpired"))


def judge(error: InvoiceError) -> Meaning:
    """Tell what an invoice_error means.

    ``IN_PROGRESS`` does not tell how the attempt will end, and the payer may give
    up silently: send the invoice again when the attempt should be over.
    """
    beginning = re.match(_CLN, error.text)
    if beginning is not None:
        meaning = _judge_cln(error.text, beginning.end())
    else:
        meaning = _LDK.get(error.text, _UNCLEAR)
    if error.erroneous_field is not None:
        # BOLT 12, "Invoice Errors": the field of the invoice that is wrong.
        return meaning if meaning.verdict is Verdict.REFUSED else Meaning(Verdict.REFUSED)
    if error.has_length and error.text in _LDK_GAVE_UP:
        return meaning._replace(verdict=Verdict.GAVE_UP, next_step=_ASK)
    return meaning


def bare_words(error: InvoiceError) -> str:
    """The payer's words without the frame and the invoice that Core Lightning puts around them."""
    beginning = re.match(_CLN, error.text)
    text = error.text if beginning is None else error.text[beginning.end() :]
    attempt = None if beginning is None else re.match(_CLN_ATTEMPT, text)
    return text if attempt is None else text[attempt.end() :].removesuffix('"')


def _judge_cln(text: str, at: int) -> Meaning:
    """Judge Core Lightning's words, which begin at an index of the text."""
    attempt = re.compile(_CLN_ATTEMPT).match(text, at)
    if attempt is None:
        return _first(_CLN_REFUSALS, text, at) or _UNCLEAR
    at = attempt.end()
    if text.startswith(_CLN_WRAPPERS, at):
        wrapped = re.compile(_CLN_WRAPPED).search(text, at)
        at = at if wrapped is None else wrapped.end()
    if re.compile(_CLN_GROUP_IN_PROGRESS).match(text, at):
        return _IN_PROGRESS
    known = _first(_CLN_ATTEMPTS, text, at)
    if known is not None:
        return known
    plain = next((plain for words, plain in _CLN_FAILURES if words in text), None)
    return Meaning(Verdict.NOT_YET, plain)


def _first(table: Iterable[tuple[str, Meaning]], text: str, at: int) -> Meaning | None:
    """The meaning of the first words in a table with which a text goes on at an index."""
    return next((meaning for words, meaning in table if text.startswith(words, at)), None)
