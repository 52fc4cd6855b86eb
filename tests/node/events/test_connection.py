"""The connection to a lightningd that goes away, over answers from a table. No test sleeps."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any

import pytest

from sendinvoice_cli.bolt12 import invoice_error
from sendinvoice_cli.bolt12.invoice_error import InvoiceError
from sendinvoice_cli.errors import LightningdError, UnreachableError
from sendinvoice_cli.node.events import replies
from sendinvoice_cli.node.events.connection import News
from sendinvoice_cli.node.events.losses import MAX_LOSSES, PAUSES, WINDOW_SECONDS
from sendinvoice_cli.node.events.replies import Reply
from sendinvoice_cli.node.invoices import Change
from sendinvoice_cli.node.lightningd import Event, Lightningd
from sendinvoice_cli.node.rpc.client import ConnectionLostError, NoAnswerError
from tests.networks.runs import Told
from tests.node.fake_client import MESSAGES, Answer, FakeClient, Params
from tests.support.manual_clock import ManualClock
from tests.support.requests_builder import node_id

LOST, BACK, HEARING = News
#: Seconds that nothing here takes.
_LONG = 20
GONE = UnreachableError("lightningd is gone")
NO_HELPER = LightningdError("sendinvoice-expect: Unknown command", rpc_code=-32601)
PATH_ID = b"\xaa" * 32
GETINFO: dict[str, Any] = {
    "id": node_id(1).hex(),
    "network": "regtest",
    "version": "v26.06",
    "blockheight": 100,
    "our_features": {"node": MESSAGES},
}


class Connected:
    """A connection, what it tells, and how long it sleeps; sleeping only moves the clock."""

    def __init__(self, **answers: Answer) -> None:
        self.client = FakeClient(
            {
                "getinfo": GETINFO,
                "listconfigs": {"configs": {}},
                "help": {"help": [{"command": "injectonionmessage path_key message"}]},
                "listpeerchannels": {"channels": []},
                **{name.replace("_", "-"): answer for name, answer in answers.items()},
            }
        )
        self.events: SimpleQueue[Event] = SimpleQueue()
        self.told = Told()
        self.clock = ManualClock()
        self.sleeps: list[float] = []
        self.node = Lightningd(
            self.client, self.events.put, self.told, clock=self.clock, sleep=self._sleep
        )
        self.connection, self.replies = self.node.connection, self.node.replies

    def _sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.clock.advance(seconds)

    def next(self) -> Event:
        """The next event."""
        return self.events.get(timeout=_LONG)

    def next_but(self, *others: Event) -> Event:
        """The next event that is none of these."""
        while (event := self.next()) in others:
            pass
        return event

    def lose(self) -> None:
        """A call finds lightningd gone."""
        self.connection.lose(GONE, self.connection.generation)

    def lose_and_regain(self) -> None:
        """lightningd goes away, and comes back."""
        self.lose()
        while self.next() is not BACK:
            pass


class Gate:
    """An answer that comes when the test lets it."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self._answer = answer
        self.asked, self.opened = threading.Event(), threading.Event()

    def __call__(self, _params: Params) -> dict[str, Any]:
        self.asked.set()
        assert self.opened.wait(_LONG)
        return self._answer


def failing(*failures: Exception, then: dict[str, Any]) -> Callable[[Params], dict[str, Any]]:
    """An answer that fails so often at first."""
    left = list(failures)

    def answer(_params: Params) -> dict[str, Any]:
        if left:
            raise left.pop(0)
        return then

    return answer


# --- losses ---


def test_loss_and_return_are_told_in_order() -> None:
    connected = Connected()
    connected.lose()
    assert [connected.next() for _ in range(2)] == [LOST, BACK]
    assert (connected.connection.is_up, connected.connection.generation) == (True, 1)
    assert connected.told.warnings == ["lightningd is gone (trying to reach it again)"]
    assert connected.told.steps == ["lightningd is back"]


def test_loss_that_many_notice_is_told_once_and_looked_into_once() -> None:
    gate = Gate(GETINFO)
    connected = Connected(getinfo=gate)
    for _ in range(5):
        connected.connection.lose(GONE, 0)
    assert gate.asked.wait(_LONG)
    connected.connection.lose(GONE, 0)
    lost_at = connected.connection.lost_at
    assert (connected.connection.is_up, connected.connection.loss) == (False, GONE)
    gate.opened.set()
    assert [connected.next() for _ in range(2)] == [LOST, BACK]
    assert lost_at == ManualClock()()
    assert connected.client.methods().count("getinfo") == 1
    assert len(connected.told.warnings) == 1


def test_call_of_before_the_return_does_not_lose_it_again() -> None:
    connected = Connected()
    connected.lose_and_regain()
    connected.connection.lose(GONE, 0)
    assert (connected.connection.is_up, connected.connection.generation) == (True, 1)
    assert connected.events.empty()


@pytest.mark.parametrize("failure", [GONE, LightningdError("getinfo: still starting up")])
def test_lightningd_is_looked_for_with_growing_pauses(failure: Exception) -> None:
    connected = Connected(getinfo=failing(*[failure] * 7, then=GETINFO))
    connected.lose_and_regain()
    assert connected.sleeps == [0.1, 0.2, 0.5, 1, 2, 5, 5, 5]
    assert len(connected.told.warnings) == 1


@pytest.mark.parametrize(
    "failure",
    [GONE, LightningdError("waitinvoice: nonsense"), KeyError("updated_index")],
    ids=["lost", "refused", "nonsense"],
)
def test_feed_that_fails_while_getinfo_works_is_begun_again_with_growing_pauses(
    failure: Exception,
) -> None:
    """And it stays up for as long: it was lost again at once, so no copy was ever sent."""
    connected = Connected()
    has_ended = threading.Event()
    failures = iter([failure] * 9)

    def source() -> Iterator[Change]:
        for each in failures:
            raise each
        has_ended.set()
        yield from ()

    connected.connection.follow(source, connected.events.put)
    assert has_ended.wait(_LONG)
    away, *more = [*PAUSES, 5, 5, 5]
    assert connected.sleeps == [away, *(seconds for each in more for seconds in (each, each))]
    assert len(connected.told.warnings) == 1


def test_loss_after_a_quiet_time_is_told_again_and_looked_into_at_once() -> None:
    connected = Connected()
    for _ in range(3):
        connected.lose_and_regain()
    assert (connected.sleeps, len(connected.told.warnings)) == ([0.1, 0.2, 0.5], 1)
    connected.clock.advance(WINDOW_SECONDS)
    connected.lose_and_regain()
    assert (connected.sleeps[3:], len(connected.told.warnings)) == ([0.1], 2)


def test_nobody_is_told_of_a_return_after_the_end() -> None:
    gate = Gate(GETINFO)
    connected = Connected(getinfo=gate)
    before = {*threading.enumerate()}
    connected.lose()
    assert gate.asked.wait(_LONG)
    threads = {*threading.enumerate()} - before
    connected.node.close()
    gate.opened.set()
    for thread in threads:
        thread.join(_LONG)
    assert connected.next() is LOST
    assert connected.events.empty()
    assert connected.told.steps == []


# --- what our node is, and sees ---


def test_node_is_read_once() -> None:
    connected = Connected()
    connected.node.open()
    connected.node.open()
    assert connected.client.methods().count("getinfo") == 1


@pytest.mark.parametrize(("level", "warned"), [("io", 1), ("debug", 0)])
def test_log_that_keeps_preimages_is_warned_of_once(level: str, warned: int) -> None:
    configs = {"configs": {"log-level": {"value_str": level}}}
    connected = Connected(listconfigs=configs)
    connected.node.open()
    connected.node.open()
    assert sum("preimage" in warning for warning in connected.told.warnings) == warned


def test_block_height_is_read_anew_after_a_minute() -> None:
    """Otherwise the payment paths of a row that is sent days later have expired."""
    connected = Connected()
    connected.node.open()
    connected.client.answers["getinfo"] = {"blockheight": 1000}
    connected.clock.advance(59)
    assert connected.node.current_node().blockheight == 100
    connected.clock.advance(1)
    before = connected.node.node
    assert connected.node.current_node().blockheight == 1000
    assert connected.node.current_node().id == before.id
    assert connected.client.methods().count("getinfo") == 2


def test_network_is_looked_at_anew_after_5_seconds_after_a_return_and_when_asked_for() -> None:
    connected = Connected()
    connected.node.open()
    first = connected.node.graph()
    connected.clock.advance(4)
    assert connected.node.graph() is first
    connected.clock.advance(1)
    second = connected.node.graph()
    assert second is not first
    assert connected.node.graph(0) is not second
    connected.lose_and_regain()
    third = connected.node.graph()
    connected.lose_and_regain()
    assert connected.node.graph() is not third


def test_a_connection_that_failed_is_tried_again_after_a_return() -> None:
    connected = Connected(connect=LightningdError("connect: no address"))
    connected.node.open()
    for _ in range(2):
        for _ in range(2):
            with pytest.raises(LightningdError):
                connected.node.graph(0).connect(node_id(9))
        connected.lose_and_regain()
    assert connected.client.methods().count("connect") == 2


# --- invoices ---


def test_changes_are_told_and_followed_again_after_a_return() -> None:
    connected = Connected()
    runs: Iterator[list[Change | Exception]] = iter([[Change("a"), GONE], [Change("b")]])

    def source() -> Iterator[Change]:
        for each in next(runs):
            if isinstance(each, Exception):
                raise each
            yield each

    connected.connection.follow(source, connected.events.put)
    told = [connected.next_but(BACK) for _ in range(3)]
    assert told == [Change("a"), LOST, Change("b")]


def test_source_that_has_ended_is_not_begun_again() -> None:
    connected = Connected()
    begun: SimpleQueue[int] = SimpleQueue()

    def source() -> Iterator[Change]:
        begun.put(1)
        yield Change("a")

    connected.connection.follow(source, connected.events.put)
    assert connected.next() == Change("a")
    connected.lose_and_regain()
    assert begun.qsize() == 1


# --- replies ---


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the tests run from, the helper may be run."""
    monkeypatch.setattr(replies, "helper_path", lambda: "/opt/helper")


class Helper:
    """What the helper says when replies are asked for: the call is held until a test puts one."""

    def __init__(self) -> None:
        self._answers: SimpleQueue[dict[str, Any] | Exception] = SimpleQueue()
        self._received = 0

    def __call__(self, _params: Params) -> dict[str, Any]:
        answer = self._answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def reply(self, error: InvoiceError) -> None:
        """A payer has replied."""
        self._received += 1
        reply = {
            "pathsecret": PATH_ID.hex(),
            "invoice_error": invoice_error.encode(error).hex(),
        }
        self._answers.put({"replies": [reply], "received": self._received})

    def end(self, failure: Exception | None = None) -> None:
        """It ends, or lightningd does."""
        self._answers.put(failure or LightningdError("sendinvoice-replies: the plugin is gone"))

    def have_nothing_more(self) -> None:
        """Nothing is expected any more."""
        self._answers.put({"replies": [], "received": self._received})


def hearing(**answers: Answer) -> tuple[Connected, Helper]:
    """A connection that hears."""
    helper = Helper()
    more: dict[str, Answer] = {"sendinvoice_expect": {}, "plugin": {}, **answers}
    connected = Connected(sendinvoice_replies=helper, **more)
    connected.replies.start(connected.clock() + 1000)
    assert connected.next() is HEARING
    return connected, helper


def expected(connected: Connected) -> list[dict[str, Any]]:
    """The helper's calls, those that tell it what to wait for."""
    return [params for method, params in connected.client.calls if method == "sendinvoice-expect"]


def deaf_warnings(connected: Connected) -> list[str]:
    return [each for each in connected.told.warnings if "cannot hear" in each]


def test_helper_is_settled_only_once_it_has_started() -> None:
    gate = Gate({})
    connected = Connected(sendinvoice_expect=gate, sendinvoice_replies=Helper())
    connected.replies.start(connected.clock() + 1000)
    assert gate.asked.wait(_LONG)
    assert not connected.replies.is_settled
    assert not connected.replies.expect(PATH_ID, connected.clock())
    gate.opened.set()
    assert connected.next() is HEARING
    assert connected.replies.is_settled
    assert connected.replies.expect(PATH_ID, connected.clock())


def test_replies_are_told() -> None:
    connected, helper = hearing()
    assert connected.replies.expect(PATH_ID, connected.clock() + 90)
    for text in ("no", "never"):
        helper.reply(InvoiceError(text))
        assert connected.next() == Reply(PATH_ID, InvoiceError(text))


def test_helper_that_had_nothing_to_wait_for_is_listened_to_again() -> None:
    connected, helper = hearing()
    helper.have_nothing_more()
    assert connected.replies.expect(PATH_ID, connected.clock() + 90)
    helper.reply(InvoiceError("no"))
    assert connected.next() == Reply(PATH_ID, InvoiceError("no"))


def test_rows_share_one_session_which_lasts_as_long_as_the_longest() -> None:
    connected, _ = hearing()
    connected.replies.start(connected.clock() + 9999)
    connected.replies.expect(PATH_ID, connected.clock() + 5000)
    connected.replies.expect(b"\xbb" * 32, connected.clock() + 90)
    assert len({params["session"] for params in expected(connected)}) == 1
    assert [params["until"] - connected.clock() for params in expected(connected)] == [
        1000,
        5000,
        5000,
    ]


def test_what_a_row_that_has_ended_expected_is_forgotten() -> None:
    connected, _ = hearing()
    connected.replies.expect(PATH_ID, connected.clock())
    connected.replies.forget([PATH_ID])
    connected.replies.expect(b"\xbb" * 32, connected.clock())
    assert expected(connected)[-1]["forget"] == [PATH_ID.hex()]


def test_helper_that_cannot_be_run_is_told_once_and_tried_again_after_a_return() -> None:
    plugin = LightningdError("plugin: Permission denied")
    connected, helper = hearing(sendinvoice_expect=NO_HELPER, plugin=plugin)
    assert connected.replies.is_settled
    assert not connected.replies.expect(PATH_ID, connected.clock())
    (warning,) = deaf_warnings(connected)
    assert "Permission denied" in warning
    connected.client.answers["sendinvoice-expect"] = {}
    connected.lose()
    assert connected.next_but(LOST, BACK) is HEARING
    assert connected.replies.expect(PATH_ID, connected.clock())
    helper.reply(InvoiceError("no"))
    assert connected.next_but(BACK) == Reply(PATH_ID, InvoiceError("no"))
    assert len(deaf_warnings(connected)) == 1


def test_helper_that_ends_is_started_again_once_and_knows_what_is_expected() -> None:
    connected, helper = hearing()
    connected.replies.expect(PATH_ID, connected.clock())
    helper.end()
    assert connected.next() is HEARING
    assert expected(connected)[-1]["pathsecrets"] == [PATH_ID.hex()]
    assert deaf_warnings(connected) == []
    assert connected.replies.expect(PATH_ID, connected.clock())
    helper.end()
    assert connected.next() is HEARING
    assert not connected.replies.expect(PATH_ID, connected.clock())
    assert len(deaf_warnings(connected)) == 1
    assert connected.connection.generation == 0


def test_restarts_of_the_helper_are_counted_anew_after_a_return() -> None:
    connected, helper = hearing()
    helper.end()
    assert connected.next() is HEARING
    helper.end(GONE)
    assert connected.next_but(LOST, BACK) is HEARING
    helper.end()
    assert connected.next_but(BACK) is HEARING
    assert connected.replies.expect(PATH_ID, connected.clock())
    assert deaf_warnings(connected) == []


def test_loss_of_lightningd_while_listening_is_a_loss_and_heard_through() -> None:
    connected, helper = hearing()
    helper.end(GONE)
    assert connected.next_but(HEARING, BACK) is LOST
    assert connected.next_but(BACK) is HEARING
    helper.reply(InvoiceError("no"))
    assert connected.next_but(BACK) == Reply(PATH_ID, InvoiceError("no"))


def test_helper_that_breaks_each_connection_is_given_up_until_the_next_return() -> None:
    """Otherwise nothing is ever sent."""
    broken = ConnectionLostError("the connection broke during sendinvoice-expect")
    connected = Connected(sendinvoice_expect=broken, sendinvoice_replies=Helper())
    connected.replies.start(connected.clock() + 1000)
    seen = [connected.next()]
    while seen.count(BACK) < MAX_LOSSES:
        seen.append(connected.next())
    assert seen.count(HEARING) == 1
    assert connected.client.methods().count("sendinvoice-expect") == MAX_LOSSES
    assert not connected.replies.expect(PATH_ID, connected.clock())
    assert len(deaf_warnings(connected)) == 1
    connected.client.answers["sendinvoice-expect"] = {}
    connected.lose()
    assert connected.next_but(LOST, BACK) is HEARING
    assert connected.replies.expect(PATH_ID, connected.clock())


def test_helper_that_refuses_what_is_expected_is_given_up() -> None:
    connected, _ = hearing()
    connected.client.answers["sendinvoice-expect"] = LightningdError("too many replies")
    assert not connected.replies.expect(PATH_ID, connected.clock())
    assert connected.next() is HEARING
    assert len(deaf_warnings(connected)) == 1


@pytest.mark.parametrize("method", ["sendinvoice-expect", "plugin"])
def test_helper_that_hangs_while_lightningd_answers_is_given_up(method: str) -> None:
    """It would be tried again for ever, and nothing would be sent meanwhile."""
    hangs = NoAnswerError(f"lightningd did not answer {method}")
    answers: dict[str, Answer] = {"sendinvoice-expect": NO_HELPER, "plugin": {}, method: hangs}
    connected = Connected(sendinvoice_replies=Helper(), **answers)
    connected.replies.start(connected.clock() + 1000)
    assert connected.next() is HEARING
    assert connected.replies.is_settled
    assert len(deaf_warnings(connected)) == 1
    assert connected.connection.generation == 0


# --- the end ---


def test_session_that_would_stay_long_is_ended() -> None:
    """Otherwise the sessions of interrupted batches exhaust the helper."""
    connected, _ = hearing()
    connected.replies.expect(PATH_ID, connected.clock() + 100_000)
    connected.node.close()
    assert expected(connected)[-1]["until"] == connected.clock()
    assert len({params["session"] for params in expected(connected)}) == 1


def test_session_that_ends_soon_costs_no_call() -> None:
    connected, _ = hearing()
    connected.clock.advance(900)
    connected.node.close()
    assert len(expected(connected)) == 1


def test_end_does_not_wait_for_a_lightningd_that_is_gone() -> None:
    gate = Gate(GETINFO)
    connected, _ = hearing()
    connected.client.answers["getinfo"] = gate
    connected.lose()
    connected.node.close()
    assert len(expected(connected)) == 1
    gate.opened.set()
