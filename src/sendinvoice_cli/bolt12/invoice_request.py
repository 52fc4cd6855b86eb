"""invoice_requests that are not for an offer: a refund, a withdrawal, a payout.

Source: BOLT 12, "Invoice Requests".
"""

from typing import Any, NamedTuple

from ..errors import MalformedError, RequestExpiredError, UnanswerableRequestError
from . import fields, signature, string, tlv, wrapping
from .blinded_path import BlindedPath
from .characters import find_banned
from .tlv import Record

_TEXTS = (
    fields.OFFER_CURRENCY,
    fields.OFFER_DESCRIPTION,
    fields.OFFER_ISSUER,
    fields.INVREQ_PAYER_NOTE,
)

_TELL = "tell the payer what is wrong with it, and ask for another request"

#: More than all bitcoin there will ever be, in msat: 21 million BTC.
MAX_AMOUNT_MSAT = 21_000_000 * 100_000_000 * 1000


class InvoiceRequest(NamedTuple):
    """A request that has passed every check that needs no node and no clock.

    :param records: every TLV record, known or not, unchanged.
    :param metadata: invreq_metadata.
    :param payer_id: 33-byte point.
    :param chain: 32-byte genesis block hash, None for bitcoin.
    :param amount_msat: what the payer offers; None only if ``offer_amount`` is given.
    :param offer_amount: amount per item, in ``currency`` or, if that is None, msat.
    :param quantity: number of items that the payer names, None when not given.
    :param quantity_max: largest QUANTITY; 0 for no limit, None if it takes no QUANTITY.
    :param expires_at: UNIX seconds, None for never.
    :param paths: blinded paths to the payer, in the order in which to try them.
    :param bip_353_name: the payer's name, ``user@domain``; None when not given.
    :param is_signed: whether it carries a signature, which then is valid.
    """

    records: tuple[Record, ...]
    metadata: bytes
    payer_id: bytes
    chain: bytes | None
    amount_msat: int | None
    offer_amount: int | None
    currency: str | None
    quantity: int | None
    quantity_max: int | None
    description: str | None
    issuer: str | None
    payer_note: str | None
    expires_at: int | None
    paths: tuple[BlindedPath, ...]
    bip_353_name: str | None
    is_signed: bool

    def banned_character(self) -> tuple[str, str] | None:
        """The first character that lightningd may refuse in a utf8 field (bolts PR 1341).

        :returns: the field's name, and the character; None without one.
        """
        for type_, value in self.records:
            if type_ in _TEXTS:
                character = find_banned(value.decode("utf-8"))
                if character is not None:
                    return fields.field_name(type_), character
        return None

    def signed_fields(self) -> tuple[Record, ...]:
        """All records except signatures: those that an invoice must copy."""
        return tuple(record for record in self.records if not signature.is_signature(record))


def decode(text: str) -> InvoiceRequest:
    """Read an ``lnr1…`` string, and check all that needs no node and no clock.

    :param text: any form that ``wrapping.unwrap`` takes.
    :raises MalformedError: the string, the TLV stream or a field breaks its rules.
    :raises UnanswerableRequestError: BOLT 12 has readers reject it.
    """
    data = string.decode(wrapping.unwrap(text, "lnr"), "lnr")
    try:
        records = tlv.decode_stream(data)
        values = {
            record.type: fields.decode_field(record.type, record.value)
            for record in records
            if _check_type(record.type)
        }
    except MalformedError as failure:
        raise MalformedError(
            f"the request is damaged ({failure.message})", hint=string.CUT_SHORT
        ) from None
    _check_rules(values)
    _check_amounts(values)
    _check_signature(records, values)
    bip_353_name = values.get(fields.INVREQ_BIP_353_NAME)
    return InvoiceRequest(
        records=records,
        metadata=values[fields.INVREQ_METADATA],
        payer_id=values[fields.INVREQ_PAYER_ID],
        chain=values.get(fields.INVREQ_CHAIN),
        amount_msat=values.get(fields.INVREQ_AMOUNT),
        offer_amount=values.get(fields.OFFER_AMOUNT),
        currency=values.get(fields.OFFER_CURRENCY),
        quantity=values.get(fields.INVREQ_QUANTITY),
        quantity_max=values.get(fields.OFFER_QUANTITY_MAX),
        description=values.get(fields.OFFER_DESCRIPTION),
        issuer=values.get(fields.OFFER_ISSUER),
        payer_note=values.get(fields.INVREQ_PAYER_NOTE),
        expires_at=values.get(fields.OFFER_ABSOLUTE_EXPIRY),
        paths=values.get(fields.INVREQ_PATHS, ()),
        bip_353_name="@".join(bip_353_name) if bip_353_name else None,
        is_signed=fields.SIGNATURE in values,
    )


def has_expired(invreq: InvoiceRequest, now: float) -> bool:
    """Whether offer_absolute_expiry has passed.

    :param now: UNIX seconds.
    """
    return invreq.expires_at is not None and now > invreq.expires_at


def check_expiry(invreq: InvoiceRequest, now: float) -> None:
    """Refuse an invoice_request whose offer_absolute_expiry has passed.

    BOLT 12, "Offers": nobody answers an offer that has expired. Requests have the field from there.

    :param now: UNIX seconds.
    :raises RequestExpiredError: it has.
    """
    if invreq.expires_at is not None and now > invreq.expires_at:
        raise RequestExpiredError(
            f"the request expired {_age(int(now) - invreq.expires_at)} ago",
            hint="ask the payer for a new one",
        )


def _age(seconds: int) -> str:
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = seconds // size
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{max(seconds, 1)} second{'' if seconds <= 1 else 's'}"


def _check_type(type_: int) -> bool:
    """Whether a type is known.

    :raises UnanswerableRequestError: BOLT 12 has readers reject requests with this type.
    """
    name = fields.field_name(type_)
    if type_ in fields.RECURRENCE:
        # Drafts of recurrence differ, and not one of them is part of BOLT 12.
        raise _refusal_error(f"recurring payments are not supported ({name})")
    if type_ in fields.FIELDS and (fields.is_request_field(type_) or type_ == fields.SIGNATURE):
        return True
    # BOLT 12, "Invoice Requests": no fields outside of the two ranges, signatures excepted.
    if not fields.is_request_field(type_) and type_ not in signature.SIGNATURE_TYPES:
        raise _refusal_error(f"the request has {name}, which no request may have")
    # BOLT 1, "Type-Length-Value Format": an unknown even type is an error, an odd one is ignored.
    if type_ % 2 == 0:
        raise _refusal_error(
            f"the request has {name}, which this version does not know, and may not ignore"
        )
    return False


def _check_rules(values: dict[int, Any]) -> None:
    """Check which fields are there (BOLT 12, "Invoice Requests", the reader)."""
    for required in (fields.INVREQ_METADATA, fields.INVREQ_PAYER_ID):
        if required not in values:
            raise _refusal_error(f"the request has no {fields.field_name(required)}")
    # With either of them it is the response to an offer, for the node that made the offer.
    for of_offer in (fields.OFFER_ISSUER_ID, fields.OFFER_PATHS):
        if of_offer in values:
            raise _refusal_error(
                "this request answers an offer; the node that made the offer answers it by itself",
                hint="to be paid yourself, ask the payer for a request of its own: Core Lightning "
                "makes one with 'invoicerequest', LDK as a refund",
            )
    # Of the three fields that are rejected without an offer; QUANTITY makes up for the third,
    # offer_quantity_max (see SECURITY.md).
    for forbidden in (fields.OFFER_CHAINS, fields.OFFER_FEATURES):
        if forbidden in values:
            raise _refusal_error(
                f"the request has {fields.field_name(forbidden)}, which only a request that "
                "answers an offer may have"
            )
    # Unknown odd bits are ignored; an unknown even one rejects the request.
    bit = fields.unknown_feature(values.get(fields.INVREQ_FEATURES, b""))
    if bit is not None:
        raise _refusal_error(
            f"the request requires feature {bit}, which this version does not know"
        )
    # Not a rule of BOLT 12: lightningd takes a NUL for the end of a text, and would sign less.
    for text in _TEXTS:
        if "\0" in values.get(text, ""):
            raise _refusal_error(
                f"the request has a NUL character in {fields.field_name(text)}, which lightningd "
                "cannot answer"
            )


def _check_amounts(values: dict[int, Any]) -> None:
    """Check what the payer offers.

    BOLT 12, "Invoice Requests": without an offer, invreq_amount must be there. We make do with
    offer_amount, and with what the user asks for (see SECURITY.md).
    """
    # BOLT 12, "Offers": offer_amount is greater than zero. Of zero there is nothing to pay.
    for amount in (fields.INVREQ_AMOUNT, fields.OFFER_AMOUNT):
        if values.get(amount) == 0:
            raise _refusal_error(
                f"the request names an amount of zero ({fields.field_name(amount)})"
            )
    if values.get(fields.INVREQ_AMOUNT, 0) > MAX_AMOUNT_MSAT:
        raise _refusal_error(
            "the request names more than all bitcoin there will ever be (invreq_amount)"
        )
    if fields.INVREQ_AMOUNT not in values and fields.OFFER_AMOUNT not in values:
        raise _refusal_error("the request names no amount (invreq_amount)")
    # BOLT 12, "Offers": a currency comes with an amount in it.
    if fields.OFFER_CURRENCY in values and fields.OFFER_AMOUNT not in values:
        raise _refusal_error("the request names a currency without an amount (offer_currency)")


def _check_signature(records: tuple[Record, ...], values: dict[int, Any]) -> None:
    """Check the signature if there is one.

    BOLT 12, "Invoice Requests", contradicts itself here: without an offer, the writer must not
    sign, and the reader must reject what is not signed. LDK does not sign, Core Lightning does.
    """
    sig = values.get(fields.SIGNATURE)
    if sig is None:
        return
    if not signature.verify("invoice_request", records, values[fields.INVREQ_PAYER_ID], sig):
        raise UnanswerableRequestError(
            "the request's signature is not the payer's (invreq_payer_id)", hint=string.CUT_SHORT
        )


def _refusal_error(message: str, hint: str = _TELL) -> UnanswerableRequestError:
    """The error for a request that we do not answer."""
    return UnanswerableRequestError(message, hint=hint)
