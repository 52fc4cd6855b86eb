"""The file of a batch, good rows and bad ones."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sendinvoice_cli.batch import rows
from sendinvoice_cli.batch.file import MAX_LINE
from sendinvoice_cli.batch.rows import Row
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


def test_values_are_stripped() -> None:
    """Blanks around a label would make another label of it, and the money be asked for twice."""
    written = {"invreq": " lnr1a\n", "label": "sp-1 ", "amount_msat": " 1000000 "}
    (row,) = read(json.dumps(written))
    assert request_of(row)[:3] == ("lnr1a", "sp-1", 1_000_000)
    (row,) = read("invreq,label,amount_msat", " lnr1a , sp-1\t, 1000000 ")
    assert request_of(row)[:3] == ("lnr1a", "sp-1", 1_000_000)


def test_what_is_reported_of_a_label_is_text() -> None:
    *_, found = read('{"invreq": "lnr1a", "label": "x"}', '{"label": "a \\ud800 b"}')
    assert found.label == "a \ufffd b"
    *_, found = read("invreq,label", "lnr1a,caf\udce9")
    assert found.label == "caf\ufffd"
    assert "UTF-8" in str(message_of(found))


# --- JSON in other layouts ---

_TWO: list[dict[str, str]] = [
    {"invreq": "lnr1a", "label": "one"},
    {"invreq": "lnr1b", "label": "two, {or} ]so["},
]


def labels(found: list[Row]) -> list[str]:
    """The labels of rows that can be read."""
    return [request_of(row).label for row in found]


@pytest.mark.parametrize("indent", [None, 0, 2, 4])
def test_json_arrays(indent: int | None) -> None:
    found = read(*json.dumps(_TWO, indent=indent).splitlines())
    assert labels(found) == ["one", "two, {or} ]so["]


def test_json_over_several_lines() -> None:
    lines = "\n\n".join(json.dumps(each, indent=2) for each in _TWO).splitlines()
    found = read("", *lines)
    assert labels(found) == ["one", "two, {or} ]so["]
    assert [row.line for row in found] == [2, 7]


def test_lines_of_an_array() -> None:
    found = read("[", '{"invreq": "lnr1a", "label": "one"},', "", '{"invreq": "lnr1b",', "7]")
    assert [(row.line, row.error is None) for row in found] == [(2, True), (4, False)]
    assert "from here on it is not JSON" in message_of(found[1])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[{"invreq": "lnr1a", "label": "one"}', "ends without a ]"),
        ('[{"invreq": "lnr1a", "label": "one"}, {"invreq"', "from here on it is not JSON"),
        ('[{"invreq": "lnr1a", "label": "one"}, "lnr1b"]', "not a row"),
        ('[{"invreq": "lnr1a", "label": "one"}, {"label": "x", "label": "x"}]', "column twice"),
        ('[{"invreq": "lnr1a", "label": "one"}] lnr1b', "from here on it is not JSON"),
        ('[{"invreq": "lnr1a", "label": "one"}, ' + "[" * 100_000, "from here on it is not JSON"),
    ],
)
def test_what_is_not_whole_or_no_row_in_an_array(text: str, problem: str) -> None:
    found = read(text)
    assert request_of(found[0]).label == "one"
    assert problem in message_of(found[1])


def test_an_object_without_end_is_not_collected_for_ever() -> None:
    taken = 0

    def lines() -> Iterator[str]:
        nonlocal taken
        yield '[{"invreq":\n'
        while True:
            taken += 1
            yield "\n"

    (row,) = rows.read(lines(), DEFAULTS)
    assert "not JSON" in message_of(row)
    assert taken < 1000


def test_an_array_on_one_line_is_read_piece_by_piece() -> None:
    """json.dumps and jq -c write it so; it may be longer than any line may be."""
    text = json.dumps([{"invreq": "lnr1" + "q" * 500, "label": str(n)} for n in range(5000)])
    pieces = [text[at : at + 2**16] for at in range(0, len(text), 2**16)]
    found = list(rows.read(pieces, DEFAULTS))
    assert labels(found) == [str(n) for n in range(5000)]
    assert {row.line for row in found} == {1}


@given(st.lists(st.integers(1, 60), max_size=20), st.booleans())
def test_json_may_be_cut_anywhere(cuts: list[int], is_array: bool) -> None:
    values = [{"invreq": "lnr1a", "label": 'o"n\\e\u20ac', "timeout": "30"}, *_TWO]
    text = json.dumps(values) if is_array else "{\n" + "\n".join(map(json.dumps, values))[1:]
    pieces, at = [], 0
    for cut in cuts:
        pieces.append(text[at : at + cut])
        at += cut
    pieces = [each for each in (*pieces, text[at:]) if each]
    # Text comes in lines, and in parts of lines.
    pieces = [line for each in pieces for line in each.splitlines(keepends=True)]
    assert labels(list(rows.read(pieces, DEFAULTS))) == [each["label"] for each in values]


# --- bad rows of JSON Lines ---


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("nonsense", "not JSON"),
        ("[]", "not a row"),
        ('"text"', "not a row"),
        ("1", "not a row"),
        ('{"invreq": "lnr1a", "label": "x"', "not JSON"),
        ('{"invreq": "lnr1a", "label": "x', "not JSON: Invalid control character"),
        ("[" * 100_000, "too long"),
        ('{"invreq": "lnr1a", "label": "' + "x" * MAX_LINE + '"}', "too long"),
        ('{"invreq": "lnr1a", "label": "x", "label": "y"}', "names a column twice"),
        ('{"invreq": "lnr1a", "label": {"x": 1, "x": 1}}', "label is not text"),
        ('{"invreq": "lnr1a", "label": "x", "amount_msat": ' + "9" * 5000 + "}", "too long"),
        ('{"invreq": "lnr1a"}', "label is missing"),
        ('{"label": "x"}', "invreq is missing"),
        ('{"invreq": "lnr1a", "label": ""}', "label is missing"),
        ('{"invreq": "lnr1a", "label": 7}', "label is not text"),
        ('{"invreq": null, "label": "x"}', "invreq is missing"),
        ('{"invreq": "lnr1a", "label": "x", "amount": 1}', "'amount' is not one of"),
        ('{"invreq": "lnr1a", "label": "x", "amount_msat": 1.5}', "1.5 is not a whole number"),
        ('{"invreq": "lnr1a", "label": "x", "amount_msat": true}', "neither a number nor text"),
        ('{"invreq": "lnr1a", "label": "x", "amount_msat": 0}', "must be more than 0"),
        ('{"invreq": "lnr1a", "label": "x", "amount_msat": -1}', "'-1' is not an amount"),
        ('{"invreq": "lnr1a", "label": "x", "amount_msat": 1e6}', "is not a whole number"),
        ('{"invreq": "lnr1a", "label": "x", "amount_msat": "1E+06"}', "is not a whole number"),
        ('{"invreq": "lnr1a", "label": "x", "": "y"}', "a column without a name"),
        ('{"invreq": "lnr1a", "label": " "}', "label is missing"),
        ('{"invreq": "lnr1a", "label": "\\ud800"}', "not UTF-8"),
        ('{"invreq": "x", "label": "lnr1a"}', "invreq and label are swapped"),
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


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters(delimiter: str) -> None:
    lines = ["Label,InvReq,timeout", "one,lnr1a,", '"two, or",lnr1b,60']
    found = read(*(line.replace(",", delimiter) for line in lines))
    assert [request_of(row).invreq for row in found] == ["lnr1a", "lnr1b"]
    assert request_of(found[1]).timeout == 60


def test_rows_without_values_are_skipped() -> None:
    found = read("invreq,label,timeout", "lnr1a,one,", ",,", " , ,", "lnr1b,two,", ",,")
    assert [(row.number, row.line, row.label) for row in found] == [(1, 2, "one"), (2, 5, "two")]


def test_empty_columns_without_a_name_are_ignored() -> None:
    found = read("invreq,label,,", "lnr1a,one,,", "lnr1b,two,,,,", "lnr1c,three,4,")
    assert labels(found[:2]) == ["one", "two"]
    assert "'4' stands in a column without a name" in message_of(found[2])


def test_blanks_in_front_of_quotes() -> None:
    (row,) = read("invreq, label", 'lnr1a, "one, two"')
    assert request_of(row).label == "one, two"


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
        ("lnr1a,x,1,2", "more values than there are columns"),
        ("lnr1a,x,nothing", "'nothing' is not an amount"),
        (",x,1", "invreq is missing"),
        ('"lnr1a"a,x,1', "not CSV"),
        (f"lnr1a,{'x' * 200_000},1", "not CSV"),
    ],
)
def test_bad_csv_rows_fail_alone(line: str, problem: str) -> None:
    found = read("invreq,label,amount_msat", "lnr1a,one,1", line, "lnr1b,three,3")
    assert problem in message_of(found[1])
    assert (found[1].number, found[1].line) == (2, 3)
    assert request_of(found[2]).label == "three"


def test_a_quote_that_is_not_closed_ends_the_batch() -> None:
    """What follows may be part of a value, or rows of their own: nobody can tell."""
    found = read("invreq,label", "lnr1a,one", 'lnr1b,"two', "lnr1c,three", "lnr1d,four")
    assert request_of(found[0]).label == "one"
    assert message_of(found[1]).startswith("a quote that opens here is never closed")
    assert [row.line for row in found] == [2, 3]


def test_a_quote_that_is_closed_by_another_ends_the_batch() -> None:
    lines = ["lnr1a,one", 'lnr1b,"two', "", "lnr1c,three", 'lnr1d,"fo,ur"', "lnr1e,five"]
    found = read("invreq,label", *lines)
    assert [(row.line, row.label) for row in found] == [(2, "one"), (3, None)]


def test_a_quote_that_is_not_closed_on_the_last_line() -> None:
    found = read("invreq,label", "lnr1a,one", 'lnr1b,"two')
    assert "a quote that opens here is never closed" in message_of(found[1])


def test_a_label_over_two_lines() -> None:
    found = read("invreq,label", 'lnr1b,"two\n', 'lines"', "lnr1c,three")
    assert [row.line for row in found] == [2, found[0].line + 2]


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("lnr1a,one", "is a request, but must name columns"),
        ("invreq,label,amount", "'amount' is not a column"),
        ("invreq,label,label", "named twice"),
        ("invreq", "no column 'label'"),
        ("label,timeout", "no column 'invreq'"),
        ('"invreq,label', "not CSV"),
        ('"invreq,label"', "the first line is in quotes as a whole"),
        ('"invreq;label"', "the first line is in quotes as a whole"),
    ],
)
def test_bad_headers_are_no_batch(header: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem.replace("[", r"\[")):
        read(header, "lnr1a,one")


@pytest.mark.parametrize(
    "lines",
    [(), ("",), ("", " ", "\t"), ("invreq,label",), ("invreq,label", ",", ""), ("[]",), ("{}",)],
)
def test_a_batch_without_rows_is_an_error(lines: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="the batch has no rows") as why:
        read(*lines)
    assert "invreq,label" in str(why.value.hint)


@given(st.lists(st.text(max_size=40), max_size=8), st.booleans())
def test_no_text_breaks_the_reader(lines: list[str], is_json: bool) -> None:
    first = '{"invreq": "lnr1a", "label": "x"}' if is_json else "invreq,label,amount_msat"
    rest = ("lnr1a,y,1", *lines) if not is_json else lines
    for row in read(first, *rest):
        assert (row.request is None) == (row.error is not None)


def test_rows_come_before_the_next_line_is_read() -> None:
    taken: list[str] = []

    def lines() -> Iterator[str]:
        for line in ("invreq,label\n", "lnr1a,one\n", "lnr1b,two\n"):
            taken.append(line)
            yield line

    assert request_of(next(rows.read(lines(), DEFAULTS))).label == "one"
    assert len(taken) == 2
