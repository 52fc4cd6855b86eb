"""The receiver's invoices: createinvoice, listinvoices, delinvoice, waitinvoice, wait."""

from __future__ import annotations

import secrets
from hashlib import sha256
from typing import Any

from ... import errors
from ...bolt12 import fields, invoice, signature
from ...bolt12.invoice import BlindedPayinfo
from ...bolt12.tlv import Record
from ...onion import blinding
from ...onion.blinding import PathNode
from .. import bolt11, params
from ..invoices import INDEXES, InvoiceBook, in_order
from ..node import Node
from ..params import optional, required
from ..requests import CHAIN
from ..rpc_errors import INVALID_PARAMS, RpcError
from .call import Call, Context, Result

_SUBSYSTEMS = ("forwards", "sendpays", "invoices", "htlcs")
#: Blocks that the last HTLC needs, on regtest.
_FINAL_CLTV = 10
#: Seconds that a BOLT 11 invoice lives by default: a week.
_BOLT11_EXPIRY = 604_800
_ALL_BITCOIN_MSAT = 21_000_000 * 100_000_000 * 1000


async def create(context: Context, args: dict[str, Any]) -> Result:
    """``createinvoice``: sign an invoice and store it."""
    node = context.node
    invstring = args["invstring"]
    records = _decode_unsigned(invstring)
    values = dict(records)
    if fields.INVOICE_PAYMENT_HASH in values and fields.INVOICE_PATHS not in values:
        records = _with_own_path(node, records, values[fields.INVOICE_PAYMENT_HASH])
        if not node.family.keeps_unknown_fields:
            records = _known(records)
    if fields.SIGNATURE in values:
        raise RpcError(INVALID_PARAMS, "invoice already signed")
    if fields.OFFER_DESCRIPTION not in values and node.family.wants_description:
        raise RpcError(INVALID_PARAMS, "Missing description in invoice")
    if fields.INVOICE_AMOUNT not in values:
        raise RpcError(INVALID_PARAMS, "Missing invoice_amount in invoice")
    if fields.INVOICE_PAYMENT_HASH not in values:
        raise RpcError(INVALID_PARAMS, "Missing payment_hash in invoice")
    if values[fields.INVOICE_PAYMENT_HASH] != sha256(args["preimage"]).digest():
        raise RpcError(INVALID_PARAMS, "Incorrect preimage")
    sig = signature.sign("invoice", records, node.private_key.secret)
    if not node.family.keeps_unknown_fields:
        # Signed as they came, but not written: the signature is wrong then.
        records = _known(records)
    signed = sorted((*records, Record(fields.SIGNATURE, sig)))
    expiry = values.get(fields.INVOICE_RELATIVE_EXPIRY)
    description = values.get(fields.OFFER_DESCRIPTION)
    created = node.invoices.create(
        label=args["label"],
        invstring=invoice.encode(signed),
        preimage=args["preimage"],
        amount_msat=int.from_bytes(values[fields.INVOICE_AMOUNT], "big"),
        description=None if description is None else description.decode(),
        relative_expiry=(
            invoice.DEFAULT_RELATIVE_EXPIRY if expiry is None else int.from_bytes(expiry, "big")
        ),
    )
    return created.row()


def _known(records: tuple[Record, ...]) -> tuple[Record, ...]:
    return tuple(record for record in records if record.type in fields.FIELDS)


def _decode_unsigned(invstring: str) -> tuple[Record, ...]:
    try:
        records = invoice.decode(invstring)
    except errors.MalformedError:
        is_invoice = invstring.lower().startswith("lni1")
        reason = "invalid invoice data" if is_invoice else "invalid bech32 string"
        raise _unparsable(invstring, reason) from None
    for record in records:
        is_known = record.type in fields.FIELDS
        try:
            if is_known:
                fields.decode_field(record.type, record.value)
        except errors.MalformedError:
            raise _unparsable(invstring, "invalid invoice data") from None
        if not is_known and record.type % 2 == 0:
            raise _unparsable(invstring, "invalid invoice data")
    if dict(records).get(fields.INVREQ_CHAIN) != CHAIN:
        raise _unparsable(invstring, "wrong chain")
    return records


def _unparsable(invstring: str, reason: str) -> RpcError:
    return RpcError(INVALID_PARAMS, f"Unparsable invoice '{invstring}': {reason}")


def _with_own_path(
    node: Node, records: tuple[Record, ...], payment_hash: bytes
) -> tuple[Record, ...]:
    """Add the path of one hop by which a public node is paid."""
    path_id = Record(blinding.PATH_ID, node.invoice_path_id(payment_hash))
    path = blinding.blind_path([PathNode(node.id, (path_id,))])
    payinfo = BlindedPayinfo(0, 0, _FINAL_CLTV, 0, _ALL_BITCOIN_MSAT)
    added = (
        Record(fields.INVOICE_PATHS, path.encode()),
        Record(fields.INVOICE_BLINDEDPAY, payinfo.encode()),
    )
    kept = (record for record in records if record.type != fields.INVOICE_BLINDEDPAY)
    return tuple(sorted((*kept, *added)))


async def create_bolt11(context: Context, args: dict[str, Any]) -> Result:
    """``invoice``: make a BOLT 11 invoice, which nobody here can pay."""
    node, now = context.node, int(context.network.clock())
    preimage = secrets.token_bytes(32)
    payment_secret = sha256(preimage + b"payment secret").digest()
    invstring = bolt11.encode(
        node.private_key,
        payment_hash=sha256(preimage).digest(),
        payment_secret=payment_secret,
        amount_msat=args["amount_msat"],
        description=args["description"],
        created_at=now,
        expiry=args["expiry"],
    )
    created = node.invoices.create(
        label=args["label"],
        invstring=invstring,
        preimage=preimage,
        amount_msat=args["amount_msat"],
        description=args["description"],
        relative_expiry=args["expiry"],
    )
    return {
        "payment_hash": created.payment_hash.hex(),
        "expires_at": created.expires_at,
        "bolt11": invstring,
        "payment_secret": payment_secret.hex(),
        "created_index": created.created_index,
    }


async def listing(context: Context, args: dict[str, Any]) -> Result:
    """``listinvoices``: all, one, or those from a value of an index on."""
    if sum(args[name] is not None for name in ("label", "invstring", "payment_hash")) > 1:
        raise RpcError(
            INVALID_PARAMS,
            "Can only specify one of {label}, {invstring}, {payment_hash} or {offer_id}",
        )
    index = args["index"]
    for name in ("start", "limit"):
        if args[name] and index is None:
            raise RpcError(INVALID_PARAMS, f"Can only specify {{{name}}} with {{index}}")
    book = context.node.invoices
    payment_hash = args["payment_hash"]
    if args["invstring"] is not None:
        payment_hash = _payment_hash_of(args["invstring"])
    if args["label"] is not None:
        rows = [row for row in book if row.label == args["label"]]
    elif payment_hash is not None:
        rows = [row for row in book if row.payment_hash == payment_hash]
    else:
        rows = _slice(book, index, args["start"], args["limit"])
    return {"invoices": [row.row() for row in rows]}


def _payment_hash_of(invstring: str) -> bytes:
    try:
        return dict(invoice.decode(invstring))[fields.INVOICE_PAYMENT_HASH]
    except (errors.MalformedError, KeyError):
        raise RpcError(INVALID_PARAMS, "Invalid invstring") from None


def _slice(book: InvoiceBook, index: str | None, start: int, limit: int | None) -> list[Any]:
    rows = in_order(book, index)
    if index == "updated":
        rows = [row for row in rows if row.updated_index >= start]
    else:
        rows = [row for row in rows if row.created_index >= start]
    return rows if limit is None else rows[:limit]


async def delete(context: Context, args: dict[str, Any]) -> Result:
    """``delinvoice``: remove an invoice that is in the state given."""
    return context.node.invoices.delete(args["label"], args["status"]).row()


async def wait_for_invoice(context: Context, args: dict[str, Any]) -> Result:
    """``waitinvoice``: return when an invoice is paid."""
    return (await context.node.invoices.wait_closed(args["label"])).row()


async def wait(context: Context, args: dict[str, Any]) -> Result:
    """``wait``: return when an index has grown. Only that of invoices ever does."""
    subsystem, index = args["subsystem"], args["indexname"]
    # The others stay empty, just as a fresh book does.
    book = context.node.invoices
    if subsystem != "invoices":
        book = InvoiceBook(context.network.clock, context.network.timers)
    value, details = await book.wait_index(index, args["nextvalue"])
    result = {"subsystem": subsystem, index: value}
    if details is not None:
        result["details" if context.node.family.documents_help else subsystem] = details
    return result


_INVSTRING = required("invstring", params.string)
_LABEL = required("label", params.label)

CALLS = (
    Call(
        "createinvoice",
        (_INVSTRING, _LABEL, required("preimage", params.preimage)),
        create,
        "Sign and store an invoice",
    ),
    Call(
        "invoice",
        (
            required("amount_msat", params.msat),
            _LABEL,
            required("description", params.string),
            optional("expiry", params.number, _BOLT11_EXPIRY),
        ),
        create_bolt11,
        "Create a BOLT 11 invoice",
    ),
    Call(
        "listinvoices",
        (
            optional("label", params.label),
            optional("invstring", params.string),
            optional("payment_hash", params.sha256),
            optional("index", params.one_of(INDEXES, "unknown index")),
            optional("start", params.u64, 0),
            optional("limit", params.number),
        ),
        listing,
        "Show invoices",
    ),
    Call(
        "delinvoice",
        (_LABEL, required("status", params.string)),
        delete,
        "Delete an invoice that has the given status",
    ),
    Call("waitinvoice", (_LABEL,), wait_for_invoice, "Wait until an invoice is paid"),
    Call(
        "wait",
        (
            required("subsystem", params.one_of(_SUBSYSTEMS, "unknown subsystem")),
            required("indexname", params.one_of(INDEXES, "unknown index")),
            required("nextvalue", params.u64),
        ),
        wait,
        "Wait until an index reaches a value",
    ),
)
