"""Threads end before the process does; each time in a process of its own."""

from __future__ import annotations

import subprocess
import sys

_SCRIPT = """
import threading
from sendinvoice_cli import threads
release = threading.Event()
ended = []
def work(name):
    release.wait(20)
    ended.append(name)
assert threads.spawn(lambda: work("ours")).daemon
threading.Thread(target=work, args=("another's",), daemon=True).start()
"""


def _python(script: str) -> None:
    subprocess.run([sys.executable, "-c", _SCRIPT + script], check=True, timeout=60)


def test_threads_are_waited_for_whoever_has_started_them() -> None:
    _python("""
threading.Timer(0.05, release.set).start()
assert threads.join_all(20)
assert sorted(ended) == ["another's", "ours"]
""")


def test_thread_that_is_stuck_is_told_of() -> None:
    _python("""
assert not threads.join_all(0.01)
assert ended == []
""")


def test_thread_that_a_signal_has_kept_from_starting_is_told_of() -> None:
    """The command ended with a traceback and exit 1, instead of 130."""
    _python("""
release.set()
assert threads.join_all(20)

def interrupt(*_, **__):
    raise KeyboardInterrupt

for name in ("_start_new_thread", "_start_joinable_thread"):
    if hasattr(threading, name):
        setattr(threading, name, interrupt)
try:
    threads.spawn(lambda: None)
except KeyboardInterrupt:
    pass
assert not threads.join_all(0.01)
""")
