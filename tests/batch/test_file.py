"""The file of a batch as text."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sendinvoice_cli.batch import file, rows
from sendinvoice_cli.batch.file import join_pieces, read_pieces
from sendinvoice_cli.errors import UsageError
from sendinvoice_cli.request import Request


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """The two ends of a pipe."""
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


def pieces_of(content: bytes, path: Path) -> list[str]:
    """The pieces of a file with this content."""
    path.write_bytes(content)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return list(read_pieces(descriptor))
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"a", ["a"]),
        (b"a\n", ["a\n"]),
        (b"a\r\n\nb", ["a\n", "\n", "b"]),
        (b"a\rb\r\rc\r", ["a\n", "b\n", "\n", "c\n"]),
        (b"\xff\xe2\x82", ["\udcff\udce2\udc82"]),
        (b"\xef\xbb\xbfa\n", ["a\n"]),
        ("€\u2028\x85\x0b\n".encode(), ["€\u2028\x85\x0b\n"]),
        (codecs.BOM_UTF16_LE + "€\r\nb".encode("utf-16-le"), ["€\n", "b"]),
        (codecs.BOM_UTF16_BE + "€\r\nb".encode("utf-16-be"), ["€\n", "b"]),
    ],
)
def test_lines(tmp_path: Path, content: bytes, lines: list[str]) -> None:
    assert pieces_of(content, tmp_path / "file") == lines


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_characters_may_be_split_between_reads(tmp_path: Path, encoding: str) -> None:
    text = "x€" * 100_000 + "\r\n" + "x" * 70_000
    read = "".join(pieces_of(text.encode(encoding), tmp_path / "file"))
    assert read == text.replace("\r\n", "\n")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_lines_come_as_they_are_written(pipe: tuple[int, int], encoding: str) -> None:
    reading, writing = pipe
    mark = codecs.BOM_UTF16_LE if encoding == "utf-16-le" else b""
    lines = read_pieces(reading)
    os.write(writing, mark + "one\ntw".encode(encoding))
    assert next(lines) == "one\n"
    os.write(writing, "o\n".encode(encoding))
    assert next(lines) == "two\n"


def test_long_lines_come_in_pieces(tmp_path: Path) -> None:
    content = b"one\n" + b"x" * 1_000_000 + b"\nthree\n"
    pieces = pieces_of(content, tmp_path / "file")
    assert "".join(pieces).encode() == content
    assert max(map(len, pieces)) <= 2 * 2**16


@pytest.mark.parametrize("more", [1, 2 * 2**16, 3 * 2**20])
def test_a_line_that_is_too_long_is_cut(tmp_path: Path, more: int) -> None:
    content = b"one\n" + b"x" * (file.MAX_LINE + more) + b"\nthree\n"
    lines = list(join_pieces(pieces_of(content, tmp_path / "file")))
    assert lines == ["one\n", "x" * file.MAX_LINE + "\n", "three\n"]


def test_a_line_as_long_as_may_be(tmp_path: Path) -> None:
    content = b"x" * file.MAX_LINE + b"\ny"
    lines = list(join_pieces(pieces_of(content, tmp_path / "file")))
    assert lines == ["x" * file.MAX_LINE + "\n", "y"]


@pytest.mark.parametrize(
    ("header", "good", "bad"),
    [
        ("invreq,label", "lnr1a,{}", "lnr1a," + "x" * 2**21),
        ("", '{{"invreq":"lnr1a","label":"{}"}}', '{"invreq":"' + "x" * 2**21 + '","label":"two"}'),
    ],
)
def test_a_line_that_is_too_long_is_a_bad_row(
    tmp_path: Path, header: str, good: str, bad: str
) -> None:
    content = "\n".join([header, good.format("one"), bad, good.format("three"), ""])
    pieces = pieces_of(content.encode(), tmp_path / "file")
    found = list(rows.read(pieces, Request("", "")))
    assert [(row.line, row.label) for row in found] == [(2, "one"), (3, None), (4, "three")]


def test_what_cannot_be_read_is_a_usage_error(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(UsageError, match="cannot read the batch: Is a directory"):
            list(read_pieces(descriptor))
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"PK\x03\x04\x14\0", "a spreadsheet or an archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "a spreadsheet of an old kind"),
        (b"%PDF-1.7", "a PDF"),
        (b"\x1f\x8b\x08\0", "compressed"),
    ],
)
def test_other_files_are_named(tmp_path: Path, content: bytes, kind: str) -> None:
    with pytest.raises(UsageError, match=f"the batch is {kind}, not text") as why:
        pieces_of(content, tmp_path / "file")
    assert "save it as CSV" in str(why.value.hint)


@pytest.mark.parametrize("damage", [b"x" * 2**17 + b"\xd8" * 2**17, b"\x01"])
def test_damaged_utf_16_ends_the_batch(tmp_path: Path, damage: bytes) -> None:
    text = codecs.BOM_UTF16_LE + "invreq\tlabel\nlnr1a\tone\n".encode("utf-16-le")
    path = tmp_path / "file"
    path.write_bytes(text + damage)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        found = list(rows.read(read_pieces(descriptor), Request("", "")))
    finally:
        os.close(descriptor)
    assert found[0].label == "one"
    assert found[-1].error is not None
    assert "the batch is damaged" in found[-1].error.message
