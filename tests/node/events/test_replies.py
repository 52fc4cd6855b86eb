from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sendinvoice_cli.bolt12 import invoice_error
from sendinvoice_cli.bolt12.invoice_error import InvoiceError
from sendinvoice_cli.errors import LightningdError, UnreachableError
from sendinvoice_cli.node.events import replies
from sendinvoice_cli.node.events.helper_path import HelperUnavailableError
from sendinvoice_cli.node.events.replies import Reply, ReplySession
from sendinvoice_cli.node.rpc.client import NoAnswerError
from tests.node.fake_client import Answer, FakeClient, Params

_UNKNOWN = LightningdError("sendinvoice-expect: Unknown command", rpc_code=-32601)
_PATH_ID = b"\xaa" * 32


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the helper is installed."""
    helper = tmp_path / "helper"
    monkeypatch.setattr(replies, "helper_path", lambda: str(helper))
    return helper


@pytest.mark.parametrize(("left", "is_told"), [(200, False), (4000, True)])
def test_good_bye(left: float, is_told: bool) -> None:
    client = FakeClient({"sendinvoice-expect": {}})
    session = ReplySession(client, 1000 + left)
    session.close(1000)
    assert [params["until"] for _, params in client.calls] == [1000] * is_told


@pytest.mark.parametrize("failure", [UnreachableError("gone"), LightningdError("no helper")])
def test_good_bye_that_nobody_hears(failure: Exception) -> None:
    ReplySession(FakeClient({"sendinvoice-expect": failure}), 10_000).close(1000)


# --- sessions ---


def _answering(*answers: Answer) -> Callable[[Params], dict[str, Any]]:
    """One answer after the other."""
    left = list(answers)

    def answer(params: Params) -> dict[str, Any]:
        each = left.pop(0)
        if isinstance(each, BaseException):
            raise each
        return dict(each(params) if callable(each) else each)

    return answer


def test_a_helper_that_runs_is_not_started() -> None:
    client = FakeClient({"sendinvoice-expect": {}})
    session = ReplySession(client, 1_700_000_090.0)
    session.start()
    session.expect(_PATH_ID)
    (_, first), (_, second) = client.calls
    assert first["pathsecrets"] == []
    assert second["pathsecrets"] == [_PATH_ID.hex()]
    assert first["session"] == second["session"]
    assert first["until"] == second["until"] == 1_700_000_090.0
    assert len(bytes.fromhex(first["session"])) == 16


def test_sessions_have_names_that_cannot_be_guessed() -> None:
    client = FakeClient({"sendinvoice-expect": {}})
    for _ in range(2):
        ReplySession(client, 0.0).start()
    assert client.calls[0][1]["session"] != client.calls[1][1]["session"]


def test_the_helper_is_started_when_it_does_not_run(helper: Path) -> None:
    client = FakeClient({"sendinvoice-expect": _answering({}, _UNKNOWN, {}), "plugin": {}})
    session = ReplySession(client, 0.0)
    session.expect(b"\xbb" * 32)
    session.expect(_PATH_ID)
    assert client.methods() == [
        "sendinvoice-expect",
        "sendinvoice-expect",
        "plugin",
        "sendinvoice-expect",
    ]
    assert client.calls[2][1] == {"subcommand": "start", "plugin": str(helper)}
    # A new helper is told of all that is expected.
    assert sorted(client.calls[3][1]["pathsecrets"]) == ["aa" * 32, "bb" * 32]


def test_what_is_forgotten_is_told_with_the_next_call(helper: Path) -> None:
    client = FakeClient({"sendinvoice-expect": _answering({}, {}, {}, _UNKNOWN, {}), "plugin": {}})
    session = ReplySession(client, 0.0)
    session.expect(_PATH_ID)
    session.forget([_PATH_ID])
    session.expect(b"\xbb" * 32)
    assert client.calls[-1][1]["forget"] == ["aa" * 32]
    session.start()
    assert client.calls[-1][1]["forget"] == []
    # A new helper never hears of it.
    session.start()
    assert client.calls[-1][1]["pathsecrets"] == ["bb" * 32]


def test_a_session_may_only_be_prolonged() -> None:
    client = FakeClient({"sendinvoice-expect": {}})
    session = ReplySession(client, 100.0)
    for until, expected in ((200.0, 200.0), (150.0, 200.0)):
        session.extend(until)
        session.start()
        assert client.calls[-1][1]["until"] == expected


@pytest.mark.parametrize("refusal", ["already registered", "Invalid argument"])
def test_another_command_was_faster(helper: Path, refusal: str) -> None:
    """lightningd runs it already, but does not know its calls yet."""
    listed = iter([False, False, True])

    def plugin(params: Params) -> dict[str, Any]:
        if params["subcommand"] == "start":
            raise LightningdError(f"plugin: {helper}: {refusal}")
        return {"plugins": [{"name": str(helper), "active": next(listed)}]}

    client = FakeClient({"sendinvoice-expect": _answering(_UNKNOWN, {}), "plugin": plugin})
    ReplySession(client, 0.0).start()
    assert client.methods()[-1] == "sendinvoice-expect"
    assert next(listed, None) is None


def test_lightningd_starts_it_and_never_answers(helper: Path) -> None:
    """Seen right after a start of lightningd: replies were not heard for 70 s."""

    def plugin(params: Params) -> dict[str, Any]:
        if params["subcommand"] == "start":
            raise NoAnswerError("lightningd did not answer plugin")
        return {"plugins": [{"name": str(helper), "active": True}]}

    client = FakeClient({"sendinvoice-expect": _answering(_UNKNOWN, {}), "plugin": plugin})
    ReplySession(client, 0.0).start()
    assert client.methods()[-1] == "sendinvoice-expect"


@pytest.mark.parametrize("lost", [1, 2])
def test_start_that_lightningd_never_got_is_repeated_once(helper: Path, lost: int) -> None:
    """It was looked for in vain for 70 s."""
    starts = [NoAnswerError("lightningd did not answer plugin")] * lost

    def plugin(params: Params) -> dict[str, Any]:
        if params["subcommand"] == "start" and starts:
            raise starts.pop()
        return {"plugins": []}

    client = FakeClient({"sendinvoice-expect": _answering(_UNKNOWN, {}), "plugin": plugin})
    if lost == 1:
        ReplySession(client, 0.0).start()
    else:
        with pytest.raises(HelperUnavailableError, match="does not say why"):
            ReplySession(client, 0.0).start()
    made = [params["subcommand"] for method, params in client.calls if method == "plugin"]
    assert made == ["start", "list"] * lost + ["start"] * (2 - lost)


def test_lightningd_cannot_run_it(helper: Path) -> None:
    failing = LightningdError("plugin: Opening: No such file or directory")
    client = FakeClient({"sendinvoice-expect": _UNKNOWN, "plugin": failing})
    with pytest.raises(HelperUnavailableError) as failure:
        ReplySession(client, 0.0).start()
    assert str(helper) in str(failure.value)
    assert "No such file or directory" in str(failure.value)


@pytest.mark.parametrize("plugins", [None, 7, [7], [{}], [{"name": None}], [{"name": "/x"}]])
def test_list_of_plugins_that_is_nonsense(helper: Path, plugins: object) -> None:
    def plugin(params: Params) -> dict[str, Any]:
        if params["subcommand"] == "list":
            return {"plugins": plugins}
        raise LightningdError("plugin: already registered")

    client = FakeClient({"plugin": plugin})
    with pytest.raises(HelperUnavailableError, match="already registered"):
        ReplySession(client, 1000).start()


def test_a_helper_that_is_unknown_even_after_its_start(helper: Path) -> None:
    client = FakeClient({"sendinvoice-expect": _UNKNOWN, "plugin": {}})
    with pytest.raises(HelperUnavailableError, match="Unknown command"):
        ReplySession(client, 0.0).start()
    assert client.methods().count("plugin") == 1


@pytest.mark.parametrize("method", ["sendinvoice-expect", "plugin"])
def test_helper_that_hangs_is_not_taken_for_a_lightningd_that_is_gone(
    helper: Path, method: str
) -> None:
    answers: dict[str, Answer] = {"sendinvoice-expect": _UNKNOWN, "plugin": {}}
    hangs = NoAnswerError(f"lightningd did not answer {method} within 30 s")
    client = FakeClient({**answers, method: hangs})
    with pytest.raises(HelperUnavailableError, match=f"did not answer {method}"):
        ReplySession(client, 0.0).start()


@pytest.mark.parametrize("method", ["sendinvoice-expect", "plugin"])
def test_lightningd_gone(helper: Path, method: str) -> None:
    answers: dict[str, Answer] = {"sendinvoice-expect": _UNKNOWN, "plugin": {}}
    client = FakeClient({**answers, method: UnreachableError("gone")})
    with pytest.raises(UnreachableError):
        ReplySession(client, 0.0).start()


def _batch(*errors: str) -> dict[str, Any]:
    batch = [{"pathsecret": "aa" * 32, "invoice_error": error} for error in errors]
    return {"replies": batch, "received": len(batch)}


_NOTHING_MORE: dict[str, Any] = {"replies": [], "received": 9}


def test_listen() -> None:
    no, never = InvoiceError("no", 170), InvoiceError("never")
    first = _batch(*(invoice_error.encode(error).hex() for error in (no, never)))
    second = _batch(invoice_error.encode(no).hex())
    client = FakeClient(
        {
            "sendinvoice-replies": _answering(
                {**first, "received": 7}, {**second, "received": 8}, _NOTHING_MORE
            )
        }
    )
    session = ReplySession(client, 0.0)
    assert list(session.listen()) == [Reply(_PATH_ID, error) for error in (no, never, no)]
    assert [params["received"] for _, params in client.calls] == [0, 7, 8]


@pytest.mark.parametrize("error", ["", "00", "0505", "zz", "0", "010200aa"])
def test_replies_that_cannot_be_read_are_replies(error: str) -> None:
    client = FakeClient({"sendinvoice-replies": _answering(_batch(error), _NOTHING_MORE)})
    ((reply),) = ReplySession(client, 0.0).listen()
    assert reply.path_id == _PATH_ID
    assert reply.error in (replies.UNREADABLE, InvoiceError(""))


def test_the_helper_is_lost_while_listening() -> None:
    lost = LightningdError("sendinvoice-replies: no such session", rpc_code=-32001)
    with pytest.raises(HelperUnavailableError, match="no such session"):
        list(ReplySession(FakeClient({"sendinvoice-replies": lost}), 0.0).listen())


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"replies": None, "received": 0},
        {"replies": [{}], "received": 1},
        {"replies": [{"pathsecret": "zz", "invoice_error": ""}], "received": 1},
        {"replies": [{"pathsecret": 5, "invoice_error": ""}], "received": 1},
        {"replies": ["text"], "received": 1},
    ],
)
def test_another_helper_than_ours(answer: dict[str, Any]) -> None:
    """Any plugin could have registered the name."""
    with pytest.raises(HelperUnavailableError):
        list(ReplySession(FakeClient({"sendinvoice-replies": answer}), 0.0).listen())
