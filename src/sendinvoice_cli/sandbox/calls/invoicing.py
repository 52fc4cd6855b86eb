"""The receiver's invoices: createinvoice, invoice, listinvoices, delinvoice, waitinvoice, wait."""

from __future__ import annotations

import secrets
from hashlib import sha256
from typing import Any

from ... import errors
from ...bolt12 import fields, invoice, signature
from ...bolt12.invoice import BlindedPayinfo
from ...bolt12.tlv import Record
from ...onion import message
from ..model.invoices import INDEXES, Invoice, check_fields, known_fields, relative_expiry
from ..model.node import Node
from ..model.requests import CHAIN
from ..rpc import parameters
from ..rpc.errors import INVALID_PARAMS, RpcError
from ..rpc.parameters import optional, required
from .call import Context, Result, call

#: min_final_cltv_expiry_delta on regtest, in blocks.
_FINAL_CLTV = 10
#: Default expiry of a BOLT 11 invoice in seconds: a week.
_BOLT11_EXPIRY = 604_800
_ALL_BITCOIN_MSAT = 21_000_000 * 100_000_000 * 1000

_INVSTRING = required("invstring", parameters.string)
_LABEL = required("label", parameters.label)


@call("createinvoice", _INVSTRING, _LABEL, required("preimage", parameters.preimage))
async def create(context: Context, args: dict[str, Any]) -> Result:
    """Sign and store an invoice."""
    node = context.node
    records = _decode_unsigned(args["invstring"])
    values = dict(records)
    if fields.INVOICE_PAYMENT_HASH in values and fields.INVOICE_PATHS not in values:
        records = _with_own_path(node, records, values[fields.INVOICE_PAYMENT_HASH])
        if not node.family.keeps_unknown_fields:
            records = known_fields(records)
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
        # v24.02 signs unknown fields, then drops them, so the signature is invalid.
        records = known_fields(records)
    signed = sorted((*records, Record(fields.SIGNATURE, sig)))
    description = values.get(fields.OFFER_DESCRIPTION)
    created = Invoice(
        label=args["label"],
        invstring=invoice.encode(signed),
        preimage=args["preimage"],
        amount_msat=int.from_bytes(values[fields.INVOICE_AMOUNT], "big"),
        description=None if description is None else description.decode(),
        expires_at=int(context.network.clock()) + relative_expiry(values),
    )
    return node.invoices.add(created).row()


def _decode_unsigned(invstring: str) -> tuple[Record, ...]:
    """Decode an invoice that is to be signed.

    :raises RpcError: it cannot be read, or is for another chain.
    """
    reason = "invalid bech32 string"
    try:
        records = invoice.decode(invstring)
        reason = "invalid invoice data"
        check_fields(records)
    except errors.MalformedError:
        if invstring.lower().startswith("lni1"):
            reason = "invalid invoice data"
    else:
        if dict(records).get(fields.INVREQ_CHAIN) == CHAIN:
            return records
        reason = "wrong chain"
    raise RpcError(INVALID_PARAMS, f"Unparsable invoice '{invstring}': {reason}")


def _with_own_path(
    node: Node, records: tuple[Record, ...], payment_hash: bytes
) -> tuple[Record, ...]:
    """Add the one-hop path that lightningd makes itself; only a public node is paid by it."""
    path = message.reply_path((node.id,), node.invoice_path_id(payment_hash))
    payinfo = BlindedPayinfo(0, 0, _FINAL_CLTV, 0, _ALL_BITCOIN_MSAT)
    added = {
        fields.INVOICE_PATHS: path.encode(),
        fields.INVOICE_BLINDEDPAY: payinfo.encode(),
    }
    return tuple(Record(*field) for field in sorted({**dict(records), **added}.items()))


@call(
    "invoice",
    required("amount_msat", parameters.msat),
    _LABEL,
    required("description", parameters.string),
    optional("expiry", parameters.number, _BOLT11_EXPIRY),
)
async def create_bolt11(context: Context, args: dict[str, Any]) -> Result:
    """Store a BOLT 11 invoice; its string is a placeholder that nothing can decode."""
    invstring = f"lnbcrt1{secrets.token_hex(32)}"
    created = context.node.invoices.add(
        Invoice(
            label=args["label"],
            invstring=invstring,
            preimage=secrets.token_bytes(32),
            amount_msat=args["amount_msat"],
            description=args["description"],
            expires_at=int(context.network.clock()) + args["expiry"],
        )
    )
    return {
        "payment_hash": created.payment_hash.hex(),
        "expires_at": created.expires_at,
        "bolt11": invstring,
        "created_index": created.created_index,
    }


@call(
    "listinvoices",
    optional("label", parameters.label),
    optional("payment_hash", parameters.string),
    optional("index", parameters.one_of(INDEXES, "unknown index")),
    optional("start", parameters.u64, 0),
    optional("limit", parameters.number),
)
async def list_invoices(context: Context, args: dict[str, Any]) -> Result:
    """List invoices: all, one, or those from a value of an index on."""
    for name in ("start", "limit"):
        if args[name] and args["index"] is None:
            raise RpcError(INVALID_PARAMS, f"Can only specify {{{name}}} with {{index}}")
    rows = [
        row.row()
        for row in context.node.invoices.in_order(args["index"], args["start"])
        if args["label"] in (None, row.label)
        and args["payment_hash"] in (None, row.payment_hash.hex())
    ]
    return {"invoices": rows[: args["limit"]]}


@call("delinvoice", _LABEL, required("status", parameters.string))
async def delete(context: Context, args: dict[str, Any]) -> Result:
    """Delete an invoice that has the given status."""
    return context.node.invoices.delete(args["label"], args["status"]).row()


@call("waitinvoice", _LABEL)
async def wait_for_invoice(context: Context, args: dict[str, Any]) -> Result:
    """Wait until an invoice is paid."""
    return (await context.node.invoices.wait_closed(args["label"])).row()


@call(
    "wait",
    required("subsystem", parameters.one_of(("invoices",), "unknown subsystem")),
    required("indexname", parameters.one_of(INDEXES, "unknown index")),
    required("nextvalue", parameters.u64),
)
async def wait(context: Context, args: dict[str, Any]) -> Result:
    """Wait until an invoice index reaches a value."""
    index, node = args["indexname"], context.node
    value, details = await node.invoices.wait_index(index, args["nextvalue"])
    result: Result = {"subsystem": "invoices", index: value}
    if details is not None:
        result["details" if node.family.documents_help else "invoices"] = details
    return result
