from __future__ import annotations

import threading
from typing import Any

import pytest
from sendinvoice_cli.node.watch import Background, HelperLost, InvoiceClosed, NodeLost, Watch

from sendinvoice_cli.bolt12.invoice_error import InvoiceError
from sendinvoice_cli.errors import LightningdError, UnreachableError
from sendinvoice_cli.node.client import ConnectionLostError
from sendinvoice_cli.node.replies import Reply, ReplySession
from tests.node.fake_client import Answer, FakeClient, Params

#: Seconds that nothing here takes.
_LONG = 10


def _watch(**answers: Answer) -> tuple[Watch, FakeClient]:
    client = FakeClient({name.replace("_", "-"): answer for name, answer in answers.items()})
    return Watch(client, "a label"), client


@pytest.mark.parametrize(
    "answer", [{"status": "paid"}, LightningdError("waitinvoice: expired", rpc_code=903)]
)
def test_an_invoice_that_is_paid_or_has_expired(answer: Answer) -> None:
    watch, client = _watch(waitinvoice=answer)
    watch.follow_invoice()
    assert watch.next_event(_LONG) == InvoiceClosed()
    assert client.calls == [("waitinvoice", {"label": "a label"})]


@pytest.mark.parametrize(
    "failure", [ConnectionLostError("lost"), LightningdError("waitinvoice: nonsense")]
)
def test_lightningd_lost(failure: Exception) -> None:
    watch, _ = _watch(waitinvoice=failure)
    watch.follow_invoice()
    event = watch.next_event(_LONG)
    assert isinstance(event, NodeLost)
    assert str(event.error) == str(failure)


def test_nothing_happens() -> None:
    watch, _ = _watch()
    assert watch.next_event(0) is None
    assert watch.next_event(-1) is None


def test_replies_and_the_loss_of_the_helper() -> None:
    batches: list[dict[str, Any]] = [
        {"replies": [{"pathsecret": "aa" * 32, "invoice_error": "05026e6f"}], "received": 1}
    ]

    def answer(_params: Params) -> dict[str, Any]:
        if not batches:
            raise LightningdError("sendinvoice-replies: gone")
        return batches.pop()

    watch, client = _watch(sendinvoice_replies=answer)
    watch.follow_replies(ReplySession(client, 0.0))
    assert watch.next_event(_LONG) == Reply(b"\xaa" * 32, InvoiceError("no"))
    assert watch.next_event(_LONG) == HelperLost("sendinvoice-replies: gone")


def test_lightningd_lost_while_listening() -> None:
    lost = UnreachableError("lost")
    watch, client = _watch(sendinvoice_replies=lost)
    watch.follow_replies(ReplySession(client, 0.0))
    assert watch.next_event(_LONG) == NodeLost(lost)


def test_background() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert go_on.wait(_LONG)
        raise LightningdError("failed")

    background = Background(work)
    assert begun.wait(_LONG)
    go_on.set()
    with pytest.raises(LightningdError, match="failed"):
        background.result()
