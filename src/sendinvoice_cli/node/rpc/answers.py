"""Reading lightningd's answers: whatever they hold, only errors of ours come out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ...errors import LightningdError, MalformedError

#: Bytes of a node id.
_NODE_ID_SIZE = 33
#: The largest numbers of two, four and eight bytes.
MAX_U16, MAX_U32, MAX_U64 = (2**bits - 1 for bits in (16, 32, 64))


@contextmanager
def reading(method: str) -> Iterator[None]:
    """Read the answer to a call inside this context.

    :raises LightningdError: a field is missing, or is not of its kind.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, MalformedError, TypeError, ValueError):
        raise LightningdError(f"{method}: lightningd's answer is malformed") from None


def node_id(text: str) -> bytes:
    """A node id, 33 bytes.

    :raises ValueError: it is not one.
    """
    node = bytes.fromhex(text)
    if len(node) != _NODE_ID_SIZE:
        raise ValueError("a node id has 33 bytes")
    return node


def number(value: object, maximum: int) -> int:
    """A whole number from 0 on.

    :raises ValueError: it is not one, or more than ``maximum``.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= maximum:
        raise ValueError("not a whole number in its range")
    return value


def amount(value: object, maximum: int = MAX_U64) -> int:
    """An amount in msat; lightningd may write ``1000msat``.

    :raises ValueError: it is not one, or more than ``maximum``.
    """
    return number(int(value.removesuffix("msat")) if isinstance(value, str) else value, maximum)


def features(bitmap: str) -> str:
    """Feature bits, a bitmap in hex.

    :raises ValueError: it is not one.
    """
    return bytes.fromhex(bitmap).hex()
