"""``decode``: what an invoice_request or an invoice says."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ... import errors
from ...bolt12 import fields, invoice, signature, string, tlv
from ...bolt12.blinded_path import decode_paths
from ...bolt12.tlv import Record
from ..model.family import Family
from ..model.inbox import path_as_json
from ..rpc import parameters
from ..rpc.parameters import required
from .call import Context, Result, call

#: Fields whose value is a whole number, with the name that JSON has for it.
_NUMBERS = {
    fields.OFFER_ABSOLUTE_EXPIRY: "offer_absolute_expiry",
    fields.OFFER_QUANTITY_MAX: "offer_quantity_max",
    fields.OFFER_AMOUNT: "offer_amount_msat",
    fields.INVREQ_AMOUNT: "invreq_amount_msat",
    fields.INVREQ_QUANTITY: "invreq_quantity",
    fields.INVOICE_CREATED_AT: "invoice_created_at",
    fields.INVOICE_RELATIVE_EXPIRY: "invoice_relative_expiry",
    fields.INVOICE_AMOUNT: "invoice_amount_msat",
}
_TEXTS = (
    fields.OFFER_DESCRIPTION,
    fields.OFFER_ISSUER,
    fields.OFFER_CURRENCY,
    fields.INVREQ_PAYER_NOTE,
)
_REQUIRED = {
    "lnr": (fields.INVREQ_METADATA, fields.INVREQ_PAYER_ID),
    "lni": (
        fields.INVOICE_PATHS,
        fields.INVOICE_BLINDEDPAY,
        fields.INVOICE_CREATED_AT,
        fields.INVOICE_PAYMENT_HASH,
        fields.INVOICE_AMOUNT,
        fields.INVOICE_NODE_ID,
    ),
}
_NAMES = {"lnr": "invoice_request", "lni": "invoice"}
_SIGNERS = {"lnr": fields.INVREQ_PAYER_ID, "lni": fields.INVOICE_NODE_ID}


@call("decode", required("string", parameters.string))
async def decode(context: Context, args: dict[str, Any]) -> Result:
    """Show what a BOLT 12 string says, and whether it is valid."""
    text = args["string"]
    prefix = text.lower().removeprefix("lightning:")[:3]
    if prefix not in _NAMES:
        raise parameters.bad_token("string", "Unparsable string", text)
    try:
        data = string.decode(text, prefix)
    except errors.MalformedError:
        raise parameters.bad_token("string", "invalid bech32 string", text) from None
    try:
        records = tlv.decode_stream(data)
        for record in records:
            if record.type in fields.FIELDS:
                fields.decode_field(record.type, record.value)
    except errors.MalformedError:
        raise parameters.bad_token("string", f"invalid {_NAMES[prefix]} data", text) from None
    return _describe(context.node.family, prefix, records)


def _describe(family: Family, prefix: str, records: tuple[Record, ...]) -> Result:
    name = _NAMES[prefix]
    values = dict(records)
    result: Result = {"type": f"bolt12 {name}"}
    warnings: Result = {}
    for record in records:
        if record.type in fields.FIELDS and record.type not in (
            fields.SIGNATURE,
            fields.INVOICE_BLINDEDPAY,
        ):
            key, shown = _show(family, record, values)
            result[key] = shown
    for required_type in _REQUIRED[prefix]:
        if required_type not in values:
            field = fields.field_name(required_type)
            warnings[f"warning_missing_{field}"] = f"{field} required"
    sig = values.get(fields.SIGNATURE)
    if sig is None:
        warnings[f"warning_missing_{name}_signature"] = "Missing signature"
    elif _SIGNERS[prefix] in values and not signature.verify(
        name, records, values[_SIGNERS[prefix]], sig
    ):
        warnings[f"warning_invalid_{name}_signature"] = "Bad signature"
    else:
        result["signature"] = sig.hex()
    unknown = [record for record in records if record.type not in fields.FIELDS]
    if unknown:
        result[f"unknown_{name}_tlvs"] = [
            {"type": record.type, "length": len(record.value), "value": record.value.hex()}
            for record in unknown
        ]
    is_valid = not warnings and all(record.type % 2 for record in unknown)
    return {**result, **warnings, "valid": is_valid}


def _show(family: Family, record: Record, values: dict[int, bytes]) -> tuple[str, Any]:
    type_, value = record
    name = fields.field_name(type_)
    if type_ in _NUMBERS:
        return _NUMBERS[type_], int.from_bytes(value, "big")
    if type_ in _TEXTS:
        return name, value.decode()
    if type_ in (fields.INVREQ_PATHS, fields.OFFER_PATHS):
        return name, [path_as_json(family, path, "path") for path in decode_paths(value, name)]
    if type_ == fields.INVOICE_PATHS:
        rows = [path_as_json(family, path, "path") for path in decode_paths(value, name)]
        payinfos = invoice.decode_payinfos(values.get(fields.INVOICE_BLINDEDPAY, b""))
        for row, payinfo in zip(rows, payinfos, strict=False):
            row["payinfo"] = {**asdict(payinfo), "features": payinfo.features.hex()}
        return name, rows
    if type_ == fields.INVOICE_FEATURES and family is Family.V24_02:
        return "features", value.hex()
    return name, value.hex()
