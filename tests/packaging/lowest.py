"""The lowest versions that pyproject.toml allows, as constraints for pip.

    python -m tests.packaging.lowest 3.10 > constraints

The argument is the Python that they are for. ``make test-lowest`` uses it.
"""

from __future__ import annotations

import sys
from importlib import metadata

from packaging.requirements import Requirement

#: Not needed by the tests, and often too old to be installed together.
_TOOLS = {"mypy", "ruff", "types-jsonschema"}


def constraints(python_version: str) -> list[str]:
    """One ``name==version`` for each requirement, those of the tests included."""
    environment = {"python_version": python_version, "extra": "dev"}
    found = []
    for line in metadata.requires("sendinvoice") or []:
        requirement = Requirement(line)
        if requirement.name in _TOOLS:
            continue
        if requirement.marker is not None and not requirement.marker.evaluate(environment):
            continue
        floors = [each.version for each in requirement.specifier if each.operator == ">="]
        if len(floors) != 1:
            raise ValueError(f"{line} has no lowest version")
        found.append(f"{requirement.name}=={floors[0]}")
    return found


if __name__ == "__main__":
    print("\n".join(constraints(sys.argv[1])))
