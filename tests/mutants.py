"""Whether the tests notice small faults: a random sample of mutmut's mutants (``make mutants``).

``python -m tests.mutants 300 1`` tests 300 of them, picked by the seed 1.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

_MUTANTS = Path("mutants/src")
#: By the exit status of pytest; mutmut adds its own for mutants that no test runs.
_SURVIVED, _NO_TESTS = 0, 33
#: A name that no mutant has: mutmut makes the mutants, and finds the tests of each function.
_NONE = "none"


def run(*names: str) -> None:
    """Have mutmut test the mutants with these names; it remembers the results."""
    subprocess.run([sys.executable, "-m", "mutmut", "run", *names], check=False)


def results() -> dict[str, int | None]:
    """The exit status of each mutant by its name; None for one that was not tested."""
    found: dict[str, int | None] = {}
    for path in sorted(_MUTANTS.rglob("*.meta")):
        found |= json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
    return found


def main(size: int, seed: int) -> int:
    """Test a sample, and print what survived; returns 1 if that is more than one of ten."""
    run(_NONE)
    every = sorted(results())
    sample = random.Random(seed).sample(every, min(size, len(every)))
    run(*sample)
    now = results()
    by_status = Counter(now[name] for name in sample)
    survivors = sorted(name for name in sample if now[name] in (_SURVIVED, _NO_TESTS))
    for name in survivors:
        print(f"{'no tests' if now[name] == _NO_TESTS else 'survived'}: {name}")
    tested = len(sample) - by_status[None]
    noticed = tested - len(survivors)
    print(f"{noticed} of {tested} noticed (sample {size} of {len(every)}, seed {seed})")
    return int(noticed * 10 < tested * 9)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
