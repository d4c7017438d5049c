import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from adw import landing
from adw.errors import Blocked, GitBusy
from adw.git import TRAILER, author
from adw.mirror import Hub, find_hub, sync
from adw.model import Arrival, Candidate, Issue
from tests.conftest import Repository

ISSUE = Issue(id="i1", title="Add i1", body="")
OTHER = Issue(id="i2", title="Add i2", body="")


def land(hub: Hub, issue: Issue, change: Candidate) -> bool:
    """Have one issue land."""
    return landing.land(hub, [Arrival(issue=issue, candidate=change)])


def candidate(hub: Hub, path: str, text: str = "new\n", issue: Issue = ISSUE) -> Candidate:
    """A commit of one file on top of the branch, in the mirror."""
    onto = hub.tip()
    scratch = replace(hub.mirror, index=hub.place.root / f"scratch-{issue.id}", work_tree=hub.place.root)
    scratch.run("read-tree", onto)
    blob = scratch.run("hash-object", "-w", "--stdin", given=text)
    scratch.run("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}")
    tree = scratch.run("write-tree")
    sha = hub.mirror.commit(tree, [onto], f"{issue.title}\n\n{TRAILER}: {issue.id}\n", author(hub.git))
    return Candidate(sha=sha, tree=tree, onto=onto, code=tree)


def state(repository: Repository) -> tuple[str, str, str, dict[str, str]]:
    """The branch, the index, how both differ from the files, and the files."""
    files = {path.name: path.read_text() for path in repository.path.iterdir() if path.is_file()}
    return repository.tip, repository.git("ls-files", "--stage"), repository.git("status", "--porcelain"), files


def busy(hub: Hub, change: Candidate, issue: Issue = ISSUE) -> list[str]:
    """The lock files there are while a landing that met one still has its error at hand."""
    try:
        land(hub, issue, change)
    except GitBusy:
        return [path.name for path in hub.git.directory.rglob("*.lock")]
    pytest.fail("it met no lock")


def was_killed(hub: Hub, since: float, change: Candidate | None = None) -> None:
    """Leave the note of a landing whose process was killed."""
    change = change or candidate(hub, "new.txt")
    note = {"since": since, "onto": change.onto, "sha": change.sha, "locks_before": []}
    (hub.place.root / "landing.json").write_text(json.dumps(note))


def test_a_landing_moves_the_branch_and_its_checkout(hub: Hub, repository: Repository) -> None:
    change = candidate(hub, "new.txt")
    assert land(hub, ISSUE, change)
    assert (repository.tip, repository.git("status", "--porcelain"), repository.git("symbolic-ref", "HEAD")) == (change.sha, "", "refs/heads/main")
    assert (repository.path / "new.txt").read_text() == "new\n"


def test_a_landing_is_recorded_with_what_landed(hub: Hub, repository: Repository) -> None:
    change = candidate(hub, "new.txt")
    land(hub, ISSUE, change)
    for git in (hub.git, hub.mirror):
        assert git.find(f"refs/adw/{ISSUE.key}/candidate") == change.sha
    assert hub.git.find(f"refs/adw/{ISSUE.key}/landed") == change.sha
    assert hub.mirror.trailers(hub.tip()) == {"i1": change.sha}
    assert repository.git("log", "-1", "-g", "--format=%gs", "main") == "adw: land i1"


def test_the_second_of_two_landings_loses(hub: Hub, repository: Repository) -> None:
    changes = [(ISSUE, candidate(hub, "a.txt")), (OTHER, candidate(hub, "b.txt", issue=OTHER))]
    assert [land(hub, issue, change) for issue, change in changes] == [True, False]
    assert (repository.subjects, repository.git("status", "--porcelain")) == (["Add i1", "first"], "")
    assert not (repository.path / "b.txt").exists()
    assert hub.git.find(f"refs/adw/{OTHER.key}/landed") is None


def test_a_commit_of_the_users_wins_over_a_landing(hub: Hub, repository: Repository) -> None:
    change = candidate(hub, "a.txt")
    theirs = repository.commit("theirs", b="1")
    assert land(hub, ISSUE, change) is False
    assert repository.tip == theirs


def test_what_landed_can_land_again_when_it_was_taken_back(hub: Hub, repository: Repository) -> None:
    change = candidate(hub, "a.txt")
    land(hub, ISSUE, change)
    repository.git("reset", "--quiet", "--hard", "HEAD^")
    assert land(hub, ISSUE, change)
    assert repository.tip == change.sha


def test_edits_elsewhere_survive_a_landing(hub: Hub, repository: Repository) -> None:
    (repository.path / "code.txt").write_text("edited\n")
    (repository.path / "README.md").write_text("staged\n")
    repository.git("add", "README.md")
    (repository.path / "untracked").write_text("x")
    assert land(hub, ISSUE, candidate(hub, "new.txt"))
    assert repository.git("status", "--porcelain").split("\n") == ["M  README.md", " M code.txt", "?? untracked"]
    assert ((repository.path / "code.txt").read_text(), (repository.path / "new.txt").read_text()) == ("edited\n", "new\n")


@pytest.mark.parametrize("staged", [False, True])
def test_edits_in_the_way_block_a_landing_and_nothing_moves(staged: bool, hub: Hub, repository: Repository) -> None:  # noqa: FBT001
    (repository.path / "code.txt").write_text("edited\n")
    if staged:
        repository.git("add", "code.txt")
    change, before = candidate(hub, "code.txt"), state(repository)
    with pytest.raises(Blocked, match=r"local edits in .* stand in the way of landing i1.*code\.txt"):
        land(hub, ISSUE, change)
    assert state(repository) == before
    assert hub.git.find(f"refs/adw/{ISSUE.key}/landed") is None


def test_an_untracked_file_in_the_way_blocks_a_landing(hub: Hub, repository: Repository) -> None:
    (repository.path / "new.txt").write_text("mine\n")
    change, before = candidate(hub, "new.txt"), state(repository)
    with pytest.raises(Blocked, match=r"new\.txt"):
        land(hub, ISSUE, change)
    assert state(repository) == before


def test_an_ignored_file_gives_way_to_a_landing_as_it_does_to_git_merge(hub: Hub, repository: Repository) -> None:
    for side in ("git", "adw"):
        change = candidate(hub, ".env", f"{side}\n")
        (repository.path / ".env").write_text("mine\n")
        if side == "git":
            repository.git("fetch", "--quiet", str(hub.mirror.directory), change.sha)
            repository.git("merge", "--quiet", "--ff-only", change.sha)
            repository.git("reset", "--quiet", "--hard", "HEAD^")
        else:
            assert land(hub, ISSUE, change)
    assert (repository.path / ".env").read_text() == "adw\n"


def test_a_landing_goes_on_when_nothing_is_in_its_way_any_more(hub: Hub, repository: Repository) -> None:
    (repository.path / "code.txt").write_text("edited\n")
    change = candidate(hub, "code.txt")
    with pytest.raises(Blocked):
        land(hub, ISSUE, change)
    repository.git("checkout", "--quiet", "code.txt")
    assert land(hub, ISSUE, change)
    assert (repository.path / "code.txt").read_text() == "new\n"


def test_a_file_that_was_only_touched_is_in_nobodys_way(hub: Hub, repository: Repository) -> None:
    os.utime(repository.path / "code.txt", (1, 1))
    assert land(hub, ISSUE, candidate(hub, "code.txt"))
    assert repository.git("status", "--porcelain") == ""


@pytest.mark.usefixtures("home")
def test_a_bare_hub_is_landed_on(repository: Repository, tmp_path: Path) -> None:
    repository.git("clone", "--quiet", "--bare", str(repository.path), str(tmp_path / "bare.git"))
    hub = find_hub(tmp_path / "bare.git")
    sync(hub)
    change = candidate(hub, "new.txt")
    assert land(hub, ISSUE, change)
    assert Repository(tmp_path / "bare.git").tip == change.sha


@pytest.mark.usefixtures("home")
def test_a_branch_that_is_checked_out_in_a_linked_worktree_is_landed_on(repository: Repository, tmp_path: Path) -> None:
    linked = Repository(tmp_path / "linked ö")
    repository.git("worktree", "add", "--quiet", "-b", "zweig/größe", str(linked.path))
    hub = find_hub(repository.path, "zweig/größe")
    sync(hub)
    change, first = candidate(hub, "new.txt"), repository.tip
    assert land(hub, ISSUE, change)
    assert (linked.git("rev-parse", "HEAD"), linked.git("status", "--porcelain"), repository.tip) == (change.sha, "", first)
    assert (linked.path / "new.txt").exists()
    assert not (repository.path / "new.txt").exists()


def test_a_branch_that_is_checked_out_nowhere_is_landed_on(hub: Hub, repository: Repository) -> None:
    repository.git("checkout", "--quiet", "-b", "other")
    change = candidate(hub, "new.txt")
    assert land(hub, ISSUE, change)
    assert (repository.tip, repository.git("status", "--porcelain")) == (change.sha, "")
    assert not (repository.path / "new.txt").exists()


@pytest.mark.parametrize("name", ["reference-transaction", "post-checkout", "post-index-change"])
def test_hooks_of_the_hub_do_not_run(name: str, hub: Hub, repository: Repository, tmp_path: Path) -> None:
    hook = repository.path / ".git" / "hooks" / name
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch '{tmp_path}/ran'\nexit 1\n")
    hook.chmod(0o755)
    assert land(hub, ISSUE, candidate(hub, "new.txt"))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("lock", ["refs/heads/main.lock", "HEAD.lock", "index.lock", f"refs/adw/{ISSUE.key}/landed.lock"])
def test_a_lock_of_a_landing_that_was_killed_is_cleared(lock: str, hub: Hub, repository: Repository) -> None:
    was_killed(hub, time.time())
    stale = repository.path / ".git" / lock
    stale.parent.mkdir(parents=True, exist_ok=True)
    stale.touch()
    assert land(hub, ISSUE, candidate(hub, "new.txt"))
    assert not stale.exists()
    assert not (hub.place.root / "landing.json").exists()


@pytest.mark.parametrize("noted", [False, True])
def test_a_lock_of_somebody_else_is_not(noted: bool, hub: Hub, repository: Repository) -> None:  # noqa: FBT001
    lock = repository.path / ".git" / "index.lock"
    lock.touch()
    if noted:
        os.utime(lock, (time.time() - 60,) * 2)
        was_killed(hub, time.time())
    before = repository.tip
    assert "index.lock" in busy(hub, candidate(hub, "new.txt"))
    assert repository.tip == before


def test_a_note_that_was_cut_off_clears_nothing(hub: Hub, repository: Repository) -> None:
    (hub.place.root / "landing.json").write_text('{"pid": 1, "sin')
    (repository.path / ".git" / "index.lock").touch()
    assert "index.lock" in busy(hub, candidate(hub, "new.txt"))


def test_a_lock_that_the_user_takes_after_a_blocked_landing_is_theirs(hub: Hub, repository: Repository) -> None:
    (repository.path / "code.txt").write_text("edited\n")
    with pytest.raises(Blocked):
        land(hub, ISSUE, candidate(hub, "code.txt"))
    (repository.path / ".git" / "index.lock").touch()  # as of a `git commit` whose editor is open
    assert "index.lock" in busy(hub, candidate(hub, "new.txt", issue=OTHER), OTHER)


def test_a_landing_that_met_a_lock_lets_the_branch_go(hub: Hub, repository: Repository) -> None:
    (repository.path / ".git" / "index.lock").touch()
    assert busy(hub, candidate(hub, "new.txt")) == ["index.lock"]


def test_a_branch_that_another_holds_is_busy(hub: Hub, repository: Repository) -> None:
    lock = repository.path / ".git" / "refs" / "heads" / "main.lock"
    lock.touch()
    with pytest.raises(GitBusy, match="cannot lock main"):
        land(hub, ISSUE, candidate(hub, "new.txt"))
    assert lock.exists()
    assert state(repository)[2] == ""


def half_way(hub: Hub, repository: Repository, change: Candidate) -> None:
    """Leave the checkout as a landing does that was killed after it moved the files."""
    hub.mirror.point("refs/adw/half/way", change.sha)
    hub.publish("refs/adw/half/way")
    repository.git("read-tree", "-m", "-u", "HEAD", change.sha)
    was_killed(hub, time.time(), change)


@pytest.mark.parametrize("path", ["code.txt", "new.txt"])
def test_what_a_killed_landing_had_moved_is_put_back_for_another(path: str, hub: Hub, repository: Repository) -> None:
    half_way(hub, repository, candidate(hub, path, "of the first\n"))
    assert land(hub, OTHER, candidate(hub, path, "of the second\n", OTHER))
    assert (repository.path / path).read_text() == "of the second\n"
    assert repository.git("status", "--porcelain") == ""


def test_files_that_were_moved_without_the_index_are_put_back(hub: Hub, repository: Repository) -> None:
    change = candidate(hub, "code.txt", "half\n")
    half_way(hub, repository, change)
    repository.git("read-tree", "HEAD")
    assert land(hub, OTHER, candidate(hub, "other.txt", issue=OTHER))
    assert (repository.path / "code.txt").read_text() == "one\n"
    assert repository.git("status", "--porcelain") == ""


def test_edits_of_the_user_outlive_a_killed_landing(hub: Hub, repository: Repository) -> None:
    half_way(hub, repository, candidate(hub, "new.txt"))
    (repository.path / "new.txt").write_text("mine\n")
    (repository.path / "README.md").write_text("mine too\n")
    assert land(hub, OTHER, candidate(hub, "other.txt", issue=OTHER))
    assert ((repository.path / "new.txt").read_text(), (repository.path / "README.md").read_text()) == ("mine\n", "mine too\n")


def test_a_commit_of_the_user_meanwhile_fails_no_look_at_the_tip(hub: Hub, repository: Repository) -> None:
    for number in range(5):
        sha = repository.commit("theirs", **{"theirs.txt": f"{number}\n"})
        with ThreadPoolExecutor(8) as threads:
            assert set(threads.map(lambda _: hub.tip(), range(8))) == {sha}
