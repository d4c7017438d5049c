"""Two hosts, each with a folder of its own, and a hub that they reach over git's protocol."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from adw import phases, results
from adw.config import ClusterConfig
from adw.errors import GitFailed, HubAway
from adw.home import Place
from adw.mirror import Hub
from adw.model import Change, Issue, Verdict
from adw.phases import Site
from adw.remote import Remote, far
from tests.adw.daemon import served
from tests.conftest import Repository

KEY = "k" * 24


@pytest.fixture
def url(repository: Repository) -> Iterator[str]:
    with served(repository.path) as address:
        yield address


def host(url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Remote:
    """The hub as another host sees it."""
    monkeypatch.setenv("ADW_HOME", str(folder))
    return Remote.of(url, "main", "Ada", "ada@example.invalid")


@pytest.fixture
def one(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Remote:
    return host(url, tmp_path / "one", monkeypatch)


@pytest.fixture
def two(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Remote:
    return host(url, tmp_path / "two", monkeypatch)


def made(where: Remote | Hub, base: str, subject: str) -> str:
    """A commit that only one host has."""
    return where.mirror.commit(where.mirror.tree_of(base), [base], subject, where.author())


@pytest.mark.parametrize(("name", "is_far"), [("ssh://me@host/repo", True), ("git://10.0.0.1/x", True), ("/srv/repo.git", False), ("C:/repo", False)])
def test_a_url_is_told_from_a_path(name: str, is_far: bool) -> None:  # noqa: FBT001
    assert far(name) is is_far


def test_what_one_host_made_another_finds_by_its_key(one: Remote, two: Remote, site: Site, issue: Issue, repository: Repository) -> None:
    for where in (one, two):
        where.bring(repository.tip, issue.key)
    sha = made(one, repository.tip, "made on one")
    change = Change(sha=sha, tree=one.mirror.tree_of(sha), base=repository.tip, base_tree=one.mirror.tree_of(repository.tip))
    order = site.order(issue, "build")
    assert results.once(one, order, KEY, Change, lambda: (change, sha)) == (change, False)
    assert results.once(two, order, KEY, Change, lambda: pytest.fail("made again")) == (change, True)
    assert two.mirror.has(sha)


def test_of_two_hosts_that_made_the_same_at_once_the_first_counts(one: Remote, two: Remote, site: Site, issue: Issue, repository: Repository) -> None:
    order, first, second = site.order(issue, "test"), Verdict(passed=True, log="one"), Verdict(passed=False, log="two")
    for where in (one, two):
        where.bring(repository.tip, issue.key)

    def overtaken() -> tuple[Verdict, str]:
        results.record(one, order, KEY, first, repository.tip)
        return second, repository.tip

    assert results.once(two, order, KEY, Verdict, overtaken) == (first, True)


def test_a_commit_is_brought_by_the_ref_that_holds_it_in_the_hub(one: Remote, hub: Hub, issue: Issue, repository: Repository) -> None:
    candidate = made(hub, repository.tip, "what would land")
    hub.hold(issue.key, candidate)
    one.bring(candidate, issue.key)
    assert one.mirror.has(candidate)


def test_a_commit_whose_ref_moved_on_is_brought_by_its_sha(one: Remote, hub: Hub, issue: Issue, repository: Repository) -> None:
    older, newer = made(hub, repository.tip, "older"), made(hub, repository.tip, "newer")
    hub.hold(issue.key, older)
    hub.hold(issue.key, newer)
    one.bring(older, issue.key)
    assert one.mirror.has(older)


def test_a_commit_that_is_nowhere_is_named(one: Remote, issue: Issue) -> None:
    with pytest.raises(GitFailed, match="1234567890"):
        one.bring("1234567890" * 4, issue.key)


def test_the_host_of_the_run_takes_up_what_others_made(one: Remote, hub: Hub, site: Site, issue: Issue, repository: Repository) -> None:
    one.bring(repository.tip, issue.key)
    results.record(one, site.order(issue, "test"), KEY, Verdict(passed=True, log="fine"), repository.tip)
    assert results.find(hub, "test", KEY, Verdict) is None
    hub.take_up(issue.key)
    assert results.find(hub, "test", KEY, Verdict) == Verdict(passed=True, log="fine")


def test_many_threads_bring_the_same_commit_at_once(one: Remote, hub: Hub, issue: Issue, repository: Repository) -> None:
    candidate, failures = made(hub, repository.tip, "what would land"), []
    hub.hold(issue.key, candidate)

    def bring() -> None:
        try:
            one.bring(candidate, issue.key)
        except Exception as no:  # noqa: BLE001 - whatever it is
            failures.append(no)

    threads = [threading.Thread(target=bring) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert one.mirror.has(candidate)


def test_a_hub_that_is_gone_may_come_back(one: Remote, issue: Issue) -> None:
    gone = replace(one, url="git://127.0.0.1:1/.git")
    with pytest.raises(HubAway, match=r"cannot reach git://127.0.0.1:1/.git: .*refused"):
        gone.bring("1234567890" * 4, issue.key)


def test_a_hub_that_lets_nobody_push_says_so(repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, issue: Issue) -> None:
    with served(repository.path, writable=False) as url:
        one = host(url, tmp_path / "one", monkeypatch)
        one.bring(repository.tip, issue.key)
        one.mirror.point("refs/adw/x/y", repository.tip)
        with pytest.raises(GitFailed, match="service not enabled"):
            one.publish("refs/adw/x/y")


def test_a_phase_on_another_host_commits_for_the_user_and_leaves_its_change_in_the_hub(
    hub: Hub, site: Site, url: str, issue: Issue, repository: Repository
) -> None:
    attempt = results.begin(hub, issue, 1, repository.tip)
    there = replace(site, repository=url, author=("Ada", "ada@example.invalid"))
    there.journal().keep({})
    plan, about = phases.plan(there, issue, attempt, {})
    change, _ = phases.build(there, issue, plan, attempt, {})
    results.record(there.hub(), site.order(issue, "build"), KEY, change, about)
    assert there.hub().place != hub.place
    assert repository.git("log", "-1", "--format=%an %ae", change.sha) == "Ada ada@example.invalid"
    assert repository.git("show", f"{change.sha}:{issue.id}.txt") == issue.id
    assert phases.build_key(there, issue, plan, attempt) == phases.build_key(site, issue, plan, attempt)


def test_places_of_a_path_and_of_its_url_differ(repository: Repository, url: str, home: Path) -> None:
    assert Place.of(Path(url)) != Place.of(repository.path / ".git")
    assert home in Place.of(Path(url)).root.parents


def test_a_hub_that_is_no_url_is_refused() -> None:
    with pytest.raises(ValueError, match="must be a URL"):
        ClusterConfig(hub="/srv/repo.git")
