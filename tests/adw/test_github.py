"""The API's client, against a stand-in that speaks GitHub's protocol on loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from adw.errors import Blocked, HubAway, Misuse
from adw.github import Forge, GitHub, own_token, reached
from tests import fake_github
from tests.adw.daemon import free_port
from tests.conftest import Repository
from tests.fake_github import TOKEN, no


@pytest.fixture
def fake(origin: Repository, repository: Repository) -> Iterator[fake_github.GitHub]:
    """GitHub, with a branch to open a pull request for."""
    repository.commit("work", b="1")
    repository.git("push", "--quiet", "origin", "HEAD:adw/a", "HEAD:adw/b")
    with fake_github.serving(origin.path) as made:
        yield made


@pytest.fixture
def github(fake: fake_github.GitHub, origin: Repository) -> Iterator[GitHub]:
    with reached(Forge.of(str(origin.path), fake.url), TOKEN) as made:
        yield made


@pytest.mark.parametrize(
    ("url", "api", "host"),
    [
        ("https://github.com/ada/code.git", "https://api.github.com", "github.com"),
        ("https://github.com/ada/code", "https://api.github.com", "github.com"),
        ("https://ada:secret@github.com/ada/code/", "https://api.github.com", "github.com"),
        ("git@github.com:ada/code.git", "https://api.github.com", "github.com"),
        ("ssh://git@github.com/ada/code.git", "https://api.github.com", "github.com"),
        ("ssh://git@ssh.github.com:443/ada/code.git", "https://api.github.com", "github.com"),
        ("https://git.example.com/ada/code.git", "https://git.example.com/api/v3", "git.example.com"),
        ("git@git.example.com:ada/code", "https://git.example.com/api/v3", "git.example.com"),
    ],
)
def test_the_api_is_found_by_the_url_of_the_remote(url: str, api: str, host: str) -> None:
    assert Forge.of(url) == Forge(api=api, host=host, repository="ada/code")


@pytest.mark.parametrize("url", ["git@work:ada/code.git", "/srv/git/ada/code.git", "file:///srv/ada/code.git"])
def test_the_api_can_be_named_where_the_url_does_not_tell(url: str) -> None:
    assert Forge.of(url, "https://api.github.com/") == Forge(api="https://api.github.com", host="github.com", repository="ada/code")


@pytest.mark.parametrize(
    "url", ["/srv/git/ada/code.git", "../code.git", "https://github.com/code", "file:///srv/ada/code.git", "https://gitlab.com/a/b/c.git", ""]
)
def test_a_remote_that_is_not_at_github_is_named(url: str) -> None:
    with pytest.raises(Misuse, match=r"is no repository at GitHub: .*landing\.api_url"):
        Forge.of(url)


def test_a_pull_request_is_opened_found_again_and_changed(github: GitHub, fake: fake_github.GitHub) -> None:
    assert github.find("adw/a") is None
    opened = github.open("Add a", "please", "adw/a", "main")
    assert github.find("adw/a") == opened
    assert (opened.open, opened.merged, opened.base, opened.url) == (True, "", "main", f"{fake.url}/ada/code/pull/1")
    github.change(opened, "thanks", "adw/b")
    assert (fake.pulls[0]["body"], fake.pulls[0]["base"]["ref"], fake.pulls[0]["title"]) == ("thanks", "adw/b", "Add a")


def test_what_is_as_it_should_be_is_not_sent_again(github: GitHub, fake: fake_github.GitHub) -> None:
    github.change(github.open("Add a", "please", "adw/a", "main"), "please", "main")
    assert [method for method, _, _ in fake.asked] == ["POST"]


def test_of_several_the_open_one_is_found_else_the_newest(github: GitHub, fake: fake_github.GitHub) -> None:
    github.open("first", "", "adw/a", "main")
    fake.close("adw/a")
    github.open("second", "", "adw/a", "main")
    fake.pulls[0]["state"], fake.pulls[1]["state"] = "open", "closed"
    assert (found := github.find("adw/a"))
    assert found.number == 1
    fake.close("adw/a")
    fake.pulls[0]["state"] = "closed"
    assert (found := github.find("adw/a"))
    assert (found.number, found.open) == (2, False)


def test_one_that_was_merged_says_as_what(github: GitHub, fake: fake_github.GitHub) -> None:
    github.open("first", "", "adw/a", "main")
    sha = fake.squash("adw/a", "first")
    assert (found := github.find("adw/a"))
    assert (found.open, found.merged) == (False, sha)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            no(401, "Bad credentials"),
            r"does not take the token, it may have expired: give another one: in the Prefect Secret .*\(GitHub says: Bad credentials\)",
        ),
        (no(403, "Resource not accessible by integration"), r"the token may not do this in ada/code at GitHub: it needs to read and write pull requests"),
        (no(404, "Not Found"), r"shows this token no repository ada/code: it is named otherwise, or private, .*git remote -v"),
        (no(422, "Validation Failed", {"message": "No commits between main and adw/a"}), r"no such pull request in ada/code .*Failed; No commits between main"),
        (no(422, "Validation Failed", {"resource": "PullRequest", "field": "base", "code": "invalid"}), "Validation Failed; base: invalid"),
        (no(410, "Gone"), r"answers POST for ada/code with 410 \(GitHub says: Gone\)"),
        ((200, b"<html>Welcome</html>", {}), r"what answers at http.*/pulls is not GitHub's API \(200\): check landing\.api_url"),
    ],
)
def test_a_no_is_told_in_words(github: GitHub, fake: fake_github.GitHub, said: fake_github.Said, words: str) -> None:
    fake.upset = lambda _method, _path: said
    with pytest.raises(Blocked, match=words) as no_:
        github.open("Add a", "", "adw/a", "main")
    assert TOKEN not in str(no_.value)


@pytest.mark.parametrize(
    "said",
    [
        no(502, "Server Error"),
        (503, b"<html>busy</html>", {}),
        no(429, "Too many requests"),
        no(403, "API rate limit exceeded", **{"x-ratelimit-remaining": "0"}),
        no(403, "You have exceeded a secondary rate limit", **{"retry-after": "60"}),
    ],
)
def test_what_passes_by_itself_can_be_tried_again(github: GitHub, fake: fake_github.GitHub, said: fake_github.Said) -> None:
    fake.upset = lambda _method, _path: said
    with pytest.raises(HubAway, match="GitHub is in trouble, or has had too much of us"):
        github.find("adw/a")


def test_a_host_that_does_not_answer_is_away() -> None:
    with reached(Forge.of("/x/ada/code", f"http://127.0.0.1:{free_port()}"), TOKEN) as github, pytest.raises(HubAway, match="cannot be reached at http"):
        github.find("adw/a")


def test_it_shows_beforehand_that_a_token_may_not_write(github: GitHub, fake: fake_github.GitHub) -> None:
    github.prove_access()
    fake.may_push = False
    with pytest.raises(Misuse, match="the token may not write to ada/code"):
        github.prove_access()
    fake.upset = lambda _method, _path: no(401, "Bad credentials")
    with pytest.raises(Misuse, match="does not take the token"):
        github.prove_access()


def test_the_token_is_that_of_the_environment_or_of_gh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", " from-the-environment\n")
    assert own_token("github.com") == "from-the-environment"
    monkeypatch.delenv("GITHUB_TOKEN")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Misuse, match=r"no token for GitHub, .*set GITHUB_TOKEN, log in with `gh auth login`, or name a Secret in landing\.secret"):
        own_token("github.com")
    gh = tmp_path / "gh"
    gh.write_text('#!/bin/sh\n[ "$*" = "auth token --hostname github.com" ] && echo from-gh || exit 1\n')
    gh.chmod(0o755)
    assert own_token("github.com") == "from-gh"
    with pytest.raises(Misuse, match="no token for GitHub"):
        own_token("git.example.com")
