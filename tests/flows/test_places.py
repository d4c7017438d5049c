import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from math import inf
from typing import Any

import pytest

import flows.places
from adw import proc
from adw.errors import Interrupted
from adw.model import Issue
from adw.rank import Rank
from flows.places import Offer, Places, Wish
from tests.adw.tools import until


def rank(priority: int = 0) -> Rank:
    return Rank.of(Issue(id="a", title="Add a", body="", priority=priority), "build", 0.0, 0, front=False)


def wish(name: str = "a", priority: int = 0, **more: Any) -> Wish:
    return Wish(name, "build", more.pop("rank", lambda: rank(priority)), **more)


class Waiters:
    """Threads that want slots, in the order in which they got them; each keeps its slot until it is told to give it back."""

    def __init__(self, places: Places) -> None:
        self.places, self.got, self.failed = places, list[str](), list[BaseException]()
        self._over: dict[str, threading.Event] = {}
        self._threads: list[threading.Thread] = []

    def wait(self, one: Wish) -> Wish:
        """Have a thread want a slot; returns when it has it, or is in the queue."""
        self._over[one.issue] = threading.Event()
        self._threads.append(threading.Thread(target=self._wait, args=[one]))
        self._threads[-1].start()
        until(lambda: one in self.places._waiting or one in self.places.at_work)  # noqa: SLF001 - nothing else tells that it has come so far
        return one

    def _wait(self, one: Wish) -> None:
        try:
            with self.places.lent(one):
                self.got.append(one.issue)
                self._over[one.issue].wait()
        except (Interrupted, ConnectionError) as no:
            self.failed.append(no)

    def give(self, name: str) -> None:
        self._over[name].set()

    def end(self) -> None:
        for over in self._over.values():
            over.set()
        for thread in self._threads:
            thread.join(20)


@pytest.fixture
def make() -> Iterator[Callable[..., Waiters]]:
    made: list[Waiters] = []

    def places(models: Callable[[], float] = lambda: inf, tell: Callable[[str], None] = lambda _: None, **offered: int | Offer) -> Waiters:
        made.append(Waiters(Places(models, tell)))
        made[-1].places.update({name: Offer(offer) if isinstance(offer, int) else offer for name, offer in offered.items()})
        return made[-1]

    yield places
    for one in made:
        one.places.update({"another": Offer(100)})
        one.end()


def test_the_worker_with_the_most_room_is_next() -> None:
    places = Places()
    places.update({"large": Offer(4), "small": Offer(2)})
    with ExitStack() as stack:
        taken = [stack.enter_context(places.lent(wish())) for _ in range(6)]
    assert (Counter(taken[:3]), Counter(taken)) == ({"large": 2, "small": 1}, {"large": 4, "small": 2})
    assert places.at_work == []


def test_who_waits_gets_the_slot_that_is_given_back_the_most_urgent_first_and_of_equals_who_came_first(make: Callable[..., Waiters]) -> None:
    waiters = make(only=1)
    for name, priority in {"now": 0, "b": 0, "c": 5, "d": 0}.items():
        waiters.wait(wish(name, priority))
    for name in ("now", "c", "b"):
        waiters.give(name)
        until(lambda name=name: name not in [one.issue for one in waiters.places.at_work])  # type: ignore[misc]
    until(lambda: len(waiters.got) == 4)
    assert waiters.got == ["now", "c", "b", "d"]


def test_the_order_is_that_of_when_the_slot_gets_free_and_not_of_when_it_was_asked_for(make: Callable[..., Waiters]) -> None:
    waiters, urgent = make(only=1), list[str]()
    for name in ("now", "b", "c"):
        waiters.wait(wish(name, rank=lambda name=name: rank(int(name in urgent))))
    urgent.append("c")
    waiters.give("now")
    until(lambda: len(waiters.got) == 2)
    assert waiters.got == ["now", "c"]


def test_a_slot_is_kept_for_what_comes_behind_a_phase_where_that_goes_before_who_waits(make: Callable[..., Waiters], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows.places, "KEPT", inf)
    waiters = make(only=1)
    waiters.wait(wish("now", behind=lambda: rank(5)))
    waiters.wait(wish("b"))
    waiters.give("now")
    until(lambda: not waiters.places.at_work)
    waiters.places.update({"only": Offer(1)})
    assert waiters.got == ["now"]
    waiters.wait(wish("now", priority=5))
    waiters.give("now")
    until(lambda: len(waiters.got) == 3)
    assert waiters.got == ["now", "now", "b"]


def test_no_slot_is_kept_for_what_would_come_later_than_who_waits_or_waits_for_others_of_its_issue(
    make: Callable[..., Waiters], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flows.places, "KEPT", inf)
    later, part = make(only=1), make(only=2)
    later.wait(wish("now", behind=rank))
    later.wait(wish("b", priority=1))
    later.give("now")
    until(lambda: later.got == ["now", "b"])
    with part.places.lent(wish("now")):
        part.wait(wish("now", behind=lambda: rank(5)))
        part.wait(wish("b"))
        part.give("now")
        until(lambda: part.got == ["now", "b"])


def test_a_slot_is_kept_for_a_moment_and_not_if_nothing_comes(make: Callable[..., Waiters]) -> None:
    waiters = make(only=1)
    waiters.wait(wish("now", behind=lambda: rank(5)))
    waiters.wait(wish("b"))
    with waiters.places.watched(proc.insist):
        waiters.give("now")
        until(lambda: waiters.got == ["now", "b"])


def test_more_slots_are_lent_at_once_and_fewer_end_nothing(make: Callable[..., Waiters]) -> None:
    waiters = make(only=2)
    for name in ("a", "b", "c", "d"):
        waiters.wait(wish(name))
    waiters.places.update({"only": Offer(1)})
    waiters.give("a")
    until(lambda: len(waiters.places.at_work) == 1)
    assert (waiters.got, waiters.places.waiting) == (["a", "b"], 2)
    waiters.places.update({"only": Offer(3)})
    until(lambda: len(waiters.got) == 4)


def test_a_worker_that_comes_is_used_and_one_that_went_is_not() -> None:
    places = Places()
    places.update({"old": Offer(1)})
    with places.lent(wish()):
        places.update({"new": Offer(2)})
        with places.lent(wish()) as first, places.lent(wish()) as second:
            assert [first, second, places.slots] == ["new", "new", 2]


def test_what_is_wanted_no_more_leaves_the_queue_and_says_so(make: Callable[..., Waiters]) -> None:
    waiters, over = make(only=1), threading.Event()
    waiters.wait(wish("now"))
    waiters.wait(wish("b", priority=9, unwanted=over.is_set))
    waiters.wait(wish("c"))
    over.set()
    waiters.give("now")
    until(lambda: waiters.failed)
    until(lambda: len(waiters.got) == 2)
    assert (waiters.got, str(waiters.failed[0])) == (["now", "c"], "nobody waits for build of b any more")


def test_when_there_is_nothing_to_wait_for_any_more_all_who_wait_are_told(make: Callable[..., Waiters]) -> None:
    waiters, over = make(only=1), threading.Event()

    def check() -> None:
        if over.is_set():
            msg = "lost"
            raise ConnectionError(msg)

    with waiters.places.watched(check):
        for name in ("now", "b", "c"):
            waiters.wait(wish(name))
        over.set()
        until(lambda: len(waiters.failed) == 2)
        with pytest.raises(ConnectionError, match="lost"), waiters.places.lent(wish("d")):
            pass
    assert waiters.places.waiting == 0


def test_a_task_that_nobody_wants_any_more_sends_nobody_else_away_when_it_gives_its_slot_back(make: Callable[..., Waiters]) -> None:
    waiters = make(only=1)
    with waiters.places.watched(proc.insist):
        with waiters.places.lent(wish("now")):
            waiters.wait(wish("b"))
            token = proc.unwanted.set(lambda: True)
        proc.unwanted.reset(token)
        until(lambda: waiters.got or waiters.failed)
    assert (waiters.got, waiters.failed) == (["b"], [])


def test_who_waits_for_the_model_is_passed_by_who_asks_none(make: Callable[..., Waiters]) -> None:
    limit = [1]
    waiters = make(models=lambda: limit[0], only=3)
    for name, asks in {"a": True, "b": True, "test": False}.items():
        waiters.wait(wish(name, asks_model=asks))
    until(lambda: len(waiters.got) == 2)
    assert waiters.got == ["a", "test"]
    limit[0] = 2
    waiters.give("test")
    until(lambda: len(waiters.got) == 3)


def test_a_reservation_waits_until_so_much_is_free_beyond_what_others_may_take_and_is_not_passed(make: Callable[..., Waiters]) -> None:
    told: list[str] = []
    waiters = make(tell=told.append, only=Offer(9, memory=5))
    for name in ("a", "b"):
        waiters.wait(wish(name, memory=1))
    waiters.wait(wish("large", memory=4, reserved=True))
    waiters.wait(wish("c", memory=1))
    assert waiters.got == ["a", "b"]
    waiters.give("a")
    until(lambda: "large" in waiters.got)
    assert ("c" in waiters.got, told) == (False, ["build of large waits for 4.0 GB of memory; 3.0 GB are free for it"])
    waiters.give("b")
    until(lambda: "c" in waiters.got)


def test_a_reservation_that_waits_for_the_memory_of_others_than_us_is_passed_and_never_begun_without(make: Callable[..., Waiters]) -> None:
    waiters = make(only=Offer(2, memory=3))
    waiters.wait(wish("large", memory=4, reserved=True))
    waiters.wait(wish("a", memory=1))
    until(lambda: waiters.got)
    waiters.give("a")
    until(lambda: not waiters.places.at_work)
    assert waiters.got == ["a"]
    waiters.places.update({"only": Offer(2, memory=4)})
    until(lambda: waiters.got == ["a", "large"])


def test_without_a_reservation_one_phase_is_always_begun(make: Callable[..., Waiters]) -> None:
    waiters = make(only=Offer(1, memory=0.5))
    waiters.wait(wish("a", memory=1))
    until(lambda: waiters.got)


def test_what_only_one_may_have_is_waited_for_without_a_slot_and_others_go_by(make: Callable[..., Waiters]) -> None:
    waiters = make(only=2)
    waiters.wait(wish("a", exclusive=frozenset({"db"})))
    waiters.wait(wish("b", 9, exclusive=frozenset({"db", "net"})))
    waiters.wait(wish("c"))
    assert (waiters.got, waiters.places.waiting) == (["a", "c"], 1)
    waiters.give("a")
    until(lambda: len(waiters.got) == 3)
    assert waiters.got == ["a", "c", "b"]


class Coming:
    """A thread that gets ready when it is called, and then asks for its slot and keeps it, as it is told to."""

    def __init__(self, places: Places, one: Wish) -> None:
        self.called, self.got, self.ask, self.over = threading.Event(), threading.Event(), threading.Event(), threading.Event()
        self.failed: list[BaseException] = []
        self.thread = threading.Thread(target=self._come, args=[places, one])
        self.thread.start()
        until(lambda: one in places._waiting or one in places.at_work)  # noqa: SLF001 - nothing else tells that it has come so far

    def _come(self, places: Places, one: Wish) -> None:
        try:
            with places.ahead(one):
                self.called.set()
                self.ask.wait(20)
                with places.lent(one):
                    self.got.set()
                    self.over.wait(20)
        except Interrupted as no:
            self.failed.append(no)

    @staticmethod
    def end(*those: "Coming") -> None:
        for one in those:
            one.ask.set()
            one.over.set()
        for one in those:
            one.thread.join(20)


def test_the_first_in_line_get_ready_before_there_is_a_slot_and_none_for_a_model_that_is_short(make: Callable[..., Waiters]) -> None:
    limit = [inf]
    waiters = make(models=lambda: limit[0], only=3)
    places = waiters.places
    for name in ("now", "then", "later"):
        waiters.wait(wish(name))
    limit[0] = 9
    with places.watched(lambda: None):
        asks = Coming(places, wish("asks", 9, asks_model=True))
        last, second, first = (Coming(places, wish(name, priority)) for name, priority in {"last": 0, "second": 1, "first": 2}.items())
        until(lambda: first.called.is_set() and second.called.is_set())
        assert [last.called.is_set(), asks.called.is_set()] == [False, False]
        first.ask.set()
        second.ask.set()
        urgent = Coming(places, wish("urgent", 5))
        until(urgent.called.is_set)
        waiters.give("now")
        until(asks.called.is_set)
        assert [first.got.is_set(), urgent.got.is_set()] == [False, False], "a slot goes to the first in line, ready or not"
        urgent.ask.set()
        waiters.give("then")
        until(urgent.got.is_set)
        assert not first.got.is_set()
        Coming.end(asks, last, second, first, urgent)


def test_at_most_two_get_ready_at_the_same_time_and_one_that_takes_long_holds_nobody_up() -> None:
    places = Places()
    places.update({"only": Offer(4)})
    with places.watched(lambda: None):
        all_of = [Coming(places, wish(str(number))) for number in range(4)]
        assert [one.called.is_set() for one in all_of] == [True, True, False, False]
        all_of[1].ask.set()
        until(all_of[2].called.is_set)
        assert not all_of[3].called.is_set()
        until(all_of[3].called.is_set)
        Coming.end(*all_of)


def test_a_slot_that_was_given_back_is_asked_for_again_by_who_tries_again() -> None:
    places, one = Places(), wish()
    places.update({"only": Offer(1)})
    with places.ahead(one):
        with places.lent(one):
            assert places.at_work == [one]
        assert places.at_work == []
        with places.lent(one) as place:
            assert (place, places.at_work) == ("only", [one])
    assert (places.at_work, places.waiting) == ([], 0)


def test_who_is_wanted_no_more_gets_not_even_ready(make: Callable[..., Waiters]) -> None:
    waiters, over = make(only=1), threading.Event()
    waiters.wait(wish("now"))
    one = Coming(waiters.places, wish("b", unwanted=over.is_set))
    over.set()
    with waiters.places.watched(lambda: None):
        until(lambda: one.failed)
    assert not one.called.is_set()
    Coming.end(one)
