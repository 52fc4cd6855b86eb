"""The file of a batch, good rows and bad ones."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sendinvoice_cli.batch import rows
from sendinvoice_cli.batch.rows import Row, lines_of
from sendinvoice_cli.errors import ExitStatus, UsageError
from sendinvoice_cli.request import DEFAULT_TIMEOUT, Request

DEFAULTS = Request(invreq="", label="", no_connect=True)


def read(*lines: str, defaults: Request = DEFAULTS) -> list[Row]:
    """The rows of a file with these lines."""
    return list(rows.read((f"{line}\n" for line in lines), defaults))


def request_of(row: Row) -> Request:
    """The request of a row that has one."""
    assert row.error is None
    assert row.request is not None
    return row.request


def message_of(row: Row) -> str:
    """What is wrong with a row, as a usage error."""
    assert row.request is None
    assert isinstance(row.error, UsageError)
    assert row.error.exit_status is ExitStatus.USAGE
    return row.error.message


# --- JSON Lines ---


def test_json_lines() -> None:
    found = read('{"invreq": "lnr1a", "label": "one"}', '{"label": "two", "invreq": "lnr1b"}')

    assert [(row.number, row.line, row.label) for row in found] == [(1, 1, "one"), (2, 2, "two")]
    assert request_of(found[0]) == Request("lnr1a", "one", no_connect=True)
    assert request_of(found[1]).invreq == "lnr1b"


def test_json_parameters_are_read_as_on_the_command_line() -> None:
    (row,) = read(
        '{"invreq": "lnr1a", "label": "x", "amount_msat": "1sat", "timeout": "1h", "quantity": 2}'
    )
    request = request_of(row)
    assert (request.amount_msat, request.timeout, request.quantity) == (1000, 3600, 2)
    assert not request.must_match


def test_json_null_is_not_given() -> None:
    (row,) = read('{"invreq": "lnr1a", "label": "x", "amount_msat": null, "timeout": null}')
    request = request_of(row)
    assert (request.amount_msat, request.timeout) == (None, DEFAULT_TIMEOUT)


def test_empty_lines_count_as_lines_and_not_as_rows() -> None:
    found = read("", "  ", '{"invreq": "lnr1a", "label": "x"}', "", "not JSON")
    assert [(row.number, row.line) for row in found] == [(1, 3), (2, 5)]


def test_byte_order_mark() -> None:
    (row,) = read('\ufeff{"invreq": "lnr1a", "label": "x"}')
    assert request_of(row).label == "x"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("nonsense", "not a row"),
        ("[]", "not a row"),
        ('"text"', "not a row"),
        ("1", "not a row"),
        ('{"invreq": "lnr1a", "label": "x"', "not a row"),
        ("[" * 100_000, "not a row"),
        ('{"invreq": "lnr1a", "label": "x", "amount_msat": ' + "9" * 5000 + "}", "not a row"),
        ('{"invreq": "lnr1a"}', "label is missing"),
        ('{"label": "x"}', "invreq is missing"),
        ('{"invreq": "lnr1a", "label": ""}', "label is missing"),
        ('{"invreq": "lnr1a", "label": 7}', "label is not text"),
        ('{"invreq": null, "label": "x"}', "invreq is missing"),
        ('{"invreq": "lnr1a", "label": "x", "amount": 1}', "'amount' is not one of"),
        ('{"invreq": "lnr1a", "label": "x", "amount_msat": 1.5}', "neither a number nor text"),
        ('{"invreq": "lnr1a", "label": "x", "amount_msat": true}', "neither a number nor text"),
        ('{"invreq": "lnr1a", "label": "x", "amount_msat": 0}', "must be more than 0"),
        ('{"invreq": "lnr1a", "label": "x", "amount_msat": -1}', "'-1' is not an amount"),
        ('{"invreq": "lnr1a", "label": "x", "amount_msat": ""}', "'' is not an amount"),
        ('{"invreq": "lnr1a", "label": "x", "timeout": 0}', "TIMEOUT must be"),
        ('{"invreq": "lnr1a", "label": "x", "timeout": [1]}', "neither a number nor text"),
        ('{"invreq": "lnr1a", "label": "x", "quantity": 0}', "QUANTITY must be"),
    ],
)
def test_bad_json_rows_fail_alone(line: str, problem: str) -> None:
    good = '{"invreq": "lnr1a", "label": "x"}'
    found = read(good, line, good)
    assert problem in message_of(found[1])
    assert (found[1].number, found[1].line) == (2, 2)
    assert request_of(found[2]).label == "x"


def test_a_bad_row_keeps_its_label() -> None:
    _, found = read('{"invreq": "lnr1a", "label": "x"}', '{"label": "refund-7"}')
    assert found.label == "refund-7"


# --- CSV ---


def test_csv() -> None:
    found = read("label,invreq", "one,lnr1a", "two,lnr1b")
    assert [(row.number, row.line) for row in found] == [(1, 2), (2, 3)]
    assert [request_of(row).invreq for row in found] == ["lnr1a", "lnr1b"]
    assert request_of(found[0]).no_connect


def test_csv_with_every_column() -> None:
    (row,) = read("invreq,label,amount_msat,timeout,quantity", "lnr1a,x,0.00000001btc,60,3")
    request = request_of(row)
    assert (request.amount_msat, request.timeout, request.quantity) == (1000, 60, 3)


def test_empty_csv_fields_are_not_given() -> None:
    (row,) = read("invreq,label,amount_msat,timeout,quantity", "lnr1a,x,,,")
    request = request_of(row)
    assert (request.amount_msat, request.timeout, request.quantity) == (None, 90, None)


def test_short_csv_rows_lack_the_last_columns() -> None:
    found = read("invreq,label,timeout", "lnr1a,x", "lnr1a")
    assert request_of(found[0]).timeout == DEFAULT_TIMEOUT
    assert "label is missing" in message_of(found[1])


def test_quoted_csv_fields() -> None:
    found = read('"invreq", label', '"lnr1a","a ""label"", and', 'a second line"', "lnr1b,two")
    assert request_of(found[0]).label == 'a "label", and\na second line'
    # It begins on line 2, and takes two lines.
    assert [(row.number, row.line) for row in found] == [(1, 2), (2, 4)]


def test_windows_line_ends() -> None:
    found = list(rows.read(["invreq,label\r\n", "lnr1a,x\r\n", "\r\n", "lnr1b,y\r\n"], DEFAULTS))
    assert [(row.line, request_of(row).label) for row in found] == [(2, "x"), (4, "y")]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("lnr1a,x,1,2", "not a row"),
        ("lnr1a,x,nothing", "'nothing' is not an amount"),
        (",x,1", "invreq is missing"),
        ('"lnr1a"a,x,1', "not a row"),
        (f"lnr1a,{'x' * 200_000},1", "not a row"),
    ],
)
def test_bad_csv_rows_fail_alone(line: str, problem: str) -> None:
    found = read("invreq,label,amount_msat", "lnr1a,one,1", line, "lnr1b,three,3")
    assert problem in message_of(found[1])
    assert (found[1].number, found[1].line) == (2, 3)
    assert request_of(found[2]).label == "three"


def test_a_quote_that_is_not_closed_makes_no_label_of_the_rest() -> None:
    found = read("invreq,label", "lnr1a,one", 'lnr1b,"two', "lnr1c,three")
    assert request_of(found[0]).label == "one"
    assert [row.line for row in found] == [2, 3, 4]
    assert message_of(found[1])
    assert request_of(found[2]).label == "three"


def test_a_stray_quote_spoils_one_line() -> None:
    lines = ["lnr1a,one", 'lnr1b,"two', "", "lnr1c,three", 'lnr1d,"fo,ur"', "lnr1e,five"]
    found = read("invreq,label", *lines)
    assert [(row.line, row.label) for row in found] == [
        (2, "one"),
        (3, None),
        (5, "three"),
        (6, "fo,ur"),
        (7, "five"),
    ]


def test_many_stray_quotes() -> None:
    found = read("invreq,label", *['lnr1b,"two'] * 300, "lnr1c,three")
    assert [row.line for row in found] == list(range(2, 303))
    assert request_of(found[-1]).label == "three"


def test_a_label_over_two_lines() -> None:
    found = read("invreq,label", 'lnr1b,"two\n', 'lines"', "lnr1c,three")
    assert [row.line for row in found] == [2, found[0].line + 2]


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("lnr1a,one", "'lnr1a' is not a column"),
        ("invreq,label,amount", "'amount' is not a column"),
        ("invreq,label,label", "named twice"),
        ("invreq", "no column 'label'"),
        ("label,timeout", "no column 'invreq'"),
        ('"invreq,label', "not CSV"),
        ("[1]", "'[1]' is not a column"),
    ],
)
def test_bad_headers_are_no_batch(header: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem.replace("[", r"\[")):
        read(header, "lnr1a,one")


@pytest.mark.parametrize("lines", [(), ("",), ("", " ", "\t")])
def test_nothing_is_an_empty_batch(lines: tuple[str, ...]) -> None:
    assert read(*lines) == []


@given(st.lists(st.text(max_size=40), max_size=8), st.booleans())
def test_no_text_breaks_the_reader(lines: list[str], is_json: bool) -> None:
    first = '{"invreq": "lnr1a", "label": "x"}' if is_json else "invreq,label,amount_msat"
    for row in read(first, *lines):
        assert (row.request is None) == (row.error is not None)


def test_rows_come_before_the_next_line_is_read() -> None:
    taken: list[str] = []

    def lines() -> Iterator[str]:
        for line in ("invreq,label\n", "lnr1a,one\n", "lnr1b,two\n"):
            taken.append(line)
            yield line

    assert request_of(next(rows.read(lines(), DEFAULTS))).label == "one"
    assert len(taken) == 2


# --- the lines of a file ---


def lines_in(content: bytes, path: Path) -> list[str]:
    """The lines of a file with this content."""
    path.write_bytes(content)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return list(lines_of(descriptor))
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"a", ["a"]),
        (b"a\n", ["a\n"]),
        (b"a\r\n\nb", ["a\r\n", "\n", "b"]),
        (b"\xff\xe2\x82", ["\udcff\udce2\udc82"]),
        ("€\u2028\x85\x0b\n".encode(), ["€\u2028\x85\x0b\n"]),
    ],
)
def test_lines(tmp_path: Path, content: bytes, lines: list[str]) -> None:
    assert lines_in(content, tmp_path / "file") == lines


def test_characters_may_be_split_between_reads(tmp_path: Path) -> None:
    text = "€" * 100_000 + "\n" + "x" * 70_000
    assert "".join(lines_in(text.encode(), tmp_path / "file")) == text


def test_lines_come_as_they_are_written() -> None:
    reading, writing = os.pipe()
    try:
        lines = lines_of(reading)
        os.write(writing, b"one\ntw")
        assert next(lines) == "one\n"
        os.write(writing, b"o\n")
        assert next(lines) == "two\n"
    finally:
        os.close(writing)
        os.close(reading)


@pytest.mark.parametrize("more", [1, 2 * 2**16, 3 * 2**20])
def test_a_line_that_is_too_long_is_cut(tmp_path: Path, more: int) -> None:
    content = b"one\n" + b"x" * (rows.MAX_LINE + more) + b"\nthree\n"
    assert lines_in(content, tmp_path / "file") == ["one\n", "x" * rows.MAX_LINE + "\n", "three\n"]


@pytest.mark.parametrize(
    ("header", "good", "bad"),
    [
        ("invreq,label", "lnr1a,{}", "lnr1a," + "x" * 2**21),
        ("invreq,label", "lnr1a,{}", "lnr1a,two" + "," * 2**21),
        ("", '{{"invreq":"lnr1a","label":"{}"}}', '{"invreq":"' + "x" * 2**21 + '","label":"two"}'),
    ],
)
def test_a_line_that_is_too_long_is_a_bad_row(
    tmp_path: Path, header: str, good: str, bad: str
) -> None:
    content = "\n".join([header, good.format("one"), bad, good.format("three"), ""])
    lines = lines_in(content.encode(), tmp_path / "file")
    found = list(rows.read(lines, Request("", "")))
    assert [request_of(found[0]).label, request_of(found[2]).label] == ["one", "three"]
    assert found[1].line == 3
    assert "not a row" in message_of(found[1])


def test_what_cannot_be_read_is_a_usage_error(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(UsageError, match="cannot read the batch: Is a directory"):
            list(lines_of(descriptor))
    finally:
        os.close(descriptor)
