"""The siding on real commits: what is tested, what is offered, and on what it stands."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

import pytest

from adw import branches, phases, siding
from adw.config import MergeConfig
from adw.errors import AgentCut, AgentFailed, Blocked, Conflict
from adw.git import change_of
from adw.mirror import Hub
from adw.model import Arrival, Candidate, Change, Issue, Verdict
from adw.phases import Site
from adw.siding import Siding
from adw.train import Seat
from tests.adw.test_train import change, issue
from tests.conftest import Repository, make_site

RULES = MergeConfig()


@dataclass
class Buffers:
    """Buffers on a real repository, whose tests end when the test that uses them says so."""

    site: Site
    hub: Hub
    tests: "dict[str, Future[Verdict]]" = field(default_factory=dict)  # by commit
    unwanted: list[Callable[[], bool]] = field(default_factory=list)
    offers: dict[str, str] = field(default_factory=dict)
    guard: threading.Condition = field(default_factory=threading.Condition)

    def ground(self, issue: Issue) -> str:
        return siding.ground(self.hub.mirror, RULES, self.hub.tip(), [self.offers[name] for name in issue.depends_on], [])

    def candidate(self, issue: Issue, change: Change, onto: str) -> Candidate:
        return phases.candidate(self.site, issue, change, onto)

    def prove(self, _seat: Seat, candidate: Candidate, unwanted: Callable[[], bool]) -> Verdict:
        self.unwanted.append(unwanted)
        with self.guard:
            said = self.tests.setdefault(candidate.sha, Future())
            self.guard.notify_all()
        return said.result(20)

    def offer(self, seat: Seat, candidate: Candidate) -> str:
        branches.leave(self.hub, Arrival(issue=seat.issue, candidate=candidate))
        self.offers[seat.issue.id] = candidate.sha
        return candidate.sha

    def blame(self, _seat: Seat, candidate: Candidate, verdict: Verdict) -> AgentFailed:
        return AgentFailed(f"{verdict.log} on {candidate.onto[:10]}")

    def say(self, number: int = 1, *, passed: bool = True, no: Exception | None = None) -> None:
        """End the test that began as the nth."""
        with self.guard:
            assert self.guard.wait_for(lambda: len(self.tests) >= number, 20)
            said = list(self.tests.values())[number - 1]
        if no:
            said.set_exception(no)
        else:
            said.set_result(Verdict(passed=passed, log="tested"))


@pytest.fixture
def buffers(hub: Hub) -> Buffers:
    return Buffers(make_site(hub, "true"), hub)


def ready(place: Siding, seat: Seat, final: Change | None = None) -> threading.Thread:
    """Have a seat be ready, as in its issue's thread."""
    thread = threading.Thread(target=place.ready, args=[seat, final or seat.change])
    thread.start()
    return thread


def test_a_change_is_tested_from_the_start_and_offered_once_it_is_ready_and_passed(buffers: Buffers, repository: Repository) -> None:
    place = Siding(buffers)
    seat = place.board(issue("a"), 1, change(buffers.hub, "a"))
    buffers.say()
    assert not seat.landed.done()
    place.ready(seat, seat.change)
    assert seat.landed.result() == repository.git("rev-parse", "adw/a")
    assert repository.subjects == ["first"]


def test_changes_do_not_stand_on_each_other(buffers: Buffers, repository: Repository) -> None:
    place = Siding(buffers)
    seats = [place.board(issue(name), 1, change(buffers.hub, name)) for name in ("a", "b")]
    for number, seat in enumerate(seats, start=1):
        buffers.say(number)
        place.ready(seat, seat.change)
    assert [repository.git("rev-parse", f"adw/{name}^") for name in ("a", "b")] == [repository.tip] * 2


def test_a_change_stands_on_what_it_depends_on(buffers: Buffers, repository: Repository) -> None:
    place = Siding(buffers)
    a = place.board(issue("a"), 1, change(buffers.hub, "a"))
    buffers.say(1)
    place.ready(a, a.change)
    b = place.board(issue("b", 0, "a"), 1, change(buffers.hub, "b"))
    buffers.say(2)
    place.ready(b, b.change)
    assert repository.git("rev-parse", "adw/b^") == repository.git("rev-parse", "adw/a")


def test_documentation_is_not_tested_again_but_offered(buffers: Buffers, repository: Repository) -> None:
    place = Siding(buffers)
    seat = place.board(issue("a"), 1, change(buffers.hub, "a"))
    buffers.say()
    docs, mirror = change(buffers.hub, "docs", "new\n", "README.md"), buffers.hub.mirror
    both = mirror.commit(mirror.merge(seat.change.sha, docs.sha).tree, [docs.base], "Add a", mirror.identity(docs.sha))
    place.ready(seat, change_of(mirror, both))
    assert repository.git("show", "adw/a:README.md") == "new"
    assert len(buffers.tests) == 1


def test_on_a_tip_that_moved_meanwhile_it_is_tested_again(buffers: Buffers, repository: Repository) -> None:
    place = Siding(buffers)
    seat = place.board(issue("a"), 1, change(buffers.hub, "a"))
    buffers.say(1)
    theirs = repository.commit("theirs", b="1")
    thread = ready(place, seat)
    buffers.say(2)
    thread.join(20)
    assert [unwanted() for unwanted in buffers.unwanted] == [False, False]  # the first had ended
    assert repository.git("rev-parse", f"{seat.landed.result()}^") == theirs


def test_a_test_that_nobody_waits_for_any_more_is_unwanted(buffers: Buffers, repository: Repository) -> None:
    place = Siding(buffers)
    gone, heard, moved = (place.board(issue(name), 1, change(buffers.hub, name)) for name in ("a", "b", "c"))
    before = [seat.proof for seat in (gone, heard, moved)]
    place.leave(gone)
    place.leave(heard, hear=True)
    repository.commit("theirs", b="1")
    thread = ready(place, moved)
    for number in (4, 3, 2, 1):  # only once the last one has begun
        buffers.say(number)
    thread.join(20)
    assert [proof and proof.cancelled() for proof in before] == [True, False, True]
    assert sum(unwanted() for unwanted in buffers.unwanted) == 2
    assert moved.landed.done()


@pytest.mark.parametrize(("no", "words"), [(None, "tested on"), (AgentCut("it took too long"), "it took too long")])
def test_what_fails_its_tests_is_not_offered(buffers: Buffers, repository: Repository, no: Exception | None, words: str) -> None:
    place = Siding(buffers)
    seat = place.board(issue("a"), 1, change(buffers.hub, "a"))
    buffers.say(passed=False, no=no)
    place.ready(seat, seat.change)
    with pytest.raises(AgentFailed, match=words):
        seat.landed.result()
    assert repository.git("branch", "--list", "adw/*") == ""


def test_what_does_not_merge_says_so_when_it_is_ready(buffers: Buffers, repository: Repository) -> None:
    place, what = Siding(buffers), change(buffers.hub, "a", "mine\n", "code.txt")
    repository.commit("theirs", **{"code.txt": "theirs\n"})
    seat = place.board(issue("a"), 1, what)
    place.ready(seat, what)
    with pytest.raises(Conflict, match=r"code\.txt"):
        seat.landed.result()


def test_a_person_in_the_way_is_told_of(buffers: Buffers, repository: Repository) -> None:
    place = Siding(buffers)
    repository.git("branch", "adw/a")
    seat = place.board(issue("a"), 1, change(buffers.hub, "a"))
    buffers.say()
    place.ready(seat, seat.change)
    with pytest.raises(Blocked, match="adw did not put there"):
        seat.landed.result()


def test_what_stood_on_a_branch_that_has_landed_in_another_form_is_replayed_without_it(buffers: Buffers, repository: Repository) -> None:
    place = Siding(buffers)
    a = place.board(issue("a"), 1, change(buffers.hub, "a"))
    buffers.say(1)
    place.ready(a, a.change)
    built_on_a = change(buffers.hub, "b", base=a.landed.result())
    repository.commit("a, in a person's words", **{"a.txt": "a\n"})
    repository.commit("and mended since", **{"a.txt": "mended\n"})
    del buffers.offers["a"]
    b = place.board(issue("b"), 1, built_on_a)
    buffers.say(2)
    place.ready(b, built_on_a)
    assert repository.git("show", "--format=%s", "--name-only", "adw/b").split() == ["Add", "b", "b.txt"]
    assert repository.git("show", "adw/b:a.txt") == "mended"


def on(hub: Hub, name: str, base: str, text: str = "", path: str = "") -> str:
    return change(hub, name, text, path, base).sha


def test_what_depends_on_nothing_that_is_ready_is_built_on_the_tip(hub: Hub) -> None:
    assert siding.ground(hub.mirror, RULES, hub.tip(), [], [hub.tip()]) == hub.tip()


def test_what_depends_on_one_that_is_ready_is_built_on_it_wherever_the_tip_is(hub: Hub, repository: Repository) -> None:
    a = on(hub, "a", hub.tip())
    repository.commit("theirs", b="1")
    assert siding.ground(hub.mirror, RULES, hub.tip(), [a], []) == a


def test_but_on_the_tip_with_it_if_something_else_landed_that_it_needs(hub: Hub, repository: Repository) -> None:
    a = on(hub, "a", hub.tip())
    landed = repository.commit("landed", **{"landed.txt": "1\n"})
    ground = siding.ground(hub.mirror, RULES, hub.tip(), [a], [landed])
    assert hub.mirror.run("rev-parse", f"{ground}^") == landed
    assert hub.mirror.text(ground, "a.txt") == "a\n"


def test_what_depends_on_two_is_built_on_a_stack_of_them_the_same_each_time(hub: Hub) -> None:
    shared = on(hub, "shared", hub.tip())
    a, b = on(hub, "a", shared), on(hub, "b", shared)
    ground = siding.ground(hub.mirror, RULES, hub.tip(), [a, b, shared], [])
    assert hub.mirror.run("log", "--format=%s", ground).split() == ["b", "a", "shared", "first"]
    assert ground == siding.ground(hub.mirror, RULES, hub.tip(), [a, b], [])
    assert siding.ground(hub.mirror, RULES, hub.tip(), [shared, b], []) == b


def test_two_that_do_not_merge_bear_nothing(hub: Hub) -> None:
    a, b = on(hub, "a", hub.tip(), "a\n", "same.txt"), on(hub, "b", hub.tip(), "b\n", "same.txt")
    with pytest.raises(Conflict, match=r"same\.txt"):
        siding.ground(hub.mirror, RULES, hub.tip(), [a, b], [])


def test_a_pull_request_goes_onto_the_branch_that_is_nearest_below(hub: Hub) -> None:
    a = on(hub, "a", hub.tip())
    b, c = on(hub, "b", a), on(hub, "c", a)
    ground = siding.ground(hub.mirror, RULES, hub.tip(), [a, b, c], [])
    assert siding.nearest(hub.mirror, ground, [a, b, c]) == b
    assert siding.nearest(hub.mirror, hub.tip(), [a]) == ""


def test_a_try_goes_on_whose_base_holds_no_more_than_adws_own_commits(hub: Hub, repository: Repository) -> None:
    first, theirs = repository.tip, repository.commit("theirs", b="1")
    a = on(hub, "a", hub.tip())
    b = on(hub, "b", a)
    assert all(siding.bears(hub.mirror, hub.tip(), base) for base in (first, theirs, a, b))
    repository.git("reset", "--quiet", "--hard", first)
    assert not any(siding.bears(hub.mirror, hub.tip(), base) for base in (theirs, a, b))
