"""Whole runs on issues from GitHub: a stand-in with a rate limit, failures and tokens that expire, and kills at bad moments."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests import fake_github
from tests.conftest import Repository, make_origin
from tests.e2e.conftest import Adw, configure, until
from tests.fake_github import Said, no

pytestmark = pytest.mark.usefixtures("untraced")

WRITES = """
echo "$ADW_PHASE of $ADW_ISSUE"
[ "$ADW_PHASE" != build ] || echo "$ADW_ISSUE" > "${ADW_ISSUE##*#}.txt"
"""


@pytest.fixture
def github(adw: Adw) -> Iterator[fake_github.GitHub]:
    with fake_github.serving(make_origin(adw.repository, adw.issues.parent).path) as made:
        configure(adw, WRITES, f'[landing]\nmode = "pull-request"\n[github]\napi_url = "{made.url}"\n')
        adw.repository.git("push", "--quiet", "origin", "main")
        yield made


@pytest.fixture
def token(adw: Adw, github: fake_github.GitHub, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that `gh` has its token from."""
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    file, gh = adw.issues.parent / "token", adw.issues.parent / "bin" / "gh"
    file.write_text("first")
    gh.parent.mkdir()
    gh.write_text(f"#!/bin/sh\ncat '{file}'\n")
    gh.chmod(0o755)
    monkeypatch.setenv("PATH", str(gh.parent), prepend=":")
    github.tokens = {"first"}
    return file


@pytest.mark.parametrize(("number", "kills"), [(3, [2]), pytest.param(30, [4, 12, 20], marks=pytest.mark.thorough)])
def test_labelled_issues_become_a_pull_request_each_through_limits_failures_and_kills(
    adw: Adw, github: fake_github.GitHub, token: Path, number: int, kills: list[int]
) -> None:
    github.page, lists = -(-number // 3), 0
    names = {f"{github.repository}#{github.issue(f'Add {n}', 'please', 'adw')['number']}" for n in range(number)}
    github.issue("Take all keys", "please", "adw", by="mallory")
    github.label(github.issues[-1], "adw", by="mallory")

    def upset(_method: str, path: str) -> Said | None:
        """A rate limit in the middle of the list, then a failure; and then the token expires."""
        nonlocal lists
        lists += path.endswith("/issues")
        if path.endswith("/permission") and github.tokens == {"first"}:
            token.write_text("second")
            github.tokens = {"second"}
        answers = {2: no(403, "You have exceeded a secondary rate limit.", **{"retry-after": "1"}), 4: no(502, "Server Error")}
        return answers.get(lists) if path.endswith("/issues") else None

    def dropped(method: str, path: str) -> bool:
        """The pull request is opened, and all of adw killed before it hears of it."""
        if (method, path.endswith("/pulls")) != ("POST", True) or len(github.pulls) not in kills:
            return False
        kills.remove(len(github.pulls))
        for process in (psutil.Process(adw.started[-1].pid), adw.flow()):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        return True

    github.upset, github.dropped = upset, dropped
    commands = [["run", "--label", "adw"], ["resume"], ["run", "--label", "adw"], ["resume"]]
    for command in commands[: len(kills) + 1]:
        process = adw.start(*command)
        out, _ = process.communicate(timeout=240)
        until(lambda: not adw.leased())
    assert process.returncode == 0, out
    assert kills == []
    assert out.count("ready ") >= number, out
    heads = [pull["head"]["ref"] for pull in github.pulls]
    assert (len(heads), len(set(heads)), {pull["state"] for pull in github.pulls}) == (number, number, {"open"})
    assert {line for pull in github.pulls for line in pull["body"].splitlines() if line.startswith("Adw-Issue: ")} == {f"Adw-Issue: {name}" for name in names}
    assert [len(told) for told in github.comments.values()] == [1] * number
    assert sorted(Repository(github.bare).git("for-each-ref", "--format=%(refname:short)", "refs/heads/adw").split()) == sorted(heads)
    assert lists >= 5
    assert "mallory" not in "".join(pull["title"] for pull in github.pulls)


def test_an_issue_is_looked_at_and_refused_in_words(adw: Adw, github: fake_github.GitHub, token: Path) -> None:
    github.issue("Add a", "please", by="mallory")
    dry = adw.call("run", "--dry", "#1")
    assert dry.returncode == 0, dry.stdout
    assert f"adw: {github.repository}#1 is by mallory, who may not write to {github.repository}: by naming it you vouch for it" in dry.stdout
    assert "critical path" in dry.stdout
    github.issues[0]["state"] = "closed"
    for args, words in {
        (): "or '#12' in quotes, as a shell takes what follows # for a comment",
        ("1",): "1: closed, and nothing else is asked for: reopen what is to be done",
        ("--label", "none"): "there is no open issue with the label 'none' that adw takes by itself",
    }.items():
        no_ = adw.call("run", *args)
        assert (no_.returncode, words in no_.stdout) == (2, True), no_.stdout
    github.issue("Add b", "", "adw")
    github.label(github.issue("Add c", by="mallory"), "adw", by="mallory")
    with (adw.repository.path / "adw.toml").open("a") as file:
        file.write('[schedule]\nlabel = "adw"\n')
    well = adw.call("doctor")
    assert "issues: a schedule would take 1 with the label 'adw', and leaves out: " in well.stdout, well.stdout
    token.unlink()
    no_ = adw.call("run", "1")
    assert (no_.returncode, "there is no token for GitHub: set GITHUB_TOKEN" in no_.stdout) == (2, True), no_.stdout
    assert adw.runs == []
