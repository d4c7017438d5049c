"""The train on real commits: what is tested when, what lands, and in which order."""

import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from adw import landing, phases
from adw.errors import AdwError, AgentCut, AgentFailed, Blocked, Conflict, GitFailed, Interrupted
from adw.git import TRAILER, author
from adw.mirror import Hub
from adw.model import Arrival, Candidate, Change, Issue, Verdict
from adw.phases import Site
from adw.train import Seat, Train
from tests.conftest import Repository, make_site


@dataclass
class Rails:
    """Rails on a real repository, whose tests end when the test that uses them says so, or at once by what is in the tree."""

    site: Site
    hub: Hub
    by_hand: bool = False
    running: "dict[str, Future[Verdict]]" = field(default_factory=dict)  # by the stack that is tested, as in "a+b"
    threads: dict[str, threading.Thread] = field(default_factory=dict)
    unwanted: dict[str, Callable[[], bool]] = field(default_factory=dict)  # whether nobody wants the test of a stack any more
    moves: list[list[str]] = field(default_factory=list)
    guard: threading.Condition = field(default_factory=threading.Condition)

    def tip(self) -> str:
        return self.hub.tip()

    def landed_between(self, old: str, new: str) -> dict[str, str]:
        return self.hub.mirror.trailers(f"{old}..{new}")

    def candidate(self, issue: Issue, change: Change, onto: str) -> Candidate:
        return phases.candidate(self.site, issue, change, onto)

    def prove(self, _seat: Seat, candidate: Candidate, unwanted: Callable[[], bool]) -> Verdict:
        names = [name for name in self.hub.mirror.run("ls-tree", "--name-only", candidate.sha).splitlines() if name.endswith(".txt")]
        stack = "+".join(sorted({self.hub.mirror.text(candidate.sha, name).strip() for name in names} - {"one"}))
        with self.guard:
            assert stack not in self.running, "the same tree was tested twice"
            self.running[stack] = said = Future()
            self.threads[stack], self.unwanted[stack] = threading.current_thread(), unwanted
            self.guard.notify_all()
        if not self.by_hand:
            return Verdict(passed="bad" not in stack.split("+"), log=f"tested {stack}")
        return said.result(20)

    def land(self, seats: Sequence[Seat]) -> bool:
        landed = landing.land(self.hub, [Arrival(issue=seat.issue, candidate=seat.candidate) for seat in seats if seat.candidate])
        if landed:
            self.moves.append([seat.issue.id for seat in seats])
        return landed

    def blame(self, seat: Seat, candidate: Candidate, verdict: Verdict) -> AgentFailed:
        return AgentFailed(f"{seat.issue.id} on {'its base' if candidate.onto == seat.change.base else 'others'}: {verdict.log}")

    def tested(self, stack: str) -> "Future[Verdict]":
        """The test of a stack, once it runs; what its files hold names it."""
        with self.guard:
            assert self.guard.wait_for(lambda: stack in self.running, 20), f"{stack} is not tested, but {sorted(self.running)}"
        return self.running[stack]

    def say(self, stack: str, *, passed: bool = True) -> None:
        """End the test of a stack, and have the train know it."""
        self.tested(stack).set_result(Verdict(passed=passed, log=f"tested {stack}"))
        self.threads[stack].join(20)


@pytest.fixture
def rails(hub: Hub) -> Iterator[Rails]:
    made = Rails(make_site(hub, "true"), hub)
    yield made
    for said in made.running.values():
        if not said.done():
            said.cancel()


def on(rails: Rails, **options: Any) -> Train:
    return Train(rails, lambda: options.pop("slots", 4), [], rails.tip(), **options)


def change(hub: Hub, name: str, text: str = "", path: str = "", base: str = "") -> Change:
    """A commit of one file, `NAME.txt` if no other is named."""
    base = base or hub.tip()
    work = hub.place.root / f"work-{name}"
    work.mkdir(exist_ok=True)
    git = type(hub.mirror)(hub.mirror.directory, work_tree=work, index=work.with_suffix(".index"))
    git.run("read-tree", "--reset", "-u", base)
    (work / (path or f"{name}.txt")).write_text(text or f"{name}\n")
    sha = hub.mirror.commit(git.snapshot(), [base], f"{name}\n\n{TRAILER}: {name}\n", author(hub.git))
    return Change(sha=sha, tree=hub.mirror.tree_of(sha), base=base, base_tree=hub.mirror.tree_of(base))


def issue(name: str, priority: int = 0, *depends_on: str) -> Issue:
    return Issue(id=name, title=f"Add {name}", body="", priority=priority, depends_on=depends_on)


def board(train: Train, rails: Rails, *names: str, ready: bool = True) -> list[Seat]:
    """Seats for changes that are made on the branch as it was before the first of them boards."""
    changes = {name: change(rails.hub, name) for name in names}
    seats = [train.board(issue(name), 1, changes[name]) for name in names]
    for seat in seats if ready else []:
        train.ready(seat, seat.change)
    return seats


def no(seat: Seat) -> str:
    """What is against a seat."""
    with pytest.raises(AgentFailed) as caught:
        seat.landed.result(20)
    return str(caught.value)


def test_all_in_line_are_tested_at_once_each_on_those_before_it(rails: Rails) -> None:
    rails.by_hand = True
    board(on(rails), rails, "a", "b", "c")
    for stack in ("a", "a+b", "a+b+c"):
        rails.tested(stack)


def test_those_that_passed_land_together_by_one_move(rails: Rails, repository: Repository) -> None:
    rails.by_hand = True
    seats = board(on(rails), rails, "a", "b", "c")
    rails.say("a+b+c")
    rails.say("a+b")
    assert repository.subjects == ["first"]
    rails.say("a")
    assert [seat.landed.result(20) for seat in seats][-1] == repository.tip
    assert (rails.moves, repository.subjects) == ([["a", "b", "c"]], ["Add c", "Add b", "Add a", "first"])
    assert sorted(path.name for path in repository.path.glob("?.txt")) == ["a.txt", "b.txt", "c.txt"]


def test_what_is_not_ready_lets_nobody_past_it(rails: Rails, repository: Repository) -> None:
    train = on(rails)
    one, two = board(train, rails, "a", "b", ready=False)
    train.ready(two, two.change)
    rails.tested("a+b")
    assert not two.landed.done()
    train.ready(one, one.change)
    assert two.landed.result(20) == repository.tip


def test_one_that_fails_leaves_and_those_behind_it_are_tested_without_it(rails: Rails, repository: Repository) -> None:
    rails.by_hand = True
    one, bad, three = board(on(rails), rails, "a", "bad", "c")
    rails.say("a+bad", passed=False)
    rails.say("a+c")
    rails.say("a")
    assert no(bad) == "bad on others: tested a+bad"
    assert [one.landed.result(20), three.landed.result(20)][-1] == repository.tip
    assert repository.subjects == ["Add c", "Add a", "first"]


def test_what_fails_on_top_of_one_that_leaves_is_not_blamed(rails: Rails) -> None:
    rails.by_hand = True
    train = on(rails)
    one, two = board(train, rails, "a", "b", ready=False)
    rails.say("a")
    rails.say("a+b", passed=False)
    train.leave(one)
    train.ready(two, two.change)
    rails.say("b")
    assert two.landed.result(20)


def test_a_review_that_says_no_takes_the_front_away_and_nothing_is_tested_twice(rails: Rails, repository: Repository) -> None:
    rails.by_hand = True
    train = on(rails)
    one, two, three = board(train, rails, "a", "b", "c", ready=False)
    for stack in ("a", "a+b", "a+b+c"):
        rails.say(stack)
    train.leave(two)
    rails.say("a+c")
    for seat in (one, three):
        train.ready(seat, seat.change)
    assert three.landed.result(20) == repository.tip
    assert sorted(rails.running) == ["a", "a+b", "a+b+c", "a+c"]


def test_documentation_that_is_added_needs_no_new_test(rails: Rails, repository: Repository) -> None:
    train = on(rails)
    one, two = board(train, rails, "a", "b", ready=False)
    rails.tested("a+b")
    documented = change(rails.hub, "a", "more\n", "README.md", one.change.sha)
    train.ready(one, Change(sha=documented.sha, tree=documented.tree, base=one.change.base, base_tree=one.change.base_tree))
    train.ready(two, two.change)
    assert two.landed.result(20) == repository.tip
    assert ((repository.path / "README.md").read_text(), sorted(rails.running)) == ("more\n", ["a", "a+b"])


def test_the_urgent_go_first_and_dependents_behind_what_they_need(rails: Rails) -> None:
    rails.by_hand = True
    train = on(rails)
    changes = {name: change(rails.hub, name) for name in "abcd"}
    for one in (issue("a"), issue("b"), issue("c", 5), issue("d", 9, "a")):
        train.board(one, 1, changes[one.id])
    for stack in ("c", "a+c", "a+c+d", "a+b+c+d"):
        rails.tested(stack)
    assert [train.leads(issue(name)) for name in "abcd"] == [False, False, True, False]


def test_who_comes_back_stands_where_it_stood(rails: Rails) -> None:
    rails.by_hand = True
    train = on(rails)
    one, two = board(train, rails, "a", "b", ready=False)
    rails.tested("a+b")
    train.leave(one)
    assert (train.leads(one.issue), train.leads(two.issue)) == (False, True)
    train.board(one.issue, 2, change(rails.hub, "a2"))
    for stack in ("a2", "a2+b"):
        rails.tested(stack)
    assert (train.leads(one.issue), train.leads(two.issue)) == (True, False)
    assert two.candidate


def test_tests_of_what_left_and_of_what_stands_on_it_are_wanted_no_more(rails: Rails, repository: Repository) -> None:
    rails.by_hand = True
    train = on(rails)
    one, two, three = board(train, rails, "a", "b", "c")
    for stack in ("a", "a+b", "a+b+c"):
        rails.tested(stack)
    train.leave(two)
    rails.tested("a+c")
    assert {stack: unwanted() for stack, unwanted in rails.unwanted.items()} == {"a": False, "a+b": True, "a+b+c": True, "a+c": False}
    rails.say("a+b+c")  # it had just ended
    rails.say("a")
    rails.say("a+c")
    assert [one.landed.result(20), three.landed.result(20)][-1] == repository.tip


def test_the_test_of_what_left_goes_on_while_somebody_waits_for_what_it_says(rails: Rails) -> None:
    rails.by_hand = True
    train = on(rails)
    one, two = board(train, rails, "a", "b", ready=False)
    rails.tested("a+b")
    train.leave(one, hear=True)
    assert (rails.unwanted["a"](), rails.unwanted["a+b"]()) == (False, True)
    rails.say("a", passed=False)
    assert one.proof
    assert one.proof.result(20).log == "tested a"
    assert two.candidate


def test_a_test_that_is_wanted_whoever_lands_meanwhile_goes_on(rails: Rails, repository: Repository) -> None:
    rails.by_hand = True
    train = on(rails)
    one, two = board(train, rails, "a", "b")
    rails.tested("a+b")
    rails.say("a")
    assert one.landed.result(20) == repository.tip
    assert not rails.unwanted["a+b"]()
    rails.say("a+b")
    assert two.landed.result(20) == repository.tip


def test_no_more_is_tested_at_once_than_there_are_slots(rails: Rails) -> None:
    rails.by_hand = True
    board(Train(rails, lambda: 2, [], rails.tip()), rails, "a", "b", "c")
    rails.tested("a+b")
    assert sorted(rails.running) == ["a", "a+b"]
    rails.say("a+b")
    rails.tested("a+b+c")


def clashing(rails: Rails, train: Train) -> tuple[Seat, Seat, Seat]:
    """Two changes of one line, and one that has nothing to do with them."""
    changes = [change(rails.hub, name, f"{name}\n", path) for name, path in (("a", "code.txt"), ("b", "code.txt"), ("c", ""))]
    one, two, three = (train.board(issue(name), 1, change) for name, change in zip("abc", changes, strict=True))
    return one, two, three


def test_what_does_not_merge_with_one_before_it_is_passed_by_and_leaves_once_that_has_landed(rails: Rails, repository: Repository) -> None:
    train = on(rails)
    one, two, three = clashing(rails, train)
    train.ready(three, three.change)
    assert not two.landed.done()
    train.ready(one, one.change)
    with pytest.raises(Conflict, match=r"conflict in code\.txt"):
        two.landed.result(20)
    assert three.landed.result(20) == repository.tip
    assert repository.subjects == ["Add c", "Add a", "first"]


def test_what_does_not_merge_with_one_that_leaves_goes_on(rails: Rails, repository: Repository) -> None:
    train = on(rails)
    one, two, three = clashing(rails, train)
    train.leave(one)
    for seat in (two, three):
        train.ready(seat, seat.change)
    assert three.landed.result(20) == repository.tip
    assert repository.subjects == ["Add c", "Add b", "first"]


def test_a_push_in_the_middle_is_kept_and_all_is_tested_on_top_of_it(rails: Rails, repository: Repository) -> None:
    rails.by_hand = True
    one, two = board(on(rails), rails, "a", "b")
    rails.say("a+b")
    theirs = repository.commit("theirs", **{"z.txt": "z\n"})
    rails.say("a")
    rails.say("a+b+z")
    rails.say("a+z")
    assert (one.landed.result(20), two.landed.result(20))[-1] == repository.tip
    assert (repository.subjects, repository.git("rev-parse", "main~2")) == (["Add b", "Add a", "theirs", "first"], theirs)


def test_twenty_pushes_do_not_keep_it_from_landing(rails: Rails, repository: Repository, tmp_path: Path) -> None:
    repository.git("checkout", "-q", "--detach")  # or nobody could push there
    theirs = Repository(tmp_path / "theirs")
    repository.git("clone", "-q", str(repository.path), str(theirs.path))
    theirs.git("checkout", "-q", "-B", "main", "origin/main")

    def push() -> None:
        for number in range(20):
            theirs.git("-c", "user.name=Bob", "-c", "user.email=bob@example.invalid", "commit", "-q", "--allow-empty", "-m", f"push {number}")
            while subprocess.run(["git", "-C", str(theirs.path), "push", "-q", "origin", "main"], check=False, capture_output=True).returncode:
                theirs.git("-c", "user.name=Bob", "-c", "user.email=bob@example.invalid", "pull", "-q", "--rebase")

    train = on(rails)
    changes = [change(rails.hub, name) for name in "abcde"]
    pushing = threading.Thread(target=push)
    pushing.start()
    seats = [train.board(issue(name), 1, change) for name, change in zip("abcde", changes, strict=True)]
    for seat in seats:
        train.ready(seat, seat.change)
    assert all(seat.landed.result(60) for seat in seats)
    pushing.join()
    assert sorted(repository.subjects) == sorted(["first", *(f"push {number}" for number in range(20)), *(f"Add {name}" for name in "abcde")])


def test_an_issue_that_another_run_landed_lands_no_second_time(rails: Rails, repository: Repository) -> None:
    rails.by_hand = True
    one, two = board(on(rails), rails, "a", "b")
    theirs = repository.commit(f"Add a\n\n{TRAILER}: a", **{"a.txt": "a\n"})
    rails.say("a")
    rails.say("a+b")
    assert (one.landed.result(20), bool(two.landed.result(20))) == (theirs, True)
    assert repository.subjects == ["Add b", "Add a", "first"]


def test_local_edits_hold_back_only_what_they_are_in_the_way_of(rails: Rails, repository: Repository) -> None:
    rails.by_hand = True
    one, two, three = board(on(rails), rails, "a", "b", "c")
    (repository.path / "b.txt").write_text("mine\n")
    rails.say("a+b+c")
    rails.say("a+b")
    rails.say("a")
    with pytest.raises(Blocked, match=r"landing b"):
        two.landed.result(20)
    rails.say("a+c")
    assert (bool(one.landed.result(20)), three.landed.result(20)) == (True, repository.tip)
    assert ((repository.path / "b.txt").read_text(), repository.subjects) == ("mine\n", ["Add c", "Add a", "first"])


def test_a_test_that_cannot_be_run_is_the_trouble_of_its_own_issue(rails: Rails, repository: Repository) -> None:
    rails.by_hand = True
    one, two = board(on(rails), rails, "a", "b")
    rails.tested("a").set_exception(AgentCut("it took too long"))
    rails.tested("a+b").set_exception(AgentCut("it took too long"))
    rails.say("b")
    assert no(one) == "it took too long"
    assert two.landed.result(20) == repository.tip


def test_the_end_of_the_run_is_told_to_all(rails: Rails) -> None:
    rails.by_hand = True
    seats = board(on(rails), rails, "a", "b", ready=False)
    for stack in ("a", "b"):  # the second is tested anew when the first has left
        rails.tested(stack).set_exception(Interrupted("over"))
        rails.threads[stack].join(20)
    for seat in seats:
        with pytest.raises(Interrupted):
            seat.landed.result(20)


def test_a_branch_that_is_gone_is_told_to_all(rails: Rails, repository: Repository) -> None:
    rails.by_hand = True
    seats = board(on(rails), rails, "a", "b")
    repository.git("checkout", "-q", "-b", "other")
    repository.git("branch", "-q", "-D", "main")
    rails.say("a")
    for seat in seats:
        with pytest.raises(GitFailed, match="branch main is gone"):
            seat.landed.result(20)


def squashed(rails: Rails, *names: str, ready: bool = True) -> list[Seat]:
    rails.by_hand = True
    train = on(rails, squash=True)
    held = train.board(issue("zero"), 1, change(rails.hub, "zero"))  # so that all are in line when the first test ends
    rails.tested("zero")
    seats = board(train, rails, *names, ready=ready)
    train.leave(held)
    rails.say("zero")
    return seats


def test_squashed_only_the_last_of_a_group_is_tested(rails: Rails, repository: Repository) -> None:
    seats = squashed(rails, "a", "b", "c", "d")
    rails.say("a+b+c+d")
    assert [seat.landed.result(20) for seat in seats][-1] == repository.tip
    assert (rails.moves, len(rails.running)) == ([["a", "b", "c", "d"]], 2)


def test_squashed_the_one_that_fails_is_found_by_halves(rails: Rails, repository: Repository) -> None:
    one, two, bad, four = squashed(rails, "a", "b", "bad", "d")
    rails.say("a+b+bad+d", passed=False)
    rails.say("a+b")
    rails.say("a+b+bad", passed=False)
    rails.say("a+b+d")
    assert no(bad) == "bad on others: tested a+b+bad"
    assert [seat.landed.result(20) for seat in (one, two, four)][-1] == repository.tip
    assert repository.subjects == ["Add d", "Add b", "Add a", "first"]


def stacked(rails: Rails, train: Train, parent: Seat) -> Seat:
    """A change of an issue that depends on `a`, made on top of it as it stands."""
    base = train.standing(["a"], rails.tip)
    assert parent.candidate
    assert base == parent.candidate.sha
    return train.board(issue("child", 0, "a"), 1, change(rails.hub, "child", base=base))


def test_what_stands_on_another_lands_with_it(rails: Rails, repository: Repository) -> None:
    train = on(rails)
    (one,) = board(train, rails, "a", ready=False)
    child = stacked(rails, train, one)
    train.ready(child, child.change)
    rails.tested("a+child")
    train.ready(one, one.change)
    assert child.landed.result(20) == repository.tip
    assert repository.subjects == ["Add child", "Add a", "first"]
    assert train.standing(["a"], rails.tip) == repository.tip


def test_what_stands_on_another_follows_it_when_it_is_built_anew(rails: Rails, repository: Repository) -> None:
    train = on(rails)
    (one,) = board(train, rails, "a", ready=False)
    child = stacked(rails, train, one)
    train.ready(child, child.change)
    train.leave(one)
    assert child.candidate is None
    anew = train.board(one.issue, 2, change(rails.hub, "a", "better\n"))
    train.ready(anew, anew.change)
    assert child.landed.result(20) == repository.tip
    assert (repository.path / "a.txt").read_text() == "better\n"
    assert repository.subjects == ["Add child", "Add a", "first"]


def test_who_depends_on_what_will_not_land_is_told_so_in_line_and_later(rails: Rails) -> None:
    train = on(rails)
    (one,) = board(train, rails, "a", ready=False)
    child = stacked(rails, train, one)
    train.leave(one)
    train.lose("a", AdwError("a is refused"))
    later = train.board(issue("later", 0, "a"), 1, change(rails.hub, "later"))
    for told in (lambda: child.landed.result(20), lambda: later.landed.result(20), lambda: train.standing(["a"], rails.tip)):
        with pytest.raises(AdwError, match="a is refused"):
            told()


def test_who_waits_for_another_to_stand_is_woken(rails: Rails) -> None:
    train = on(rails)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(train.standing, ["a"], rails.tip)
        (one,) = board(train, rails, "a", ready=False)
        assert waiting.result(20) == (one.candidate and one.candidate.sha)
