"""Where changes go: onto the branch of a remote, and to people, as branches and as pull requests."""

import re

import pytest

from tests import fake_github
from tests.conftest import Repository
from tests.e2e.conftest import WRITES, Adw, configure
from tests.fake_github import Said, no

pytestmark = pytest.mark.usefixtures("untraced")


def ids(repository: Repository, branch: str = "main") -> list[str]:
    """The issues that are on a branch."""
    return repository.git("log", "--format=%(trailers:key=Adw-Issue,valueonly,separator=)", branch).split()


def done(adw: Adw, phase: str) -> list[str]:
    """The issues of which the newest run did a phase itself."""
    return [e["issue"] for e in adw.events() if e["event"] == "phase" and (e["phase"], e["state"]) == (phase, "done")]


def test_changes_are_pushed_and_what_others_push_meanwhile_stays(adw: Adw, origin: Repository) -> None:
    somebody = f"""
    if [ "$ADW_PHASE-$ADW_ISSUE" = review-a ]; then
      git clone --quiet '{origin.path}' '{adw.issues.parent}/bob' && cd '{adw.issues.parent}/bob'
      echo x > theirs.txt && git add . && git -c user.name=Bob -c user.email=bob@example.invalid commit --quiet -m theirs
      git push --quiet origin HEAD:main
    fi
    """
    configure(adw, WRITES + somebody, '[landing]\nmode = "push"\n')
    adw.repository.git("push", "--quiet", "origin", "main")
    before = adw.repository.tip
    adw.issue("a")
    adw.issue("b", depends_on="a")
    ended = adw.call("run", str(adw.issues))
    assert ended.returncode == 0, ended.stdout
    assert "landed on main at origin; your own branch is as it was: `git pull` brings it" in ended.stdout
    assert origin.subjects == ["Add b", "Add a", "theirs", "configure", "first"]
    assert (adw.repository.tip, adw.repository.git("status", "--porcelain")) == (before, "")
    again = adw.call("run", str(adw.issues))
    assert (again.returncode, again.stdout.count("already landed"), done(adw, "build")) == (0, 4, [])
    adw.repository.git("pull", "--quiet", "--ff-only", "origin", "main")
    adw.assert_whole("a", "b")


def test_changes_are_left_as_branches_then_as_pull_requests_and_follow_what_people_merge(
    adw: Adw, origin: Repository, github: fake_github.GitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(adw, "", f'[landing]\nmode = "pull-request"\n[github]\nsecret = "landing-test"\napi_url = "{github.url}"\n')
    adw.repository.git("push", "--quiet", "origin", "main")
    adw.issue("a")
    adw.issue("b", depends_on="a")
    tip = adw.repository.tip

    left = adw.call("run", str(adw.issues), "--no-land")
    assert left.returncode == 0, left.stdout
    assert re.search(r"^ready \w{10}  Add b  \(b\)  adw/b$", left.stdout, re.MULTILINE)
    assert (adw.repository.tip, ids(adw.repository, "adw/b")) == (tip, ["b", "a"])
    assert adw.repository.git("rev-parse", "adw/b^", "adw/a^").split() == [adw.repository.git("rev-parse", "adw/a"), tip]

    killed: list[str] = []

    def kill(method: str, path: str) -> Said | None:
        """The run's process is killed when the branch is pushed, and the pull request is not yet opened."""
        if method != "POST" or killed:
            return None
        killed.append(path)
        adw.flow().kill()
        return no(502, "Server Error")

    github.upset = kill
    offered = adw.call("run", str(adw.issues))
    assert offered.returncode == 0, offered.stdout
    assert "starting it again" in offered.stdout
    assert done(adw, "build") == []
    assert [(pull["head"]["ref"], pull["base"]["ref"], pull["state"]) for pull in github.pulls] == [("adw/a", "main", "open"), ("adw/b", "adw/a", "open")]
    assert [(pull["draft"], github.statuses[origin.git("rev-parse", pull["head"]["ref"])][-1]["state"]) for pull in github.pulls] == [(False, "success")] * 2
    assert f"ready {origin.git('rev-parse', 'adw/b')[:10]}  Add b  (b)  {github.pulls[1]['html_url']}" in offered.stdout

    monkeypatch.delenv("GITHUB_TOKEN")  # it is kept in Prefect
    merged = github.squash("adw/a", "In my own words")
    followed = adw.call("run", str(adw.issues))
    assert followed.returncode == 0, followed.stdout
    assert f"already landed {merged[:10]}" in followed.stdout
    assert done(adw, "build") == []
    assert (origin.git("rev-parse", "adw/b^"), origin.git("show", "--format=", "--name-only", "adw/b")) == (merged, "b.txt")
    assert [pull["base"]["ref"] for pull in github.pulls] == ["main", "main"]
    assert (adw.repository.tip, adw.repository.git("branch", "--list", "--format=%(refname:short)", "adw/*")) == (tip, "adw/b")
