"""The parameters of calls: match them to names, read them, refuse them in lightningd's words.

Source: lightningd's answers to bad parameters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...bolt12.blinded_path import check_point, parse_scid
from ...errors import MalformedError
from .errors import INVALID_PARAMS, RpcError

#: Converts a JSON value to what the call works with; raises ValueError, with
#: lightningd's reason, for a bad value.
Reader = Callable[[Any], Any]

_AMOUNT = re.compile(r"(\d+)(?:msat)?|(\d+)sat|(\d*)\.?(\d*)btc", re.ASCII)


@dataclass(frozen=True)
class Parameter:
    """One parameter of a call."""

    name: str
    read: Reader
    required: bool = False
    default: Any = None

    @property
    def usage(self) -> str:
        """How ``help`` shows it."""
        return self.name if self.required else f"[{self.name}]"


def required(name: str, read: Reader) -> Parameter:
    """A parameter that must be given."""
    return Parameter(name, read, required=True)


def optional(name: str, read: Reader, default: Any = None) -> Parameter:
    """A parameter that may be left out."""
    return Parameter(name, read, default=default)


def bad_token(name: str, reason: str, value: Any) -> RpcError:
    """The error for a bad value of a parameter."""
    token = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return RpcError(INVALID_PARAMS, f"{name}: {reason}: invalid token '{token}'")


def match(given: Any, parameters: Sequence[Parameter]) -> dict[str, Any]:
    """Match the ``params`` of a request to the parameters of a call.

    :returns: the value of every parameter by name; its default if it is not given.
    :raises RpcError: one is missing, unknown or bad, or there are too many.
    """
    names = [parameter.name for parameter in parameters]
    if isinstance(given, list):
        if len(given) > len(names):
            raise RpcError(
                INVALID_PARAMS, f"too many parameters: got {len(given)}, expected {len(names)}"
            )
        # In an array, null means that the parameter is not given.
        pairs = zip(names, given, strict=False)
        given = {name: value for name, value in pairs if value is not None}
    elif not isinstance(given, dict):
        raise RpcError(INVALID_PARAMS, "Expected array or object for params")
    for name in given:
        if name not in names:
            raise RpcError(
                INVALID_PARAMS,
                f"unknown parameter: {name}, this may be caused by a failure to autodetect "
                "key=value-style parameters. Please try using the -k flag and explicit "
                "key=value pairs of parameters.",
            )
    return {parameter.name: _value(parameter, given) for parameter in parameters}


def _value(parameter: Parameter, given: Mapping[str, Any]) -> Any:
    if parameter.name not in given:
        if parameter.required:
            raise RpcError(INVALID_PARAMS, f"missing required parameter: {parameter.name}")
        return parameter.default
    return read(parameter.name, given[parameter.name], parameter.read)


def read(name: str, value: Any, reader: Reader) -> Any:
    """Read a value.

    :param name: the parameter's name, for the error.
    :raises RpcError: the value is bad.
    """
    try:
        return reader(value)
    except ValueError as bad:
        raise bad_token(name, str(bad), value) from None


def anything(value: Any) -> Any:
    """Accept any value."""
    return value


def _reader(reason: str, parse: Callable[[Any], Any]) -> Reader:
    """A reader that gives ``reason`` whatever error ``parse`` raises."""

    def parse_or_refuse(value: Any) -> Any:
        try:
            return parse(value)
        except (AttributeError, LookupError, MalformedError, TypeError, ValueError):
            raise ValueError(reason) from None

    return parse_or_refuse


def _text(value: Any) -> str:
    """A string, or a number as a string."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError
    return value if isinstance(value, str) else json.dumps(value)


def _unsigned(bits: int) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        text = _text(value)
        if not text.isascii() or not text.isdigit() or int(text) >> bits:
            raise ValueError
        return int(text)

    return parse


def _msat(value: Any) -> int:
    """An amount in msat, sat or btc, by its unit; msat without one."""
    found = _AMOUNT.fullmatch(_text(value))
    in_msat, in_sat, whole_btc, part_btc = found.groups() if found else (None, None, "", "")
    if in_msat or in_sat:
        return int(in_msat or f"{in_sat}000")
    if not (whole_btc or part_btc) or len(part_btc) > 11:
        raise ValueError
    return int((whole_btc or "0") + part_btc.ljust(11, "0"))


def _hash(value: Any) -> bytes:
    found = bytes.fromhex(value)
    if len(found) != 32:
        raise ValueError
    return found


def _point(value: Any) -> bytes:
    return check_point(bytes.fromhex(value), "")


def one_of(choices: Sequence[str], refusal: str) -> Reader:
    """A reader of the given choices; ``refusal`` is the reason against any other value."""
    return _reader(refusal, lambda value: choices[choices.index(value)])


string = _reader("should be a string", _text)
label = _reader("should be a string or number", _text)
boolean = _reader(
    "should be 'true' or 'false'",
    {True: True, False: False, "true": True, "false": False}.__getitem__,
)
#: Unsigned integers of 32 and 64 bits.
number = _reader("should be an integer", _unsigned(32))
u64 = _reader("should be an unsigned 64 bit integer", _unsigned(64))
msat = _reader("should be a millisatoshi amount", _msat)
hex_bytes = _reader("should be a hex value", bytes.fromhex)
#: 32 bytes in hex.
sha256 = _reader("should be a 32 byte hex value", _hash)
preimage = _reader("should be 64 hex digits", _hash)
#: 33-byte points in hex; ``connect`` takes ``@host:port`` after a node id.
node_id = _reader("should be a node id", _point)
node_address = _reader("should be a node id", lambda value: _point(value.partition("@")[0]))
pubkey = _reader("should be a pubkey", _point)
#: An ``NxNxN`` string, read as the 64-bit number.
scid = _reader("should be a short_channel_id of form NxNxN", parse_scid)
