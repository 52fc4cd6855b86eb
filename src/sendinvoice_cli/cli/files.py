"""The files of a batch, and standard input: opened without a look beforehand, then judged."""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from ..errors import UsageError
from ..render.lines import Log, print_line
from ..render.streams import Streams

_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND


def open_batch(streams: Streams, path: str, files: ExitStack, log: Log) -> int:
    """A descriptor of the file; - is standard input.

    :param files: closes it at the end.
    :param log: is told of a file that others can read.
    :raises UsageError: it cannot be opened.
    """
    if path == "-":
        return open_stdin(streams, "the batch", log)
    source = _open(path, os.O_RDONLY)
    files.callback(os.close, source)
    _warn_if_exposed(log, source, path)
    return source


def open_stdin(streams: Streams, what: str, log: Log) -> int:
    """The descriptor of standard input. Whoever sits at a terminal is told what is awaited.

    :param log: is told of a file that others can read.
    :raises UsageError: it is closed.
    """
    if streams.stdin.isatty():
        print_line(streams, f"waiting for {what}: paste it, then press Enter and Ctrl-D")
    source = streams.stdin.fileno()
    _warn_if_exposed(log, source, "the file on standard input")
    return source


def open_output(path: str, batch: int) -> IO[str]:
    """Open a file to append results to; only its owner can read one that is new.

    Results hold preimages, so a file or a symbolic link of another user is refused.

    :param batch: descriptor of the batch's file.
    :raises UsageError: it is one of these, or that file, or cannot be opened.
    """
    if path == "-":
        raise UsageError("--output needs the name of a file", hint="--json prints every result")
    flags = _APPEND
    if not os.path.islink(path):
        # Nobody puts a link there meanwhile.
        flags |= os.O_NOFOLLOW
    elif os.lstat(path).st_uid not in (0, os.geteuid()):
        raise _foreign_error(path, "a symbolic link")
    output = _open(path, flags)
    status = os.fstat(output)
    if stat.S_ISREG(status.st_mode) and status.st_uid != os.geteuid():
        os.close(output)
        raise _foreign_error(path, "a file")
    if stat.S_ISREG(status.st_mode) and os.path.samestat(status, os.fstat(batch)):
        # The batch would read its own results.
        os.close(output)
        raise UsageError(
            "--output and --batch name the same file", hint="name another for the results"
        )
    file = os.fdopen(output, "w")
    if stat.S_ISREG(status.st_mode) and status.st_size and not _ends_with_line(path):
        # A full disk or a kill has cut the last result off. Written with the next one.
        file.write("\n")
    return file


def _warn_if_exposed(log: Log, descriptor: int, name: str) -> None:
    """Warn of a file that others can read: whoever answers a request first is paid."""
    if _can_others_read(descriptor):
        log.warn(
            f"other users can read {name}, and so take the money",
            "chmod 600 keeps it to yourself",
        )


def _can_others_read(descriptor: int) -> bool:
    """Whether users outside of its group can read a file: its mode and its folders let them."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or not status.st_mode & stat.S_IROTH:
        return False
    try:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        return all(folder.stat().st_mode & stat.S_IXOTH for folder in path.parents)
    except OSError:
        # There is no /proc: the folders are unknown.
        return True


def _open(path: str, flags: int) -> int:
    try:
        return os.open(path, flags, 0o600)
    except OSError as failure:
        raise UsageError(
            f"cannot open {path or repr(path)}: {failure.strerror}",
            hint="check the path, and whether your user may use it",
        ) from None


def _foreign_error(path: str, kind: str) -> UsageError:
    return UsageError(
        f"--output {path} is {kind} of another user, who could read the preimages",
        hint="name a file of your own",
    )


def _ends_with_line(path: str) -> bool:
    """Whether a file that is not empty ends with a line feed; no if it may not be read."""
    try:
        with open(path, "rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"
    except OSError:
        return False
