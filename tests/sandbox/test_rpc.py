"""The sockets: what any client of lightningd relies on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sendinvoice_cli.sandbox.model.family import Family
from sendinvoice_cli.sandbox.model.topology import line
from tests.networks.sandbox import Sandbox
from tests.sandbox.conftest import Start
from tests.sandbox.wire import CallError, Connection, call


def _ask(sandbox: Sandbox, data: bytes) -> dict[str, Any]:
    with Connection(sandbox.rpc_file("alice")) as connection:
        connection.send(data)
        return connection.response()


def test_the_socket_is_where_lightningd_has_it(sandbox: Sandbox) -> None:
    assert sandbox.rpc_file("alice") == sandbox.directory / "alice" / "regtest" / "lightning-rpc"
    assert sandbox.rpc_file("alice").is_socket()


def test_requests_back_to_back_on_one_connection_are_answered(sandbox: Sandbox) -> None:
    with Connection(sandbox.rpc_file("alice")) as connection:
        connection.request(1, "makesecret", {"string": "x"})
        connection.request("two", "nosuchcall")
        answers = {
            answer["id"]: answer for answer in (connection.response(), connection.response())
        }
    assert len(answers[1]["result"]["secret"]) == 64
    assert answers["two"]["error"] == {"code": -32601, "message": "Unknown command 'nosuchcall'"}


def test_a_call_that_waits_holds_up_no_other(sandbox: Sandbox) -> None:
    with Connection(sandbox.rpc_file("carol")) as connection:
        connection.request("slow", "wait", ["invoices", "created", 1])
        connection.request("fast", "getinfo")
        assert connection.response()["id"] == "fast"


@pytest.mark.parametrize("id_", ["a string", 'with "quotes"', 7, 1.5, None, True])
def test_the_id_comes_back(sandbox: Sandbox, id_: Any) -> None:
    with Connection(sandbox.rpc_file("alice")) as connection:
        connection.request(id_, "getinfo")
        assert connection.response()["id"] == id_


@pytest.mark.parametrize(
    ("request_", "id_", "message"),
    [
        ({"jsonrpc": "2.0", "method": "getinfo", "params": {}}, None, "No id"),
        ({"jsonrpc": "2.0", "id": 1, "params": {}}, 1, "No method"),
        ({"jsonrpc": "2.0", "id": 1, "method": "getinfo"}, 1, "No params"),
        ({"jsonrpc": "2.0", "id": 1, "method": 5, "params": {}}, 1, "Expected string for method"),
        (
            {"jsonrpc": "2.0", "id": [1], "method": "getinfo", "params": {}},
            None,
            "Expected string/primitive for id",
        ),
        (
            {"jsonrpc": "1.0", "id": 1, "method": "getinfo", "params": {}},
            None,
            'jsonrpc: "2.0" must be specified in the request',
        ),
    ],
)
def test_bad_envelopes_are_refused(
    sandbox: Sandbox, request_: dict[str, Any], id_: Any, message: str
) -> None:
    answer = _ask(sandbox, json.dumps(request_).encode())
    assert answer == {
        "jsonrpc": "2.0",
        "id": id_,
        "error": {"code": -32600, "message": message},
    }


def test_garbage_ends_the_connection(sandbox: Sandbox) -> None:
    with Connection(sandbox.rpc_file("alice")) as connection:
        connection.send(b"garbage")
        assert connection.response()["error"]["code"] == -32600
        assert connection.read() == b""


@pytest.mark.parametrize(
    ("method", "params", "message"),
    [
        ("waitinvoice", {}, "missing required parameter: label"),
        ("waitinvoice", ["a", "b"], "too many parameters: got 2, expected 1"),
        ("waitinvoice", "x", "Expected array or object for params"),
        ("waitinvoice", {"label": [1]}, "label: should be a string or number: invalid token '[1]'"),
        ("listpeers", {"id": "zz"}, "id: should be a node id: invalid token '\"zz\"'"),
        ("listpeers", {"id": None}, "id: should be a node id: invalid token 'null'"),
        (
            "listpays",
            {"payment_hash": "00"},
            "payment_hash: should be a 32 byte hex value: invalid token '\"00\"'",
        ),
        (
            "invoicerequest",
            {"amount": "any"},
            "amount: should be a millisatoshi amount: invalid token '\"any\"'",
        ),
        (
            "listchannels",
            {"short_channel_id": "bad"},
            "short_channel_id: should be a short_channel_id of form NxNxN: invalid token '\"bad\"'",
        ),
        (
            "wait",
            ["invoices", "created", "x"],
            "nextvalue: should be an unsigned 64 bit integer: invalid token '\"x\"'",
        ),
        ("wait", ["invoices", "foo", 1], "indexname: unknown index: invalid token '\"foo\"'"),
        ("makesecret", {}, "missing required parameter: string"),
    ],
)
def test_bad_parameters_are_refused_in_lightningds_words(
    sandbox: Sandbox, method: str, params: Any, message: str
) -> None:
    with Connection(sandbox.rpc_file("alice")) as connection:
        connection.request(1, method, params)
        assert connection.response()["error"] == {"code": -32602, "message": message}


def test_an_unknown_parameter_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(CallError, match="unknown parameter: foo") as error:
        call(sandbox, "alice", "waitinvoice", label="x", foo=1)
    assert error.value.code == -32602


@pytest.mark.parametrize("amount", [1000, "1000", "1000msat", "1sat", "0.00000001btc"])
def test_amounts_are_read_in_all_units(sandbox: Sandbox, amount: Any) -> None:
    request = call(sandbox, "alice", "invoicerequest", amount=amount, description="x")
    decoded = call(sandbox, "carol", "decode", string=request["bolt12"])
    assert decoded["invreq_amount_msat"] == 1000


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        ({"peers": [{"connected": True}]}, {"peers": [{"connected": True}]}),
        ({"peers": [{"nosuch": True}]}, {"peers": [{}]}),
        ({"nosuch": True}, {}),
        (
            {"peers": {"connected": True}},
            {"peers": [], "warning_parameter_filter": ".peers is an array"},
        ),
    ],
)
def test_the_filter_keeps_only_the_fields_it_names(
    sandbox: Sandbox, wanted: dict[str, Any], kept: dict[str, Any]
) -> None:
    with Connection(sandbox.rpc_file("alice")) as connection:
        connection.request(1, "listpeers", filter=wanted)
        assert connection.response()["result"] == kept


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ([], "filter: Expected object: invalid token '[]'"),
        ({"id": False}, "filter: value must be true: invalid token 'false'"),
        (
            {"peers": [True, True]},
            "filter: Arrays can only have one element: invalid token '[true,true]'",
        ),
    ],
)
def test_a_bad_filter_is_refused(sandbox: Sandbox, wanted: Any, message: str) -> None:
    with Connection(sandbox.rpc_file("alice")) as connection:
        connection.request(1, "getinfo", filter=wanted)
        assert connection.response()["error"] == {"code": -32602, "message": message}


@pytest.mark.parametrize("family", list(Family))
def test_help_tells_the_families_apart(start: Start, family: Family) -> None:
    sandbox = start(line(family=family))
    usages = [row["command"] for row in call(sandbox, "alice", "help")["help"]]
    onion_calls = [usage for usage in usages if "onionmessage" in usage]
    assert (
        onion_calls
        == {
            Family.V24_02: ["sendonionmessage first_id blinding hops"],
            Family.V24_08: ["injectonionmessage blinding hops"],
            Family.V26_06: ["injectonionmessage path_key message"],
        }[family]
    )
    (one,) = call(sandbox, "alice", "help", command="waitinvoice")["help"]
    assert one["command"] == "waitinvoice label"
    with pytest.raises(CallError, match="Unknown command nosuch") as error:
        call(sandbox, "alice", "help", command="nosuch")
    assert error.value.code == -32601


def test_stop_ends_the_node(sandbox: Sandbox) -> None:
    with Connection(sandbox.rpc_file("bob")) as connection:
        connection.request(1, "stop")
        assert connection.response()["result"] == {"result": "Shutdown complete"}
        assert connection.read() == b""
    with pytest.raises(ConnectionRefusedError):
        Connection(sandbox.rpc_file("bob"))


def test_a_socket_in_a_directory_with_a_long_name_works(tmp_path: Any) -> None:
    directory = tmp_path / ("long " * 20) / ("name" * 10)
    with Sandbox(directory=directory) as sandbox:
        assert sandbox.rpc_file("alice").is_socket()
