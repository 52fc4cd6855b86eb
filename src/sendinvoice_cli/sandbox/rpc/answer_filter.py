"""The ``filter`` member of a request: which fields of the answer to send.

Source: lightningd-rpc(7), "Using filter".
"""

from __future__ import annotations

from typing import Any

from .parameters import bad_token


def check(wanted: Any) -> None:
    """Refuse a filter that lightningd would refuse.

    :raises RpcError: names what is wrong.
    """
    if not isinstance(wanted, dict):
        raise bad_token("filter", "Expected object", wanted)
    _check_inside(wanted)


def _check_inside(wanted: dict[str, Any] | list[Any]) -> None:
    if isinstance(wanted, list) and len(wanted) != 1:
        raise bad_token("filter", "Arrays can only have one element", wanted)
    for value in wanted if isinstance(wanted, list) else wanted.values():
        if isinstance(value, dict | list):
            _check_inside(value)
        elif value is not True:
            raise bad_token("filter", "value must be true", value)


def apply(wanted: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    """Keep the fields of a result that are wanted.

    Where the filter has an object for an array, or an array for an object, the
    value comes out empty, and ``warning_parameter_filter`` says so.
    """
    misuses: list[str] = []
    kept: dict[str, Any] = _keep(wanted, result, "", misuses)
    return {**kept, "warning_parameter_filter": misuses[0]} if misuses else kept


def _keep(wanted: Any, value: Any, path: str, misuses: list[str]) -> Any:
    if wanted is True or wanted == {} or not isinstance(value, dict | list):
        return value
    if isinstance(value, list) and isinstance(wanted, list):
        return [_keep(wanted[0], inner, f"{path}[]", misuses) for inner in value]
    if isinstance(value, dict) and isinstance(wanted, dict):
        return {
            name: _keep(wanted[name], inner, f"{path}.{name}", misuses)
            for name, inner in value.items()
            if name in wanted
        }
    misuses.append(f"{path} is an {'array' if isinstance(value, list) else 'object'}")
    return type(value)()
