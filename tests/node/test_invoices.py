from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

from sendinvoice_cli.errors import ExitStatus, LabelTakenError, LightningdError, UnreachableError
from sendinvoice_cli.node import invoices
from sendinvoice_cli.node.invoices import Change, Feed, StoredInvoice
from tests.node.fake_client import FakeClient, Params

_PREIMAGE = bytes(range(32))
_UNPAID: dict[str, Any] = {
    "label": "a label",
    "description": "A refund",
    "payment_hash": "77" * 32,
    "status": "unpaid",
    "expires_at": 1_700_000_090,
    "created_index": 1,
    "amount_msat": 100_000,
    "bolt12": "lni1…",
}
_PAID = {
    **_UNPAID,
    "status": "paid",
    "pay_index": 1,
    "updated_index": 2,
    "amount_received_msat": 100_000,
    "paid_at": 1_700_000_010,
    "payment_preimage": _PREIMAGE.hex(),
}


def test_create() -> None:
    client = FakeClient({"createinvoice": {**_UNPAID, "local_offer_id": "no field of the RPC's"}})
    assert invoices.create(client, "lni1…", "a label", _PREIMAGE).fields == _UNPAID
    ((_, params),) = client.calls
    assert params == {"invstring": "lni1…", "label": "a label", "preimage": _PREIMAGE.hex()}


def test_label_taken() -> None:
    refusal = LightningdError("createinvoice: Duplicate label", rpc_code=900, data=_UNPAID)
    with pytest.raises(LabelTakenError, match="'a label' belongs to another invoice") as taken:
        invoices.create(FakeClient({"createinvoice": refusal}), "lni1…", "a label", _PREIMAGE)
    assert taken.value.exit_status == ExitStatus.LABEL_TAKEN
    assert taken.value.data == _UNPAID


@pytest.mark.parametrize(
    "odd",
    [
        {"status": None},
        {"status": "odd"},
        {"expires_at": "soon"},
        {"expires_at": None},
        {"payment_hash": None},
        {"label": None},
        {"amount_msat": "x"},
        {"amount_msat": -1},
        {"paid_at": 2**70},
        {"updated_index": []},
    ],
)
def test_odd_invoices_are_malformed_answers(odd: dict[str, Any]) -> None:
    """None stands for a field that is missing."""
    answer = {name: each for name, each in {**_UNPAID, **odd}.items() if each is not None}
    with pytest.raises(LightningdError, match=r"createinvoice: .* malformed"):
        invoices.create(FakeClient({"createinvoice": answer}), "lni1…", "a label", _PREIMAGE)
    with pytest.raises(LightningdError, match=r"listinvoices: .* malformed"):
        invoices.find(FakeClient({"listinvoices": {"invoices": [answer]}}), "a label")
    with pytest.raises(LightningdError, match=r"waitinvoice: .* malformed"):
        next(invoices.wait_until_closed(FakeClient({"waitinvoice": answer}), "a label"))
    refusal = LightningdError("createinvoice: Duplicate label", rpc_code=900, data=answer)
    with pytest.raises(LabelTakenError) as taken:
        invoices.create(FakeClient({"createinvoice": refusal}), "lni1…", "a label", _PREIMAGE)
    assert taken.value.data is None


@pytest.mark.parametrize("answer", [{}, {"invoices": -1}, {"invoices": [None]}])
def test_odd_lists_are_malformed_answers(answer: dict[str, Any]) -> None:
    with pytest.raises(LightningdError, match=r"listinvoices: .* malformed"):
        invoices.find(FakeClient({"listinvoices": answer}), "a label")


def test_any_other_refusal() -> None:
    refusal = LightningdError("createinvoice: no", rpc_code=-1)
    with pytest.raises(LightningdError) as error:
        invoices.create(FakeClient({"createinvoice": refusal}), "lni1…", "a label", _PREIMAGE)
    assert error.value is refusal


@pytest.mark.parametrize("status", ["unpaid", "expired"])
def test_the_preimage_is_shown_only_once_paid(status: str) -> None:
    answer = {**_PAID, "status": status}
    assert "payment_preimage" not in StoredInvoice.read(answer).fields
    refusal = LightningdError("createinvoice: Duplicate label", rpc_code=900, data=answer)
    with pytest.raises(LabelTakenError) as taken:
        invoices.create(FakeClient({"createinvoice": refusal}), "lni1…", "a label", _PREIMAGE)
    assert _PREIMAGE.hex() not in repr(taken.value.as_json())


def test_all_fields_once_paid() -> None:
    assert StoredInvoice.read(_PAID).fields == _PAID
    assert set(StoredInvoice.read(_PAID).fields) == set(invoices.RPC_FIELDS)


def test_amounts_of_old_versions() -> None:
    """lightningd before v23.08 wrote them as strings."""
    old = {**_PAID, "amount_msat": "100000msat", "amount_received_msat": "100001msat"}
    found = StoredInvoice.read(old).fields
    assert (found["amount_msat"], found["amount_received_msat"]) == (100_000, 100_001)


@pytest.mark.parametrize(
    ("answer", "found"),
    [({"invoices": [_PAID]}, _PAID), ({"invoices": []}, None)],
)
def test_find(answer: dict[str, Any], found: dict[str, Any] | None) -> None:
    client = FakeClient({"listinvoices": answer})
    stored = invoices.find(client, "a label")
    assert (None if stored is None else stored.fields) == found
    assert client.calls == [("listinvoices", {"label": "a label"})]


def test_delete_only_in_the_state_that_was_seen() -> None:
    client = FakeClient({"delinvoice": {}})
    invoices.delete(client, "a label", "expired")
    assert client.calls == [("delinvoice", {"label": "a label", "status": "expired"})]


# --- what is known of an invoice ---


@pytest.mark.parametrize(
    ("known", "told", "then"),
    [
        ("unpaid", "paid", "paid"),
        ("unpaid", "expired", "expired"),
        ("unpaid", "unpaid", "unpaid"),
        # Paid in the last moment, and told late.
        ("expired", "paid", "paid"),
        ("expired", "unpaid", "expired"),
        ("paid", "unpaid", "paid"),
        ("paid", "expired", "paid"),
        ("paid", "paid", "paid"),
    ],
)
def test_older_report_that_comes_late_does_not_overwrite_a_newer_one(
    known: str, told: str, then: str
) -> None:
    before, report = (
        StoredInvoice.read({**(_PAID if status == "paid" else _UNPAID), "status": status})
        for status in (known, told)
    )
    after = before.updated(report)
    assert after.status == then
    assert ("payment_preimage" in after.fields) is (then == "paid")
    assert before.status == known


# --- waiting for one invoice ---


def test_closed_invoice_is_told_with_its_state() -> None:
    client = FakeClient({"waitinvoice": _PAID})
    (change,) = invoices.wait_until_closed(client, "a label")
    assert change == Change("a label", StoredInvoice.read(_PAID))
    assert client.calls == [("waitinvoice", {"label": "a label"})]


@pytest.mark.parametrize("code", [903, -1])
def test_expired_or_deleted_invoice_has_to_be_asked_for(code: int) -> None:
    client = FakeClient({"waitinvoice": LightningdError("waitinvoice: no", rpc_code=code)})
    assert list(invoices.wait_until_closed(client, "a label")) == [Change("a label")]


@pytest.mark.parametrize(
    "failure",
    [
        UnreachableError("gone"),
        LightningdError("waitinvoice: nonsense"),
        # The payment was seen at the deadline only.
        LightningdError("waitinvoice: internal error", rpc_code=-32603),
    ],
)
def test_wait_that_is_lost_is_not_taken_for_the_end_of_the_invoice(failure: Exception) -> None:
    with pytest.raises(type(failure)) as raised:
        list(invoices.wait_until_closed(FakeClient({"waitinvoice": failure}), "a label"))
    assert raised.value is failure


# --- the feed ---


class WouldBlock(Exception):  # noqa: N818
    """lightningd would not answer this call yet."""


class Book:
    """lightningd's invoices with its indexes, and the calls that a feed makes of it.

    :param details: under which name ``wait`` tells of what changed; None for not at all.
    """

    def __init__(self, details: str | None = "invoices") -> None:
        self._details = details
        self._invoices: dict[str, dict[str, Any]] = {}
        #: The label of each change, by index: the first has index 1.
        self._updated: list[str] = []
        self._deleted: list[str] = []
        self.client = FakeClient({"wait": self._wait, "listinvoices": self._list})

    def change(self, *labels: str) -> None:
        """Have them paid."""
        for label in labels:
            self._updated.append(label)
            self._invoices[label] = {
                **_PAID,
                "label": label,
                "updated_index": len(self._updated),
            }

    def delete(self, *labels: str) -> None:
        for label in labels:
            self._deleted.append(label)
            del self._invoices[label]

    def calls(self) -> int:
        """The number of calls since the last look."""
        number = len(self.client.calls)
        self.client.calls.clear()
        return number

    def _wait(self, params: Params) -> dict[str, Any]:
        assert len(self.client.calls) < 100, "the feed spins"
        name, wanted = params["indexname"], params["nextvalue"]
        log = {"updated": self._updated, "deleted": self._deleted}[name]
        if len(log) < wanted:
            raise WouldBlock
        answer: dict[str, Any] = {name: len(log)}
        if self._details and log and wanted:
            answer[self._details] = {"label": log[-1]}
        return answer

    def _list(self, params: Params) -> dict[str, Any]:
        assert params["index"] == "updated"
        found = [
            each for each in self._invoices.values() if each["updated_index"] >= params["start"]
        ]
        found.sort(key=lambda each: int(each["updated_index"]))
        return {"invoices": found[: params["limit"]]}


def until_held(changes: Iterator[Change]) -> list[str | None]:
    """The labels of all changes until lightningd would hold the call."""
    labels = []
    try:
        for change in changes:
            labels.append(change.label)
    except WouldBlock:
        return labels
    raise AssertionError("a feed has no end")


def test_feed_tells_of_what_changes_after_it_was_made() -> None:
    book = Book()
    book.change("before")
    feed = Feed(book.client)
    book.change("a", "b")
    assert until_held(feed.changes()) == ["a", "b"]
    book.change("c")
    assert until_held(feed.changes()) == ["c"]


def test_feed_tells_what_an_invoice_is_now() -> None:
    book = Book()
    feed = Feed(book.client)
    book.change("a")
    (change,) = islice(feed.changes(), 1)
    assert change.invoice is not None
    assert change.invoice.is_paid


@pytest.mark.parametrize("details", ["invoices", "details", None])
def test_feed_does_not_spin_when_the_newest_invoice_was_deleted(details: str | None) -> None:
    """It once made thousands of calls a second: no listed invoice had the index that wait gave."""
    book = Book(details)
    feed = Feed(book.client)
    book.change("a", "b", "newest")
    book.delete("newest")
    book.calls()
    assert until_held(feed.changes()) == ["a", "b"]
    # One wait that is answered, one list, and one wait that is held.
    assert book.calls() == 3
    book.change("c")
    assert until_held(feed.changes()) == ["c"]


def test_feed_does_not_spin_when_all_that_changed_was_deleted() -> None:
    book = Book()
    feed = Feed(book.client)
    book.change("a", "b")
    book.delete("a", "b")
    book.calls()
    assert until_held(feed.changes()) == []
    assert book.calls() == 3


def test_feed_takes_many_changes_in_pages_and_misses_none() -> None:
    book = Book()
    feed = Feed(book.client)
    labels = [f"label-{at}" for at in range(1200)]
    book.change(*labels)
    book.calls()
    assert until_held(feed.changes()) == labels
    assert book.calls() == 5


def test_feed_that_is_followed_again_after_a_loss_misses_nothing_and_repeats_nothing() -> None:
    book = Book()
    feed = Feed(book.client)
    book.change("a", "b", "c")
    changes = feed.changes()
    assert next(changes).label == "a"
    book.client.answers["listinvoices"] = UnreachableError("gone")
    changes.close()  # type: ignore[attr-defined]
    with pytest.raises(UnreachableError):
        next(feed.changes())
    book.client.answers["listinvoices"] = book._list
    assert until_held(feed.changes()) == ["b", "c"]


def test_deletions_are_told_by_label() -> None:
    book = Book()
    book.change("before", "a")
    book.delete("before")
    feed = Feed(book.client)
    book.delete("a")
    assert until_held(feed.deletions()) == ["a"]


@pytest.mark.parametrize("details", ["invoices", "details"])
def test_deletions_that_were_missed_are_told_as_of_any_invoice(details: str) -> None:
    """wait tells of the last one only."""
    book = Book(details)
    book.change("a", "b", "c")
    feed = Feed(book.client)
    book.delete("a", "b")
    book.calls()
    assert until_held(feed.deletions()) == [None]
    assert book.calls() == 2
    book.delete("c")
    assert until_held(feed.deletions()) == ["c"]


def test_deletion_of_a_lightningd_that_names_no_label_is_of_any_invoice() -> None:
    book = Book(None)
    book.change("a")
    feed = Feed(book.client)
    book.delete("a")
    assert until_held(feed.deletions()) == [None]
