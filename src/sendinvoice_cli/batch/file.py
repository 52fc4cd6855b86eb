"""The file of a batch as text: UTF-8, or UTF-16 as spreadsheets save it, with any line ends."""

from __future__ import annotations

import codecs
import io
import os
import select
from collections.abc import Iterable, Iterator

from ..errors import UsageError

#: Longest line that is read, in characters. An invoice_request has at most 65,536.
MAX_LINE = 2**20
_READ_SIZE = 2**16

#: What other files begin with, and what they are.
_OTHERS = (
    (b"PK\x03\x04", "a spreadsheet or an archive"),
    (b"\xd0\xcf\x11\xe0", "a spreadsheet of an old kind"),
    (b"%PDF", "a PDF"),
    (b"\x1f\x8b", "compressed"),
)
_LONGEST_MARK = 4


def read_pieces(descriptor: int, *, waits: bool = True) -> Iterator[str]:
    """Read a file as it comes: its lines, and in parts those that are longer than a read.

    Bytes that are not UTF-8 become unpaired surrogates. Every line ends in a line feed, whatever
    it ends in in the file.

    This uses no file object: a thread that waits for input would hold the object's lock, and
    the process could not end.

    :param descriptor: of the open file.
    :param waits: whether to wait for what a pipe does not hold yet.
    :raises UsageError: it cannot be read, or is no text.
    """
    head = b""
    while len(head) < _LONGEST_MARK and (data := _read(descriptor, waits)):
        head += data
    decoder = _decoder(head)
    data, rest, is_over = head, "", False
    while not is_over:
        is_over = not data
        try:
            *lines, rest = (rest + decoder.decode(data, final=is_over)).split("\n")
        except UnicodeDecodeError as failure:
            raise UsageError(
                f"the batch is damaged: it is no longer {failure.encoding}",
                hint="save the file again, as UTF-8",
            ) from None
        for line in lines:
            yield line + "\n"
        if rest and (is_over or len(rest) >= _READ_SIZE):
            yield rest
            rest = ""
        if not is_over:
            data = _read(descriptor, waits)


def join_pieces(pieces: Iterable[str]) -> Iterator[str]:
    """Whole lines. What exceeds MAX_LINE characters is cut off, so that its row cannot be read."""
    line = ""
    for piece in pieces:
        line = (line + piece)[:MAX_LINE]
        if piece.endswith("\n"):
            yield line.rstrip("\n") + "\n"
            line = ""
    if line:
        yield line


def _read(descriptor: int, waits: bool) -> bytes:
    try:
        if not waits and not select.select([descriptor], [], [], 0)[0]:
            return b""
        return os.read(descriptor, _READ_SIZE)
    except OSError as failure:
        raise UsageError(
            f"cannot read the batch: {failure.strerror}",
            hint="check the path, and what it leads to",
        ) from None


def _decoder(head: bytes) -> io.IncrementalNewlineDecoder:
    """What makes text of a file that begins with these bytes."""
    for mark, kind in _OTHERS:
        if head.startswith(mark):
            raise UsageError(
                f"the batch is {kind}, not text", hint="in the spreadsheet, save it as CSV (UTF-8)"
            )
    encoding, errors = "utf-8-sig", "surrogateescape"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding, errors = "utf-16", "strict"
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    return io.IncrementalNewlineDecoder(decoder, translate=True)
