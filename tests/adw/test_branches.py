"""The branches that are left for people, on real git."""

import subprocess

import pytest

from adw import branches
from adw.errors import Blocked, GitBusy
from adw.mirror import Hub
from adw.model import Arrival, Candidate, Issue
from tests.adw.test_landing import ISSUE, OTHER, candidate
from tests.conftest import Repository


def leave(hub: Hub, what: Candidate, issue: Issue = ISSUE) -> None:
    branches.leave(hub, Arrival(issue=issue, candidate=what))


def at(repository: Repository, branch: str = "adw/i1") -> str:
    return repository.git("rev-parse", f"refs/heads/{branch}")


@pytest.mark.parametrize(
    ("issue", "name"),
    [
        *[("GH-12", "adw/GH-12"), ("add_retry.v2", "adw/add_retry.v2"), ("a b", "adw/a-b-"), ("größe", "adw/gr-e-"), ("../x", "adw/x-")],
        *[("x.lock", "adw/x-"), ("a..b", "adw/a-b-"), ("-x", "adw/x-"), ("?", "adw/issue-"), ("a/b", "adw/a-b-"), ("x.", "adw/x-")],
        ("x" * 200, f"adw/{'x' * 100}-"),
    ],
)
def test_each_id_has_a_branch_that_git_takes_and_no_two_have_the_same(issue: str, name: str) -> None:
    found = branches.name(Issue(id=issue, title="t", body=""))
    assert found == name if not name.endswith("-") else (found.startswith(name) and len(found) == len(name) + 8)
    assert subprocess.run(["git", "check-ref-format", f"refs/heads/{found}"], check=False).returncode == 0
    assert branches.name(Issue(id=f"{issue}!", title="t", body="")) != found


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


def test_what_a_person_commits_to_a_branch_that_is_ready_is_no_try(hub: Hub, repository: Repository) -> None:
    branches.keep(hub, ISSUE, candidate(hub, "refused.txt").sha)
    leave(hub, candidate(hub, "new.txt"))
    assert branches.taken_up(hub, ISSUE, hub.tip()) == ""
    repository.git("checkout", "--quiet", "adw/i1")
    repository.commit("by hand", **{"new.txt": "mine\n"})
    repository.git("checkout", "--quiet", "main")
    assert branches.taken_up(hub, ISSUE, hub.tip()) == ""
    with pytest.raises(Blocked, match="adw did not put there"):
        branches.insist_on_free(hub, ISSUE)


def test_what_adw_offered_is_no_persons_work_though_it_was_killed_before_it_forgot_what_was_refused(hub: Hub) -> None:
    refused = candidate(hub, "refused.txt")
    leave(hub, candidate(hub, "new.txt"))
    hub.mirror.point(f"refs/adw/{ISSUE.key}/kept", refused.sha)
    assert branches.taken_up(hub, ISSUE, hub.tip()) == ""


def test_what_a_person_committed_to_one_that_was_refused_was_taken_up_and_may_be_moved(hub: Hub, repository: Repository) -> None:
    branches.keep(hub, ISSUE, candidate(hub, "refused.txt").sha)
    repository.git("checkout", "--quiet", "adw/i1")
    repository.commit("by hand", **{"new.txt": "mine\n"})
    repository.git("checkout", "--quiet", "main")
    assert branches.taken_up(hub, ISSUE, hub.tip())
    branches.saw(hub, ISSUE)
    what = candidate(hub, "new.txt")
    leave(hub, what)
    assert at(repository) == what.sha


def test_a_branch_that_is_ready_goes_when_its_change_has_landed_and_a_persons_stays(hub: Hub, repository: Repository) -> None:
    leave(hub, candidate(hub, "new.txt"))
    repository.git("branch", "adw/i2")
    for issue in (ISSUE, OTHER):
        branches.drop(hub, issue)
    assert repository.git("branch", "--list", "--format=%(refname:short)", "adw/*") == "adw/i2"
