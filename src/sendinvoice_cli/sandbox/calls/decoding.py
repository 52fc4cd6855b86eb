"""``decode``: the fields of an invoice_request or an invoice."""

from __future__ import annotations

from typing import Any

from ... import errors
from ...bolt12 import fields, invoice, signature, string, tlv
from ...bolt12.tlv import Record
from ..model.family import Family
from ..model.inbox import path_as_json
from ..rpc import parameters
from ..rpc.parameters import required
from .call import Context, Result, call

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
    """Decode a BOLT 12 string, and say whether it is valid."""
    text = args["string"]
    bare = text[len("lightning:") :] if text.lower().startswith("lightning:") else text
    prefix = bare[:3].lower()
    if prefix not in _NAMES:
        raise parameters.bad_token("string", "Unparsable string", text)
    try:
        data = string.decode(bare, prefix)
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
    decoded = fields.decode_field(type_, value)
    if isinstance(decoded, int):
        return f"{name}_msat" if name.endswith("_amount") else name, decoded
    if isinstance(decoded, str):
        return name, decoded
    if type_ in (fields.INVREQ_PATHS, fields.OFFER_PATHS, fields.INVOICE_PATHS):
        rows = [path_as_json(family, path, "path") for path in decoded]
        if type_ == fields.INVOICE_PATHS:
            payinfos = invoice.decode_payinfos(values.get(fields.INVOICE_BLINDEDPAY, b""))
            for row, payinfo in zip(rows, payinfos, strict=False):
                row["payinfo"] = {**payinfo._asdict(), "features": payinfo.features.hex()}
        return name, rows
    if type_ == fields.INVOICE_FEATURES and family is Family.V24_02:
        return "features", value.hex()
    return name, value.hex()
