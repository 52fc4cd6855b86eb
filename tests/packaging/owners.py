"""Who owns the files that this package imports.

``python tests/packaging/owners.py`` prints the files with no owner, or with
several, and fails if there are any. It needs nothing but the environment.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

#: What the package imports from other distributions.
IMPORTED = ("click", "coincurve", "cryptography", "pyln.client", "rich")


def owners() -> dict[str, set[str]]:
    """The distributions that list each file of what is imported."""
    packages = {name.split(".", maxsplit=1)[0] for name in IMPORTED}
    found: dict[str, set[str]] = defaultdict(set)
    for distribution in metadata.distributions():
        for file in distribution.files or []:
            if file.parts[0] in packages:
                location = str(Path(str(file.locate())).resolve())
                found[location].add(distribution.metadata["Name"])
    return found


def wrong_owners() -> dict[str, list[str]]:
    """The files that have not exactly one owner, with those that they have."""
    found = owners()
    for name in IMPORTED:
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            found[name] = set()
        else:
            # The file that an import takes.
            found.setdefault(str(Path(spec.origin).resolve()), set())
    return {file: sorted(names) for file, names in found.items() if len(names) != 1}


if __name__ == "__main__":
    wrong = wrong_owners()
    for file, names in wrong.items():
        print(f"{file}: {', '.join(names) or 'nobody'}", file=sys.stderr)
    sys.exit(bool(wrong))
