from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sendinvoice_cli.node.events import reply_plugin
from sendinvoice_cli.node.events.reply_plugin import RefusedError, Registry

_NOW = 1_700_000_000.0
_SESSION = "aa" * 16
_OTHER = "bb" * 16


def _path_id(number: int) -> str:
    return f"{number:064x}"


def _message(number: int, error: object = "0500") -> dict[str, object]:
    return {"pathsecret": _path_id(number), "invoice_error": error}


class _Call:
    """A held call, and what it was answered."""

    def __init__(self) -> None:
        self.answers: list[list[dict[str, str]]] = []
        #: What to say has been received, next time.
        self.received = 0

    def __call__(self, answer: dict[str, Any]) -> None:
        assert answer.keys() == {"replies", "received"}
        self.answers.append(answer["replies"])
        self.received = answer["received"]


def _registry(*numbers: int, until: float = _NOW + 90) -> Registry:
    registry = Registry(_NOW)
    registry.expect(_SESSION, [_path_id(number) for number in numbers], until)
    return registry


def test_a_reply_that_comes_before_it_is_asked_for() -> None:
    registry, call = _registry(1), _Call()
    assert registry.on_message(_message(1))
    registry.replies(_SESSION, 0, call)
    assert call.answers == [[_message(1)]]


def test_a_reply_that_is_waited_for() -> None:
    registry, call = _registry(1), _Call()
    registry.replies(_SESSION, 0, call)
    assert call.answers == []
    assert registry.on_message(_message(1))
    assert call.answers == [[_message(1)]]


def test_replies_one_after_another() -> None:
    registry, first, second, third = _registry(1, 2, 3), _Call(), _Call(), _Call()
    registry.on_message(_message(1))
    registry.on_message(_message(2))
    registry.replies(_SESSION, 0, first)
    assert first.answers == [[_message(1), _message(2)]]
    registry.replies(_SESSION, 2, second)
    assert second.answers == []
    registry.on_message(_message(3))
    assert second.answers == [[_message(3)]]
    # Whoever lost the answer may ask for it again.
    registry.replies(_SESSION, 2, third)
    assert third.answers == [[_message(3)]]


def test_a_caller_that_counts_anew_gets_each_reply_once() -> None:
    """As after a broken connection, when the command follows the replies again."""
    registry = _registry(1, 2, 3)
    first, second, third, fourth = _Call(), _Call(), _Call(), _Call()
    registry.on_message(_message(1))
    registry.replies(_SESSION, 0, first)
    registry.on_message(_message(2))
    registry.replies(_SESSION, first.received, second)
    assert second.answers == [[_message(2)]]
    registry.replies(_SESSION, 0, third)
    assert third.answers == [[_message(2)]]
    registry.replies(_SESSION, third.received, fourth)
    assert fourth.answers == []
    registry.on_message(_message(3))
    assert fourth.answers == [[_message(3)]]
    assert [each.received for each in (first, second, third, fourth)] == [1, 2, 2, 3]


def test_what_is_forgotten_is_somebody_elses() -> None:
    registry, call = _registry(1, 2), _Call()
    registry.expect(_OTHER, [_path_id(3)], _NOW + 90)
    registry.expect(_SESSION, [], _NOW + 90, [_path_id(1), _path_id(3), _path_id(9)])
    registry.replies(_SESSION, 0, call)
    assert not registry.on_message(_message(1))
    assert call.answers == []
    assert registry.on_message(_message(2))
    # A session cannot make another one forget.
    assert registry.on_message(_message(3))
    assert call.answers == [[_message(2)]]


def test_path_ids_may_be_added() -> None:
    registry, call = _registry(1), _Call()
    registry.expect(_SESSION, [_path_id(1), _path_id(2)], _NOW + 90)
    registry.replies(_SESSION, 0, call)
    assert registry.on_message(_message(2))
    assert call.answers == [[_message(2)]]


def test_a_call_is_answered_once() -> None:
    registry, call = _registry(1, 2), _Call()
    registry.replies(_SESSION, 0, call)
    registry.on_message(_message(1))
    registry.on_message(_message(2))
    assert call.answers == [[_message(1)]]


def test_a_second_call_takes_the_place_of_the_first() -> None:
    registry, first, second = _registry(1), _Call(), _Call()
    registry.replies(_SESSION, 0, first)
    registry.replies(_SESSION, 0, second)
    assert first.answers == [[]]
    registry.on_message(_message(1))
    assert first.answers == [[]]
    assert second.answers == [[_message(1)]]


def test_a_repeated_reply_says_nothing_new() -> None:
    registry, call = _registry(1), _Call()
    assert registry.on_message(_message(1, "0500"))
    # Ours all the same, so nobody else gets to see it.
    assert registry.on_message(_message(1, "0501"))
    registry.expect(_SESSION, [_path_id(1)], _NOW + 90)
    assert registry.on_message(_message(1, "0502"))
    registry.replies(_SESSION, 0, call)
    assert call.answers == [[_message(1, "0500")]]


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"invoice_error": "0500"},
        {"pathsecret": None, "invoice_error": "0500"},
        {"pathsecret": ["a", "list"], "invoice_error": "0500"},
        {"pathsecret": {"an": "object"}, "invoice_error": "0500"},
        {"pathsecret": 1, "invoice_error": "0500"},
        {"pathsecret": "", "invoice_error": "0500"},
        {"pathsecret": _path_id(2), "invoice_error": "0500"},
        {"pathsecret": _path_id(1).upper() + " ", "invoice_error": "0500"},
    ],
)
def test_what_is_not_ours_is_passed_on(message: dict[str, object]) -> None:
    registry, call = _registry(1), _Call()
    registry.replies(_SESSION, 0, call)
    assert not registry.on_message(message)
    assert call.answers == []


@pytest.mark.parametrize(
    "error",
    [None, 5, ["0500"], "00" * (reply_plugin.MAX_REPLY_SIZE // 2 + 1)],
    ids=["none", "number", "list", "oversized"],
)
def test_messages_to_us_that_are_no_reply(error: object) -> None:
    """They are not passed on, and a reply may still come."""
    registry, call = _registry(1), _Call()
    registry.replies(_SESSION, 0, call)
    assert registry.on_message(_message(1, error))
    assert call.answers == []
    assert registry.on_message(_message(1))
    assert call.answers == [[_message(1)]]


@pytest.mark.parametrize(
    ("more", "is_heard"),
    [
        ({"unknown_fields": []}, True),
        ({"unknown_fields": [{"number": 63, "value": "00"}], "reply_blindedpath": {}}, True),
        ({"unknown_fields": None}, True),
        ({"unknown_fields": ["?", {}, {"number": "64"}]}, True),
        ({"invoice": "00"}, False),
        ({"invoice_request": "00"}, False),
        ({"unknown_fields": [{"number": 65, "value": ""}]}, False),
        ({"unknown_fields": [{"number": 5}, {"number": 4_000_000_001, "value": "00"}]}, False),
    ],
)
def test_message_with_two_payload_fields_is_ignored(
    more: dict[str, object], is_heard: bool
) -> None:
    """BOLT 4. A reply without the other field may still come."""
    registry, call = _registry(1), _Call()
    registry.replies(_SESSION, 0, call)
    assert registry.on_message({**_message(1), **more})
    assert bool(call.answers) is is_heard
    registry.on_message(_message(1))
    assert len(call.answers) == 1


def test_a_reply_of_the_greatest_size() -> None:
    registry, call = _registry(1), _Call()
    greatest = "0" * reply_plugin.MAX_REPLY_SIZE
    registry.on_message(_message(1, greatest))
    registry.replies(_SESSION, 0, call)
    assert call.answers == [[_message(1, greatest)]]


def test_sessions_do_not_hear_each_other() -> None:
    registry, mine, other = _registry(1), _Call(), _Call()
    registry.expect(_OTHER, [_path_id(2)], _NOW + 90)
    # A path_id stays with the session that named it first.
    registry.expect(_OTHER, [_path_id(1)], _NOW + 90)
    registry.replies(_SESSION, 0, mine)
    registry.replies(_OTHER, 0, other)
    registry.on_message(_message(1))
    assert (mine.answers, other.answers) == ([[_message(1)]], [])
    registry.on_message(_message(2))
    assert other.answers == [[_message(2)]]


def test_unknown_session() -> None:
    with pytest.raises(RefusedError, match="no such session"):
        _registry(1).replies(_OTHER, 0, _Call())


@pytest.mark.parametrize(
    ("session", "path_ids"),
    [
        ("", []),
        ("aa" * 15, []),
        ("zz" * 16, []),
        ("AA" * 16, []),
        (None, []),
        (["aa"], []),
        (_SESSION, ["aa" * 31]),
        (_SESSION, ["aa" * 33]),
        (_SESSION, ["AA" * 32]),
        (_SESSION, [_path_id(1), "no hex" + "0" * 58]),
        (_SESSION, [None]),
        (_SESSION, "aa" * 32),
    ],
)
def test_malformed_expectations(session: Any, path_ids: Any) -> None:
    registry = Registry(_NOW)
    with pytest.raises(RefusedError):
        registry.expect(session, path_ids, _NOW + 90)
    # Nothing of it was kept.
    assert not registry.on_message(_message(1))
    assert registry.is_idle(_NOW + reply_plugin.IDLE_SECONDS)


@pytest.mark.parametrize("until", [float("nan"), float("inf")])
def test_no_session_is_for_ever(until: float) -> None:
    with pytest.raises(RefusedError):
        _registry(1, until=until)


# --- bounds ---


def test_number_of_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reply_plugin, "MAX_SESSIONS", 2)
    registry = _registry(1)
    registry.expect(_OTHER, [], _NOW + 10)
    with pytest.raises(RefusedError, match="too many"):
        registry.expect("cc" * 16, [], _NOW + 90)
    # Those that are there may go on, and room is made in time.
    registry.expect(_SESSION, [_path_id(2)], _NOW + 90)
    registry.expire(_NOW + 10)
    registry.expect("cc" * 16, [], _NOW + 90)


def test_number_of_path_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reply_plugin, "MAX_PATH_IDS", 3)
    registry = _registry(1, 2)
    with pytest.raises(RefusedError, match="too many"):
        registry.expect(_SESSION, [_path_id(3), _path_id(4)], _NOW + 90)
    assert not registry.on_message(_message(3))
    registry.expect(_SESSION, [_path_id(3), _path_id(1)], _NOW + 90)
    assert registry.on_message(_message(3))


def test_size_of_all_replies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reply_plugin, "MAX_REPLIES_SIZE", 10)
    registry, call, other = _registry(1, 2, 3), _Call(), _Call()
    registry.expect(_OTHER, [_path_id(4)], _NOW + 200)
    registry.on_message(_message(1, "0" * 6))
    registry.on_message(_message(2, "0" * 6))
    registry.on_message(_message(4, "0" * 6))
    registry.on_message(_message(3, "0" * 4))
    registry.replies(_SESSION, 0, call)
    assert call.answers == [[_message(1, "0" * 6), _message(3, "0" * 4)]]
    # What ended frees its room.
    registry.expire(_NOW + 90)
    registry.on_message(_message(4, "0" * 6))
    registry.replies(_OTHER, 0, other)
    assert other.answers == [[_message(4, "0" * 6)]]


class _Measured(str):
    """A reply that counts how often it is measured."""

    measured = 0

    def __len__(self) -> int:
        _Measured.measured += 1
        return super().__len__()


def test_a_reply_costs_the_same_however_many_are_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 400
    registry = _registry(*range(count))
    monkeypatch.setattr(_Measured, "measured", 0)
    for number in range(count):
        registry.on_message(_message(number, _Measured("0500")))
    assert _Measured.measured <= 4 * count


def test_replies_that_were_received_free_their_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reply_plugin, "MAX_REPLIES_SIZE", 10)
    registry, first, second = _registry(1, 2, 3), _Call(), _Call()
    registry.on_message(_message(1, "0" * 10))
    registry.replies(_SESSION, 0, first)
    registry.replies(_SESSION, first.received, second)
    registry.on_message(_message(2, "0" * 10))
    assert second.answers == [[_message(2, "0" * 10)]]


def test_a_flood_is_bounded() -> None:
    count = 400
    registry, call = _registry(*range(count)), _Call()
    for number in range(count):
        assert registry.on_message(_message(number, "0" * reply_plugin.MAX_REPLY_SIZE))
    registry.replies(_SESSION, 0, call)
    kept = sum(len(reply["invoice_error"]) for reply in call.answers[0])
    assert 0 < kept <= reply_plugin.MAX_REPLIES_SIZE


# --- time ---


def test_expiry() -> None:
    registry, call = _registry(1, until=_NOW + 90), _Call()
    registry.expect(_OTHER, [_path_id(2)], _NOW + 91)
    registry.replies(_SESSION, 0, call)
    registry.expire(_NOW + 89.9)
    assert call.answers == []
    registry.expire(_NOW + 90)
    assert call.answers == [[]]
    with pytest.raises(RefusedError):
        registry.replies(_SESSION, 0, _Call())
    assert not registry.on_message(_message(1))
    assert registry.on_message(_message(2))


def test_a_session_may_be_prolonged() -> None:
    registry = _registry(1)
    registry.expect(_SESSION, [], _NOW + 200)
    registry.expire(_NOW + 100)
    assert registry.on_message(_message(1))


def test_idle() -> None:
    idle = reply_plugin.IDLE_SECONDS
    registry = Registry(_NOW)
    assert not registry.is_idle(_NOW + idle - 1)
    assert registry.is_idle(_NOW + idle)
    registry.expect(_SESSION, [], _NOW + 10_000)
    assert not registry.is_idle(_NOW + idle)
    registry.expire(_NOW + 9_000)
    assert not registry.is_idle(_NOW + 9_000 + idle)
    registry.expire(_NOW + 10_000)
    # It was last needed at 9,000, as far as it looked.
    assert not registry.is_idle(_NOW + 9_000 + idle - 1)
    assert registry.is_idle(_NOW + 9_000 + idle)


# --- as lightningd runs it ---


class _Plugin:
    """The helper as a process, spoken to as lightningd does."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._next_id = 0
        self.logged: list[str] = []

    def send(self, method: str, params: dict[str, object]) -> int:
        self._next_id += 1
        request = {"jsonrpc": "2.0", "id": self._next_id, "method": method, "params": params}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n\n")
        self._process.stdin.flush()
        return self._next_id

    def receive(self) -> dict[str, Any]:
        """The next answer; what is logged before it is put aside."""
        assert self._process.stdout is not None
        while True:
            lines = []
            while (line := self._process.stdout.readline()).strip():
                lines.append(line)
            assert lines or line, "the helper is gone"
            if not lines:
                continue
            answer: dict[str, Any] = json.loads(b"".join(lines))
            if "id" in answer:
                return answer
            self.logged.append(json.dumps(answer))

    def call(self, method: str, params: dict[str, object]) -> Any:
        number = self.send(method, params)
        answer = self.receive()
        assert answer["id"] == number
        return answer.get("result", answer.get("error"))

    def hook(self, message: object) -> Any:
        return self.call("onion_message_recv_secret", {"onion_message": message})


_ALONE = "from sendinvoice_cli.node.events.reply_plugin import main; main()"


@contextmanager
def _running(tmp_path: Path, script: str) -> Iterator[_Plugin]:
    command = [sys.executable, "-c", script]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "LIGHTNINGD_PLUGIN": "1"},
    ) as process:
        watchdog = threading.Timer(20, process.kill)
        watchdog.start()
        try:
            yield _Plugin(process)
        finally:
            watchdog.cancel()
            process.kill()


@pytest.mark.parametrize(
    "script", [_ALONE, f"import pyln.client; {_ALONE}"], ids=["parts of pyln", "all of pyln"]
)
def test_the_helper_in_lightningd(tmp_path: Path, script: str) -> None:
    with _running(tmp_path, script) as plugin:
        manifest = plugin.call("getmanifest", {})
        assert manifest["dynamic"] is True
        names = {method["name"] for method in manifest["rpcmethods"]}
        assert names == {"sendinvoice-expect", "sendinvoice-replies"}
        assert [hook["name"] for hook in manifest["hooks"]] == ["onion_message_recv_secret"]
        assert manifest["subscriptions"] == []
        assert manifest["options"] == []
        plugin.call(
            "init",
            {
                "options": {},
                "configuration": {"lightning-dir": str(tmp_path), "rpc-file": "lightning-rpc"},
            },
        )

        unknown = plugin.call("sendinvoice-replies", {"session": _SESSION, "received": 0})
        assert unknown["code"] == reply_plugin.UNKNOWN_SESSION
        malformed: list[dict[str, object]] = [
            {"session": "x"},
            {"session": _SESSION, "pathsecrets": 5, "until": "x"},
        ]
        for bad in malformed:
            assert "code" in plugin.call("sendinvoice-expect", bad)

        expected = {"session": _SESSION, "pathsecrets": [_path_id(1)], "until": 2**40}
        assert plugin.call("sendinvoice-expect", expected) == {}
        held = plugin.send("sendinvoice-replies", {"session": _SESSION, "received": 0})
        strange: list[object] = [_message(2), {}, [], None, "text", 5, {"pathsecret": {}}]
        for foreign in strange:
            assert plugin.hook(foreign) == {"result": "continue"}

        number = plugin.send("onion_message_recv_secret", {"onion_message": _message(1)})
        answers = {
            answer["id"]: answer["result"] for answer in (plugin.receive(), plugin.receive())
        }
        assert answers == {
            held: {"replies": [_message(1)], "received": 1},
            number: {"result": "resolve"},
        }
        # No path_id in lightningd's log, not even of the calls that failed.
        assert _path_id(1) not in "".join(plugin.logged)
        assert _SESSION not in "".join(plugin.logged)
    assert list(tmp_path.iterdir()) == []


def test_the_helper_loads_little() -> None:
    script = (
        "import sys; from sendinvoice_cli.node.events import reply_plugin\n"
        "reply_plugin.load('plugin', 'Plugin')\n"
        "print([name for name in sys.modules if name.startswith(('pyln', 'sendinvoice'))])"
    )
    loaded = subprocess.check_output([sys.executable, "-c", script], text=True, timeout=60)
    assert "'sendinvoice_cli.node.events.reply_plugin'" in loaded
    for name in ("gossmap", "pyln.client", "pyln.proto", "pyln.spec", "bolt12", "rpc.client"):
        assert name not in loaded
