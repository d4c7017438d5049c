"""The branches that are left for people, on real git."""

import subprocess

import pytest

from adw import branches
from adw.errors import Blocked, Conflict, GitBusy
from adw.mirror import Hub
from adw.model import Arrival, Candidate, Issue
from tests.adw.test_landing import ISSUE, OTHER, candidate
from tests.adw.test_train import change
from tests.conftest import Repository


def leave(hub: Hub, what: Candidate, issue: Issue = ISSUE) -> None:
    branches.leave(hub, Arrival(issue=issue, candidate=what))


def at(repository: Repository, branch: str = "adw/i1") -> str:
    return repository.git("rev-parse", f"refs/heads/{branch}")


@pytest.mark.parametrize(
    ("issue", "name"),
    [
        *[("GH-12", "adw/GH-12"), ("add_retry.v2", "adw/add_retry.v2"), ("a b", "adw/a-b-"), ("größe", "adw/gr-e-"), ("../x", "adw/x-")],
        *[("x.lock", "adw/x-lock-"), ("a..b", "adw/a-b-"), ("-x", "adw/x-"), ("?", "adw/issue-"), ("a/b", "adw/a-b-"), ("x.", "adw/x-")],
        ("x" * 200, f"adw/{'x' * 40}-"),
    ],
)
def test_each_id_has_a_branch_that_git_takes_and_no_two_have_the_same(issue: str, name: str) -> None:
    found = branches.name(issue)
    assert found == name if not name.endswith("-") else (found.startswith(name) and len(found) == len(name) + 8)
    assert subprocess.run(["git", "check-ref-format", f"refs/heads/{found}"], check=False).returncode == 0
    assert branches.name(f"{issue}!") != found


def test_a_branch_is_left_at_what_would_land_and_moved_when_that_changes(hub: Hub, repository: Repository) -> None:
    first = candidate(hub, "new.txt")
    leave(hub, first)
    assert at(repository) == first.sha
    repository.commit("theirs", b="1")
    second = candidate(hub, "new.txt")
    leave(hub, second)
    assert at(repository) == second.sha
    assert repository.subjects == ["theirs", "first"]


def test_what_is_there_already_is_not_touched(hub: Hub, repository: Repository) -> None:
    what = candidate(hub, "new.txt")
    leave(hub, what)
    repository.git("checkout", "--quiet", "adw/i1")
    leave(hub, what)
    assert repository.git("reflog", "show", "--format=%gs", "adw/i1").splitlines() == ["adw: offer i1"]


def test_a_branch_that_a_person_moved_or_made_stays_as_it_is(hub: Hub, repository: Repository) -> None:
    leave(hub, candidate(hub, "new.txt"))
    repository.git("checkout", "--quiet", "adw/i1")
    theirs = repository.commit("mended by hand", **{"new.txt": "mine\n"})
    repository.git("checkout", "--quiet", "main")
    repository.git("branch", "adw/i2")
    for issue in (ISSUE, OTHER):
        with pytest.raises(Blocked, match=rf"branch adw/{issue.id} is at \w{{10}}, which adw did not put there, .*`adw resume`"):
            branches.insist_on_free(hub, issue)
        with pytest.raises(Blocked, match="adw did not put there"):
            leave(hub, candidate(hub, "other.txt", issue=issue), issue)
    assert (at(repository), at(repository, "adw/i2")) == (theirs, repository.tip)


def test_a_branch_of_an_issue_whose_text_was_edited_is_still_adws(hub: Hub, repository: Repository) -> None:
    leave(hub, candidate(hub, "new.txt"))
    edited = Issue(id="i1", title="Add i1", body="and more")
    what = candidate(hub, "more.txt", issue=edited)
    leave(hub, what, edited)
    assert at(repository) == what.sha


def test_a_branch_that_is_deleted_is_made_anew(hub: Hub, repository: Repository) -> None:
    what = candidate(hub, "new.txt")
    leave(hub, what)
    repository.git("branch", "--quiet", "-D", "adw/i1")
    leave(hub, what)
    assert at(repository) == what.sha


def test_a_branch_does_not_move_under_a_checkout(hub: Hub, repository: Repository) -> None:
    first = candidate(hub, "new.txt")
    leave(hub, first)
    repository.git("checkout", "--quiet", "adw/i1")
    with pytest.raises(Blocked, match=r"branch adw/i1 is checked out in .*repo, and would move under it"):
        leave(hub, candidate(hub, "other.txt"))
    assert (at(repository), repository.git("status", "--porcelain")) == (first.sha, "")


def test_a_branch_of_the_users_that_is_called_adw_is_named(hub: Hub, repository: Repository) -> None:
    repository.git("branch", "adw")
    with pytest.raises(Blocked, match="beside your branch adw: rename that"):
        branches.insist_on_free(hub, ISSUE)


def test_a_branch_that_somebody_holds_can_be_tried_again(hub: Hub, repository: Repository) -> None:
    what = candidate(hub, "new.txt")
    lock = repository.path / ".git" / "refs" / "heads" / "adw" / "i1.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    with pytest.raises(GitBusy, match="cannot move branch adw/i1"):
        leave(hub, what)
    lock.unlink()
    leave(hub, what)


def on(hub: Hub, name: str, base: str, text: str = "", path: str = "") -> str:
    return change(hub, name, text, path, base).sha


def test_what_depends_on_nothing_that_is_ready_is_built_on_the_tip(hub: Hub) -> None:
    assert branches.ground(hub.mirror, hub.tip(), [], [hub.tip()]) == hub.tip()


def test_what_depends_on_one_that_is_ready_is_built_on_it_wherever_the_tip_is(hub: Hub, repository: Repository) -> None:
    a = on(hub, "a", hub.tip())
    repository.commit("theirs", b="1")
    assert branches.ground(hub.mirror, hub.tip(), [a], []) == a


def test_but_on_the_tip_with_it_if_something_else_landed_that_it_needs(hub: Hub, repository: Repository) -> None:
    a = on(hub, "a", hub.tip())
    landed = repository.commit("landed", **{"landed.txt": "1\n"})
    ground = branches.ground(hub.mirror, hub.tip(), [a], [landed])
    assert hub.mirror.run("rev-parse", f"{ground}^") == landed
    assert hub.mirror.text(ground, "a.txt") == "a\n"


def test_what_depends_on_two_is_built_on_a_stack_of_them_the_same_each_time(hub: Hub) -> None:
    shared = on(hub, "shared", hub.tip())
    a, b = on(hub, "a", shared), on(hub, "b", shared)
    ground = branches.ground(hub.mirror, hub.tip(), [a, b, shared], [])
    assert hub.mirror.run("log", "--format=%s", ground).split() == ["b", "a", "shared", "first"]
    assert ground == branches.ground(hub.mirror, hub.tip(), [a, b], [])
    assert branches.ground(hub.mirror, hub.tip(), [shared, b], []) == b


def test_two_that_do_not_merge_bear_nothing(hub: Hub) -> None:
    a, b = on(hub, "a", hub.tip(), "a\n", "same.txt"), on(hub, "b", hub.tip(), "b\n", "same.txt")
    with pytest.raises(Conflict, match=r"same\.txt"):
        branches.ground(hub.mirror, hub.tip(), [a, b], [])


def test_a_pull_request_goes_onto_the_branch_that_is_nearest_below(hub: Hub) -> None:
    a = on(hub, "a", hub.tip())
    b, c = on(hub, "b", a), on(hub, "c", a)
    ground = branches.ground(hub.mirror, hub.tip(), [a, b, c], [])
    assert branches.base(hub.mirror, ground, [("adw/a", a), ("adw/b", b), ("adw/c", c)]) == "adw/b"
    assert branches.base(hub.mirror, hub.tip(), [("adw/a", a)]) == ""


def test_a_try_goes_on_whose_base_holds_no_more_than_adws_own_commits(hub: Hub, repository: Repository) -> None:
    first, theirs = repository.tip, repository.commit("theirs", b="1")
    a = on(hub, "a", hub.tip())
    b = on(hub, "b", a)
    assert all(branches.bears(hub.mirror, hub.tip(), base) for base in (first, theirs, a, b))
    repository.git("reset", "--quiet", "--hard", first)
    assert not any(branches.bears(hub.mirror, hub.tip(), base) for base in (theirs, a, b))
