import os
import time

import pytest

from adw import clean, proc
from adw.git import author
from adw.journal import Journal
from adw.lock import held
from adw.mirror import Hub
from adw.model import Issue
from adw.phases import Site
from tests.conftest import Repository

OLD = 40 * clean.DAY


def run(hub: Hub, name: str, age: float = 0, pid: int | None = None, *, ended: bool = False) -> Journal:
    """A run of some age whose process is (or was) this one, or another."""
    journal = Journal(hub.place.runs / name)
    journal.keep({"run": name})
    pid = os.getpid() if pid is None else pid
    journal.event("flow started", flow_run=f"flow-{name}", ui="", pid=pid, birth=proc.born(pid), issues=[])
    if ended:
        journal.event("run ended", state="completed")
    os.utime(journal.order_file, (time.time() - age,) * 2)
    return journal


def known(hub: Hub, issue: Issue, *names: str, sha: str) -> None:
    """Have mirror and hub hold refs of an issue."""
    for name in names:
        hub.mirror.point(f"refs/adw/{issue.key}/{name}", sha)
        hub.publish(f"refs/adw/{issue.key}/{name}")


def test_refs_of_a_landed_issue_are_removed_but_the_one_that_says_so(hub: Hub, site: Site, issue: Issue, repository: Repository) -> None:
    known(hub, issue, "plan/k", "try/1", "candidate", "rescued-1", "landed", sha=repository.tip)
    done = clean.prune(hub, site.pool(), 30)
    assert (done.refs, list(hub.git.refs("refs/adw")), list(hub.mirror.refs("refs/adw"))) == (4, *[[f"refs/adw/{issue.key}/landed"]] * 2)


def test_refs_of_an_issue_that_did_not_land_are_kept(hub: Hub, site: Site, issue: Issue, repository: Repository) -> None:
    known(hub, issue, "plan/k", "try/1", sha=repository.tip)
    assert clean.prune(hub, site.pool(), 0).refs == 0
    assert len(hub.git.refs("refs/adw")) == len(hub.mirror.refs("refs/adw")) == 2


def test_refs_of_an_issue_whose_landing_was_taken_back_are_kept(hub: Hub, site: Site, issue: Issue, repository: Repository) -> None:
    aside = hub.mirror.commit(hub.mirror.tree_of(repository.tip), [repository.tip], "aside", author(hub.git))
    known(hub, issue, "build/k", "landed", sha=aside)
    assert clean.prune(hub, site.pool(), 30).refs == 0


def test_refs_that_only_the_mirror_has_are_removed_too(hub: Hub, site: Site, issue: Issue, repository: Repository) -> None:
    known(hub, issue, "landed", sha=repository.tip)
    hub.mirror.point(f"refs/adw/{issue.key}/plan/k", repository.tip)
    assert clean.prune(hub, site.pool(), 30).refs == 1


def test_idle_slots_are_removed_and_lent_ones_are_not(hub: Hub, site: Site, issue: Issue) -> None:
    pool = site.pool()
    with pool.lease(hub.tip(), site.order(issue, "build")) as lease:
        with pool.lease(hub.tip(), site.order(issue, "test")):
            pass
        assert clean.prune(hub, pool, 30).slots == 1
        assert (lease.tree / "code.txt").exists()
    assert clean.prune(hub, pool, 30).slots == 1


def test_old_runs_are_removed_and_new_ones_are_kept(hub: Hub, site: Site) -> None:
    run(hub, "old", OLD, ended=True)
    run(hub, "dead", OLD, pid=2**22 - 1)
    run(hub, "new", ended=True)
    assert clean.prune(hub, site.pool(), 30).runs == 2
    assert [journal.folder.name for journal in clean.journals(hub.place)] == ["new"]


def test_a_run_that_still_runs_is_kept_however_old_it_is(hub: Hub, site: Site) -> None:
    run(hub, "running", OLD)
    (hub.place.locks / "held").touch()
    assert clean.prune(hub, site.pool(), 30).runs == 0
    assert (hub.place.locks / "held").exists()


def test_locks_that_nobody_holds_are_removed_when_nothing_runs(hub: Hub, site: Site) -> None:
    run(hub, "old", ended=True)
    (hub.place.locks / "idle").touch()
    with held(hub.place.locks / "busy"):
        clean.prune(hub, site.pool(), 30)
        assert [path.name for path in hub.place.locks.iterdir()] == ["busy"]


def test_what_results_need_survives(hub: Hub, site: Site, issue: Issue, repository: Repository) -> None:
    kept = hub.mirror.commit(hub.mirror.tree_of(repository.tip), [repository.tip], "kept", author(hub.git))
    hub.mirror.point(f"refs/adw/{issue.key}/build/k", kept)
    clean.prune(hub, site.pool(), 0)
    assert hub.mirror.has(kept)


@pytest.mark.parametrize(("ended", "pid", "is_dead"), [(False, 2**22 - 1, True), (False, None, False), (True, 2**22 - 1, False)])
def test_a_run_is_dead_if_it_did_not_end_and_its_process_did(ended: bool, pid: int | None, is_dead: bool, hub: Hub) -> None:  # noqa: FBT001
    journal = run(hub, "a", pid=pid, ended=ended)
    assert clean.dead(hub.place) == ([journal] if is_dead else [])
    assert clean.lives(journal) is (pid is None and not ended)


def test_runs_come_newest_first(hub: Hub) -> None:
    for name, age in (("b", 20), ("c", 10), ("a", 30)):
        run(hub, name, age)
    assert [journal.folder.name for journal in clean.journals(hub.place)] == ["c", "b", "a"]


def test_how_much_was_removed_is_said() -> None:
    assert str(clean.Cleaned(runs=1, slots=2, refs=3)) == "removed 2 idle slots, 3 refs of landed issues and 1 old runs"
