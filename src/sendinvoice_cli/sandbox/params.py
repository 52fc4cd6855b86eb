"""Parameters of calls: matched to their names, checked, and refused in lightningd's words.

Source: lightningd's answers to bad parameters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..bolt12.blinded_path import check_point
from ..errors import MalformedError
from .rpc_errors import INVALID_PARAMS, RpcError

_SCID = re.compile(r"(\d+)x(\d+)x(\d+)", re.ASCII)
_AMOUNT = re.compile(r"(\d+)(?:msat)?|(\d+)sat|(\d*)\.?(\d*)btc", re.ASCII)
_U32_MAX = 2**32 - 1
_U64_MAX = 2**64 - 1


class _BadValueError(Exception):
    """Why a value is refused."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a call.

    :param read: takes the JSON value and returns what the call works with.
    """

    name: str
    read: Callable[[Any], Any]
    required: bool = False
    default: Any = None

    @property
    def usage(self) -> str:
        """How ``help`` shows it."""
        return self.name if self.required else f"[{self.name}]"


def required(name: str, read: Callable[[Any], Any]) -> Parameter:
    """A parameter that must be given."""
    return Parameter(name, read, required=True)


def optional(name: str, read: Callable[[Any], Any], default: Any = None) -> Parameter:
    """A parameter that may be left out."""
    return Parameter(name, read, default=default)


def bad_token(name: str, reason: str, value: Any) -> RpcError:
    """The error for a parameter of the wrong kind."""
    token = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return RpcError(INVALID_PARAMS, f"{name}: {reason}: invalid token '{token}'")


def match(given: Any, parameters: Sequence[Parameter]) -> dict[str, Any]:
    """Match the ``params`` of a request to what a call takes.

    :returns: every parameter's value by its name, the default where it is not given.
    :raises RpcError: one is missing, unknown, too many or of the wrong kind.
    """
    if isinstance(given, list):
        if len(given) > len(parameters):
            raise RpcError(
                INVALID_PARAMS,
                f"too many parameters: got {len(given)}, expected {len(parameters)}",
            )
        # In an array, null stands for a parameter that is not given.
        by_name = {
            parameter.name: value
            for parameter, value in zip(parameters, given, strict=False)
            if value is not None
        }
    elif isinstance(given, dict):
        by_name = given
        names = {parameter.name for parameter in parameters}
        for name in by_name:
            if name not in names:
                raise RpcError(
                    INVALID_PARAMS,
                    f"unknown parameter: {name}, this may be caused by a failure to autodetect "
                    "key=value-style parameters. Please try using the -k flag and explicit "
                    "key=value pairs of parameters.",
                )
    else:
        raise RpcError(INVALID_PARAMS, "Expected array or object for params")
    return {parameter.name: _value(parameter, by_name) for parameter in parameters}


def _value(parameter: Parameter, given: Mapping[str, Any]) -> Any:
    if parameter.name not in given:
        if parameter.required:
            raise RpcError(INVALID_PARAMS, f"missing required parameter: {parameter.name}")
        return parameter.default
    value = given[parameter.name]
    try:
        return parameter.read(value)
    except _BadValueError as bad:
        raise bad_token(parameter.name, str(bad), value) from None


def string(value: Any) -> str:
    """A string; numbers count as such."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return json.dumps(value)
    raise _BadValueError("should be a string")


def label(value: Any) -> str:
    """An invoice's label: a string or a number."""
    try:
        return string(value)
    except _BadValueError:
        raise _BadValueError("should be a string or number") from None


def boolean(value: Any) -> bool:
    """true or false; as words, too."""
    if value in (True, "true"):
        return True
    if value in (False, "false"):
        return False
    raise _BadValueError("should be 'true' or 'false'")


def number(value: Any) -> int:
    """An unsigned integer of 32 bits."""
    return _unsigned(value, _U32_MAX, "should be an integer")


def u64(value: Any) -> int:
    """An unsigned integer of 64 bits."""
    return _unsigned(value, _U64_MAX, "should be an unsigned 64 bit integer")


def _unsigned(value: Any, most: int, refusal: str) -> int:
    text = value if isinstance(value, str) else json.dumps(value)
    if not text.isascii() or not text.isdigit() or int(text) > most:
        raise _BadValueError(refusal)
    return int(text)


def msat(value: Any) -> int:
    """An amount: msat, or with one of the units msat, sat and btc."""
    text = value if isinstance(value, str) else json.dumps(value)
    found = _AMOUNT.fullmatch(text)
    if found:
        in_msat, in_sat, whole_btc, part_btc = found.groups()
        if in_msat:
            return int(in_msat)
        if in_sat:
            return int(in_sat) * 1000
        if (whole_btc or part_btc) and len(part_btc) <= 11:
            return int((whole_btc or "0") + part_btc.ljust(11, "0"))
    raise _BadValueError("should be a millisatoshi amount")


def hex_bytes(value: Any) -> bytes:
    """Bytes in hex."""
    try:
        return bytes.fromhex(value)
    except (TypeError, ValueError):
        raise _BadValueError("should be a hex value") from None


def lenient_hex(value: Any) -> bytes | None:
    """Bytes in hex; None for anything else, as ``makesecret`` takes it."""
    try:
        return hex_bytes(value)
    except _BadValueError:
        return None


def sha256(value: Any) -> bytes:
    """32 bytes in hex."""
    return _sized(value, "should be a 32 byte hex value")


def preimage(value: Any) -> bytes:
    """32 bytes in hex."""
    return _sized(value, "should be 64 hex digits")


def secret(value: Any) -> bytes:
    """32 bytes in hex."""
    return _sized(value, "should be a 32 byte hex value")


def _sized(value: Any, refusal: str) -> bytes:
    try:
        found = hex_bytes(value)
    except _BadValueError:
        found = b""
    if len(found) != 32:
        raise _BadValueError(refusal)
    return found


def node_id(value: Any) -> bytes:
    """A 33-byte node id in hex."""
    return _point(value, "should be a node id")


def node_address(value: Any) -> bytes:
    """A node id that may be followed by ``@host:port``; the id."""
    if isinstance(value, str):
        value = value.partition("@")[0]
    return node_id(value)


def pubkey(value: Any) -> bytes:
    """A 33-byte compressed public key in hex."""
    return _point(value, "should be a pubkey")


def _point(value: Any, refusal: str) -> bytes:
    try:
        return check_point(hex_bytes(value), "")
    except (_BadValueError, MalformedError):
        raise _BadValueError(refusal) from None


def scid(value: Any) -> int:
    """A short_channel_id, as one 64-bit number."""
    found = _SCID.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise _BadValueError("should be a short_channel_id of form NxNxN")
    block, transaction, output = (int(part) for part in found.groups())
    return block << 40 | transaction << 16 | output


def one_of(choices: Sequence[str], refusal: str) -> Callable[[Any], str]:
    """One of a few words.

    :param refusal: why another one is refused.
    """

    def read(value: Any) -> str:
        if value not in choices:
            raise _BadValueError(refusal)
        return str(value)

    return read


def anything(value: Any) -> Any:
    """Whatever is given."""
    return value
