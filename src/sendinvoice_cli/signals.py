"""SIGINT and SIGTERM: the first one interrupts the work, a second one ends the process.

Once the outcome is printed, signals change nothing: the process exits with the status it printed.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

from .errors import InterruptedBySignalError, TerminatedBySignalError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

_NUMBERS = (signal.SIGINT, signal.SIGTERM)


class Interruption(BaseException):
    """The first signal, in the main thread. No handler of failures takes it for one.

    :param error: what the outcome says of it.
    """

    def __init__(self, error: InterruptedBySignalError) -> None:
        super().__init__(error.message)
        self.error = error


def interrupt() -> None:
    """Let the first signal raise :class:`Interruption` in the main thread."""
    _handle(_raise)


def interrupt_loop(
    loop: AbstractEventLoop, interrupt: Callable[[InterruptedBySignalError], None]
) -> None:
    """Let the first signal call a function in an event loop, if this is the main thread."""
    if not _is_main_thread():
        return

    def handle(number: int) -> None:
        release_loop(loop)
        interrupt(_error(number))

    for number in _NUMBERS:
        loop.add_signal_handler(number, handle, number)


def release_loop(loop: AbstractEventLoop) -> None:
    """Let a signal end the process at once, and no longer call a function in the loop.

    A loop that is closed with such a function has Python raise KeyboardInterrupt from then on.
    """
    if not _is_main_thread():
        return
    for number in _NUMBERS:
        loop.remove_signal_handler(number)
    restore_defaults()


def _is_main_thread() -> bool:
    """Whether Python handles signals here."""
    return threading.current_thread() is threading.main_thread()


def finish() -> None:
    """Ignore the first signal: the outcome is known and only has to be printed."""
    if signal.getsignal(signal.SIGINT) is _raise:
        _handle(_ignore_once)


def restore_defaults() -> None:
    """Let a signal end the process at once."""
    for number in _NUMBERS:
        signal.signal(number, signal.SIG_DFL)


def ignore() -> None:
    """Ignore signals: the outcome is printed and the process is about to end.

    A handler in Python would not do: Python removes it while it shuts down.
    """
    for number in _NUMBERS:
        signal.signal(number, signal.SIG_IGN)


def _handle(handler: signal._HANDLER) -> None:
    for number in _NUMBERS:
        signal.signal(number, handler)


def _raise(number: int, _frame: FrameType | None) -> None:
    restore_defaults()
    raise Interruption(_error(number))


def _error(number: int) -> InterruptedBySignalError:
    if number == signal.SIGTERM:
        return TerminatedBySignalError("terminated")
    return InterruptedBySignalError("interrupted")


def _ignore_once(_number: int, _frame: FrameType | None) -> None:
    restore_defaults()
