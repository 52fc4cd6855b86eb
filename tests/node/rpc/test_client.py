from __future__ import annotations

import json
import logging
import os
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from sendinvoice_cli.errors import ExitStatus, LightningdError, SendInvoiceError, UnreachableError
from sendinvoice_cli.node.rpc.client import (
    Client,
    ConnectionLostError,
    NoAnswerError,
    lightning,
)
from tests.networks import PROMPT_SECONDS as _PROMPT
from tests.support import rpc_server
from tests.support.rpc_server import Respond, serving

_PREIMAGE = bytes(range(32)).hex()
_PARAMS = {"label": "a label", "preimage": _PREIMAGE}


@pytest.fixture
def socket_file(tmp_path: Path) -> Path:
    return tmp_path / "lightning-rpc"


def _failing(path: Path, respond: Respond) -> SendInvoiceError:
    with serving(path, respond), pytest.raises(SendInvoiceError) as failure:
        Client(path).call("createinvoice", _PARAMS)
    return failure.value


def test_a_call(socket_file: Path) -> None:
    with serving(socket_file, lambda request: rpc_server.result(request, {"a": [1]})) as requests:
        answer = Client(socket_file).call(
            "method", {"one": 1, "none": None}, reply_filter={"a": True}
        )
    assert answer == {"a": [1]}
    assert requests[0]["method"] == "method"
    assert requests[0]["params"] == {"one": 1}
    assert requests[0]["filter"] == {"a": True}


def test_text_is_sent_as_it_is(socket_file: Path) -> None:
    label = 'ünï "₿" \u202e\n\x1b[31m'
    with serving(socket_file, lambda request: rpc_server.result(request, {})) as requests:
        Client(socket_file).call("method", {"label": label})
    assert requests[0]["params"] == {"label": label}


def test_missing_socket(socket_file: Path) -> None:
    with pytest.raises(UnreachableError, match="No such file") as failure:
        Client(socket_file).call("getinfo")
    assert failure.value.exit_status == ExitStatus.UNREACHABLE
    assert str(socket_file) in failure.value.message
    assert "--lightning-dir" in (failure.value.hint or "")
    assert not isinstance(failure.value, ConnectionLostError)


def test_nobody_listens(socket_file: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(socket_file))
    with pytest.raises(UnreachableError, match="refused") as failure:
        Client(socket_file).call("getinfo")
    assert not isinstance(failure.value, ConnectionLostError)


def test_a_file_that_is_no_socket(socket_file: Path) -> None:
    socket_file.write_text("")
    with pytest.raises(UnreachableError):
        Client(socket_file).call("getinfo")


def test_not_allowed(socket_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(lightning.LightningRpc, "call", refuse)
    with pytest.raises(UnreachableError, match="Permission denied") as failure:
        Client(socket_file).call("getinfo")
    assert "user" in (failure.value.hint or "")


@pytest.mark.parametrize(
    "answer", [b"", b"{", b'{"jsonrpc": "2.0", "id": ', b'{"result": {}}\n'], ids=repr
)
def test_connection_lost_before_the_answer_is_whole(socket_file: Path, answer: bytes) -> None:
    failure = _failing(socket_file, lambda _request: answer)
    assert isinstance(failure, ConnectionLostError)
    assert "createinvoice" in failure.message
    assert failure.exit_status == ExitStatus.UNREACHABLE


def _echo_with_another_id(request: dict[str, Any]) -> bytes:
    return rpc_server.result({"id": "another"}, request["params"])


_NONSENSE: dict[str, Respond] = {
    "no JSON": lambda _request: b"nonsense\n\n",
    "no UTF-8": lambda _request: b'{"\xff": 1}\n\n',
    "empty": lambda _request: b"\n\n",
    "a list": lambda _request: b"[]\n\n",
    "a number": lambda _request: b"1\n\n",
    "null": lambda _request: b"null\n\n",
    "nothing in it": lambda _request: b"{}\n\n",
    "another id": _echo_with_another_id,
    "the request": lambda request: json.dumps(request).encode() + b"\n\n",
    "a result that is a list": lambda request: rpc_server.result(request, [_PREIMAGE]),
    "a result that is text": lambda request: rpc_server.result(request, _PREIMAGE),
    "no result": lambda request: rpc_server.result(request, None),
    "an error that is a list": lambda request: rpc_server.error(request, [_PREIMAGE]),
    "an error that is null": lambda request: rpc_server.error(request, None),
}


@pytest.mark.parametrize("respond", _NONSENSE.values(), ids=list(_NONSENSE))
def test_nonsense(socket_file: Path, respond: Respond) -> None:
    failure = _failing(socket_file, respond)
    assert isinstance(failure, LightningdError | ConnectionLostError)
    assert failure.message.startswith(("createinvoice: lightningd's ", "the connection"))


def test_an_error(socket_file: Path) -> None:
    stored = {"label": "a label"}
    value = {"code": 900, "message": "Duplicate label", "data": stored}
    failure = _failing(socket_file, lambda request: rpc_server.error(request, value))
    assert isinstance(failure, LightningdError)
    assert failure.message == "createinvoice: Duplicate label"
    assert failure.rpc_code == 900
    assert failure.data == stored
    assert failure.code == -1


@pytest.mark.parametrize(
    ("value", "rpc_code"),
    [({}, None), ({"code": "900", "data": "text"}, None), ({"code": 900, "data": [1]}, 900)],
)
def test_errors_of_another_shape(
    socket_file: Path, value: dict[str, Any], rpc_code: int | None
) -> None:
    failure = _failing(socket_file, lambda request: rpc_server.error(request, value))
    assert isinstance(failure, LightningdError)
    assert failure.rpc_code == rpc_code
    assert failure.data is None


_LEAKS: dict[str, Respond] = {
    **_NONSENSE,
    "lost": lambda _request: b"",
    "cut short": lambda request: json.dumps(request).encode(),
    "an error": lambda request: rpc_server.error(request, {"code": -1, "message": "no"}),
    "success": lambda request: rpc_server.result(request, {}),
}


@pytest.mark.parametrize("respond", _LEAKS.values(), ids=list(_LEAKS))
def test_the_preimage_is_nowhere_to_be_seen(
    socket_file: Path, respond: Respond, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[object] = []
    with serving(socket_file, respond):
        client = Client(socket_file, lambda *call: told.append(call))
        try:
            client.call("createinvoice", _PARAMS)
        except SendInvoiceError as failure:
            shown = "".join(traceback.format_exception(failure))
            told += [shown, failure.as_json(), failure.hint, failure.__cause__, failure.__context__]
    assert told
    assert _PREIMAGE not in repr(told)
    assert _PREIMAGE not in caplog.text
    assert caplog.records == []


def test_calls_are_told_of(socket_file: Path) -> None:
    told: list[tuple[str, float, str | None]] = []
    respond = rpc_server.answers({"getinfo": {}})
    with serving(socket_file, respond):
        client = Client(socket_file, lambda *call: told.append(call))
        client.call("getinfo")
        with pytest.raises(LightningdError):
            client.call("nothing")
    (good, good_seconds, no_failure), (bad, _, failure) = told
    assert (good, no_failure) == ("getinfo", None)
    assert good_seconds > 0
    assert (bad, failure) == ("nothing", "nothing: Unknown command 'nothing'")


def test_threads_do_not_wait_for_each_other(socket_file: Path) -> None:
    """waitinvoice holds its call open while the others go on."""
    release = threading.Event()

    def respond(request: dict[str, Any]) -> bytes:
        if request["method"] == "waitinvoice":
            assert release.wait(10)
        return rpc_server.result(request, {"method": request["method"]})

    answers: list[dict[str, Any]] = []

    def calling(client: Client, method: str) -> Callable[[], None]:
        return lambda: answers.append(client.call(method))

    with serving(socket_file, respond):
        client = Client(socket_file)
        waiting = threading.Thread(target=calling(client, "waitinvoice"))
        waiting.start()
        calling(client, "getinfo")()
        assert answers == [{"method": "getinfo"}]
        release.set()
        waiting.join(10)
    assert answers[1:] == [{"method": "waitinvoice"}]


class Silent:
    """A lightningd that takes requests and answers none, until the test lets it."""

    def __init__(self, path: Path) -> None:
        self.is_asked = threading.Semaphore(0)
        self.release = threading.Event()
        self.serving = serving(path, self.respond)

    def __enter__(self) -> Silent:
        self.serving.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.release.set()
        self.serving.__exit__(*error)

    def respond(self, request: dict[str, Any]) -> bytes:
        if request["method"] != "quick":
            self.is_asked.release()
            assert self.release.wait(10)
        return rpc_server.result(request, {"method": request["method"]})


def test_no_answer_in_time(socket_file: Path) -> None:
    with Silent(socket_file) as silent:
        client = Client(socket_file)
        with pytest.raises(NoAnswerError, match=r"slow within 0\.1 s") as failure:
            client.call("slow", _PARAMS, patience=0.1)
        assert client.call("quick") == {"method": "quick"}
        silent.release.set()
        assert client.call("next") == {"method": "next"}
    assert _PREIMAGE not in "".join(traceback.format_exception(failure.value))
    assert failure.value.__context__ is None


def test_call_that_timed_out_leaves_no_thread_and_no_connection(socket_file: Path) -> None:
    """Both stayed until lightningd answered."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(socket_file))
        listener.listen()
        before = threading.active_count()
        with pytest.raises(NoAnswerError):
            Client(socket_file).call("slow", patience=0.1)
        assert threading.active_count() == before
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(_PROMPT)
            assert json.loads(connection.recv(1000))["method"] == "slow"
            assert connection.recv(1) == b""


def test_answer_that_trickles_in_takes_no_longer_than_one_that_does_not_come(
    socket_file: Path,
) -> None:
    ended = threading.Event()

    def trickle(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, suppress(BrokenPipeError, ConnectionResetError):
            while not ended.wait(0.01):
                connection.send(b" ")

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(socket_file))
        listener.listen()
        server = threading.Thread(target=trickle, args=(listener,))
        server.start()
        try:
            with pytest.raises(NoAnswerError):
                Client(socket_file).call("slow", patience=0.2)
        finally:
            ended.set()
            server.join()


def test_lightningd_that_accepts_no_connection(socket_file: Path) -> None:
    """A frozen one, after many commands have given up: its queue of connections is full."""
    with socket.socket(socket.AF_UNIX) as listener, ExitStack() as queued:
        listener.bind(str(socket_file))
        listener.listen(0)
        with suppress(BlockingIOError):
            while True:
                waiting = queued.enter_context(socket.socket(socket.AF_UNIX))
                waiting.setblocking(False)
                waiting.connect(str(socket_file))
        with pytest.raises(NoAnswerError):
            Client(socket_file).call("getinfo", patience=0.2)


def test_path_that_is_too_long_for_a_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    monkeypatch.chdir(folder)
    with serving(Path("rpc"), lambda request: rpc_server.result(request, {"a": 1})):
        monkeypatch.chdir(tmp_path)
        assert Client(folder / "rpc").call("getinfo") == {"a": 1}
        with pytest.raises(UnreachableError, match="No such file"):
            Client(folder / "another").call("getinfo")


def test_lightningd_that_is_shutting_down_goes_away(socket_file: Path) -> None:
    """The command ended with 13 and advised to connect the node."""
    value = {"code": -5, "message": "lightningd is shutting down"}
    failure = _failing(socket_file, lambda request: rpc_server.error(request, value))
    assert isinstance(failure, ConnectionLostError)
    assert not isinstance(failure, NoAnswerError)


# --- the end of all calls ---


@pytest.mark.parametrize("patience", [None, 10])
def test_closed_client_ends_the_calls_of_other_threads(
    socket_file: Path, patience: float | None
) -> None:
    failures: list[Exception] = []
    told: list[object] = []

    def wait(client: Client) -> None:
        try:
            client.call("waitinvoice", patience=patience)
        except SendInvoiceError as failure:
            failures.append(failure)

    with Silent(socket_file) as silent:
        client = Client(socket_file, lambda *call: told.append(call))
        waiting = [threading.Thread(target=wait, args=(client,)) for _ in range(3)]
        for thread in waiting:
            thread.start()
        for _ in waiting:
            assert silent.is_asked.acquire(timeout=_PROMPT)
        client.close()
        for thread in waiting:
            thread.join(_PROMPT)
        assert not any(thread.is_alive() for thread in waiting)
    assert [type(failure) for failure in failures] == [ConnectionLostError] * 3
    assert told == []


def test_closed_client_makes_no_call(socket_file: Path) -> None:
    with serving(socket_file, lambda request: rpc_server.result(request, {})) as requests:
        client = Client(socket_file)
        client.close()
        with pytest.raises(ConnectionLostError):
            client.call("getinfo")
    assert requests == []


# --- signals ---


class SignalledError(Exception):
    """What a signal's handler raises here."""


@pytest.mark.parametrize("ends_the_wait", [True, False])
def test_signal_ends_a_call(socket_file: Path, ends_the_wait: bool) -> None:
    """One that another thread gets, or that comes just before the wait, does not end the wait."""

    def handle(*_: object) -> None:
        raise SignalledError

    def respond(request: dict[str, Any]) -> bytes:
        if ends_the_wait:
            os.kill(os.getpid(), signal.SIGUSR1)
        else:
            signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        assert release.wait(2 * _PROMPT)
        return rpc_server.result(request, {})

    release = threading.Event()
    before = signal.signal(signal.SIGUSR1, handle)
    try:
        with serving(socket_file, respond):
            started = time.monotonic()
            with pytest.raises(SignalledError):
                Client(socket_file).call("slow", patience=2 * _PROMPT)
            assert time.monotonic() - started < _PROMPT
            release.set()
    finally:
        signal.signal(signal.SIGUSR1, before)
