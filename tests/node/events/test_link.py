"""The link to a lightningd that goes away, over answers from a table. No test sleeps."""

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
from sendinvoice_cli.node.events.hearing import HELPER_LOSSES
from sendinvoice_cli.node.events.link import (
    RECONNECT_INTERVALS,
    STABLE_SECONDS,
    Event,
    Link,
    LinkNews,
)
from sendinvoice_cli.node.events.replies import Reply
from sendinvoice_cli.node.invoices import Change
from sendinvoice_cli.node.rpc.client import ConnectionLostError, NoAnswerError
from tests.networks.runs import Told
from tests.node.fake_client import MESSAGES, Answer, FakeClient, Params
from tests.support.manual_clock import ManualClock
from tests.support.requests_builder import node_id

LOST, BACK, READY, HEARING = LinkNews
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


class Linked:
    """A link, what it tells, and how long it sleeps; sleeping moves the clock and takes no time."""

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
        self.link = Link(
            self.client, self.events.put, self.told, clock=self.clock, sleep=self._sleep
        )

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
        self.link.lose(GONE, self.link.generation)

    def lose_and_regain(self) -> None:
        """lightningd goes away, and comes back."""
        self.lose()
        while self.next() is not READY:
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
    linked = Linked()
    linked.lose()
    assert [linked.next() for _ in range(3)] == [LOST, BACK, READY]
    link = linked.link
    assert (link.is_up, link.is_ready, link.generation) == (True, True, 1)
    assert linked.told.warnings == ["lightningd is gone (trying to reach it again)"]
    assert linked.told.steps == ["lightningd is back"]


def test_loss_that_many_notice_is_told_once_and_looked_into_once() -> None:
    gate = Gate(GETINFO)
    linked = Linked(getinfo=gate)
    for _ in range(5):
        linked.link.lose(GONE, 0)
    assert gate.asked.wait(_LONG)
    linked.link.lose(GONE, 0)
    lost_at = linked.link.lost_at
    assert (linked.link.is_up, linked.link.is_ready, linked.link.loss) == (False, False, GONE)
    gate.opened.set()
    assert [linked.next() for _ in range(3)] == [LOST, BACK, READY]
    assert lost_at == ManualClock()()
    assert linked.client.methods().count("getinfo") == 1
    assert len(linked.told.warnings) == 1


def test_call_of_before_the_return_does_not_lose_it_again() -> None:
    linked = Linked()
    linked.lose_and_regain()
    linked.link.lose(GONE, 0)
    assert (linked.link.is_up, linked.link.generation) == (True, 1)
    assert linked.events.empty()


@pytest.mark.parametrize("failure", [GONE, LightningdError("getinfo: still starting up")])
def test_lightningd_is_looked_for_with_growing_pauses(failure: Exception) -> None:
    linked = Linked(getinfo=failing(*[failure] * 7, then=GETINFO))
    linked.lose_and_regain()
    assert linked.sleeps == [0.1, 0.2, 0.5, 1, 2, 5, 5, 5]
    assert len(linked.told.warnings) == 1


@pytest.mark.parametrize(
    "failure",
    [GONE, LightningdError("waitinvoice: nonsense"), KeyError("updated_index")],
    ids=["lost", "refused", "nonsense"],
)
def test_feed_that_fails_while_getinfo_works_is_begun_again_with_growing_pauses(
    failure: Exception,
) -> None:
    """And the link stays up for as long: it was lost again at once, so no copy was ever sent."""
    linked = Linked()
    has_ended = threading.Event()
    failures = iter([failure] * 9)

    def source() -> Iterator[Change]:
        for each in failures:
            raise each
        has_ended.set()
        yield from ()

    linked.link.follow(source)
    assert has_ended.wait(_LONG)
    away, *more = [*RECONNECT_INTERVALS, 5, 5, 5]
    assert linked.sleeps == [away, *(seconds for each in more for seconds in (each, each))]
    assert len(linked.told.warnings) == 1


def test_loss_after_a_quiet_time_is_told_again_and_looked_into_at_once() -> None:
    linked = Linked()
    for _ in range(3):
        linked.lose_and_regain()
    assert (linked.sleeps, len(linked.told.warnings)) == ([0.1, 0.2, 0.5], 1)
    linked.clock.advance(STABLE_SECONDS)
    linked.lose_and_regain()
    assert (linked.sleeps[3:], len(linked.told.warnings)) == ([0.1], 2)


def test_nobody_is_told_of_a_return_after_the_end() -> None:
    gate = Gate(GETINFO)
    linked = Linked(getinfo=gate)
    before = {*threading.enumerate()}
    linked.lose()
    assert gate.asked.wait(_LONG)
    threads = {*threading.enumerate()} - before
    linked.link.close()
    gate.opened.set()
    for thread in threads:
        thread.join(_LONG)
    assert linked.next() is LOST
    assert linked.events.empty()
    assert linked.told.steps == []


# --- channels ---


def channel(is_back: bool = True, **more: Any) -> dict[str, Any]:
    return {
        "state": "CHANNELD_NORMAL",
        "peer_connected": is_back,
        "reestablished": is_back,
        **more,
    }


AWAY = channel(False)


@pytest.mark.parametrize(
    ("looks", "seconds"),
    [
        ([[]], 0),
        ([[channel(), channel()]], 0),
        ([[AWAY, AWAY], [channel(), AWAY], [channel(), channel()]], 0.5),
        # Some may stay away.
        ([[channel(), AWAY]], 15),
        ([[AWAY]] * 80 + [[channel(), AWAY]], 20),
        ([[AWAY]], 60),
        # Connected is not yet usable, where lightningd tells.
        ([[channel(reestablished=False)], [channel()]], 0.25),
        ([[{"state": "CHANNELD_NORMAL", "peer_connected": True}]], 0),
        # A channel that is closed never comes back.
        ([[channel(False, state="ONCHAIN"), channel()]], 0),
    ],
    ids=["none", "at once", "soon", "some", "some late", "never", "connected", "old", "closed"],
)
def test_channels_are_waited_for_after_a_return(
    looks: list[list[dict[str, Any]]], seconds: float
) -> None:
    left = list(looks)

    def look(_params: Params) -> dict[str, Any]:
        return {"channels": left.pop(0) if len(left) > 1 else left[0]}

    linked = Linked(listpeerchannels=look)
    linked.lose_and_regain()
    assert sum(linked.sleeps[1:]) == seconds
    assert linked.link.is_ready


def test_lightningd_is_up_but_not_ready_while_its_channels_come_back() -> None:
    gate = Gate({"channels": [channel()]})
    linked = Linked(listpeerchannels=gate)
    linked.lose()
    assert gate.asked.wait(_LONG)
    assert (linked.link.is_up, linked.link.is_ready) == (True, False)
    gate.opened.set()
    assert [linked.next() for _ in range(3)] == [LOST, BACK, READY]
    assert linked.link.is_ready


def test_lightningd_that_goes_again_while_its_channels_come_back_is_not_ready() -> None:
    channels, again = Gate({"channels": [channel()]}), Gate(GETINFO)
    linked = Linked(listpeerchannels=channels)
    linked.lose()
    assert channels.asked.wait(_LONG)
    linked.client.answers["getinfo"] = again
    linked.lose()
    assert again.asked.wait(_LONG)
    channels.opened.set()
    assert [linked.next() for _ in range(4)] == [LOST, BACK, LOST, READY]
    assert (linked.link.is_up, linked.link.is_ready) == (False, False)
    again.opened.set()
    assert [linked.next() for _ in range(2)] == [BACK, READY]
    assert linked.link.is_ready


# --- what our node is, and sees ---


def test_node_is_read_once() -> None:
    linked = Linked()
    linked.link.open()
    linked.link.open()
    assert linked.client.methods().count("getinfo") == 1


@pytest.mark.parametrize(("level", "warned"), [("io", 1), ("debug", 0)])
def test_log_that_keeps_preimages_is_warned_of_once(level: str, warned: int) -> None:
    configs = {"configs": {"log-level": {"value_str": level}}}
    linked = Linked(listconfigs=configs)
    linked.link.open()
    linked.link.open()
    assert sum("preimage" in warning for warning in linked.told.warnings) == warned


def test_block_height_is_read_anew_after_a_minute() -> None:
    """Otherwise the payment paths of a row that is sent days later have expired."""
    linked = Linked()
    linked.link.open()
    linked.client.answers["getinfo"] = {"blockheight": 1000}
    linked.clock.advance(59)
    assert linked.link.current_node().blockheight == 100
    linked.clock.advance(1)
    before = linked.link.node
    assert linked.link.current_node().blockheight == 1000
    assert linked.link.current_node().id == before.id
    assert linked.client.methods().count("getinfo") == 2


def test_network_is_looked_at_anew_after_5_seconds_after_a_return_and_when_asked_for() -> None:
    linked = Linked()
    linked.link.open()
    first = linked.link.graph()
    linked.clock.advance(4)
    assert linked.link.graph() is first
    linked.clock.advance(1)
    second = linked.link.graph()
    assert second is not first
    assert linked.link.graph(0) is not second
    linked.lose_and_regain()
    third = linked.link.graph()
    linked.lose_and_regain()
    assert linked.link.graph() is not third


def test_a_connection_that_failed_is_tried_again_after_a_return() -> None:
    linked = Linked(connect=LightningdError("connect: no address"))
    linked.link.open()
    for _ in range(2):
        for _ in range(2):
            with pytest.raises(LightningdError):
                linked.link.graph(0).connect(node_id(9))
        linked.lose_and_regain()
    assert linked.client.methods().count("connect") == 2


# --- invoices ---


def test_changes_are_told_and_followed_again_after_a_return() -> None:
    linked = Linked()
    runs: Iterator[list[Change | Exception]] = iter([[Change("a"), GONE], [Change("b")]])

    def source() -> Iterator[Change]:
        for each in next(runs):
            if isinstance(each, Exception):
                raise each
            yield each

    linked.link.follow(source)
    told = [linked.next_but(BACK, READY) for _ in range(3)]
    assert told == [Change("a"), LOST, Change("b")]


def test_source_that_has_ended_is_not_begun_again() -> None:
    linked = Linked()
    begun: SimpleQueue[int] = SimpleQueue()

    def source() -> Iterator[Change]:
        begun.put(1)
        yield Change("a")

    linked.link.follow(source)
    assert linked.next() == Change("a")
    linked.lose_and_regain()
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


def hearing(**answers: Answer) -> tuple[Linked, Helper]:
    """A link that hears."""
    helper = Helper()
    more: dict[str, Answer] = {"sendinvoice_expect": {}, "plugin": {}, **answers}
    linked = Linked(sendinvoice_replies=helper, **more)
    linked.link.hear(linked.clock() + 1000)
    assert linked.next() is HEARING
    return linked, helper


def expected(linked: Linked) -> list[dict[str, Any]]:
    """The helper's calls, those that tell it what to wait for."""
    return [params for method, params in linked.client.calls if method == "sendinvoice-expect"]


def deaf_warnings(linked: Linked) -> list[str]:
    return [each for each in linked.told.warnings if "cannot hear" in each]


def test_helper_is_settled_only_once_it_has_started() -> None:
    gate = Gate({})
    linked = Linked(sendinvoice_expect=gate, sendinvoice_replies=Helper())
    linked.link.hear(linked.clock() + 1000)
    assert gate.asked.wait(_LONG)
    assert not linked.link.is_hearing_settled
    assert not linked.link.expect(PATH_ID, linked.clock())
    gate.opened.set()
    assert linked.next() is HEARING
    assert linked.link.is_hearing_settled
    assert linked.link.expect(PATH_ID, linked.clock())


def test_replies_are_told() -> None:
    linked, helper = hearing()
    assert linked.link.expect(PATH_ID, linked.clock() + 90)
    for text in ("no", "never"):
        helper.reply(InvoiceError(text))
        assert linked.next() == Reply(PATH_ID, InvoiceError(text))


def test_helper_that_had_nothing_to_wait_for_is_listened_to_again() -> None:
    linked, helper = hearing()
    helper.have_nothing_more()
    assert linked.link.expect(PATH_ID, linked.clock() + 90)
    helper.reply(InvoiceError("no"))
    assert linked.next() == Reply(PATH_ID, InvoiceError("no"))


def test_rows_share_one_session_which_lasts_as_long_as_the_longest() -> None:
    linked, _ = hearing()
    linked.link.hear(linked.clock() + 9999)
    linked.link.expect(PATH_ID, linked.clock() + 5000)
    linked.link.expect(b"\xbb" * 32, linked.clock() + 90)
    assert len({params["session"] for params in expected(linked)}) == 1
    assert [params["until"] - linked.clock() for params in expected(linked)] == [1000, 5000, 5000]


def test_what_a_row_that_has_ended_expected_is_forgotten() -> None:
    linked, _ = hearing()
    linked.link.expect(PATH_ID, linked.clock())
    linked.link.forget([PATH_ID])
    linked.link.expect(b"\xbb" * 32, linked.clock())
    assert expected(linked)[-1]["forget"] == [PATH_ID.hex()]


def test_helper_that_cannot_be_run_is_told_once_and_tried_again_after_a_return() -> None:
    plugin = LightningdError("plugin: Permission denied")
    linked, helper = hearing(sendinvoice_expect=NO_HELPER, plugin=plugin)
    assert linked.link.is_hearing_settled
    assert not linked.link.expect(PATH_ID, linked.clock())
    (warning,) = deaf_warnings(linked)
    assert "Permission denied" in warning
    linked.client.answers["sendinvoice-expect"] = {}
    linked.lose()
    assert linked.next_but(LOST, BACK, READY) is HEARING
    assert linked.link.expect(PATH_ID, linked.clock())
    helper.reply(InvoiceError("no"))
    assert linked.next_but(BACK, READY) == Reply(PATH_ID, InvoiceError("no"))
    assert len(deaf_warnings(linked)) == 1


def test_helper_that_ends_is_started_again_once_and_knows_what_is_expected() -> None:
    linked, helper = hearing()
    linked.link.expect(PATH_ID, linked.clock())
    helper.end()
    assert linked.next() is HEARING
    assert expected(linked)[-1]["pathsecrets"] == [PATH_ID.hex()]
    assert deaf_warnings(linked) == []
    assert linked.link.expect(PATH_ID, linked.clock())
    helper.end()
    assert linked.next() is HEARING
    assert not linked.link.expect(PATH_ID, linked.clock())
    assert len(deaf_warnings(linked)) == 1
    assert linked.link.generation == 0


def test_restarts_of_the_helper_are_counted_anew_after_a_return() -> None:
    linked, helper = hearing()
    helper.end()
    assert linked.next() is HEARING
    helper.end(GONE)
    assert linked.next_but(LOST, BACK, READY) is HEARING
    helper.end()
    assert linked.next_but(BACK, READY) is HEARING
    assert linked.link.expect(PATH_ID, linked.clock())
    assert deaf_warnings(linked) == []


def test_loss_of_lightningd_while_listening_is_a_loss_and_heard_through() -> None:
    linked, helper = hearing()
    helper.end(GONE)
    assert linked.next_but(HEARING, BACK, READY) is LOST
    assert linked.next_but(BACK, READY) is HEARING
    helper.reply(InvoiceError("no"))
    assert linked.next_but(BACK, READY) == Reply(PATH_ID, InvoiceError("no"))


def test_helper_that_breaks_each_connection_is_given_up_until_the_next_return() -> None:
    """Otherwise nothing is ever sent."""
    broken = ConnectionLostError("the connection broke during sendinvoice-expect")
    linked = Linked(sendinvoice_expect=broken, sendinvoice_replies=Helper())
    linked.link.hear(linked.clock() + 1000)
    seen = [linked.next()]
    while seen.count(READY) < HELPER_LOSSES:
        seen.append(linked.next())
    assert seen.count(HEARING) == 1
    assert linked.client.methods().count("sendinvoice-expect") == HELPER_LOSSES
    assert not linked.link.expect(PATH_ID, linked.clock())
    assert len(deaf_warnings(linked)) == 1
    linked.client.answers["sendinvoice-expect"] = {}
    linked.lose()
    assert linked.next_but(LOST, BACK, READY) is HEARING
    assert linked.link.expect(PATH_ID, linked.clock())


def test_helper_that_refuses_what_is_expected_is_given_up() -> None:
    linked, _ = hearing()
    linked.client.answers["sendinvoice-expect"] = LightningdError("too many replies")
    assert not linked.link.expect(PATH_ID, linked.clock())
    assert linked.next() is HEARING
    assert len(deaf_warnings(linked)) == 1


@pytest.mark.parametrize("method", ["sendinvoice-expect", "plugin"])
def test_helper_that_hangs_while_lightningd_answers_is_given_up(method: str) -> None:
    """It would be tried again for ever, and nothing would be sent meanwhile."""
    hangs = NoAnswerError(f"lightningd did not answer {method}")
    answers: dict[str, Answer] = {"sendinvoice-expect": NO_HELPER, "plugin": {}, method: hangs}
    linked = Linked(sendinvoice_replies=Helper(), **answers)
    linked.link.hear(linked.clock() + 1000)
    assert linked.next() is HEARING
    assert linked.link.is_hearing_settled
    assert len(deaf_warnings(linked)) == 1
    assert linked.link.generation == 0


# --- the end ---


def test_session_that_would_stay_long_is_ended() -> None:
    """Otherwise the sessions of interrupted batches exhaust the helper."""
    linked, _ = hearing()
    linked.link.expect(PATH_ID, linked.clock() + 100_000)
    linked.link.close()
    assert expected(linked)[-1]["until"] == linked.clock()
    assert len({params["session"] for params in expected(linked)}) == 1


def test_session_that_ends_soon_costs_no_call() -> None:
    linked, _ = hearing()
    linked.clock.advance(900)
    linked.link.close()
    assert len(expected(linked)) == 1


def test_end_does_not_wait_for_a_lightningd_that_is_gone() -> None:
    gate = Gate(GETINFO)
    linked, _ = hearing()
    linked.client.answers["getinfo"] = gate
    linked.lose()
    linked.link.close()
    assert len(expected(linked)) == 1
    gate.opened.set()
