"""The pace, compared with the limits of lightningd, eclair and LND."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sendinvoice_cli.batch import pacing
from sendinvoice_cli.batch.pacing import BURST, INTERVAL, Pacer, PeerLink, peer_links_of
from sendinvoice_cli.node.ways.routes import Route
from tests.support.requests_builder import node_id, path

US, ROUTER, OTHER, PAYER = (node_id(number) for number in (1, 2, 3, 4))
#: Milliseconds on lightningd's clock.
_COST = 250
_MAX_SAVED = 4 * _COST


class _Lightningd:
    """What one node takes from one peer (connectd's ``onion_message.c``), times in seconds."""

    def __init__(self) -> None:
        self.saved = _MAX_SAVED
        self.at = 0

    def takes(self, time: float) -> bool:
        now = int(time * 1000)
        self.saved = min(self.saved + now - self.at, _MAX_SAVED)
        self.at = now
        if self.saved < _COST:
            return False
        self.saved -= _COST
        return True


class _Eclair:
    """eclair takes so many messages in each second, whenever that begins."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    def takes(self, time: float) -> bool:
        self.taken = [at for at in self.taken if time - at < 1] + [time]
        return len(self.taken) <= 10


class _Lnd:
    """LND's token bucket of bytes: 512 kbit/s, 256 KiB deep; ``size`` of the onion's payloads."""

    def __init__(self) -> None:
        self.tokens = 256 * 1024.0
        self.at = 0.0

    def takes(self, time: float, size: int) -> bool:
        self.tokens = min(self.tokens + (time - self.at) * 64_000, 256 * 1024)
        self.at = time
        # An onion_message: type, path_key, length; version, point and HMAC of the onion.
        message = 2 + 33 + 2 + 1 + 33 + 32 + size
        if self.tokens < message:
            return False
        self.tokens -= message
        return True


def test_peer_links_of_a_route() -> None:
    route = Route((US, ROUTER, OTHER, PAYER), counting_bytes=frozenset([ROUTER]))
    assert peer_links_of(route) == [
        PeerLink(US, ROUTER, counts_bytes=True),
        PeerLink(ROUTER, OTHER),
        PeerLink(OTHER, PAYER),
    ]


@pytest.mark.parametrize(
    ("hops", "behind"),
    [
        (1, []),
        # No LND makes requests, so the payer is none.
        (2, [PeerLink(ROUTER, None)]),
        (3, [PeerLink(ROUTER, None, counts_bytes=True)]),
        (9, [PeerLink(ROUTER, None, counts_bytes=True)]),
    ],
)
def test_what_lies_behind_an_introduction_node(hops: int, behind: list[PeerLink]) -> None:
    their_path = path(ROUTER)
    their_path = their_path._replace(hops=their_path.hops[:1] * hops)
    assert peer_links_of(Route((US, ROUTER), their_path)) == [PeerLink(US, ROUTER), *behind]
    assert peer_links_of(Route((ROUTER,), their_path)) == behind


def test_a_burst_goes_at_once_and_the_rest_one_by_one() -> None:
    pacer = Pacer()
    times = [pacer.reserve([PeerLink(US, ROUTER)], 100.0) for _ in range(10)]
    assert times[:BURST] == pytest.approx([100.0] * BURST)
    gaps = [later - earlier for earlier, later in pairwise(times[BURST - 1 :])]
    assert gaps == pytest.approx([INTERVAL] * len(gaps))


def test_forty_take_little_longer_than_the_limit_itself() -> None:
    pacer = Pacer()
    last = max(
        pacer.reserve([PeerLink(US, ROUTER), PeerLink(ROUTER, PAYER)], 0.0) for _ in range(40)
    )
    assert last <= 1.05 * (40 - 4) / 4


def test_after_a_pause_there_is_a_burst_again() -> None:
    pacer = Pacer()
    for _ in range(10):
        pacer.reserve([PeerLink(US, ROUTER)], 0.0)
    times = [pacer.reserve([PeerLink(US, ROUTER)], 60.0) for _ in range(BURST)]
    assert times == pytest.approx([60.0] * BURST)


def test_different_first_hops_do_not_wait_for_each_other() -> None:
    pacer = Pacer()
    for _ in range(20):
        pacer.reserve([PeerLink(US, ROUTER), PeerLink(ROUTER, PAYER)], 0.0)
    assert pacer.reserve([PeerLink(US, OTHER), PeerLink(OTHER, PAYER)], 0.0) == 0.0


def test_the_two_directions_of_a_link_are_two_links() -> None:
    pacer = Pacer()
    for _ in range(20):
        pacer.reserve([PeerLink(US, ROUTER)], 0.0)
    assert pacer.reserve([PeerLink(ROUTER, US)], 0.0) == 0.0


def test_a_link_further_on_counts_as_well() -> None:
    pacer = Pacer()
    # Each leaves over a link of its own, and all meet behind it.
    ways = [[PeerLink(US, node_id(10 + number)), PeerLink(ROUTER, PAYER)] for number in range(20)]
    times = [pacer.reserve(links, 0.0) for links in ways]
    assert times[-1] == pytest.approx((20 - BURST) * INTERVAL)


def test_asking_when_takes_nothing() -> None:
    pacer = Pacer()
    for _ in range(BURST):
        pacer.reserve([PeerLink(US, ROUTER)], 0.0)
    assert pacer.turn([PeerLink(US, ROUTER)], 0.0) == pacer.turn([PeerLink(US, ROUTER)], 0.0)
    assert pacer.turn([PeerLink(US, ROUTER)], 0.0) == pacer.reserve([PeerLink(US, ROUTER)], 0.0)


def test_peer_links_of_long_ago_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "MAX_PEER_LINKS", 10)
    pacer = Pacer()
    for number in range(500):
        pacer.reserve([PeerLink(US, node_id(10 + number % 50))], float(number))
        assert len(pacer._full_at) <= 11


LARGE = 32_768
_TO_LND = PeerLink(US, ROUTER, counts_bytes=True)


def test_large_onions_wait_for_their_bytes() -> None:
    """As LND takes them: 64,000 bytes a second once a burst is used up."""
    pacer = Pacer()
    times = [pacer.reserve([_TO_LND], 0.0, LARGE) for _ in range(20)]
    # Messages are counted as ever at first.
    assert times[:BURST] == [0.0] * BURST
    assert times[BURST] == pytest.approx(INTERVAL)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps[-8:] == pytest.approx([32_871 / 64_000 * 1.004] * 8)


def test_large_onions_wait_for_their_bytes_only_where_these_are_counted() -> None:
    """An LND anywhere on the route is enough."""
    last = {}
    for number, counting in enumerate(([], [ROUTER], [PAYER], [ROUTER, PAYER])):
        pacer = Pacer()
        peer_links = [
            PeerLink(US, ROUTER, ROUTER in counting),
            PeerLink(ROUTER, PAYER, PAYER in counting),
        ]
        last[number] = [pacer.reserve(peer_links, 0.0, LARGE) for _ in range(40)][-1]
    assert last[0] <= 1.05 * (40 - 4) / 4
    assert last[1] == last[2] == last[3] > 1.5 * last[0]


def test_small_onions_do_not_wait_for_bytes() -> None:
    pacer, sized = Pacer(), Pacer()
    for _ in range(100):
        assert pacer.reserve([PeerLink(US, ROUTER)], 0.0) == sized.reserve([_TO_LND], 0.0, 1300)
    assert pacer.turn([PeerLink(US, ROUTER)], 0.0) == pytest.approx((100 - BURST + 1) * INTERVAL)


def test_a_small_onion_is_held_up_by_large_ones_less_than_a_large_one() -> None:
    pacer = Pacer()
    for _ in range(20):
        pacer.reserve([_TO_LND], 0.0, LARGE)
    small, large = (pacer.turn([_TO_LND], 0.0, size) for size in (1300, LARGE))
    assert 0 < small < large


def test_a_message_to_ourselves_takes_no_link() -> None:
    assert Pacer().reserve([], 7.0, LARGE) == 7.0


def test_without_a_pace_bytes_do_not_count_either() -> None:
    pacer = Pacer(interval=0)
    assert {pacer.reserve([_TO_LND], 5.0, LARGE) for _ in range(1000)} == {5.0}


def test_anew_has_the_same_pace_and_full_buckets() -> None:
    used = Pacer(interval=60, burst=1)
    used.reserve([PeerLink(US, ROUTER)], 0.0)
    fresh = used.anew()
    assert [fresh.reserve([PeerLink(US, ROUTER)], 0.0) for _ in range(2)] == [0.0, 60.0]


_LINKS = st.lists(
    st.sampled_from(
        [_TO_LND, PeerLink(ROUTER, PAYER), PeerLink(US, OTHER), PeerLink(OTHER, PAYER)]
    ),
    min_size=1,
    max_size=4,
    unique=True,
)


@given(
    st.lists(st.tuples(st.floats(0, 2), _LINKS, st.sampled_from([1300, LARGE, LARGE])), max_size=60)
)
def test_no_node_has_to_drop_any(asked: list[tuple[float, list[PeerLink], int]]) -> None:
    """Whatever is asked for, at whatever times, and with up to 200 ms spent on the way."""
    pacer = Pacer()
    now = 0.0
    sent: list[tuple[float, list[PeerLink], int]] = []
    for pause, links, size in asked:
        now += pause
        sent.append((pacer.reserve(links, now, size), links, size))
    delays = [0.2 if number % 3 == 0 else 0.0 for number in range(len(sent))]
    for link in {link for _, links, _ in sent for link in links}:
        lightningd, eclair, lnd = _Lightningd(), _Eclair(), _Lnd()
        arrivals = sorted(
            (at + delay, size)
            for (at, links, size), delay in zip(sent, delays, strict=True)
            if link in links
        )
        assert all(lightningd.takes(at) for at, _ in arrivals)
        assert all(eclair.takes(at) for at, _ in arrivals)
        assert not link.counts_bytes or all(lnd.takes(at, size) for at, size in arrivals)
