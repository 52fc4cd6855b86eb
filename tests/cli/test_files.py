"""The files of a batch: what is opened, and what is refused."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from sendinvoice_cli.cli import files
from sendinvoice_cli.errors import UsageError
from sendinvoice_cli.render.lines import Log
from sendinvoice_cli.render.streams import Streams


def _append(path: Path, line: str) -> None:
    with files.open_output(str(path), 0) as file:
        file.write(f"{line}\n")


def test_output_is_private_and_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "results"
    before = os.umask(0)
    try:
        _append(path, "one")
        _append(path, "two")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == "one\ntwo\n"


def test_a_torn_last_line_stays_alone(tmp_path: Path) -> None:
    """A full disk or a kill has left it; glued to it, the next result would be lost."""
    path = tmp_path / "results"
    path.write_text('{"row": 1}\n{"row": ')
    _append(path, '{"row": 3}')
    assert path.read_text() == '{"row": 1}\n{"row": \n{"row": 3}\n'


def test_a_file_that_may_be_written_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "results"
    path.write_text("torn")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with files.open_output(str(path), 0) as file:
        file.write("two\n")
    monkeypatch.undo()
    assert path.read_text() == "torn\ntwo\n"


def test_a_device_is_not_looked_into() -> None:
    with files.open_output("/dev/null", 0) as file:
        file.write("one\n")


def test_a_link_of_ones_own_is_followed(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "results")
    _append(link, "one")
    assert (tmp_path / "results").read_text() == "one\n"


def test_a_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results have preimages in them."""
    path = tmp_path / "results"
    path.write_text("")
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(UsageError, match="is a file of another user, who could read the preimages"):
        files.open_output(str(path), 0)


def test_a_link_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "results"
    path.symlink_to(tmp_path / "private")
    stranger = os.stat_result((0o120777, 0, 0, 1, os.geteuid() + 1, 0, 0, 0, 0, 0))
    monkeypatch.setattr(os, "lstat", lambda _: stranger)
    with pytest.raises(UsageError, match="is a symbolic link of another user"):
        files.open_output(str(path), 0)
    assert not (tmp_path / "private").exists()


@pytest.mark.parametrize("end", ["", "\n"])
def test_the_batch_itself_is_refused_and_left_alone(tmp_path: Path, end: str) -> None:
    path = tmp_path / "batch"
    path.write_text(f"invreq,label{end}")
    with path.open() as batch, pytest.raises(UsageError, match="name the same file"):
        files.open_output(str(path), batch.fileno())
    assert path.read_text() == f"invreq,label{end}"


def test_a_hyphen_is_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="--output needs the name of a file"):
        files.open_output("-", 0)
    assert list(tmp_path.iterdir()) == []


# --- who else can read the requests ---


@pytest.fixture
def shared() -> Iterator[Path]:
    """A batch in a folder that everybody may look into."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "payouts.csv")
        path.touch()
        path.parent.chmod(0o755)
        yield path


def _warning(path: Path, *, by_stdin: bool) -> str:
    """What opening the batch says."""
    stderr = io.StringIO()
    with path.open() as file, ExitStack() as opened:
        streams = Streams(file, None, stderr)
        files.open_batch(streams, "-" if by_stdin else str(path), opened, Log(streams))
    return stderr.getvalue()


@pytest.mark.parametrize("by_stdin", [True, False])
def test_a_file_that_others_can_read_is_warned_of(shared: Path, by_stdin: bool) -> None:
    """Whoever answers a request first is paid."""
    shared.chmod(0o604)
    name = "the file on standard input" if by_stdin else str(shared)
    assert _warning(shared, by_stdin=by_stdin) == (
        f"sendinvoice: warning: other users can read {name}, and so take the money\n"
        "  hint: chmod 600 keeps it to yourself\n"
    )


@pytest.mark.parametrize(("mode", "folder_mode"), [(0o640, 0o755), (0o644, 0o700), (0o600, 0o755)])
@pytest.mark.parametrize("by_stdin", [True, False])
def test_a_file_that_others_cannot_read(
    shared: Path, mode: int, folder_mode: int, by_stdin: bool
) -> None:
    shared.chmod(mode)
    shared.parent.chmod(folder_mode)
    assert _warning(shared, by_stdin=by_stdin) == ""


def test_a_pipe_is_no_file_that_others_can_read() -> None:
    reading, writing = os.pipe()
    os.close(writing)
    stderr = io.StringIO()
    with os.fdopen(reading) as pipe, ExitStack() as opened:
        streams = Streams(pipe, None, stderr)
        files.open_batch(streams, "-", opened, Log(streams))
    assert stderr.getvalue() == ""
