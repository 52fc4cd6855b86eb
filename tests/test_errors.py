from __future__ import annotations

import inspect

import pytest

from sendinvoice_cli import errors
from sendinvoice_cli.errors import ExitStatus, SendInvoiceError
from sendinvoice_cli.node.rpc.client import ConnectionLostError

_CLASSES = [
    each
    for _, each in inspect.getmembers(errors, inspect.isclass)
    if issubclass(each, SendInvoiceError)
]


# The exit statuses and RPC codes are public API: changing one is a new major version.
@pytest.mark.parametrize(
    ("error", "exit_status", "code"),
    [
        (errors.SendInvoiceError, 1, -1),
        (errors.LightningdError, 1, -1),
        (errors.UsageError, 2, -32602),
        (errors.MalformedError, 2, -32602),
        (errors.UnanswerableRequestError, 2, -32602),
        (errors.UnreachableError, 4, -1),
        (ConnectionLostError, 4, -1),
        (errors.OutcomeUnknownError, 5, -1),
        (errors.RequestExpiredError, 12, 1002),
        (errors.NoRouteError, 13, 1003),
        (errors.PayerError, 14, 1004),
        (errors.TimedOutError, 15, 1005),
        (errors.LabelTakenError, 20, 900),
        (errors.InterruptedBySignalError, 130, -1),
        (errors.TerminatedBySignalError, 143, -1),
    ],
)
def test_codes(error: type[SendInvoiceError], exit_status: int, code: int) -> None:
    assert int(error.exit_status) == exit_status
    assert error.code == code
    assert error("message").as_json() == {"code": code, "message": "message", "hint": None}


def test_exit_statuses() -> None:
    assert {int(status) for status in ExitStatus} == {
        *(0, 1, 2, 3, 4, 5),
        *(12, 13, 14, 15),
        *(20, 130, 143),
    }
    assert len({status.meaning for status in ExitStatus}) == len(ExitStatus)


def test_every_status_but_those_of_results_comes_from_an_error() -> None:
    raised = {error.exit_status for error in _CLASSES}
    assert set(ExitStatus) - raised == {ExitStatus.PAID, ExitStatus.PARTLY_PAID}


@pytest.mark.parametrize("error", _CLASSES)
def test_codes_of_the_1000s_map_to_the_10s(error: type[SendInvoiceError]) -> None:
    if error.code >= 1000:
        assert error.exit_status == error.code - 990
    else:
        assert not 10 <= error.exit_status < 20


def test_all_that_is_known_is_kept() -> None:
    error = errors.PayerError("no", hint="ask again", data={"error": "text"})
    assert str(error) == error.message == "no"
    assert error.hint == "ask again"
    assert error.as_json() == {
        "code": 1004,
        "message": "no",
        "hint": "ask again",
        "data": {"error": "text"},
    }
    lightningds = errors.LightningdError("no", rpc_code=-32601, data={})
    assert lightningds.rpc_code == -32601
    # The contract's code stands for what failed, not for lightningd's reason.
    assert lightningds.as_json()["code"] == -1
    assert lightningds.as_json()["data"] == {}
