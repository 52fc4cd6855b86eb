"""Plugins: real processes, started and stopped as by lightningd."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.networks.sandbox import Sandbox
from tests.sandbox.wire import (
    CallError,
    Connection,
    call,
    deliver,
    prepare,
    refusals,
    text_of_error,
)

_SOURCE = Path(__file__).with_name("tiny_plugin.py")

MakePlugin = Callable[..., Path]


@pytest.fixture
def make_plugin(tmp_path: Path) -> MakePlugin:
    """Writes a plugin: a changed copy of the tiny one."""

    def make(name: str = "tiny.py", **changes: Any) -> Path:
        source = _SOURCE.read_text(encoding="utf-8")
        for constant, value in changes.items():
            start = source.index(f"\n{constant}: ") + 1
            end = source.index("\n", start)
            source = f"{source[:start]}{constant} = {value!r}{source[end:]}"
        path = tmp_path / name
        path.write_text(source, encoding="utf-8")
        path.chmod(0o755)
        return path

    return make


def _start(sandbox: Sandbox, path: object, node: str = "carol") -> dict[str, Any]:
    return call(sandbox, node, "plugin", subcommand="start", plugin=str(path))


def test_a_plugins_methods_become_calls(sandbox: Sandbox, make_plugin: MakePlugin) -> None:
    path = make_plugin()
    listed = {"name": str(path), "active": True, "dynamic": True}
    assert _start(sandbox, path) == {"command": "start", "plugins": [listed]}
    assert call(sandbox, "carol", "tiny", what=5) == {"params": {"what": 5}, "plugin": "1"}
    (usage,) = call(sandbox, "carol", "help", command="tiny")["help"]
    assert usage["command"] == "tiny [what]"
    assert call(sandbox, "carol", "plugin", subcommand="list")["plugins"] == [listed]
    with pytest.raises(CallError, match="Unknown command"):
        call(sandbox, "bob", "tiny")


def test_a_plugin_is_told_where_it_runs(sandbox: Sandbox, make_plugin: MakePlugin) -> None:
    _start(sandbox, make_plugin())
    heard = call(sandbox, "carol", "tiny-heard")["heard"][0]
    assert heard["version"] == "v26.06.6"
    configuration = heard["init"]["configuration"]
    directory = Path(configuration["lightning-dir"])
    assert directory / configuration["rpc-file"] == sandbox.rpc_file("carol")
    assert configuration["startup"] is False
    assert configuration["network"] == "regtest"


def test_a_plugin_may_answer_late(sandbox: Sandbox, make_plugin: MakePlugin) -> None:
    _start(sandbox, make_plugin())
    with Connection(sandbox.rpc_file("carol")) as connection:
        connection.request("late", "tiny-later")
        connection.request("other", "tiny")
        assert connection.response()["id"] == "other"
        connection.request("now", "tiny-now")
        answers = [connection.response(), connection.response()]
    assert {"jsonrpc": "2.0", "id": "late", "result": {"late": True}} in answers


def test_a_plugin_that_dies_fails_its_call_and_is_gone(
    sandbox: Sandbox, make_plugin: MakePlugin
) -> None:
    _start(sandbox, make_plugin())
    with pytest.raises(CallError, match="Plugin terminated before replying") as error:
        call(sandbox, "carol", "tiny-die")
    assert error.value.code == -4
    sandbox.settle()
    assert call(sandbox, "carol", "plugin", subcommand="list")["plugins"] == []
    with pytest.raises(CallError, match="Unknown command") as unknown:
        call(sandbox, "carol", "tiny")
    assert unknown.value.code == -32601


def test_the_same_file_is_not_started_twice(
    sandbox: Sandbox, make_plugin: MakePlugin, tmp_path: Path
) -> None:
    path = make_plugin()
    link = tmp_path / "link.py"
    link.symlink_to(path)
    _start(sandbox, link)
    for name in (path, link):
        with pytest.raises(CallError) as error:
            _start(sandbox, name)
        assert (error.value.code, error.value.message) == (-32602, f"{name}: Invalid argument")
    assert call(sandbox, "carol", "tiny")["plugin"] == "1"


def test_two_starts_at_once_start_one_plugin(sandbox: Sandbox, make_plugin: MakePlugin) -> None:
    params = {"subcommand": "start", "plugin": str(make_plugin())}
    with Connection(sandbox.rpc_file("carol")) as connection:
        for id_ in (1, 2):
            connection.request(id_, "plugin", params)
        answers = {
            answer["id"]: answer for answer in (connection.response(), connection.response())
        }
    assert len(answers[1]["result"]["plugins"]) == 1
    assert answers[2]["error"]["code"] == -32602


def test_a_changed_file_is_started_again(sandbox: Sandbox, make_plugin: MakePlugin) -> None:
    path = make_plugin()
    _start(sandbox, path)
    with path.open("a") as source:
        source.write("# changed\n")
    assert len(_start(sandbox, path)["plugins"]) == 1


@pytest.mark.parametrize("subscriptions", [[], ["shutdown"]], ids=["killed", "told"])
def test_plugin_stop_takes_a_path_or_a_file_name(
    sandbox: Sandbox, make_plugin: MakePlugin, subscriptions: list[str]
) -> None:
    path = make_plugin(MANIFEST={"subscriptions": subscriptions})
    _start(sandbox, path)
    for name in (str(path), "tiny.py"):
        answer = call(sandbox, "carol", "plugin", subcommand="stop", plugin=name)
        assert answer == {"command": "stop", "result": "Successfully stopped tiny.py."}
        with pytest.raises(CallError, match="Could not find plugin") as error:
            call(sandbox, "carol", "plugin", subcommand="stop", plugin=name)
        assert error.value.code == -32602
        _start(sandbox, path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dynamic": False}, "Not a dynamic plugin"),
        ({"disable": "not today"}, "disabled itself: not today"),
        ({"rpcmethods": [{"name": "tiny", "usage": ""}] * 2}, "already registered"),
    ],
)
def test_a_bad_manifest_is_refused(
    sandbox: Sandbox, make_plugin: MakePlugin, changes: dict[str, Any], message: str
) -> None:
    path = make_plugin(MANIFEST=changes)
    with pytest.raises(CallError, match=message) as error:
        _start(sandbox, path)
    assert error.value.code == -3
    assert error.value.message.startswith(f"{path}: ")
    assert call(sandbox, "carol", "plugin", subcommand="list")["plugins"] == []


def test_files_that_are_no_plugins_are_refused(sandbox: Sandbox, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(CallError) as error:
        _start(sandbox, missing)
    assert error.value.message == f"{missing} is not executable: No such file or directory"
    assert error.value.code == -32602
    with pytest.raises(CallError) as error:
        _start(sandbox, tmp_path)
    assert error.value.message == f"{tmp_path}: opening pipe: Permission denied"
    assert error.value.code == -3
    ends = tmp_path / "ends"
    ends.write_text("#!/bin/sh\nexit 0\n")
    ends.chmod(0o755)
    with pytest.raises(CallError) as error:
        _start(sandbox, ends)
    assert error.value.message == f"{ends}: exited before replying to getmanifest"
    assert error.value.code == -3


def test_a_file_that_is_not_executable_is_refused(
    sandbox: Sandbox, make_plugin: MakePlugin
) -> None:
    path = make_plugin()
    path.chmod(0o644)
    with pytest.raises(CallError) as error:
        _start(sandbox, path)
    assert error.value.message == f"{path} is not executable: Permission denied"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "missing required parameter: subcommand"),
        (["start"], "missing required parameter: plugin"),
        ({"subcommand": "foo"}, "Unknown subcommand 'foo'"),
    ],
)
def test_plugin_refuses_bad_parameters(sandbox: Sandbox, given: Any, message: str) -> None:
    with Connection(sandbox.rpc_file("carol")) as connection:
        connection.request(1, "plugin", given)
        assert connection.response()["error"] == {"code": -32602, "message": message}


def test_the_hook_hears_the_payers_refusal(sandbox: Sandbox, make_plugin: MakePlugin) -> None:
    _start(sandbox, make_plugin())
    prepared = prepare(sandbox, sandbox.request("alice", 1000), "l", amount_msat=1001)
    path_id = bytes(range(32))
    deliver(sandbox, prepared, path_id=path_id)
    heard = call(sandbox, "carol", "tiny-heard")["heard"][1]
    onion_message = heard["onion_message_recv_secret"]["onion_message"]
    assert onion_message["pathsecret"] == path_id.hex()
    text = text_of_error(onion_message["invoice_error"])
    assert text == f"Failed invoice {prepared.bolt12}: invoice amount is too large"
    assert onion_message["unknown_fields"] == []


def test_the_hook_hears_an_error_as_ldk_writes_it(
    sandbox: Sandbox, make_plugin: MakePlugin
) -> None:
    _start(sandbox, make_plugin())
    sandbox.faults.fail_payments("alice", as_ldk=True)
    deliver(sandbox, prepare(sandbox, sandbox.request("alice", 1000), "l"))
    heard = call(sandbox, "carol", "tiny-heard")["heard"][1]
    error = heard["onion_message_recv_secret"]["onion_message"]["invoice_error"]
    # The stream's length, then field 5.
    assert bytes.fromhex(error) == b"\x0f\x05\x0dRouteNotFound"


def test_the_hook_sees_invoices_with_their_reply_path(
    sandbox: Sandbox, make_plugin: MakePlugin
) -> None:
    _start(sandbox, make_plugin(), "alice")
    prepared = prepare(sandbox, sandbox.request("alice", 1000), "l")
    deliver(sandbox, prepared)
    heard = call(sandbox, "alice", "tiny-heard")["heard"][1]
    onion_message = heard["onion_message_recv"]["onion_message"]
    assert onion_message["invoice"] == sandbox.received_invoices("alice")[0].hex()
    reply_path = onion_message["reply_blindedpath"]
    assert reply_path["first_node_id"] == sandbox.node_id("bob").hex()
    assert len(reply_path["hops"]) == 2
    assert "first_path_key" in reply_path


@pytest.mark.parametrize(
    ("hook_answer", "second_hears"),
    [({"result": "continue"}, True), ({"result": "resolve"}, False)],
)
def test_a_hook_may_end_the_chain(
    sandbox: Sandbox, make_plugin: MakePlugin, hook_answer: dict[str, str], second_hears: bool
) -> None:
    _start(sandbox, make_plugin("first.py", HOOK_ANSWER=hook_answer))
    methods = [{"name": "second-heard", "usage": ""}]
    second = make_plugin("second.py", MANIFEST={"rpcmethods": methods})
    second.write_text(second.read_text().replace('"tiny-heard"', '"second-heard"'))
    _start(sandbox, second)
    deliver(sandbox, prepare(sandbox, sandbox.request("alice", 1000), "l", amount_msat=1001))
    assert len(call(sandbox, "carol", "tiny-heard")["heard"]) == 2
    assert (len(call(sandbox, "carol", "second-heard")["heard"]) == 2) is second_hears


def test_an_early_hook_may_keep_an_invoice_from_lightningd(
    sandbox: Sandbox, make_plugin: MakePlugin
) -> None:
    hooks = [{"name": "onion_message_recv", "before": ["offers"]}]
    path = make_plugin(MANIFEST={"hooks": hooks}, HOOK_ANSWER={"result": "resolve"})
    _start(sandbox, path, "alice")
    prepared = prepare(sandbox, sandbox.request("alice", 1000), "l", amount_msat=1001)
    deliver(sandbox, prepared)
    assert refusals(sandbox) == []
    assert len(call(sandbox, "alice", "tiny-heard")["heard"]) == 2


def test_a_restart_ends_plugins(sandbox: Sandbox, make_plugin: MakePlugin) -> None:
    _start(sandbox, make_plugin())
    sandbox.restart_node("carol")
    assert call(sandbox, "carol", "plugin", subcommand="list")["plugins"] == []
    with pytest.raises(CallError, match="Unknown command"):
        call(sandbox, "carol", "tiny")
