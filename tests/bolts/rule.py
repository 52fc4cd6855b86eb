"""One rule of a BOLT."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One rule.

    :param level: MUST, SHOULD or MAY.
    :param says: the rule, in our own words.
    :param tests: what shows that we follow it, ``path::function`` below ``tests/``.
    :param why_not: why no test of ours does: we break it on purpose, or it is not ours to follow.
    """

    level: str
    says: str
    tests: tuple[str, ...] = ()
    why_not: str = ""


def shown(level: str, says: str, *tests: str) -> Row:
    """A rule that tests of ours show."""
    return Row(level, says, tests)


def broken(level: str, says: str, why_not: str, *tests: str) -> Row:
    """A rule that we break on purpose; tests may show how."""
    return Row(level, says, tests, f"broken on purpose: {why_not}")


def not_ours(level: str, says: str, why_not: str) -> Row:
    """A rule that somebody else follows for us, or that never applies."""
    return Row(level, says, (), why_not)
