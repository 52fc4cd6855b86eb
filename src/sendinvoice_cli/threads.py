"""Threads that never keep the process alive, and that end before it does.

Python ends a thread that wakes up while it shuts down, even inside C or Rust code, which may abort
the process. So whoever starts a thread wakes it at the end, and the process waits for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

#: Seconds that threads get to end once their work has been stopped.
END_SECONDS = 0.5
#: Seconds between looks at a thread that is about to start.
_LOOK_SECONDS = 0.001


def spawn(work: Callable[[], object]) -> threading.Thread:
    """Run a function in a thread of its own."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def join_all(seconds: float = END_SECONDS) -> bool:
    """Wait until all other threads have ended, whoever started them.

    :param seconds: how long to wait for them.
    :returns: False when one of them is left.
    """
    this = threading.current_thread()
    deadline = time.monotonic() + seconds
    while others := [each for each in threading.enumerate() if each is not this]:
        if time.monotonic() >= deadline:
            return False
        try:
            others[0].join(deadline - time.monotonic())
        except RuntimeError:
            # It is about to start; or never will, since a signal came while it was started.
            time.sleep(_LOOK_SECONDS)
    return True
