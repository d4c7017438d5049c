"""Landing on a remote's branch: a real bare repository, and pushes of others in between."""

import subprocess
from pathlib import Path

import pytest

from adw import upstream
from adw.config import LandingConfig
from adw.errors import Blocked, HubAway, Misuse
from adw.git import Git
from adw.mirror import Hub, find_hub, sync
from adw.model import Arrival
from adw.upstream import Upstream
from tests.adw.daemon import served
from tests.adw.test_landing import ISSUE, OTHER, candidate, state
from tests.conftest import Repository, push_by_another

PUSH = LandingConfig(mode="push")


@pytest.fixture
def far(hub: Hub, origin: Repository) -> Upstream:  # noqa: ARG001 - it is the remote
    found = upstream.facing(hub, PUSH)
    assert isinstance(found, Upstream)
    return found


def hook(origin: Repository, script: str) -> None:
    path = origin.path / "hooks" / "pre-receive"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def land(hub: Upstream, *arrivals: Arrival) -> bool:
    return upstream.land(hub, arrivals)


def test_a_landing_is_pushed_and_the_users_own_branch_and_checkout_stay(far: Upstream, origin: Repository, repository: Repository) -> None:
    before = state(repository)
    change = candidate(far, "new.txt")
    assert land(far, Arrival(issue=ISSUE, candidate=change))
    assert origin.tip == change.sha
    assert state(repository) == before
    assert (far.tip(), repository.git("rev-parse", "origin/main")) == (change.sha, change.sha)
    assert far.git.find(f"refs/adw/{ISSUE.key}/landed") == change.sha


def test_a_group_lands_by_one_push_of_its_last_candidate(far: Upstream, origin: Repository) -> None:
    hook(origin, "cat >> pushed")
    first = candidate(far, "a.txt")
    far.hold(ISSUE.key, first.sha)
    far.git.point(far.ref, first.sha)  # as if the first had landed, so that the second stands on it
    second = candidate(far, "b.txt", issue=OTHER)
    far.git.point(far.ref, first.onto)
    assert land(far, Arrival(issue=ISSUE, candidate=first), Arrival(issue=OTHER, candidate=second))
    assert (origin.path / "pushed").read_text() == f"{first.onto} {second.sha} refs/heads/main\n"
    assert (far.git.find(f"refs/adw/{ISSUE.key}/landed"), far.git.find(f"refs/adw/{OTHER.key}/landed")) == (first.sha, second.sha)


def test_a_push_of_somebody_else_wins_and_is_seen_at_once(far: Upstream, origin: Repository, tmp_path: Path) -> None:
    change = candidate(far, "new.txt")
    theirs = push_by_another(origin, tmp_path / "bob", "theirs", b="1")
    assert far.tip() == change.onto  # it was looked at a moment ago
    assert land(far, Arrival(issue=ISSUE, candidate=change)) is False
    assert (origin.tip, far.tip()) == (theirs, theirs)
    assert far.git.find(f"refs/adw/{ISSUE.key}/landed") is None
    assert land(far, Arrival(issue=ISSUE, candidate=candidate(far, "new.txt")))
    assert origin.subjects == ["Add i1", "theirs", "first"]


def test_a_branch_that_was_set_back_is_not_moved_on_by_what_stands_on_what_is_gone(far: Upstream, origin: Repository, repository: Repository) -> None:
    first = repository.commit("second", b="1")
    repository.git("push", "--quiet", "origin", "main")
    far.look_again()
    change = candidate(far, "new.txt")
    origin.git("update-ref", "refs/heads/main", "main^")
    assert land(far, Arrival(issue=ISSUE, candidate=change)) is False
    assert far.tip() == repository.git("rev-parse", f"{first}^")


def test_a_push_whose_answer_was_lost_is_found_done(far: Upstream, origin: Repository) -> None:
    change = candidate(far, "new.txt")
    far.hold(ISSUE.key, change.sha)
    far.far.push("origin", change.sha, "refs/heads/main", change.onto)
    assert land(far, Arrival(issue=ISSUE, candidate=change))
    assert origin.subjects == ["Add i1", "first"]
    assert far.git.find(f"refs/adw/{ISSUE.key}/landed") == change.sha


def test_a_landing_that_was_killed_before_its_note_is_known_by_its_trailer(far: Upstream) -> None:
    change = candidate(far, "new.txt")
    far.hold(ISSUE.key, change.sha)
    far.far.push("origin", change.sha, "refs/heads/main", change.onto)
    far.look_again()
    assert far.mirror.trailers(far.tip()) == {"i1": change.sha}
    upstream.note(far, {ISSUE: change.sha, OTHER: change.sha})
    assert far.git.find(f"refs/adw/{ISSUE.key}/landed") == change.sha
    assert far.git.find(f"refs/adw/{OTHER.key}/landed") is None  # nothing of it is here


def test_a_remote_that_refuses_is_quoted_and_the_change_is_kept(far: Upstream, origin: Repository) -> None:
    hook(origin, "echo 'main is frozen: talk to Bob, or the line hung up' >&2; exit 1")
    change, before = candidate(far, "new.txt"), origin.tip
    with pytest.raises(Blocked, match=r"origin does not take main: pre-receive hook declined\nmain is frozen: talk to Bob"):
        land(far, Arrival(issue=ISSUE, candidate=change))
    assert (origin.tip, far.git.find(f"refs/adw/{ISSUE.key}/candidate")) == (before, change.sha)
    assert far.git.find(f"refs/adw/{ISSUE.key}/landed") is None


def test_while_the_remote_is_away_what_is_known_stands_and_landing_can_be_tried_again(far: Upstream, origin: Repository) -> None:
    change = candidate(far, "new.txt")
    origin.path.rename(origin.path.with_name("gone"))
    far.look_again()
    assert far.tip() == change.onto
    with pytest.raises(HubAway, match="cannot reach origin"):
        land(far, Arrival(issue=ISSUE, candidate=change))
    origin.path.with_name("gone").rename(origin.path)
    assert land(far, Arrival(issue=ISSUE, candidate=change))


def test_a_remote_that_was_never_heard_is_away(far: Upstream, origin: Repository) -> None:
    origin.path.rename(origin.path.with_name("gone"))
    with pytest.raises(HubAway, match="cannot reach origin"):
        far.tip()


@pytest.mark.parametrize("url", ["https://127.0.0.1:9/x/y.git", "https://nowhere.invalid/x/y.git", "ssh://git@127.0.0.1:9/x/y.git", "git://127.0.0.1:9/x"])
def test_a_host_that_does_not_answer_is_away(far: Upstream, repository: Repository, url: str) -> None:
    repository.git("remote", "set-url", "origin", url)
    with pytest.raises(HubAway, match="cannot reach origin"):
        far.tip()


def test_many_looks_are_one_call_over_the_network(far: Upstream, origin: Repository, tmp_path: Path) -> None:
    known = far.tip()
    theirs = push_by_another(origin, tmp_path / "bob", "theirs", b="1")
    assert [far.tip() for _ in range(20)] == [known] * 20
    far.look_again()
    assert far.tip() == theirs


def test_a_branch_that_the_remote_does_not_have_is_named(far: Upstream, origin: Repository) -> None:
    origin.git("branch", "-m", "main", "trunk")
    with pytest.raises(Misuse, match="origin has no branch main: `git push origin main` first"):
        far.tip()


def test_a_remote_that_is_not_there_is_named_with_those_that_are(hub: Hub, repository: Repository) -> None:
    with pytest.raises(Misuse, match=r"has no remote 'origin', .* `git remote add origin URL`"):
        upstream.facing(hub, PUSH)
    repository.git("remote", "add", "upstream", "/nowhere")
    with pytest.raises(Misuse, match=r"has no remote 'origin', .* it has upstream: set landing\.remote"):
        upstream.facing(hub, PUSH)


def test_where_nothing_is_pushed_no_remote_is_needed(hub: Hub) -> None:
    assert upstream.facing(hub, LandingConfig()) is upstream.facing(hub, LandingConfig(mode="none")) is hub


def test_it_shows_beforehand_that_nothing_could_be_pushed(far: Upstream, origin: Repository, repository: Repository) -> None:
    far.look()
    far.prove_pushing()
    with served(origin.path.parent, writable=False) as url:
        repository.git("remote", "set-url", "origin", url.replace("/.git", "/code.git"))
        with pytest.raises(Misuse, match=r"cannot push to origin, as landing\.mode .* wants it: .*service not enabled"):
            far.prove_pushing()


def test_a_remote_that_pushes_elsewhere_than_it_fetches_is_not_tried_for_ever(
    far: Upstream, origin: Repository, repository: Repository, tmp_path: Path
) -> None:
    change = candidate(far, "new.txt")
    origin.git("clone", "--quiet", "--bare", str(origin.path), str(tmp_path / "fork.git"))
    push_by_another(Repository(tmp_path / "fork.git"), tmp_path / "bob", "theirs", b="1")
    repository.git("remote", "set-url", "--push", "origin", str(tmp_path / "fork.git"))
    with pytest.raises(HubAway, match="does it push elsewhere than it fetches"):
        land(far, Arrival(issue=ISSUE, candidate=change))


def test_what_the_user_has_not_pushed_is_counted(far: Upstream, repository: Repository) -> None:
    far.look()
    assert far.unpushed() == 0
    repository.commit("mine", b="1")
    assert far.unpushed() == 1


def test_a_remote_is_reached_from_the_work_tree_with_the_users_own_settings(far: Upstream, origin: Repository, repository: Repository, tmp_path: Path) -> None:
    repository.git("remote", "set-url", "origin", "../ada/code.git")
    assert far.tip() == origin.tip
    ssh = tmp_path / "ssh"
    ssh.write_text(f"#!/bin/sh\necho \"$@\" > '{tmp_path}/called'\nexit 255\n")
    ssh.chmod(0o755)
    repository.git("config", "core.sshCommand", f"'{ssh}' -i my-key")
    repository.git("remote", "set-url", "origin", "git@host.invalid:ada/code.git")
    far.looks.known = False
    far.look_again()
    with pytest.raises(HubAway):
        far.tip()
    said = (tmp_path / "called").read_text()
    assert said.startswith("-i my-key -o BatchMode=yes")
    assert "git@host.invalid" in said


@pytest.mark.usefixtures("home")
def test_in_a_mirror_of_a_remote_nothing_but_the_tracking_ref_moves(origin: Repository, tmp_path: Path) -> None:
    subprocess.run(["git", "clone", "--quiet", "--mirror", str(origin.path), str(tmp_path / "mirror.git")], check=True)
    hub = find_hub(tmp_path / "mirror.git")
    sync(hub)
    before = Repository(hub.path).tip
    theirs = push_by_another(origin, tmp_path / "bob", "theirs", b="1")
    far = upstream.facing(hub, PUSH)
    assert far.tip() == theirs
    assert Repository(hub.path).tip == before


def test_tags_of_the_user_stay_at_home(far: Upstream, origin: Repository, repository: Repository) -> None:
    repository.git("config", "push.followTags", "true")
    repository.git("tag", "-a", "v1", "-m", "v1")
    assert land(far, Arrival(issue=ISSUE, candidate=candidate(far, "new.txt")))
    assert origin.git("tag") == ""


def test_hooks_of_the_user_do_not_run_when_it_is_pushed(far: Upstream, repository: Repository) -> None:
    path = repository.path / ".git" / "hooks" / "pre-push"
    path.parent.mkdir(exist_ok=True)
    path.write_text("#!/bin/sh\nexit 1\n")
    path.chmod(0o755)
    assert land(far, Arrival(issue=ISSUE, candidate=candidate(far, "new.txt")))


def test_the_mirror_has_what_the_remote_has(far: Upstream, origin: Repository, tmp_path: Path) -> None:
    theirs = push_by_another(origin, tmp_path / "bob", "theirs", b="1")
    far.tip()
    assert isinstance(far.mirror, Git)
    assert far.mirror.has(theirs)
